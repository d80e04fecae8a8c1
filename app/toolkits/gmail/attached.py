"""Attachments of the person's mails, by reference: the id of the mail, a slash, and the part's place in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import ToolError
from app.google.client import GoogleClient
from app.toolkits.gmail import content as gmail_content
from app.toolkits.input_file import FileTooLargeError, InputFile, cleaned_name, cleaned_type
from app.toolkits.shapes import mapping, number, text


async def attached_part(google: GoogleClient, reference: str) -> Mapping[str, Any]:
    """Return the part of a mail that a reference names, without its contents.

    Raises:
        ToolError: The mail has no such part.
    """
    message_id, _, part_id = reference.partition("/")
    messages = google.resource("gmail", "v1", "users", "messages")
    message = await google.execute(messages.get(userId="me", id=message_id, format="full", fields="payload"))
    part = gmail_content.attached_part(message, part_id)
    if part is None:
        raise ToolError("this mail has no such attachment; read the mail again for its references")
    return part


async def attached_data(google: GoogleClient, reference: str, part: Mapping[str, Any]) -> str:
    """Return the contents of an attached part, base64url."""
    body = mapping(part, "body")
    if attachment_id := text(body, "attachmentId"):  # Google's own id differs each time the mail is fetched
        files = google.resource("gmail", "v1", "users", "messages", "attachments")
        message_id = reference.partition("/")[0]
        body = await google.execute(files.get(userId="me", messageId=message_id, id=attachment_id, fields="data"))
    return text(body, "data")


async def fetch_attachment(google: GoogleClient, reference: str, *, limit: int) -> InputFile:
    """Return an attachment as a tool uses it.

    Raises:
        ToolError: The mail has no such attachment, or it exceeds the limit.
        ProviderError, CredentialsError: Google did not give it.
    """
    part = await attached_part(google, reference)
    name, kind = text(part, "filename"), text(part, "mimeType")
    if number(mapping(part, "body"), "size") > limit:
        raise FileTooLargeError(name)
    data = await attached_data(google, reference, part)
    contents = await google.to_thread(gmail_content.decoded_bytes, data)
    if len(contents) > limit:
        raise FileTooLargeError(name)
    return InputFile(reference, cleaned_name(name), cleaned_type(kind), contents)
