"""The Telegram channel in a server: the webhook, presses, polling, and who may use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.database.tables import messages
from app.errors import UnavailableError
from app.principal import Principal
from app.sandbox.telegram.chats import BotMessage
from interfaces.telegram.client import ANSWERED_DIRECTLY
from interfaces.telegram.polling import TelegramPolling
from interfaces.telegram.update import ANONYMOUS
from tests.fakes.environment import Environment, open_environment, with_telegram
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import ADA, GRACE, Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google and a Telegram."""
    async with open_environment(Path(tmp_path_factory.mktemp("telegram"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model() -> ScriptedModel:
    """Return a scripted model with an open gate."""
    model = ScriptedModel()
    model.gate.set()
    return model


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment, model: ScriptedModel) -> AsyncIterator[Server]:
    """Yield a server that receives Telegram's webhooks."""
    interfaces = with_telegram(environment, environment.settings.interfaces)
    async with environment.server(model.install, interfaces=interfaces) as server:
        yield server


def person(server: Server, user: int) -> Principal:
    """Return a person of Telegram."""
    return Principal("telegram", str(server.telegram.people.bot["id"]), str(user))


def shown(server: Server, chat: int) -> list[str]:
    """Return the texts that the bot sent to a chat."""
    return [message.text for message in server.telegram.chats.in_chat(chat)]


def polling_of(server: Server) -> TelegramPolling:
    """Return the server's polling, set not to hold its requests open."""
    (polling,) = [each for each in server.container.receivers() if isinstance(each, TelegramPolling)]
    polling._poll_seconds = 0
    return polling


async def count(server: Server) -> int:
    """Return how many messages are stored."""
    async with server.container.database().reading() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(messages))).scalar_one())


@pytest.mark.parametrize("secret", ["", "wrong", "\u00e9"])
async def test_only_telegram_is_believed(server: Server, secret: str) -> None:
    """An update without the right secret gets a 401 and is not stored; the same update with it is."""
    update = server.telegram.people.write(100, "repeat hello")
    before = await count(server)
    headers = {b"X-Telegram-Bot-Api-Secret-Token": secret.encode("latin-1")}
    refused = await server.client.post("/telegram/webhook", json=update, headers=headers)
    between = await count(server)
    taken = await server.telegram.people.post(server.client, update)

    assert (refused.status_code, taken.status_code) == (401, 200)
    assert (between, await count(server)) == (before, before + 1)


async def test_a_message_counts_once_under_whichever_update_it_comes(server: Server) -> None:
    """A repeated update of the same message, or its edit, is not answered again; another person's message is."""
    update = server.telegram.people.write(101, "repeat once")
    again = server.telegram.people.update("message", update["message"])
    edited = server.telegram.people.update("edited_message", {**update["message"], "text": "repeat twice"})
    for each in (update, again, edited, server.telegram.people.write(102, "repeat hers")):
        assert (await server.telegram.people.post(server.client, each)).status_code == 200
    await server.telegram.people.post(server.client, server.telegram.people.write(101, "repeat end"))

    assert await eventually(lambda: len(s := shown(server, 101)) == 2 and s) == ["once", "end"]
    assert await eventually(lambda: shown(server, 102)) == ["hers"]


async def test_a_press_approves_for_who_pressed_alone(server: Server) -> None:
    """A press of the button approves only for the person who was asked, and every press is acknowledged."""
    for user, email in ((103, ADA), (104, GRACE)):
        await server.connect(person(server, user), email)
    ask = server.telegram.people.write(103, "/gmail_send to=nobody@example.com subject=pressed body=x")
    await server.telegram.people.post(server.client, ask)
    (question,) = await eventually(lambda: server.telegram.chats.in_chat(103))
    server.telegram.chats.started.add(104)
    stolen = BotMessage(question.message_id, 104, None, "", keyboard=question.keyboard)
    foreign = server.telegram.people.press(104, stolen, "Approve")
    await server.telegram.people.post(server.client, foreign)
    refused = await eventually(lambda: shown(server, 104))
    before = _sent(server, ADA)
    own = server.telegram.people.press(103, question, "Approve")
    for _ in range(2):
        await server.telegram.people.post(server.client, own)
    await eventually(lambda: _sent(server, ADA) == 1)

    assert "You have no pending approval" in refused[0]
    assert (before, _sent(server, GRACE)) == (0, 0)
    presses = {update["callback_query"]["id"] for update in (foreign, own)}
    await eventually(lambda: presses <= set(server.telegram.answered))
    await eventually(lambda: not question.keyboard)


