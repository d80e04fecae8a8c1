"""Attacks where other people can read along: in Slack, with a group's thread and everybody's direct chats."""

from __future__ import annotations

import pytest

from app.sandbox.visitor import code_on
from interfaces.slack.client import ANSWERED_DIRECTLY
from tests.attacks.attack import Attack
from tests.contract.channels import Sender, SlackDriver
from tests.fakes.server import CONSENT_LINK, QUESTION, Server, direct, user

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def slack(server: Server) -> SlackDriver:
    """Return Slack, seen from its people's side."""
    return SlackDriver(server)


def people(attack: Attack) -> tuple[Sender, Sender]:
    """Return the victim and Mallory of this attack, in Slack."""
    return Sender(attack.victim.user, attack.victims), Sender(attack.mallory.user, attack.mallorys)


def seen_by(attack: Attack, person: Sender) -> str:
    """Return everything that this person could read in Slack, in public and alone."""
    return "\n".join(
        post.text
        for post in attack.server.slack.posts
        if post.channel == direct(person.name)
        or (post.channel.startswith("C") and post.user in (None, user(person.name)))
    )


async def link_for(slack: SlackDriver, person: Sender, group: str | None = None) -> str:
    """Return the link that this person is sent when they ask for their mail."""
    (await slack.say(person, QUESTION, group=group)).raise_for_status()
    found = CONSENT_LINK.search(await slack.next(person))
    assert found is not None
    return found[0]


async def test_link_in_a_group_channel(attack: Attack, slack: SlackDriver) -> None:
    """In a channel that Mallory reads, the victim's link, code notice and mail are shown to the victim alone."""
    victim, mallory = people(attack)
    group = f"watched{attack.victim.user}"
    link = await link_for(slack, victim, group)
    code = code_on(await attack.server.consent(link, victim.email))
    await slack.say(victim, f"confirm {code}", group=group)
    told = {await slack.next(victim), await slack.next(victim)}
    posts = [post for post in attack.server.slack.posts if post.channel == f"C0{group.upper()}"]

    assert any(victim.email in each for each in told)
    assert slack.public(group) == []
    assert {post.text for post in posts} == {f"<@{user(victim.name)}> {ANSWERED_DIRECTLY}"}
    assert {post.method for post in attack.server.slack.posts} == {"chat.postMessage"}
    assert link not in seen_by(attack, mallory)


async def test_asking_after_the_victim_in_her_thread(attack: Attack, slack: SlackDriver) -> None:
    """Mallory, asking in the thread in which the victim has just read mail, is asked for her own consent."""
    victim, mallory = people(attack)
    group = f"thread{attack.victim.user}"
    code = code_on(await attack.server.consent(await link_for(slack, victim, group), victim.email))
    await slack.say(victim, f"confirm {code}", group=group)
    read = {await slack.next(victim), await slack.next(victim)}
    link = await link_for(slack, mallory, group)
    page = await attack.browser.http.get(link)
    typed = await _told(slack, mallory, "google accounts")

    assert any(victim.email in each for each in read)
    assert user(mallory.name) in page.text
    assert user(victim.name) not in page.text
    assert "You have no Google account connected" in typed
    assert victim.email not in seen_by(attack, mallory)


async def test_forwarded_link_in_a_chat(attack: Attack, slack: SlackDriver) -> None:
    """When Mallory forwards her link and the victim sends the code in her own Slack chat, nothing is connected."""
    victim, mallory = people(attack)
    page = await attack.browser.allow(await link_for(slack, mallory), victim.email)
    hers = await _told(slack, victim, f"confirm {code_on(page)}")
    accounts = await _told(slack, mallory, "google accounts")

    assert user(mallory.name) in page.text
    assert "I don't know this code" in hers
    assert "You have no Google account connected" in accounts
    assert victim.email not in seen_by(attack, mallory)


async def _told(slack: SlackDriver, person: Sender, text: str) -> str:
    (await slack.say(person, text)).raise_for_status()
    return await slack.next(person)
