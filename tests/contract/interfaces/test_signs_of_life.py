"""Behaviours of every channel: while an answer takes long, its person alone sees what is being done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from containers.application import Application
from interfaces.slack.client import AT_WORK as IN_SLACK
from interfaces.slack.client import AT_WORK_IN_THREAD
from interfaces.telegram.client import AT_WORK as IN_TELEGRAM
from interfaces.whatsapp.client import AT_WORK as IN_WHATSAPP
from tests.contract.channels import (
    Sender,
    SlackDriver,
    TelegramDriver,
    WhatsAppDriver,
    pair,
    telegram_id,
    whatsapp_person,
)
from tests.fakes.environment import open_environment, with_telegram
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server, direct, eventually, user

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOING = "waiting for the model"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model() -> ScriptedModel:
    """Return the model that answers, with its gate closed."""
    return ScriptedModel()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncIterator[Server]:
    """Yield a server that says immediately what it would otherwise say after 15 seconds."""

    def prepare(container: Application) -> None:
        model.install(container)
        container.signs.add_kwargs(first_seconds=0.0, again_seconds=0.05, explain_seconds=0.0)
        parts: Any = container.channel_parts.providers
        parts["slack.SlackAnswers"].add_kwargs(first_seconds=0.0)

    async with open_environment(Path(tmp_path_factory.mktemp("signs"))) as environment:
        interfaces = with_telegram(environment, environment.settings.interfaces)
        async with environment.server(prepare, interfaces=interfaces) as server:
            yield server


async def test_slack_says_so_where_the_answer_will_be(server: Server, model: ScriptedModel) -> None:
    """Slack shows the progress in the message that becomes the answer, or as a status until the answer in a thread."""
    model.gate.clear()
    ada, grace = pair()
    thread = server.slack.new_ts()
    await SlackDriver(server).say(ada, "wait ada")
    await server.deliver(
        server.slack.event(user=user(grace.name), text="wait grace", channel=direct(grace.name), thread_ts=thread)
    )
    statuses = server.slack.places[direct(grace.name)].statuses
    shown = IN_SLACK.format(DOING)
    await eventually(
        lambda: _slack(server, ada) == [shown] and statuses.get(thread) == [AT_WORK_IN_THREAD.format(DOING)]
    )
    model.gate.set()
    await eventually(lambda: _slack(server, ada) == ["waited ada"] and _slack(server, grace) == ["waited grace"])
    await eventually(lambda: statuses[thread][-1] == "")

    assert len(statuses[thread]) == 2


async def test_telegram_says_so_in_a_draft(server: Server, model: ScriptedModel) -> None:
    """Telegram shows the progress in a draft in the private chat until the answer comes, and not to another person."""
    model.gate.clear()
    ada, grace = pair()
    driver = TelegramDriver(server)
    await driver.say(ada, "wait ada")
    drafts = server.telegram.chats.drafts
    await eventually(lambda: drafts.get(telegram_id(ada.name)))
    model.gate.set()
    await driver.say(grace, "repeat hello")

    assert [await driver.next(ada), await driver.next(grace)] == ["waited ada", "hello"]
    assert drafts[telegram_id(ada.name)][0] == IN_TELEGRAM.format(DOING)
    assert not [text for text in drafts.get(telegram_id(grace.name), []) if "ada" in text]


async def test_whatsapp_says_so_in_one_message(server: Server, model: ScriptedModel) -> None:
    """WhatsApp shows the progress in one message per answer; another person's chat shows nothing of the answer."""
    model.gate.clear()
    ada, grace = pair()
    driver = WhatsAppDriver(server)
    await driver.say(ada, "wait ada")
    words = IN_WHATSAPP.format(DOING)
    await eventually(lambda: words in _whatsapp(server, ada))
    hers = _whatsapp(server, grace)  # before she writes: her own message is answered with a sign too, if it takes long
    await driver.say(grace, "repeat hello")
    await eventually(lambda: "hello" in _whatsapp(server, grace))
    model.gate.set()
    await eventually(lambda: "waited ada" in _whatsapp(server, ada))

    assert _whatsapp(server, ada) == [words, "waited ada"]
    assert hers == []
    assert [text for text in _whatsapp(server, grace) if text != words] == ["hello"]


def _slack(server: Server, sender: Sender) -> list[str]:
    return [post.shown for post in server.slack.posts if post.channel == direct(sender.name)]


def _whatsapp(server: Server, sender: Sender) -> list[str]:
    person = whatsapp_person(sender)
    return server.whatsapp.told(person.number, person.bsuid)
