"""Setting the stage: a fresh server, its database, a Google and a Slack, all on loopback and all thrown away."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
from pydantic import SecretStr

from app.demo.chats import chats_of
from app.demo.outcome import Outcome
from app.demo.platforms import serving_platforms
from app.demo.setup import Stage
from app.main import serving
from app.sandbox.attachment import attached_sandbox
from app.sections.agents import AgentSettings
from app.sections.google import GoogleSettings, SandboxSettings
from app.sections.interfaces import InterfacesSettings
from app.sections.server import DatabaseSettings, KeyRingSettings, ServerSettings
from app.settings import Settings
from containers.build import build
from interfaces.web.interface import callback_url

_PATIENCE_SECONDS = 180.0  # Telegram's SDK alone takes seconds to import


async def run_demo() -> Outcome:
    """Run the demonstration on free ports and a fresh database; nothing of it is left afterwards.

    Raises:
        TimeoutError: Somebody was not answered within three minutes.
        OSError: A port was taken in between.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deputy-demo-")))
        platforms, interfaces = await stack.enter_async_context(serving_platforms())
        settings = _settings(folder).model_copy(update={"interfaces": interfaces})
        settings, google = await stack.enter_async_context(
            attached_sandbox(settings, callback_url(settings.server.public_url), marked=True)
        )
        assert google is not None
        container = build(settings)
        base_url = await stack.enter_async_context(serving(container, settings))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=base_url, timeout=_PATIENCE_SECONDS))
        chats = await chats_of(platforms, client, google, container.api_tokens())
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await Stage(chats, google, container.grants()).perform()


def _settings(folder: Path) -> Settings:
    port = _free_port()
    return Settings(
        server=ServerSettings(port=port, public_url=f"http://127.0.0.1:{port}"),
        database=DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{folder}/demo.db")),
        key_ring=KeyRingSettings(file=folder / "keys.yaml"),
        google=GoogleSettings(mode="sandbox", sandbox=SandboxSettings(port=0)),
        agents={"assistant": AgentSettings(model="offline", toolkits=("gmail",))},
        default_agent="assistant",
        interfaces=InterfacesSettings(),
    )


def _free_port() -> int:
    """A port that was free a moment ago; the redirect URI has to be known before the server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
