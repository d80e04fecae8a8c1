"""The calls of WhatsApp and Telegram against a third-party server: mockpost, from PyPI.

`make test-system` installs it in a separate environment, because Deputy does not use its dependencies.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from app.network import open_client
from app.reply import Button, ReplyContent, ReplyFile
from interfaces.telegram.client import ANSWERED_DIRECTLY
from interfaces.whatsapp.graph import GraphApi
from interfaces.whatsapp.outgoing import payloads
from tests.fakes.ports import free_port
from tests.fakes.telegram import ADA, GRACE, GROUP, TOKEN, telegram_channel, told

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

QUESTION = ReplyContent("Send it?", (Button("Approve", command="approve 3f2a"), Button("Deny", command="deny 3f2a")))


def command() -> str:
    """Return the command, or skip the test if it is not installed (or fail it in CI)."""
    ours = Path(__file__).parents[2] / ".venv-mockpost" / "bin" / "mockpost"
    found = os.environ.get("MOCKPOST") or (str(ours) if ours.exists() else shutil.which("mockpost"))
    if found is None:
        lacks = pytest.fail if os.environ.get("DEPUTY_REQUIRE_TOOLS") else pytest.skip
        lacks("NEEDS mockpost: make .venv-mockpost/.ready")
    return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Yield its base URL."""
    async with mockpost(tmp_path_factory.mktemp("mockpost")) as url:
        yield url


async def kept(http: httpx2.AsyncClient, url: str, channel: str) -> list[dict[str, Any]]:
    """Return the messages that mockpost received on a channel, oldest first."""
    answer = await http.get(f"{url}/api/messages", params={"channel": channel})
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found[::-1]


@asynccontextmanager
async def mockpost(folder: Path) -> AsyncIterator[str]:
    """Run mockpost in a separate folder, and yield its base URL."""
    port = free_port()
    ports = {
        name: str(free_port()) for name in ("SMTP_PORT", "FTP_PORT", "FTPS_PORT", "FTPS_IMPLICIT_PORT", "SFTP_PORT")
    }
    environ = {**os.environ, **ports, "HTTP_PORT": str(port), "MOCKPOST_HTTP_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        command(), cwd=folder, env=environ, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60), httpx2.AsyncClient() as client:
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/api/messages")
                    break
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_mockpost_takes_what_whatsapp_is_sent(url: str) -> None:
    """A text, a question with buttons and a template for WhatsApp each arrive unchanged at their person."""
    async with open_client(10.0) as http:
        base_url = f"{url}/whatsapp/v26.0/"
        graph = GraphApi(http, base_url=base_url, phone_number_id="106540352242922", access_token="EAAtoken")
        for to, content in (("447700900001", ReplyContent("for **Ada**")), ("447700900002", QUESTION)):
            for payload in payloads(content, with_buttons=True):
                await graph.send({"to": to, **payload})
        await graph.send({"to": "447700900001", "type": "template", "template": {"name": "answer_waits"}})
        found = await kept(http, url, "whatsapp")

    assert sorted((each["recipient"], each["body"]) for each in found) == [
        ("447700900001", "for *Ada*"),
        ("447700900001", "template:answer_waits"),
        ("447700900002", "Send it?"),
    ]


async def test_mockpost_takes_what_telegram_is_sent(url: str) -> None:
    """A text, a question, a file, a private answer to a group and the bot's own calls for Telegram are accepted."""

    async def read() -> bytes:
        return b"a,b"

    file = ReplyContent("Here it is.", files=(ReplyFile("table.csv", "text/csv", read),))
    async with open_client(10.0) as http, telegram_channel(http, f"{url}/telegram") as (api, channel):
        name = await api.username()
        await channel.show_working(told(ADA), None)
        sent = (
            (told(ADA), ReplyContent("for **Ada**"), True),
            (told(GRACE), QUESTION, True),
            (told(GRACE, group=GROUP, message_id="1" * 32), ReplyContent("for Grace alone"), True),
            (told(ADA, group=GROUP, message_id="2" * 32), file, False),
        )
        for message, content, private in sent:
            await channel.send(message, content, private=private, reply_id=message.message_id, again=False)
        found = await kept(http, url, "telegram")

    assert name == "mockpost_bot"
    assert {each["sender"] for each in found} == {f"bot:{TOKEN}"}
    assert [(each["recipient"], _words(each["body"])) for each in found[:-1]] == [
        (str(ADA), "for Ada"),
        (str(GRACE), "Send it?"),
        (str(GRACE), "for Grace alone"),
        (str(GROUP), ANSWERED_DIRECTLY),
        (str(GROUP), "Here it is."),
    ]
    assert (found[-1]["recipient"], found[-1]["body"].partition("://")[0]) == (str(GROUP), "attach")
    assert [button["callback_data"] for row in _keyboard(found[1]["body"]) for button in row] == [
        "approve 3f2a",
        "deny 3f2a",
    ]


def _words(body: str) -> str:
    """Return the text of a message; mockpost keeps those with buttons as JSON."""
    return str(json.loads(body)["text"]) if body.startswith("{") else body


def _keyboard(body: str) -> list[list[dict[str, str]]]:
    rows: list[list[dict[str, str]]] = json.loads(body)["reply_markup"]["inline_keyboard"]
    return rows