async def test_who_hides_behind_the_group_is_told_so(server: Server) -> None:
    """A message from an anonymous group admin is explained once in the group and not stored; a member is answered."""
    group = -1105
    hidden: dict[str, Any] = {
        "sender": {"id": 1087968824, "is_bot": True},
        "sender_chat": {"id": group, "type": "supergroup"},
    }
    before = await count(server)
    for _ in range(2):
        update = server.telegram.people.write(105, "@deputy_bot hi", chat=group, **hidden)
        assert (await server.telegram.people.post(server.client, update)).status_code == 200
    await eventually(lambda: shown(server, group) == [ANONYMOUS])
    stored = await count(server)
    asked = server.telegram.people.write(106, "@deputy_bot repeat hi", chat=group)
    await server.telegram.people.post(server.client, asked)

    assert stored == before
    assert await eventually(lambda: shown(server, group)[1:]) == ["hi"]


async def test_a_reply_in_a_topic_stays_there(server: Server) -> None:
    """In a forum, each topic's message is answered in its own topic."""
    group = -1107
    server.telegram.chats.forums.add(group)
    for thread, user in ((3, 107), (4, 108)):
        update = server.telegram.people.write(user, f"@deputy_bot repeat {thread}", chat=group, thread=thread)
        await server.telegram.people.post(server.client, update)
    answers = await eventually(lambda: s if len(s := server.telegram.chats.in_chat(group)) == 2 else [])

    assert sorted((each.thread_id, each.text) for each in answers) == [(3, "3"), (4, "4")]
    assert ANSWERED_DIRECTLY not in shown(server, group)


async def test_the_stop_button_below_a_draft_stops_its_persons_run(server: Server, model: ScriptedModel) -> None:
    """The stop button below a draft stops only its own person's run."""
    model.gate.clear()
    for user in (109, 110):
        await server.telegram.people.post(server.client, server.telegram.people.write(user, f"wait {user}"))
    await eventually(lambda: {"wait 109", "wait 110"} <= set(model.begun))
    chat = server.telegram.people.chat(109, None)
    stop = server.telegram.people.update("stopped_message_generation", {"chat": chat, "draft_id": 1})
    await server.telegram.people.post(server.client, stop)
    stopped = await eventually(lambda: shown(server, 109))
    model.gate.set()

    assert stopped == ["Stopped, as you asked."]
    assert await eventually(lambda: shown(server, 110)) == ["waited 110"]


@pytest.mark.parametrize("update", [{}, {"update_id": 1, "message": {"text": "x"}}, {"callback_query": {"id": 7}}])
async def test_an_update_of_another_shape_is_taken_and_ignored(server: Server, update: dict[str, Any]) -> None:
    """A malformed update gets a 200 and is not stored, because Telegram would otherwise send it again and again."""
    before = await count(server)
    response = await server.telegram.people.post(server.client, update)

    assert response.status_code == 200
    assert await count(server) == before


async def test_only_the_listed_may_use_it(environment: Environment, model: ScriptedModel) -> None:
    """An unlisted person or group is refused with the ids that an administrator needs; listed ones are answered."""
    interfaces = with_telegram(environment, environment.settings.interfaces, people=("201",), chats=("-1201",))
    async with environment.in_process(model.install, database="listed", interfaces=interfaces) as server:
        people = server.telegram.people
        for update in (
            people.write(201, "repeat yes"),
            people.write(202, "repeat no"),
            people.write(201, "@deputy_bot repeat yes", chat=-1201),
            people.write(201, "@deputy_bot repeat no", chat=-1202),
        ):
            await people.post(server.client, update)
        told = await eventually(lambda: [s for chat in (202, -1202) for s in shown(server, chat)][1:]) and [
            shown(server, chat)[0] for chat in (202, -1202)
        ]

        assert await eventually(lambda: shown(server, 201)) == ["yes"]
        assert await eventually(lambda: shown(server, -1201)) == ["yes"]
        assert "person 202." in told[0]
        assert "person 201, group -1202." in told[1]


