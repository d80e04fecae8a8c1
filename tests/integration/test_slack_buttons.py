"""Cards with buttons in Slack: what a person decides by, who may press, and that a press counts once."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.chat.status import NOTHING
from app.database.tables import messages
from app.principal import Principal
from app.sandbox.slack.blocks import buttons_in
from app.sandbox.slack.clicks import post_interaction, press
from app.sandbox.slack.posts import Post
from interfaces.slack.client import ANSWERED_DIRECTLY
from tests.fakes.environment import Environment, open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import ADA, APPROVAL_CODE, GRACE, QUESTION, TEAM, Server, direct, eventually, user

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack."""
    async with open_environment(Path(tmp_path_factory.mktemp("buttons"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment) -> AsyncIterator[Server]:
    """Yield a server on a socket that may act in groups, with Ada and Grace connected."""
    assert environment.settings.interfaces.slack is not None
    slack = environment.settings.interfaces.slack.model_copy(update={"act_in_groups": True})
    interfaces = environment.settings.interfaces.model_copy(update={"slack": slack})
    async with environment.server(ScriptedModel().install, interfaces=interfaces) as server:
        for name, email in (("ada", ADA), ("grace", GRACE)):
            await server.connect(Principal("slack", TEAM, user(name)), email)
        yield server


async def say(server: Server, name: str, text: str, channel: str | None = None) -> None:
    """Write to the assistant, directly or as a mention in a channel."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # as Slack does
    mention = {"text": f"<@U0BOT> {text}", "channel": channel, "kind": "app_mention"}
    event = mention if channel else {"text": text, "channel": direct(name)}
    (await server.deliver(server.slack.event(user=user(name), **event))).raise_for_status()


async def card(server: Server, name: str, said: str) -> Post:
    """Return the newest card of a person with this text, once it is there."""
    return (await eventually(lambda: [post for post in cards(server, name) if said in post.shown]))[0]


def cards(server: Server, name: str) -> list[Post]:
    """Return a person's posts with buttons in the direct chat, newest first."""
    return [post for post in server.posted(direct(name))[::-1] if [*buttons_in(post.blocks)]]


async def click(server: Server, payload: dict[str, Any]) -> httpx2.Response:
    """Send a press as Slack does."""
    return await post_interaction(server.slack, server.client, "/slack/interactions", payload)


def now(server: Server, post: Post) -> Post:
    """Return a post as it is now."""
    return next(each for each in server.slack.posts if (each.channel, each.ts) == (post.channel, post.ts))


async def ask_to_send(server: Server, name: str, channel: str | None = None) -> tuple[Post, str]:
    """Ask for a mail with characters that markup would change, and return the card and the mail's subject."""
    subject = f"*{secrets.token_hex(4)}* _hi_ ~no~ `x` &lt; :smile: <!channel>"
    await say(server, name, f'/gmail_send to={GRACE} subject="{subject}" body="[a](https://b.example)"', channel)
    return await card(server, name, subject), subject


def sent(server: Server, subject: str) -> int:
    """Return how many mails with this subject have arrived."""
    return sum(subject.split("*")[1] in letter.raw.decode() for letter in server.google.mailbox(GRACE))


async def test_a_card_shows_every_character_and_two_buttons(server: Server) -> None:
    """A card shows the mail unchanged in a block without markup, two buttons, and the command to type instead."""
    post, _ = await ask_to_send(server, "ada")
    kinds = [block["type"] for block in post.blocks]

    assert kinds == ["rich_text", "actions"]
    assert "[a](https://b.example)" in post.shown
    assert [button["text"]["text"] for button in buttons_in(post.blocks)] == ["Approve", "Deny"]
    assert "Reply `approve " in post.shown


async def test_a_press_approves_once_and_takes_the_buttons_off(server: Server) -> None:
    """A press that arrives several times sends the mail once, and the card then shows the choice without buttons."""
    post, subject = await ask_to_send(server, "ada")
    payload = press(server.slack, post, "Approve", user=user("ada"))
    answers = await asyncio.gather(*(click(server, payload) for _ in range(4)))
    await eventually(lambda: sent(server, subject))
    await eventually(lambda: not [*buttons_in(now(server, post).blocks)])

    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 4
    assert "You chose: Approve" in now(server, post).shown
    assert subject in now(server, post).shown
    assert now(server, post).metadata == post.metadata
    assert sent(server, subject) == 1


async def test_a_press_after_the_decision_is_answered_and_does_nothing(server: Server) -> None:
    """A press on a card that was already decided is answered with the decision, and does nothing."""
    post, subject = await ask_to_send(server, "grace")
    await click(server, press(server.slack, post, "Deny", user=user("grace")))
    await eventually(lambda: [each for each in server.posted(direct("grace")) if "I won't do it" in each.text])
    await click(server, press(server.slack, post, "Approve", user=user("grace")))
    await eventually(lambda: [each for each in server.posted(direct("grace")) if "no longer open" in each.text])

    assert sent(server, subject) == 0


async def test_nobody_elses_press_counts(server: Server) -> None:
    """Another person's press gets a private reply, sends nothing, and leaves the requester's card unchanged."""
    await say(server, "grace", "repeat hello", "C0SHARED")
    own, subject = await ask_to_send(server, "ada")
    server.slack.places.invite("C0SHARED", user("ada"), user("grace"))
    leaked = replace(own, channel="C0SHARED", thread_ts=None)  # as if the card had been shown to both
    before = len(server.posted(direct("grace")))
    await click(server, press(server.slack, leaked, "Approve", user=user("grace")))
    told = await eventually(lambda: server.posted(direct("grace"))[before:])

    assert "You have no pending approval" in told[0].text
    assert [*buttons_in(now(server, own).blocks)]
    assert sent(server, subject) == 0


async def test_a_press_of_a_mention_is_decided_in_the_direct_chat(server: Server) -> None:
    """A mail asked for in a group is approved in the requester's direct chat, and the thread does not show it."""
    post, subject = await ask_to_send(server, "ada", "C0GROUP")
    await click(server, press(server.slack, post, "Approve", user=user("ada")))
    await eventually(lambda: sent(server, subject))

    public = [each.shown for each in server.posted("C0GROUP")]
    assert all(ANSWERED_DIRECTLY in text for text in public)
    assert post.channel == direct("ada")


async def test_the_tenant_is_that_of_the_person_who_pressed(server: Server) -> None:
    """In a shared channel, a press by a user of another company has that company's tenant and decides nothing."""
    post, subject = await ask_to_send(server, "ada")
    payload = press(server.slack, post, "Approve", user=user("ada"), home_team="T0ELSEWHERE")
    await click(server, payload)
    async with server.container.database().reading() as connection:
        tenants = sa.select(messages.c.tenant).where(
            messages.c.body.like("approve%"), messages.c.user_id == user("ada")
        )
        found = set((await connection.execute(tenants)).scalars())

    assert "T0ELSEWHERE" in found
    assert sent(server, subject) == 0


async def test_a_consent_card_opens_the_page(server: Server) -> None:
    """A consent card has the link in its button and its text, and a press is acknowledged without a reply."""
    await say(server, "lovelace", QUESTION)
    post = await card(server, "lovelace", "permission")
    button = next(buttons_in(post.blocks))
    before = len(server.posted(direct("lovelace")))
    answer = await click(server, press(server.slack, post, button["text"]["text"], user=user("lovelace")))

    assert answer.status_code == 200
    assert button["url"] in post.shown
    assert button["url"] in post.text
    assert len(server.posted(direct("lovelace"))) == before


BAD: dict[str, bytes] = {
    "no payload": b"",
    "no JSON": b"payload=%7B",
    "a list": b"payload=[]",
    "no action": b"payload=%7B%22type%22%3A%22block_actions%22%7D",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
async def test_a_press_that_cannot_be_read_is_refused(server: Server, body: bytes) -> None:
    """A signed body that is not an interaction gets a 400, and an unsigned one a 401."""
    signed = await server.client.post("/slack/interactions", content=body, headers=server.slack.sign(body, time.time()))
    unsigned = await server.client.post("/slack/interactions", content=body)

    assert (signed.status_code, unsigned.status_code) == (400, 401)


async def test_the_status_names_ones_own_decisions_alone(server: Server) -> None:
    """`status` shows a person only their own pending code."""
    post, _ = await ask_to_send(server, "ada")
    (code,) = set(APPROVAL_CODE.findall(post.text))
    told = {}
    for name in ("ada", "stranger"):
        before = len(server.posted(direct(name)))
        await say(server, name, "status")
        told[name] = (await server.posts(direct(name), before + 1))[before].text

    assert f"`{code}` (gmail_send)" in told["ada"]
    assert told["stranger"] == NOTHING
