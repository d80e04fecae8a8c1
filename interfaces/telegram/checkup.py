"""Asks Telegram about the bot: whether its token is accepted, and how its updates arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.diagnosis import Diagnosis, fault, ok, remark
from app.errors import UnavailableError, UndeliverableError
from interfaces.telegram.bot_api import BotApi, in_our_words

TITLE = "Telegram"
_MANY_WAITING = 100  # updates that Telegram could not deliver


class TelegramCheckup:
    """Examines the bot. Lives for one command.

    Args:
        api: Calls Telegram.
        webhook_url: The address that `deputy serve` registers, or None where it polls.
    """

    def __init__(self, api: BotApi, *, webhook_url: str | None) -> None:
        self._api = api
        self._webhook_url = webhook_url

    async def look(self) -> AsyncIterator[Diagnosis]:
        """Yield what is found: the token, and the webhook."""
        try:
            name = await self._api.username()
            with in_our_words():
                webhook = await (await self._api.bot()).get_webhook_info()
        except UndeliverableError:
            yield fault(TITLE, "Telegram refuses the token", "compare bot_token with what @BotFather shows (/mybots)")
            return
        except UnavailableError as error:
            yield fault(TITLE, str(error), "look at the network and HTTPS_PROXY")
            return
        yield ok(TITLE, f"the token is accepted for @{name}")
        if webhook.url != (self._webhook_url or ""):
            found = f"Telegram posts updates to {webhook.url or 'nobody'}, not to {self._webhook_url or 'nobody'}"
            yield fault(TITLE, found, "run `deputy telegram set-webhook`")
        elif webhook.last_error_message and webhook.pending_update_count:
            yield fault(
                TITLE,
                f"Telegram could not deliver {webhook.pending_update_count} updates: {webhook.last_error_message}",
                "look at the proxy and the certificate of server.public_url",
            )
        elif webhook.pending_update_count > _MANY_WAITING:
            yield remark(TITLE, f"{webhook.pending_update_count} updates wait", "is the server running?")
        else:
            yield ok(TITLE, "updates arrive " + ("at the webhook" if self._webhook_url else "by polling"))
