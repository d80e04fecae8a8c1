"""Files that people attach, by reference (https://docs.slack.dev/reference/objects/file-object)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from slack_sdk.errors import SlackApiError

from app.errors import AttachmentGoneError, AttachmentTooLargeError, UnavailableError
from app.messages import Attachment, AttachmentKind
from app.network import tls_context
from app.proxies import proxy_for
from interfaces.slack.refusals import in_our_words, reason_of
from interfaces.slack.web_api import no_answer

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

_FILES_AT_MOST = 20  # of one message
_SLACK = ".slack.com"
_NOT_THERE = frozenset({"access_denied", "file_deleted", "file_not_found", "no_permission", "not_visible"})
_MODES_ELSEWHERE = frozenset({"external", "hidden_by_limit", "tombstone"})  # Slack does not have the contents
_KINDS = {"audio": AttachmentKind.AUDIO, "image": AttachmentKind.IMAGE, "video": AttachmentKind.VIDEO}
_VOICE_CLIP = "slack_audio"
_NAME_LENGTH, _TYPE_LENGTH, _ID_LENGTH = 255, 100, 64  # characters


def is_attached(file: Mapping[str, Any]) -> bool:
    """Return whether Slack has the contents of a file of a message."""
    file_id = file.get("id")
    known = isinstance(file_id, str) and 0 < len(file_id) <= _ID_LENGTH and file_id.isascii() and file_id.isalnum()
    return known and file.get("mode") not in _MODES_ELSEWHERE


def attachments_of(event: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """Return the files of a message whose contents Slack has."""
    files = event.get("files")
    listed = files[:_FILES_AT_MOST] if isinstance(files, list) else []
    return tuple(_attachment(file) for file in listed if isinstance(file, dict) and is_attached(file))


def _attachment(file: Mapping[str, Any]) -> Attachment:
    mime_type, size = _line(file.get("mimetype"), _TYPE_LENGTH), file.get("size")
    kind = _KINDS.get(mime_type.partition("/")[0], AttachmentKind.DOCUMENT)
    return Attachment(
        kind=AttachmentKind.VOICE if file.get("subtype") == _VOICE_CLIP else kind,
        name=_line(file.get("name") or file.get("title"), _NAME_LENGTH),
        mime_type=mime_type,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        reference=str(file["id"]),
    )


def _line(text: object, at_most: int) -> str:
    return "".join(filter(str.isprintable, text))[:at_most] if isinstance(text, str) else ""


async def fetch_file(client: AsyncWebClient, file_id: str, *, limit: int) -> bytes:
    """Return the contents of a file, with the client's token, which is sent to Slack alone.

    Raises:
        AttachmentTooLargeError: They exceed the limit.
        AttachmentGoneError: Slack does not have the file any more, or does not give it to the assistant.
        UnavailableError: Slack does not give it for now.
    """
    try:
        file = (await client.files_info(file=file_id)).get("file") or {}
    except SlackApiError as error:
        if reason_of(error) in _NOT_THERE:
            raise AttachmentGoneError("it is no longer in Slack") from None
        if reason_of(error) == "missing_scope":
            raise AttachmentGoneError("the app in Slack may not read files (it lacks the scope files:read)") from None
        with in_our_words():
            raise
    except no_answer() as error:
        raise UnavailableError(f"Slack did not say where a file is ({type(error).__name__})") from None
    url = file.get("url_private_download") or file.get("url_private")
    if not isinstance(url, str) or not is_slacks(url, client.base_url):
        raise AttachmentGoneError("Slack gives no address for it")
    return await _download(client, url, limit=limit, html=file.get("mimetype") == "text/html")


def is_slacks(url: str, api_base_url: str) -> bool:
    """Return whether an address belongs to Slack, or to the server of the Web API."""
    parts, api = urlsplit(url), urlsplit(api_base_url)
    if (parts.scheme, parts.netloc) == (api.scheme, api.netloc):
        return True
    return parts.scheme == "https" and (parts.hostname or "").endswith(_SLACK) and "@" not in parts.netloc


async def _download(client: AsyncWebClient, url: str, *, limit: int, html: bool) -> bytes:
    """Download up to `limit` bytes. Slack answers a token that it does not accept with its sign-in page."""
    from aiohttp import ClientSession, ClientTimeout

    proxy = proxy_for(url)
    headers = {"Authorization": f"Bearer {client.token}"}
    try:
        async with (
            ClientSession(trust_env=False, timeout=ClientTimeout(total=client.timeout)) as session,
            session.get(
                url, headers=headers, allow_redirects=False, proxy=proxy.url if proxy else None, ssl=tls_context()
            ) as answer,
        ):
            if answer.status >= 500 or answer.status == 429:
                raise UnavailableError(f"Slack does not give a file for now ({answer.status})")
            if answer.status != 200 or (answer.content_type == "text/html" and not html):
                raise AttachmentGoneError("Slack does not give it to me")
            contents = bytearray()
            async for piece in answer.content.iter_any():
                contents += piece
                if len(contents) > limit:
                    raise AttachmentTooLargeError(limit)
            return bytes(contents)
    except no_answer() as error:
        raise UnavailableError(f"Slack did not give a file ({type(error).__name__})") from None