async def test_polling_confirms_what_is_stored_and_one_process_polls(
    environment: Environment, model: ScriptedModel
) -> None:
    """Polling confirms only stored updates, answers each message once, and runs in one process at a time."""
    telegram = environment.telegram
    interfaces = with_telegram(environment, environment.settings.interfaces, mode="polling", webhook_secret=None)
    async with environment.in_process(model.install, database="polling", interfaces=interfaces) as server:
        polling = polling_of(server)
        for user in (301, 302):
            telegram.arrive(telegram.people.write(user, f"repeat {user}"))
        first, second = telegram.unconfirmed
        inbound, real = polling._inbound, polling._inbound.take

        async def away(update: Any) -> None:
            if update["update_id"] == second:
                raise UnavailableError("away")
            await real(update)

        inbound.take = away  # type: ignore[method-assign]
        with pytest.raises(UnavailableError):
            await polling.poll()
        inbound.take = real  # type: ignore[method-assign]
        held = telegram.unconfirmed
        await polling.poll()
        await polling.poll()

        assert held == [first, second]
        assert telegram.unconfirmed == []
        assert await eventually(lambda: shown(server, 301)) == ["301"]
        assert await eventually(lambda: shown(server, 302)) == ["302"]
        async with environment.in_process(model.install, database="polling", interfaces=interfaces) as other:
            waiting = polling_of(other)
            assert not await waiting.poll()
            await polling._leases.give_back(polling._name)
            assert await waiting.poll()


async def test_a_webhook_that_is_still_set_is_told(environment: Environment, model: ScriptedModel) -> None:
    """While a webhook is set, polling fails with a conflict; once it is removed, polling works."""
    telegram = environment.telegram
    interfaces = with_telegram(environment, environment.settings.interfaces, mode="polling", webhook_secret=None)
    telegram.webhook = {"url": "https://deputy.example/telegram/webhook"}
    async with environment.in_process(model.install, database="conflict", interfaces=interfaces) as server:
        polling = polling_of(server)
        with pytest.raises(UnavailableError) as raised:
            await polling.poll()
        telegram.webhook = {}
        telegram.arrive(telegram.people.write(303, "repeat hello"))
        await asyncio.gather(polling.poll())

        assert raised.value.reason == "conflict"
        assert await eventually(lambda: shown(server, 303)) == ["hello"]


def _sent(server: Server, email: str) -> int:
    return sum(
        "SENT" in letter.label_ids and letter.header("Subject") == "pressed" for letter in server.google.mailbox(email)
    )


async def test_a_group_that_becomes_a_supergroup_goes_on(server: Server, model: ScriptedModel) -> None:
    """When a group becomes a supergroup, pending messages are answered there and each person's history is kept."""
    group, supergroup = -4711, -1_000_000_004_711
    people = server.telegram.people
    for user in (51, 52):
        server.telegram.chats.started.add(user)
        await people.post(server.client, people.write(user, f"@deputy_bot repeat of {user}", chat=group))
        await eventually(lambda user=user: f"of {user}" in shown(server, group))  # type: ignore[misc]
    model.gate.clear()
    await people.post(server.client, people.write(51, "@deputy_bot wait for the upgrade", chat=group))
    await eventually(lambda: "wait for the upgrade" in model.begun)
    notices = people.upgrade(52, group, supergroup)
    model.gate.set()
    moved = await eventually(lambda: shown(server, supergroup))
    for notice in (*notices, notices[0]):
        assert (await people.post(server.client, notice)).status_code == 200
    for user in (51, 52):
        await people.post(server.client, people.write(user, "@deputy_bot recall", chat=supergroup))
    told = await eventually(lambda: found if len(found := shown(server, supergroup)) == 3 else [])

    assert moved == ["waited for the upgrade"]
    assert told[1:] == ["repeat of 51 | wait for the upgrade", "repeat of 52"]
    assert shown(server, group) == ["of 51", "of 52"]


@pytest.mark.parametrize("noticed", [True, False])
async def test_an_allowed_group_stays_allowed_when_it_is_upgraded(
    environment: Environment, model: ScriptedModel, noticed: bool
) -> None:
    """An allowed group stays allowed under its new id if Telegram announced the upgrade, and is refused otherwise."""
    group, supergroup = -4811 - noticed, -1_000_000_004_811 - noticed
    interfaces = with_telegram(environment, environment.settings.interfaces, chats=(str(group),))
    async with environment.in_process(model.install, interfaces=interfaces, database=f"up{noticed}") as server:
        people = server.telegram.people
        notices = people.upgrade(61, group, supergroup)
        for update in (*(notices if noticed else ()), people.write(61, "@deputy_bot repeat hello", chat=supergroup)):
            await people.post(server.client, update)
        (told,) = await eventually(lambda: shown(server, supergroup))

    assert (told == "hello") is noticed
