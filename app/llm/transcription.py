"""Transcription: what somebody says in a recording, written down by a model.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError

from app.errors import AttachmentError
from app.llm.faults import OddAnswerError

if TYPE_CHECKING:
    from pydantic import SecretStr

# Servers tell formats apart by the name's ending; WhatsApp and Telegram record Opus in Ogg.
_ENDINGS = {
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/aac": "aac",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/webm": "webm",
    "audio/flac": "flac",
}
_UNREADABLE = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY)


class Transcriber:
    """Writes recordings down at an endpoint that speaks OpenAI's protocol; lives as long as the process.

    Args:
        name: The endpoint's name in the settings.
        base_url: The address, including ``/v1``.
        model: The model's name at the endpoint.
        api_key: Sent as a bearer token.
        http: The client, which stays open.
    """

    def __init__(
        self, name: str, *, base_url: str, model: str, api_key: SecretStr | None, http: httpx2.AsyncClient
    ) -> None:
        self._name = name
        self._url = f"{base_url.rstrip('/')}/audio/transcriptions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key else {}
        self._http = http

    async def transcribe(self, recording: bytes, mime_type: str) -> str:
        """Return the words of a recording.

        Args:
            recording: The file.
            mime_type: Its type, such as ``audio/ogg; codecs=opus``.

        Raises:
            AttachmentError: The model finds no words, or cannot read this recording.
            ModelAPIError: The model did not answer, or refused the request for another reason.
        """
        kind = mime_type.partition(";")[0].strip().lower()
        file = (f"recording.{_ENDINGS.get(kind, 'ogg')}", recording, kind or "application/octet-stream")
        fields = {"model": self._model, "response_format": "json"}
        try:
            response = await self._http.post(self._url, data=fields, files={"file": file}, headers=self._headers)
        except httpx2.TransportError as error:
            raise ModelAPIError(self._name, type(error).__name__) from None
        self._check(response)
        try:
            text = response.json()["text"]
        except (ValueError, LookupError, TypeError):
            text = None
        if not isinstance(text, str):
            raise OddAnswerError(self._name, "the answer is no transcript")
        if not text.strip():
            raise AttachmentError("I heard no words in it")
        return text.strip()

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise AttachmentError("it is too long for my transcription model")
        if status in _UNREADABLE:
            raise AttachmentError("my transcription model cannot read this kind of recording")
        if not response.is_success:
            # Without the body, which may repeat the key or what was said.
            raise ModelHTTPError(status, self._name, headers=dict(response.headers))
