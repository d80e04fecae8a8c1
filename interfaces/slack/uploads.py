"""Files that go with a reply, each shared once (https://docs.slack.dev/messaging/working-with-files#upload).

Slack takes no metadata for them, so a file's id is noted before it is shared. A later attempt asks Slack about it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from app.errors import AttachmentGoneError, AttachmentTooLargeError, DeputyError, UnavailableError, UnclearError
from app.network import tls_context
from app.proxies import proxy_for
from app.reply import ReplyFile
from interfaces.slack.copies import Where
from interfaces.slack.files import is_slacks
from interfaces.slack.refusals import in_our_words, reason_of
from interfaces.slack.web_api import no_answer

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

MAX_UPLOAD_BYTES = 100_000_000  # Slack takes 1 GB; this much can be sent within one attempt
_NAME_LENGTH = 255  # characters
_NOT_THERE = "file_not_found"
_UPLOADS_OFF = "this workspace does not allow uploads"
_WRONG_TYPE = "this workspace does not allow files of this type"
# Slack's error codes for a file that it will never take, in words that complete "I could not attach it: …".
_REFUSED = {
    "blocked_file_type": _WRONG_TYPE,
    "file_type_not_allowed": _WRONG_TYPE,
    "file_upload_size_restricted": "this workspace does not allow files of this size",
    "file_uploads_disabled": _UPLOADS_OFF,
    "file_uploads_except_images_disabled": "this workspace only allows uploads of images",
    "missing_scope": "the app in Slack may not upload files (it lacks the scope files:write)",
    "posting_to_channel_denied": "I may not share files there",
    "storage_limit_reached": "this workspace has no room left for files",
    "user_is_external_guest": "guests cannot be sent files",
}


class FileRefusedError(DeputyError):
    """A file can never be shared; the message completes "I could not attach it: …"."""


async def share_once(
    client: AsyncWebClient,
    where: Where,
    file: ReplyFile,
    key: str,
    notes: dict[str, Any],
    keep: Callable[[], Awaitable[None]],
) -> None:
    """Upload a file and show it in a place, unless an earlier attempt did.

    Args:
        client: The client of the workspace's bot.
        where: The place.
        file: The file.
        key: The file's key in the notes.
        notes: The notes about the reply; the file's id is added.
        keep: Stores the notes.

    Raises:
        FileRefusedError: It can never be shared there.
        UnclearError: Slack did not answer, or reported an internal error.
        UnavailableError: Slack refuses it for now.
        UndeliverableError: Slack refuses it permanently.
    """
    earlier = notes.get(key) or {}
    if earlier.get("channel") == where.channel and await _share_noted(client, where, file, earlier["id"]):
        return
    file_id = await _upload(client, file)
    notes[key] = {"channel": where.channel, "id": file_id}
    await keep()
    await _share(client, where, file, file_id)


async def _upload(client: AsyncWebClient, file: ReplyFile) -> str:
    """Upload a file that nobody can see yet, and return its id.

    Raises:
        FileRefusedError: It can never be uploaded.
        UnavailableError: Slack refuses it for now, or did not answer.
        UndeliverableError: Slack refuses every call.
    """
    try:
        contents = await file.read()
    except AttachmentGoneError:
        raise FileRefusedError("it no longer exists") from None
    except AttachmentTooLargeError:
        raise FileRefusedError(_too_large()) from None
    if not contents:
        raise FileRefusedError("it is empty")
    if len(contents) > MAX_UPLOAD_BYTES:
        raise FileRefusedError(_too_large())
    with in_our_words():
        try:
            ticket = await client.files_getUploadURLExternal(filename=file.name[:_NAME_LENGTH], length=len(contents))
        except SlackApiError as error:
            raise _refusal(error) from None
    await _send(client, str(ticket.get("upload_url")), contents)
    return str(ticket.get("file_id"))


async def _share(client: AsyncWebClient, where: Where, file: ReplyFile, file_id: str) -> None:
    """Show an uploaded file in a place.

    Raises:
        FileRefusedError: It can never be shared there.
        UnclearError: Slack did not answer, or reported an internal error.
        UnavailableError: Slack refuses it for now.
        UndeliverableError: Slack refuses it permanently.
    """
    with in_our_words():
        try:
            await client.files_completeUploadExternal(
                files=[{"id": file_id, "title": file.name[:_NAME_LENGTH]}],
                channel_id=where.channel,
                thread_ts=where.thread_ts,
            )
        except SlackApiError as error:
            raise _refusal(error) from None


async def _share_noted(client: AsyncWebClient, where: Where, file: ReplyFile, file_id: str) -> bool:
    """Share a file that an earlier attempt has uploaded, unless it did so; return False if Slack does not have it.

    Raises:
        FileRefusedError: It can never be shared there.
        UnclearError: Slack did not answer, or reported an internal error.
        UnavailableError: Slack refuses it for now.
        UndeliverableError: Slack refuses it permanently.
    """
    with in_our_words():
        try:
            await client.files_info(file=file_id)
        except SlackApiError as error:
            if reason_of(error) != _NOT_THERE:
                raise
        else:
            return True  # Slack knows a file only once it is shared, which takes it a while
    try:
        await _share(client, where, file, file_id)
    except _NotUploadedError:
        return False
    return True


class _NotUploadedError(UnavailableError):
    """Slack has no contents for this id; they have to be uploaded again."""


def _refusal(error: SlackApiError) -> Exception:
    reason = reason_of(error)
    if reason in _REFUSED:
        return FileRefusedError(_REFUSED[reason])
    return _NotUploadedError("Slack does not have the file", reason=reason) if reason == _NOT_THERE else error


def _too_large() -> str:
    return f"it is larger than {MAX_UPLOAD_BYTES // 1_000_000} MB, and Slack takes no more"


async def _send(client: AsyncWebClient, url: str, contents: bytes) -> None:
    """Send contents to the address that Slack gave for them; the bot's token does not go there."""
    from aiohttp import ClientSession, ClientTimeout

    if not is_slacks(url, client.base_url):
        raise UnavailableError("Slack gives no address for the file")
    proxy = proxy_for(url)
    sent: dict[str, Any] = {"data": contents, "headers": {"Content-Type": "application/octet-stream"}}
    try:
        async with (
            ClientSession(trust_env=False, timeout=ClientTimeout(total=client.timeout)) as session,
            session.post(
                url, **sent, allow_redirects=False, proxy=proxy.url if proxy else None, ssl=tls_context()
            ) as answer,
        ):
            if answer.status != 200:
                raise UnavailableError(f"Slack does not take a file for now ({answer.status})")
    except no_answer() as error:
        raise UnclearError(f"Slack gave no answer to a file ({type(error).__name__})") from None
