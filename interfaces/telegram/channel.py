"""The parts of the Telegram channel."""

from __future__ import annotations

from functools import partial

from app.sections.telegram import TelegramSettings
from app.settings import Settings
from interfaces.channel import ChannelDescription
from interfaces.telegram.bot_api import BotApi, load
from interfaces.telegram.checkup import TelegramCheckup
from interfaces.telegram.client import TelegramChannel
from interfaces.telegram.courtesies import Courtesies
from interfaces.telegram.drafts import AnswerDrafts
from interfaces.telegram.growing import GroupAnswers
from interfaces.telegram.inbound import TelegramInbound
from interfaces.telegram.interface import WEBHOOK_PATH, TelegramRoutes
from interfaces.telegram.pace import Pace
from interfaces.telegram.polling import TelegramPolling, TelegramWebhook
from interfaces.telegram.posting import BotMessages
from interfaces.telegram.upgrades import Upgrades


def describe(telegram: TelegramSettings, settings: Settings) -> ChannelDescription:
    """Return the parts that these settings ask for."""
    secret = telegram.webhook_secret
    return ChannelDescription(
        title="Telegram",
        sends=TelegramChannel,
        routes=[partial(TelegramRoutes, secret=secret.get_secret_value())] if secret is not None else [],
        receives=TelegramPolling if telegram.mode == "polling" else TelegramWebhook,
        shares={
            BotApi: partial(BotApi, token=telegram.bot_token.get_secret_value(), base_url=telegram.api_base_url),
            Pace: Pace,
            Upgrades: partial(Upgrades, bot_id=int(telegram.bot_token.get_secret_value().partition(":")[0])),
            BotMessages: BotMessages,
            AnswerDrafts: AnswerDrafts,
            GroupAnswers: GroupAnswers,
            Courtesies: Courtesies,
            TelegramInbound: TelegramInbound,
        },
        load=load,
        checkup=partial(TelegramCheckup, webhook_url=_webhook_url(telegram, settings)),
    )


def _webhook_url(telegram: TelegramSettings, settings: Settings) -> str | None:
    return None if telegram.mode == "polling" else settings.server.public_url.rstrip("/") + WEBHOOK_PATH
