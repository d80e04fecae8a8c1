"""The settings of Telegram."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from app.sections.channel import ChatSettings
from app.sections.section import Secret, Url, wrong

TELEGRAM_API = "https://api.telegram.org"
_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{30,64}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}")


class TelegramSettings(ChatSettings):
    """POST /telegram/webhook, or polling, which needs no public address."""

    bot_token: Secret = Field(description="The bot's token from @BotFather (`123456:ABC…`)")
    mode: Literal["webhook", "polling"] = Field(
        default="webhook", description="`webhook`: Telegram posts updates; `polling`: one process asks for them"
    )
    webhook_secret: Secret | None = Field(
        default=None,
        description="With `mode: webhook`, what Telegram's requests must bear: 16 to 256 letters, digits, `_` or `-`. "
        "Choose it, and give it to Telegram with `deputy telegram set-webhook`",
    )
    api_base_url: Url = Field(default=TELEGRAM_API, description="The address of the Bot API")

    @property
    def bot_id(self) -> int:
        """Return the bot's id, with which its token begins."""
        return int(self.bot_token.get_secret_value().partition(":")[0])

    @field_validator("bot_token")
    @classmethod
    def _is_token(cls, token: SecretStr) -> SecretStr:
        if not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("this is not a bot's token, such as 123456:ABC… (Telegram, @BotFather, /mybots)")
        return token

    @field_validator("webhook_secret")
    @classmethod
    def _is_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("Telegram accepts letters, digits, _ and -, up to 256; give at least 16")
        return secret

    @model_validator(mode="after")
    def _one_way_in(self) -> TelegramSettings:
        if self.mode == "webhook" and self.webhook_secret is None:
            raise wrong("webhook_secret", "with mode: webhook a secret is needed, or anybody could post as Telegram")
        if self.mode == "polling" and self.webhook_secret is not None:
            raise wrong("webhook_secret", "with mode: polling nothing is posted; remove it, or write mode: webhook")
        return self
