"""Setting the stage: a fresh server, its database, a Google and a Slack, all on loopback and all thrown away."""

from __future__ import annotations

import asyncio
import secrets
import socket
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
from pydantic import SecretStr

from app.demo.chats import Platforms, chats_of
from app.demo.outcome import Outcome
from app.demo.setup import Stage
from app.main import serving
from app.sandbox.attachment import attached_sandbox
from app.sandbox.server import serve_loopback
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.telegram.sandbox import TelegramSandbox
from app.sandbox.whatsapp.sandbox import WhatsAppSandbox
from app.sections.agents import AgentSettings
from app.sections.google import GoogleSettings, SandboxSettings
from app.sections.interfaces import HttpSettings, InterfacesSettings, SlackSettings
from app.sections.server import DatabaseSettings, KeyRingSettings, ServerSettings
from app.sections.telegram import TelegramSettings
from app.sections.whatsapp import WhatsAppSettings
from app.settings import Settings
from containers.build import build
from interfaces.web.interface import callback_url

_PATIENCE_SECONDS = 180.0  # Telegram's SDK alone takes seconds to import
_PORTFOLIO, _NUMBER_ID = "506914307656634", "106540352242922"


async def run_demo() -> Outcome:
    """Run the demonstration on free ports and a fresh database; nothing of it is left afterwards.

    Raises:
        TimeoutError: Somebody was not answered within three minutes.
        OSError: A port was taken in between.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deputy-demo-")))
        platforms, interfaces = await _platforms(stack)
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


async def _platforms(stack: AsyncExitStack) -> tuple[Platforms, InterfacesSettings]:
    """Serve a sandbox of each platform on loopback, and return them with the settings that lead there."""
    signing_secret, bot_token = secrets.token_hex(16), f"xoxb-{secrets.token_hex(16)}"
    slack = SlackSandbox(signing_secret=signing_secret, bot_token=bot_token)
    app_secret, access_token = secrets.token_hex(16), f"EAA{secrets.token_hex(16)}"
    whatsapp = WhatsAppSandbox(app_secret=app_secret, access_token=access_token, phone_number_id=_NUMBER_ID)
    telegram_token, telegram_secret = f"7005550123:{secrets.token_hex(20)}", secrets.token_hex(16)
    telegram = TelegramSandbox(token=telegram_token, secret=telegram_secret)
    slack_url, telegram_url, whatsapp_url = [
        await stack.enter_async_context(serve_loopback(each.app)) for each in (slack, telegram, whatsapp)
    ]
    interfaces = InterfacesSettings(
        http=HttpSettings(),
        slack=SlackSettings(
            signing_secret=SecretStr(signing_secret),
            bot_token=SecretStr(bot_token),
            api_base_url=f"{slack_url}/api/",
        ),
        telegram=TelegramSettings(
            bot_token=SecretStr(telegram_token), webhook_secret=SecretStr(telegram_secret), api_base_url=telegram_url
        ),
        whatsapp=WhatsAppSettings(
            portfolio_id=_PORTFOLIO,
            phone_number_id=_NUMBER_ID,
            access_token=SecretStr(access_token),
            app_secret=SecretStr(app_secret),
            verify_token=SecretStr(secrets.token_hex(16)),
            number_key=SecretStr(secrets.token_hex(32)),
            api_base_url=f"{whatsapp_url}/v26.0/",
        ),
    )
    return Platforms(slack, telegram, whatsapp, _PORTFOLIO), interfaces


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
