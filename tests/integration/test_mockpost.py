"""WhatsApp's calls against a server that nobody here wrote: mockpost, from PyPI, if its command is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from app.network import open_client
from app.reply import Button, ReplyContent
from interfaces.whatsapp.graph import GraphApi
from interfaces.whatsapp.outgoing import payloads
from tests.fakes.ports import free_port

MOCKPOST = os.environ.get("MOCKPOST") or shutil.which("mockpost")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(MOCKPOST is None, reason="the command mockpost is not installed (pipx install mockpost)"),
]


@asynccontextmanager
async def mockpost(folder: Path) -> AsyncIterator[str]:
    """Run it in a folder of its own; its base URL."""
    port = free_port()
    ports = {
        name: str(free_port()) for name in ("SMTP_PORT", "FTP_PORT", "FTPS_PORT", "FTPS_IMPLICIT_PORT", "SFTP_PORT")
    }
    environ = {**os.environ, **ports, "HTTP_PORT": str(port), "MOCKPOST_HTTP_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        str(MOCKPOST), cwd=folder, env=environ, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
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


async def test_mockpost_takes_what_whatsapp_is_sent(tmp_path: Path) -> None:
    """A text, a question with buttons and a template arrive as they were sent, each for its own person."""
    question = ReplyContent(
        "Send it?", (Button("Approve", command="approve 3f2a"), Button("Deny", command="deny 3f2a"))
    )
    async with mockpost(tmp_path) as url, open_client(10.0) as http:
        base_url = f"{url}/whatsapp/v26.0/"
        graph = GraphApi(http, base_url=base_url, phone_number_id="106540352242922", access_token="EAAtoken")
        for to, content in (("447700900001", ReplyContent("for **Ada**")), ("447700900002", question)):
            for payload in payloads(content, with_buttons=True):
                await graph.send({"to": to, **payload})
        await graph.send({"to": "447700900001", "type": "template", "template": {"name": "answer_waits"}})
        kept = (await http.get(f"{url}/api/messages", params={"channel": "whatsapp"})).json()

    assert sorted((each["recipient"], each["body"]) for each in kept) == [
        ("447700900001", "for *Ada*"),
        ("447700900001", "template:answer_waits"),
        ("447700900002", "Send it?"),
    ]
