"""Uploads in pieces, which can be resumed.

https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable: a call opens a session and gets
its address; the pieces follow there, in order; the last one gets the answer of the call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.sandbox.google.media import Media, MediaError

PIECE_UNIT = 256 * 1024  # bytes; every piece but the last is a multiple of it
MAX_AT_ONCE = 5_000_000  # bytes of a file that is uploaded in one request, with or without metadata

_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?P<total>\d+)")

Answer = TypeVar("Answer")


@dataclass(slots=True)
class UploadSession(Generic[Answer]):
    """One upload. Lives until the sandbox ends, so that its answer can be asked for again.

    Attributes:
        email: The person who opened it; nobody else can go on with it.
        method_id: The method whose call it is.
        mime_type: The type of the media.
        total: The size that was announced, or None.
        finish: Makes the call with the media.
        received: The bytes that have arrived.
        answer: The answer, once it is complete.
    """

    email: str
    method_id: str
    mime_type: str
    total: int | None
    finish: Callable[[Media], Answer]
    received: bytearray = field(default_factory=bytearray, repr=False)
    answer: Answer | None = None

    def take(self, headers: Mapping[str, str], piece: bytes) -> Answer | None:
        """Take a piece, or a question how much has arrived; return the answer once all of it is here.

        Raises:
            MediaError: The piece is not the next one, or its size is not what its header says, or not a multiple
                of `PIECE_UNIT`.
        """
        said = _RANGE.fullmatch(headers.get("content-range", f"bytes 0-{len(piece) - 1}/{len(piece)}"))
        if said is None and piece:
            raise MediaError("Failed to parse Content-Range header.")
        total = int(said["total"]) if said else 0
        if self.total is not None and total != self.total:
            raise MediaError(f"The upload was announced with {self.total} bytes.")
        if self.answer is None and (said is None or said["first"] is not None):
            self._add(piece, int(said["first"]) if said else 0, int(said["last"]) if said else -1, total)
        if self.answer is None and len(self.received) == total:
            self.answer = self.finish(Media(self.mime_type, bytes(self.received)))
            self.received.clear()
        return self.answer

    def _add(self, piece: bytes, first: int, last: int, total: int) -> None:
        if first != len(self.received) or last - first + 1 != len(piece) or last >= total:
            raise MediaError("Invalid request. The piece does not follow the bytes that have arrived.")
        if last + 1 < total and len(piece) % PIECE_UNIT:
            raise MediaError(f"Invalid request. Pieces are multiples of {PIECE_UNIT} bytes.")
        self.received += piece


class UploadSessions(Generic[Answer]):
    """All uploads in pieces, by id. Lives with the sandbox."""

    def __init__(self) -> None:
        self._sessions: dict[str, UploadSession[Answer]] = {}

    def open(self, session: UploadSession[Answer]) -> str:
        """Keep a new upload, and return its id."""
        upload_id = secrets.token_urlsafe(24)
        self._sessions[upload_id] = session
        return upload_id

    def find(self, upload_id: str, email: str | None) -> UploadSession[Answer] | None:
        """Return a person's upload, or None."""
        session = self._sessions.get(upload_id)
        return session if session is not None and session.email == email else None


def check_media(accepted: Mapping[str, object], mime_type: str, size: int | None, *, at_once: bool) -> None:
    """Pass if a method takes media of this type and size.

    Args:
        accepted: The method's ``mediaUpload`` in the discovery document.
        mime_type: The media's type.
        size: Its bytes; None if they were not announced.
        at_once: It comes in one request.

    Raises:
        MediaError: The method does not.
    """
    kinds = accepted.get("accept", ["*/*"])
    assert isinstance(kinds, list)
    kind = mime_type.partition(";")[0].strip().lower()
    if not any(kind.startswith(each.removesuffix("*")) or each == "*/*" for each in kinds):
        raise MediaError(f"Media type '{kind}' is not supported. Valid media types: {kinds}")
    most = MAX_AT_ONCE if at_once else int(str(accepted.get("maxSize", 0))) or None
    if size is not None and most is not None and size > most:
        raise MediaError(f"The media has {size} bytes; this kind of upload takes up to {most}.")
