"""Files that go with an answer, by reference: their contents are read when the answer is sent, and never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_FILE_BYTES = 20_000_000  # of one file; every channel takes as much
MAX_FILES = 10  # with one answer


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file in a person's account, which a tool of theirs can read.

    Attributes:
        reference: The toolkit's own name for it.
        name: Its file name. Anybody may have chosen it, so it is cleaned, and still untrusted.
        mime_type: Its type, such as ``application/pdf``.
        size: Its bytes, or None where that is not known before it is read.
        tool: The tool that promised it, and reads it.
        credential_id: The access with which it was promised; it is read with no other.
    """

    reference: str = field(repr=False)
    name: str = field(repr=False)
    mime_type: str
    size: int | None = None
    tool: str = ""
    credential_id: str | None = None


def dump_files(files: Sequence[FileReference]) -> list[dict[str, Any]]:
    """Return references as JSON values."""
    return [asdict(each) for each in files]


def load_files(values: Any) -> tuple[FileReference, ...]:
    """Return the references that `dump_files` wrote; None stands for no file."""
    return tuple(FileReference(**value) for value in values or ())
