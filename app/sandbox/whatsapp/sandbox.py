"""A WhatsApp on loopback: Meta's Graph API for one business number, and the webhooks of people who write to it."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.log import bearer_of
from app.sandbox.whatsapp.errors import WhatsAppError, invalid
from app.sandbox.whatsapp.media import MediaStore
from app.sandbox.whatsapp.messages import check_content
from app.sandbox.whatsapp.people import PairRates, Windows
from app.sandbox.whatsapp.webhooks import WhatsAppWebhooks

_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_NUMBER = re.compile(r"\+?[0-9]{5,20}")

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Shown:
    """A message that the business sent.

    Attributes:
        recipient: The number, business-scoped id or group that it was sent to.
        text: Its words.
        request: The body of the request.
    """

    recipient: str
    text: str
    request: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Receipt:
    """A message of a person that was marked as read; `typing` if the dots were shown with it."""

    message_id: str
    typing: bool


class WhatsAppSandbox(WhatsAppWebhooks):
    """A WhatsApp with one business number. Lives for the process; serve `app`, its URL is ``…/v26.0/``.

    Args:
        app_secret: The Meta app's secret, for webhooks.
        access_token: The system user's token.
        phone_number_id: The business number's id.
        templates: The approved templates, by name and language.

    Attributes:
        app: The ASGI application.
        shown: The messages of the business, oldest first.
        receipts: The messages that were marked as read.
        media: The files.
        rates: How often one person may be written to.
        windows: When people last wrote; its clock can be replaced.
        quality: How the number is rated.
        faults: The next messages are refused with these errors.
        refusals: By recipient, the error that every message to them is refused with.
    """

    def __init__(
        self,
        *,
        app_secret: str,
        access_token: str,
        phone_number_id: str = "106540352242922",
        templates: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.windows = Windows()
        super().__init__(app_secret=app_secret, phone_number_id=phone_number_id, windows=self.windows)
        self._access_token = access_token
        self._templates = templates
        self.shown: list[Shown] = []
        self.receipts: list[Receipt] = []
        self.media = MediaStore()
        self.rates = PairRates()
        self.quality = "GREEN"
        self.faults: deque[WhatsAppError] = deque()
        self.refusals: dict[str, WhatsAppError] = {}
        self.app = Starlette(
            routes=[
                Route("/v26.0/{phone_number_id}/messages", self._guarded(self._messages), methods=["POST"]),
                Route("/v26.0/{phone_number_id}/media", self._guarded(self._upload), methods=["POST"]),
                Route("/v26.0/{media_id}", self._guarded(self._describe), methods=["GET"]),
                Route("/files/{media_id}", self._guarded(self._download), methods=["GET"]),
            ]
        )

    def told(self, *recipients: str | None) -> list[str]:
        """Return the messages to one person, by number or id, or to a group, oldest first."""
        return [each.text for each in self.shown if each.recipient in recipients]

    def _guarded(self, handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                if bearer_of(request.headers.get("authorization")) != self._access_token:
                    raise WhatsAppError(190, "the access token could not be decrypted", status=401)
                return await handler(request)
            except WhatsAppError as error:
                return JSONResponse(error.body(), error.status)

        return handle

    async def _messages(self, request: Request) -> Response:
        self._check_number(request)
        try:
            body = json.loads(await request.body())
        except ValueError:
            raise invalid("the body is not JSON") from None
        if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
            raise invalid("the parameter messaging_product is required")
        if "status" in body:
            return self._mark(body)
        if self.faults:
            raise self.faults.popleft()
        recipient = self._recipient(body)
        if refusal := self.refusals.get(recipient):
            raise refusal
        text = check_content(body, media=self.media.files, templates=self._templates)
        if body.get("type") != "template":
            self.windows.check(recipient)
        self.rates.take(recipient)
        self.shown.append(Shown(recipient, text, body))
        message_id = f"wamid.OUT{len(self.shown)}"
        answer = {
            "messaging_product": "whatsapp",
            "contacts": [{"input": recipient, "wa_id": recipient}],
            "messages": [{"id": message_id}],
        }
        return JSONResponse(answer)

    def _recipient(self, body: Mapping[str, Any]) -> str:
        to, recipient = body.get("to"), body.get("recipient")
        if body.get("recipient_type", "individual") == "group":
            if body.get("type") == "interactive":
                raise WhatsAppError(131051, "groups take no interactive messages", status=501)
            if isinstance(to, str) and to:
                return to
            raise invalid("the parameter to is required")
        if isinstance(to, str) and _NUMBER.fullmatch(to):
            return to.removeprefix("+")
        if to is None and isinstance(recipient, str) and _BSUID.fullmatch(recipient):
            return recipient
        raise invalid("the parameter to is required")

    def _mark(self, body: Mapping[str, Any]) -> Response:
        indicator = body.get("typing_indicator")
        if body["status"] != "read" or (indicator is not None and indicator != {"type": "text"}):
            raise invalid("status is read, and a typing indicator is of the type text")
        if body.get("message_id") not in self.inbound:
            raise WhatsAppError(131009, "there is no such message")
        self.receipts.append(Receipt(body["message_id"], indicator is not None))
        return JSONResponse({"success": True})

    async def _upload(self, request: Request) -> Response:
        self._check_number(request)
        async with request.form() as form:
            file, kind = form.get("file"), form.get("type")
            if form.get("messaging_product") != "whatsapp" or not isinstance(file, UploadFile) or not kind:
                raise invalid("messaging_product, type and file are required")
            return JSONResponse({"id": self.media.upload(str(kind), await file.read())})

    async def _describe(self, request: Request) -> Response:
        if request.path_params["media_id"] == self._phone_number_id:
            return JSONResponse({"id": self._phone_number_id, "quality_rating": self.quality})
        return JSONResponse(self.media.described(request.path_params["media_id"], str(request.base_url).rstrip("/")))

    async def _download(self, request: Request) -> Response:
        file = self.media.files.get(request.path_params["media_id"])
        return Response(status_code=404) if file is None else Response(file.contents, media_type=file.mime_type)

    def _check_number(self, request: Request) -> None:
        if request.path_params["phone_number_id"] != self._phone_number_id:
            raise WhatsAppError(100, "Unsupported post request: the object does not exist")
