"""The sandbox's Telegram refuses what the real one refuses, in the same form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from app.sandbox.telegram.rates import SendLimits
from app.sandbox.telegram.sandbox import TelegramSandbox
from tests.fakes.sandbox import Clock

TOKEN, ADA, GROUP = "700:token", 11, -1001


@pytest.fixture
def telegram() -> TelegramSandbox:
    """Return a Telegram in which Ada has started the private chat and the bot is in a group."""
    telegram = TelegramSandbox(token=TOKEN, secret="s")
    telegram.chats.started.add(ADA)
    telegram.chats.groups.add(GROUP)
    return telegram


@pytest.fixture
async def client(telegram: TelegramSandbox) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client that calls it."""
    transport = httpx2.ASGITransport(telegram.app)
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://telegram/bot{TOKEN}") as client:
        yield client


def button(**does: str) -> dict[str, Any]:
    """Return a message with one button."""
    return {"chat_id": ADA, "text": "x", "reply_markup": {"inline_keyboard": [[{"text": "b", **does}]]}}


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "empty": ({"chat_id": ADA, "text": " "}, 400, "message text is empty"),
    "too long": ({"chat_id": ADA, "text": "x" * 4097}, 400, "message is too long"),
    "too long in UTF-16": ({"chat_id": ADA, "text": "\N{SLICE OF PIZZA}" * 2049}, 400, "message is too long"),
    "a stranger": ({"chat_id": 99, "text": "x"}, 403, "bot can't initiate conversation with a user"),
    "another group": ({"chat_id": -5, "text": "x"}, 403, "bot is not a member of the group chat"),
    "no topic": ({"chat_id": GROUP, "text": "x", "message_thread_id": 3}, 400, "message thread not found"),
    "data of 65 bytes": (button(callback_data="x" * 65), 400, "BUTTON_DATA_INVALID"),
    "localhost": (button(url="http://localhost/x"), 400, "Wrong HTTP URL"),
    "two purposes": (button(url="https://a.example", callback_data="x"), 400, "exactly one"),
    "entity beyond the end": (
        {"chat_id": ADA, "text": "x", "entities": [{"type": "bold", "offset": 0, "length": 2}]}, 400, "entity beyond"
    ),
    "entity in a character": (
        {"chat_id": ADA, "text": "\N{SLICE OF PIZZA}", "entities": [{"type": "bold", "offset": 1, "length": 1}]},
        400, "surrogate pair",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("message", "code", "words"), REFUSED.values(), ids=REFUSED)
async def test_a_message_beyond_the_limits_is_refused(
    client: httpx2.AsyncClient, telegram: TelegramSandbox, message: dict[str, Any], code: int, words: str
) -> None:
    """A message beyond a limit is refused with Telegram's code as the status, and is not sent."""
    response = await client.post("/sendMessage", json=message)

    assert response.status_code == code
    assert response.json()["error_code"] == code
    assert words in response.json()["description"]
    assert telegram.chats.sent == []


async def test_a_bot_that_sends_too_often_is_told_to_wait(
    client: httpx2.AsyncClient, telegram: TelegramSandbox
) -> None:
    """A bot may send once a second in a chat, 20 times a minute in a group and 30 times a second in total."""
    telegram.limits = SendLimits(now=(clock := Clock()))
    telegram.chats.started |= set(range(100, 140))

    async def send(chat: int) -> httpx2.Response:
        return await client.post("/sendMessage", json={"chat_id": chat, "text": "x"})

    first, soon = await send(ADA), await send(ADA)
    clock.now += 1
    later = await send(ADA)
    in_group = []
    for _ in range(21):
        clock.now += 1
        in_group.append((await send(GROUP)).status_code)
    clock.now += 60
    overall = [(await send(chat)).status_code for chat in range(100, 131)]

    assert (first.status_code, later.status_code) == (200, 200)
    assert soon.status_code == 429
    assert soon.json()["parameters"] == {"retry_after": 1}
    assert in_group == [200] * 20 + [429]
    assert overall == [200] * 30 + [429]


async def test_a_webhook_and_polling_exclude_each_other(client: httpx2.AsyncClient, telegram: TelegramSandbox) -> None:
    """A webhook needs https and one of four ports, and polling while it is set is a conflict."""
    plain, port = [
        await client.post("/setWebhook", json={"url": url}) for url in ("http://a.example/x", "https://a.example:9/x")
    ]
    await client.post("/setWebhook", json={"url": "https://a.example/x", "secret_token": "s_-1"})
    conflict = await client.post("/getUpdates", json={})
    await client.post("/deleteWebhook", json={})
    polled = await client.post("/getUpdates", json={})

    assert (plain.status_code, port.status_code, conflict.status_code) == (400, 400, 409)
    assert polled.json() == {"ok": True, "result": []}
