"""Setting the stage: a fresh server, its database, providers and platforms, all on loopback and thrown away."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
from pydantic import SecretStr

from app.demo.chats import chats_of
from app.demo.errands import MAIL_QUESTION, IssuesErrand, MailErrand
from app.demo.outcome import Outcome
from app.demo.platforms import serving_platforms
from app.demo.setup import Stage
from app.main import serving
from app.sandbox.attachment import attached_github, attached_sandbox
from app.sections.agents import AgentSettings
from app.sections.connections import ConnectionSettings
from app.sections.google import GoogleSettings, SandboxSettings
from app.sections.interfaces import InterfacesSettings
from app.sections.server import DatabaseSettings, KeyRingSettings, ServerSettings
from app.sections.toolkits import AgnoToolkitSettings
from app.settings import Settings
from containers.build import build
from interfaces.web.interface import callback_url

_PATIENCE_SECONDS = 180.0  # Telegram's SDK alone takes seconds to import
_GITHUB = IssuesErrand.provider
_AGNO_QUESTION = "/mail_get_unread_emails count=20"


async def run_demo(*, with_agno: bool = False) -> Outcome:
    """Run the demonstration on free ports and a fresh database; nothing of it is left afterwards.

    Args:
        with_agno: Mail is read by agno's own GmailTools instead of Deputy's.

    Raises:
        SettingsError: agno is not installed.
        TimeoutError: Somebody was not answered within three minutes.
        OSError: A port was taken in between.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deputy-demo-")))
        platforms, interfaces = await stack.enter_async_context(serving_platforms())
        settings = _settings(folder, with_agno).model_copy(update={"interfaces": interfaces})
        settings, google = await stack.enter_async_context(
            attached_sandbox(settings, callback_url(settings.server.public_url), marked=True)
        )
        assert google is not None
        callback = callback_url(settings.server.public_url, _GITHUB)
        settings, github = await stack.enter_async_context(attached_github(settings, _GITHUB, callback, marked=True))
        container = build(settings)
        base_url = await stack.enter_async_context(serving(container, settings))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=base_url, timeout=_PATIENCE_SECONDS))
        chats = await chats_of(platforms, client, google, container.api_tokens())
        async with asyncio.timeout(_PATIENCE_SECONDS):
            mail = MailErrand(google, _AGNO_QUESTION if with_agno else MAIL_QUESTION)
            return await Stage(chats, container.grants(), mail, IssuesErrand(github.provider)).perform()


def _settings(folder: Path, with_agno: bool) -> Settings:
    port = _free_port()
    mail = AgnoToolkitSettings(agno="agno.tools.google.gmail:GmailTools", reads=("get_*", "search_*", "list_*"))
    return Settings(
        server=ServerSettings(port=port, public_url=f"http://127.0.0.1:{port}"),
        database=DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{folder}/demo.db")),
        key_ring=KeyRingSettings(file=folder / "keys.yaml"),
        google=GoogleSettings(mode="sandbox", sandbox=SandboxSettings(port=0)),
        connections={_GITHUB: ConnectionSettings(provider="github", sandbox_port=0)},
        toolkits={"mail": mail} if with_agno else {},
        agents={"assistant": AgentSettings(model="offline", toolkits=("mail" if with_agno else "gmail", "issues"))},
        default_agent="assistant",
        interfaces=InterfacesSettings(),
    )


def _free_port() -> int:
    """Return a port that was free a moment ago; the redirect URI has to be known before the server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
