"""The bot's client, which is imported and made when it is first needed, and what its errors mean for a reply."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2

from app.errors import UnavailableError, UnclearError, UndeliverableError

if TYPE_CHECKING:
    from aiogram import Bot

_TIMEOUT_SECONDS = 20.0
_LOADING = threading.Lock()
_CONFLICT, _WRONG_TOKEN = 409, (401, 404)
_LONGEST_WAIT_SECONDS = 3600.0
_REASON_LENGTH = 64  # characters; the length of its column


class ClosedChatError(UndeliverableError):
    """The bot cannot write in this chat; the person may be reached elsewhere."""


class UpgradedGroupError(UnavailableError):
    """The group has become a supergroup, which has another id.

    Attributes:
        upgraded: The supergroup's id.
    """

    def __init__(self, upgraded: int) -> None:
        self.upgraded = upgraded
        super().__init__("the group has become a supergroup", reason="upgraded")


class BotApi:
    """The Bot API as one bot. Lives as long as the process and holds nobody's data.

    Args:
        http: The client for all outgoing requests.
        token: The bot's token.
        base_url: The address of the Bot API.
    """

    def __init__(self, http: httpx2.AsyncClient, *, token: str, base_url: str) -> None:
        self.bot_id = int(token.partition(":")[0])
        self.base_url = base_url.rstrip("/")
        self._http = http
        self._token = token
        self._bot: Bot | None = None
        self._username: str | None = None
        self._asking = asyncio.Lock()

    async def bot(self) -> Bot:
        """Return the client; the first call imports aiogram, in a thread."""
        if self._bot is None:
            await asyncio.to_thread(load)
            from interfaces.telegram.session import new_bot

            self._bot = new_bot(self._token, self._http, self.base_url, timeout_seconds=_TIMEOUT_SECONDS)
        return self._bot

    async def username(self) -> str:
        """Return the bot's name without @, in lower case; Telegram is asked once.

        Raises:
            UnavailableError: Telegram did not answer.
            UndeliverableError: Telegram refuses the token.
        """
        async with self._asking:
            if self._username is None:
                bot = await self.bot()
                with in_our_words():
                    self._username = (await bot.get_me()).username or ""
        return self._username.lower()

    async def updates(self, *, offset: int, limit: int, seconds: int, allowed: Sequence[str]) -> list[Any]:
        """Return the next updates as they are, after waiting this many seconds for one.

        aiogram would refuse them all because of one of a kind that it does not know.

        Raises:
            UnavailableError: Telegram did not answer, or refuses it for now.
            UndeliverableError: Telegram refuses the token.
        """
        query = {"offset": offset, "limit": limit, "timeout": seconds, "allowed_updates": list(allowed)}
        url = f"{self.base_url}/bot{self._token}/getUpdates"
        try:
            response = await self._http.post(url, json=query, timeout=seconds + _TIMEOUT_SECONDS)
            body = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise UnavailableError(f"Telegram gave no answer ({type(error).__name__})") from None
        if response.status_code == _CONFLICT:
            raise UnavailableError("Telegram has another receiver for this bot", reason="conflict")
        if response.status_code in _WRONG_TOKEN:
            raise UndeliverableError("Telegram refuses the token", reason=f"http_{response.status_code}")
        if not isinstance(body, dict) or not isinstance(body.get("result"), list):
            retry_after = (body.get("parameters") or {}).get("retry_after", 0) if isinstance(body, dict) else 0
            raise UnavailableError(f"Telegram refused it: {response.status_code}", retry_after=float(retry_after))
        return list(body["result"])

    def file_url(self, path: str) -> str:
        """Return the address of a file; it holds the token, so no log or error may show it."""
        return f"{self.base_url}/file/bot{self._token}/{path}"


def load() -> None:
    """Import aiogram and the converter before the first reply does; thread-safe."""
    with _LOADING:  # two threads that import parts of it at once may each see half of the other's
        import telegramify_markdown  # noqa: F401

        import interfaces.telegram.session  # noqa: F401


@contextmanager
def in_our_words() -> Iterator[None]:
    """Raise aiogram's errors as our own, because their texts may quote what was sent.

    Enter it once the client has been made: it imports aiogram, which would hold up the event loop.

    An unknown refusal is treated as temporary, so that no answer is lost because of it.

    Raises:
        UnclearError: Telegram did not answer, or reported an internal error; it may have carried out the request.
        UpgradedGroupError: The group has another id now.
        UnavailableError: Telegram refuses it for now.
        ClosedChatError: Telegram refuses it permanently in this chat.
        UndeliverableError: Telegram refuses it permanently everywhere.
    """
    from aiogram import exceptions

    try:
        yield
    except exceptions.TelegramRetryAfter as error:
        wait = min(float(error.retry_after), _LONGEST_WAIT_SECONDS)
        raise UnavailableError("Telegram asks to wait", reason="retry_after", retry_after=wait) from None
    except exceptions.TelegramMigrateToChat as error:
        raise UpgradedGroupError(error.migrate_to_chat_id) from None
    except exceptions.TelegramForbiddenError as error:
        raise ClosedChatError(f"Telegram refused it: {_reason(error)}", reason=_reason(error)) from None
    except exceptions.TelegramBadRequest as error:
        reason = _reason(error)
        kind = ClosedChatError if any(words in reason for words in _CLOSED) else UndeliverableError
        raise kind(f"Telegram refused it: {reason}", reason=reason) from None
    except (exceptions.TelegramUnauthorizedError, exceptions.TelegramEntityTooLarge) as error:
        raise UndeliverableError(f"Telegram refused it: {_reason(error)}", reason=_reason(error)) from None
    except (exceptions.TelegramServerError, exceptions.TelegramNetworkError, exceptions.ClientDecodeError) as error:
        raise UnclearError(f"Telegram gave no answer ({type(error).__name__})", reason=type(error).__name__) from None
    except exceptions.TelegramConflictError:
        raise UnavailableError("Telegram has another receiver for this bot", reason="conflict") from None
    except exceptions.TelegramAPIError as error:
        raise UnavailableError("Telegram refused it", reason=type(error).__name__) from None


# The beginnings of Telegram's descriptions, as its own server words them (github.com/tdlib/telegram-bot-api).
_CLOSED = (
    "chat not found",
    "user not found",
    "have no rights to send",
    "not enough rights",
    "chat_write_forbidden",
    "need administrator rights",
    "topic_closed",
    "topic_deleted",
    "message thread not found",
    "peer_id_invalid",
    "group chat was deactivated",
)


def _reason(error: Exception) -> str:
    """Return Telegram's description without what it may quote: it ends at the first quotation mark or colon's value."""
    message = str(getattr(error, "message", "")).lower()
    words = message.removeprefix("bad request: ").removeprefix("forbidden: ")
    return words.partition('"')[0].partition("'")[0].strip()[:_REASON_LENGTH] or type(error).__name__
