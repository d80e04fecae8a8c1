"""A Slack, a Telegram and a WhatsApp on loopback, with secrets of their own, and the settings that lead there."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from app.sandbox.server import serve_loopback
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.telegram.rates import SendLimits
from app.sandbox.telegram.sandbox import TelegramSandbox
from app.sandbox.whatsapp.sandbox import WhatsAppSandbox
from app.sections.interfaces import HttpSettings, InterfacesSettings, SlackSettings
from app.sections.telegram import TelegramSettings
from app.sections.whatsapp import WhatsAppSettings

_PORTFOLIO, _NUMBER_ID = "506914307656634", "106540352242922"


@dataclass(frozen=True, slots=True)
class Platforms:
    """The sandboxes of the platforms that people chat on. Live as long as they are served.

    Attributes:
        portfolio: The id of the business portfolio of the WhatsApp number.
    """

    slack: SlackSandbox
    telegram: TelegramSandbox
    whatsapp: WhatsAppSandbox
    portfolio: str


@asynccontextmanager
async def serving_platforms(*, limited: bool = False) -> AsyncIterator[tuple[Platforms, InterfacesSettings]]:
    """Serve a sandbox of each platform on a free port until the context ends.

    Args:
        limited: Hold the bot to Telegram's rates too.
    """
    signing_secret, bot_token = secrets.token_hex(16), f"xoxb-{secrets.token_hex(16)}"
    slack = SlackSandbox(signing_secret=signing_secret, bot_token=bot_token)
    app_secret, access_token = secrets.token_hex(16), f"EAA{secrets.token_hex(16)}"
    whatsapp = WhatsAppSandbox(app_secret=app_secret, access_token=access_token, phone_number_id=_NUMBER_ID)
    telegram_token, telegram_secret = f"7005550123:{secrets.token_hex(20)}", secrets.token_hex(16)
    limits = SendLimits() if limited else None
    telegram = TelegramSandbox(token=telegram_token, secret=telegram_secret, limits=limits)
    async with (
        serve_loopback(slack.app) as slack_url,
        serve_loopback(telegram.app) as telegram_url,
        serve_loopback(whatsapp.app) as whatsapp_url,
    ):
        interfaces = InterfacesSettings(
            http=HttpSettings(),
            slack=SlackSettings(
                signing_secret=SecretStr(signing_secret),
                bot_token=SecretStr(bot_token),
                api_base_url=f"{slack_url}/api/",
            ),
            telegram=TelegramSettings(
                bot_token=SecretStr(telegram_token),
                webhook_secret=SecretStr(telegram_secret),
                api_base_url=telegram_url,
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
        yield Platforms(slack, telegram, whatsapp, _PORTFOLIO), interfaces
