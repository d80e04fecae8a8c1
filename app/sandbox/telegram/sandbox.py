"""A Telegram on loopback: the methods of the Bot API that Deputy calls (https://core.telegram.org/bots/api)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.telegram.chats import BotMessage, TelegramChats
from app.sandbox.telegram.checks import MAX_CAPTION_LENGTH, check_keyboard, check_text, parsed
from app.sandbox.telegram.rates import SendLimits
from app.sandbox.telegram.refusal import TelegramRefusedError, bad_request
from app.sandbox.telegram.updates import TelegramPeople

MAX_DOWNLOAD_BYTES, MAX_UPLOAD_BYTES = 20_000_000, 50_000_000
_PORTS = (443, 80, 88, 8443)
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")

Arguments = Mapping[str, Any]


class TelegramSandbox:
    """A Telegram with one bot. Lives for the process; serve `app`, its address is the Bot API's root.

    Args:
        token: The bot's token, which begins with its id.
        secret: The webhook's secret.
        username: The bot's name.
        limits: How often the bot may send; None for no limit.

    Attributes:
        app: The ASGI application.
        chats: The chats, and what the bot sent.
        people: Makes the updates for what people do.
        calls: The methods that were called, oldest first.
        answered: The ids of the callback queries that were answered.
        files: By id, the contents of the files that people sent.
        webhook: What ``setWebhook`` was last called with; empty without a webhook.
    """

    def __init__(
        self, *, token: str, secret: str, username: str = "deputy_bot", limits: SendLimits | None = None
    ) -> None:
        self._token = token
        self.chats = TelegramChats()
        bot = {"id": int(token.split(":")[0]), "is_bot": True, "first_name": "Deputy", "username": username}
        self.people = TelegramPeople(self.chats, bot, secret)
        self.limits = limits
        self.calls: list[str] = []
        self.answered: list[str] = []
        self.files: dict[str, bytes] = {}
        self.webhook: dict[str, Any] = {}
        self._waiting: list[dict[str, Any]] = []  # updates that no getUpdates has confirmed
        self._arrived = asyncio.Event()
        self._polls = 0
        self._methods: Mapping[str, Callable[[Arguments], Any | Awaitable[Any]]] = {
            "answerCallbackQuery": self._answer_callback,
            "deleteMessage": self._delete,
            "deleteWebhook": self._delete_webhook,
            "editMessageReplyMarkup": self._edit_keyboard,
            "editMessageText": self._edit_text,
            "getFile": self._get_file,
            "getMe": lambda _: bot,
            "getUpdates": self._get_updates,
            "getWebhookInfo": lambda _: (
                {"url": "", "has_custom_certificate": False, "pending_update_count": 0}
                | {key: value for key, value in self.webhook.items() if key != "secret_token"}
            ),
            "sendChatAction": self._chat_action,
            "sendDocument": self._send_document,
            "sendMessage": self._send_message,
            "sendMessageDraft": self._draft,
            "setWebhook": self._set_webhook,
        }
        self.app = Starlette(
            routes=[
                Route("/bot{token}/{method}", self._call, methods=["GET", "POST"]),
                Route("/file/bot{token}/{path:path}", self._download),
            ]
        )

    def arrive(self, update: dict[str, Any]) -> None:
        """Let an update wait for the bot that polls."""
        self._waiting.append(update)
        self._arrived.set()

    @property
    def unconfirmed(self) -> list[int]:
        """Return the ids of the updates that no poll has confirmed."""
        return [update["update_id"] for update in self._waiting]

    async def _call(self, request: Request) -> Response:
        method = request.path_params["method"]
        try:
            if request.path_params["token"] != self._token:
                raise TelegramRefusedError(401, "Unauthorized")
            handler = self._methods.get(method)
            if handler is None:
                raise TelegramRefusedError(404, "Not Found")
            self.calls.append(method)
            result = handler(await _arguments(request))
            if isinstance(result, Awaitable):
                result = await result
            return JSONResponse({"ok": True, "result": result})
        except TelegramRefusedError as refusal:
            return JSONResponse(refusal.as_json(), refusal.code)

    async def _download(self, request: Request) -> Response:
        contents = self.files.get(request.path_params["path"].rpartition("/")[2])
        if request.path_params["token"] != self._token or contents is None:
            return JSONResponse(TelegramRefusedError(404, "Not Found").as_json(), 404)
        return Response(contents)

    def _send_message(self, arguments: Arguments) -> dict[str, Any]:
        return self._send(arguments, text=check_text(arguments), entities=parsed(arguments, "entities", []))

    def _send_document(self, arguments: Arguments) -> dict[str, Any]:
        file = arguments.get("document")
        if isinstance(file, str) and file.startswith("attach://"):
            file = arguments.get(file.removeprefix("attach://"))
        if not isinstance(file, tuple):
            raise bad_request("there is no document in the request")
        if refusal := self.chats.file_refusals.get(self.chats.check(arguments.get("chat_id"))):
            raise refusal
        if len(file[1]) > MAX_UPLOAD_BYTES:
            raise TelegramRefusedError(413, "Request Entity Too Large")
        if not file[1]:
            raise bad_request("file must be non-empty")
        caption = check_text(arguments, limit=MAX_CAPTION_LENGTH, key="caption")
        return self._send(arguments, text=caption, entities=parsed(arguments, "caption_entities", []), file=file)

    def _send(
        self, arguments: Arguments, *, text: str, entities: list[Any], file: tuple[str, bytes] | None = None
    ) -> dict[str, Any]:
        chat_id = self.chats.check(arguments.get("chat_id"))
        keyboard = check_keyboard(arguments)
        if self.limits is not None:
            self.limits.take(chat_id)
        thread = arguments.get("message_thread_id")
        if thread is not None and chat_id not in self.chats.forums:
            raise bad_request("message thread not found")
        replied = parsed(arguments, "reply_parameters", {})
        preview = not parsed(arguments, "link_preview_options", {}).get("is_disabled", False)
        message = BotMessage(
            self.chats.new_id(),
            chat_id,
            int(thread) if thread is not None else None,
            text.strip(),
            entities,
            keyboard,
            file,
            replied.get("message_id"),
            preview,
        )
        self.chats.sent.append(message)
        return self._as_json(message)

    def _as_json(self, message: BotMessage) -> dict[str, Any]:
        chat = self.people.chat(message.chat_id, message.chat_id if message.chat_id < 0 else None)
        body = {"message_id": message.message_id, "date": 1_767_225_600, "chat": chat, "from": self.people.bot}
        return {**body, "text": message.text}

    def _draft(self, arguments: Arguments) -> bool:
        chat_id = self.chats.check(arguments.get("chat_id"))
        if chat_id < 0:
            raise bad_request("chat not found")  # private chats only
        if not int(arguments.get("draft_id") or 0):
            raise bad_request("draft_id must be non-zero")
        self.chats.drafts.setdefault(chat_id, []).append(check_text(arguments))
        return True

    def _edit_text(self, arguments: Arguments) -> dict[str, Any]:
        message = self.chats.find(self.chats.check(arguments.get("chat_id")), arguments.get("message_id"))
        text, keyboard = check_text(arguments), check_keyboard(arguments)
        if (text.strip(), keyboard) == (message.text, message.keyboard):
            raise bad_request("message is not modified")
        if self.limits is not None:
            self.limits.take(message.chat_id)
        message.text, message.keyboard = text.strip(), keyboard
        message.entities = parsed(arguments, "entities", [])
        return self._as_json(message)

    def _edit_keyboard(self, arguments: Arguments) -> dict[str, Any]:
        message = self.chats.find(self.chats.check(arguments.get("chat_id")), arguments.get("message_id"))
        keyboard = check_keyboard(arguments)
        if keyboard == message.keyboard:
            raise bad_request("message is not modified")
        message.keyboard = keyboard
        return self._as_json(message)

    def _delete(self, arguments: Arguments) -> bool:
        chat = self.chats.check(arguments.get("chat_id"))
        self.chats.sent.remove(self.chats.find(chat, arguments.get("message_id"), "delete"))
        return True

    def _answer_callback(self, arguments: Arguments) -> bool:
        query = str(arguments.get("callback_query_id") or "")
        if not query or query in self.answered:
            raise bad_request("query is too old and response timeout expired or query ID is invalid")
        self.answered.append(query)
        return True

    def _chat_action(self, arguments: Arguments) -> bool:
        self.chats.check(arguments.get("chat_id"))
        if arguments.get("action") != "typing":
            raise bad_request("wrong parameter action in request")
        return True

    def _get_file(self, arguments: Arguments) -> dict[str, Any]:
        file_id = str(arguments.get("file_id") or "")
        if file_id not in self.files:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        size = len(self.files[file_id])
        if size > MAX_DOWNLOAD_BYTES:
            raise bad_request("file is too big")
        path = f"documents/{file_id}"
        return {"file_id": file_id, "file_unique_id": file_id[::-1], "file_size": size, "file_path": path}

    def _set_webhook(self, arguments: Arguments) -> bool:
        url = urlsplit(str(arguments.get("url") or ""))
        if not url.scheme:
            return self._delete_webhook(arguments)
        if url.scheme != "https":
            raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
        if (url.port or 443) not in _PORTS:
            raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
        if not _SECRET.fullmatch(str(arguments.get("secret_token") or "x")):
            raise bad_request("secret token contains unallowed characters")
        self.webhook = {**arguments, "allowed_updates": parsed(arguments, "allowed_updates", [])}
        self.webhook["max_connections"] = int(arguments.get("max_connections") or 40)
        return True

    def _delete_webhook(self, _: Arguments) -> bool:
        self.webhook = {}
        return True

    async def _get_updates(self, arguments: Arguments) -> list[dict[str, Any]]:
        """Return what waits from the offset on; everything before it is confirmed and forgotten."""
        if self.webhook:
            raise TelegramRefusedError(409, "Conflict: can't use getUpdates method while webhook is active")
        self._polls += 1
        poll = self._polls
        self._arrived.set()  # ends another poll
        offset, seconds = int(arguments.get("offset") or 0), float(arguments.get("timeout") or 0)
        self._waiting = [update for update in self._waiting if update["update_id"] >= offset]
        await asyncio.sleep(0)
        if not self._waiting and seconds:
            self._arrived.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._arrived.wait()
            except TimeoutError:
                pass
        if poll != self._polls:
            raise TelegramRefusedError(409, "Conflict: terminated by other getUpdates request")
        return self._waiting[: int(arguments.get("limit") or 100)]


async def _arguments(request: Request) -> dict[str, Any]:
    """Return a method's arguments from the query, the form or the JSON; a file as its name and contents."""
    arguments: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        body = json.loads(await request.body() or b"{}")
        return {**arguments, **body}
    async with request.form() as form:
        for key, value in form.items():
            arguments[key] = (value.filename, await value.read()) if isinstance(value, UploadFile) else value
    return arguments
