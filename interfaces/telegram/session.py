"""The Bot API by aiogram's types and methods, over the HTTP client that everything else here uses.

aiogram's own session knows neither the proxies nor the authorities of `app.network`. Its import takes seconds, so this
module is imported by `bot_api.load` and by nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx2
from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType


class HttpSession(BaseSession):
    """Sends a bot's requests. Lives as long as the process.

    Args:
        http: The client.
        base_url: The address of the Bot API.
    """

    def __init__(self, http: httpx2.AsyncClient, base_url: str, *, timeout_seconds: float) -> None:
        super().__init__(api=TelegramAPIServer.from_base(base_url), timeout=timeout_seconds)
        self._http = http

    async def close(self) -> None:
        """Do nothing: the client is everybody's."""

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """Call a method and return its result.

        Raises:
            TelegramNetworkError: There was no answer; its text holds no URL, because that holds the token.
            TelegramAPIError: Telegram refuses it.
        """
        files: dict[str, Any] = {}
        fields = {
            name: value
            for name, given in method.model_dump(warnings=False).items()
            if (value := self.prepare_value(given, bot=bot, files=files)) is not None and value != ""
        }
        parts = {
            name: (file.filename or name, b"".join([chunk async for chunk in file.read(bot)]))
            for name, file in files.items()
        }
        url = self.api.api_url(token=bot.token, method=method.__api_method__)
        seconds = self.timeout if timeout is None else timeout
        try:
            response = await self._http.post(url, data=fields, files=parts or None, timeout=seconds)
        except httpx2.HTTPError as error:
            raise TelegramNetworkError(method=method, message=type(error).__name__) from None
        checked = self.check_response(bot=bot, method=method, status_code=response.status_code, content=response.text)
        return checked.result  # type: ignore[return-value]  # it is set, as the response is ok

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,  # as aiogram has it
        chunk_size: int = 65536,
        raise_for_status: bool = True,
    ) -> AsyncGenerator[bytes, None]:
        """Yield what is at a URL.

        Raises:
            httpx2.HTTPError: There was no answer, or the status is no success.
        """
        async with self._http.stream("GET", url, headers=headers, timeout=timeout) as response:
            if raise_for_status:
                response.raise_for_status()
            async for chunk in response.aiter_bytes(chunk_size):
                yield chunk


def new_bot(token: str, http: httpx2.AsyncClient, base_url: str, *, timeout_seconds: float) -> Bot:
    """Return a client for one bot."""
    return Bot(token, session=HttpSession(http, base_url, timeout_seconds=timeout_seconds))
