"""Files that a tool uses: the model names them by reference, and the guard fetches them for the call.

Three kinds of reference are possible: of a file that the person sent in this conversation (``file-3fa91c0b2d4e-1``), of
an attachment in their Gmail (``18c2a4/1``), and the id of a file in their Drive.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from app.characters import seen
from app.errors import ToolError
from app.sizes import in_units

MAX_INPUT_FILES = 10  # of one call
MAX_NAME_LENGTH = 120  # characters of a file's name

_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,128}(?:/[0-9.]{0,40})?")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,80}", re.ASCII)
_PATH = re.compile(r'[\\/:*?"<>|]+')  # what a name on a disk may not have, on some system or other
_PLAIN = "application/octet-stream"
_KINDS = (
    "the file id in a note about what the person attached here, the `reference` of an attachment in their mail, or the "
    "`id` of a file in their Drive"
)


class FileTooLargeError(ToolError):
    """A file exceeds the bytes that its call may still use."""

    def __init__(self, name: str) -> None:
        self.name = cleaned_name(name)
        super().__init__(f"{self.name} is too large")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file as one tool call uses it; it lives as long as the call.

    Attributes:
        reference: The reference that the model gave.
        name: Its file name, cleaned. Anybody may have chosen it, so it is untrusted.
        mime_type: Its type, as its origin states it, such as ``application/pdf``.
        contents: Its bytes.
    """

    reference: str
    name: str = field(repr=False)
    mime_type: str
    contents: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """Return a hash of all that a person approves: the name, the type and the contents."""
        return hashlib.sha256(f"{self.name}\0{self.mime_type}\0".encode() + self.contents).hexdigest()

    @property
    def in_words(self) -> str:
        """Return the file on one line, for the approval: ``offer.pdf (application/pdf, 12 kB)``."""
        return f"{self.name} ({self.mime_type}, {in_units(len(self.contents))})"


@dataclass(frozen=True, slots=True)
class TakesFiles:
    """The files that a tool takes.

    Attributes:
        parameters: The parameters that are references of files, one or a list each.
        max_bytes: Maximum size of all files of one call together.
    """

    parameters: tuple[str, ...]
    max_bytes: int

    def references(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the references in a call's arguments, once each."""
        values = (arguments.get(name) for name in self.parameters)
        each = (one for value in values for one in ([value] if isinstance(value, str) else value or ()))
        return tuple(dict.fromkeys(each))

    def filled(self, arguments: Mapping[str, Any], files: Mapping[str, InputFile]) -> dict[str, Any]:
        """Return a call's arguments with the files in place of their references."""
        filled = dict(arguments)
        for name in self.parameters:
            value = filled.get(name)
            if isinstance(value, str):
                filled[name] = files[value]
            elif value is not None:
                filled[name] = tuple(files[one] for one in value)
        return filled


def cleaned_name(name: str) -> str:
    """Return a file's name that is no path, and has one line without unseen characters."""
    return _PATH.sub("_", " ".join(seen(name).split()))[-MAX_NAME_LENGTH:].lstrip(".") or "file"


def cleaned_type(mime_type: str) -> str:
    """Return a media type in lower case, without parameters; anything else becomes ``application/octet-stream``."""
    kind = mime_type.partition(";")[0].strip().lower()
    return kind if _MEDIA_TYPE.fullmatch(kind) else _PLAIN


def _reference(value: Any) -> str:
    """Return a reference.

    Raises:
        ValueError: It cannot be one.
    """
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value.strip()):
        raise ValueError(f"this is no reference of a file; it is {_KINDS}")
    return value.strip()


def _references(value: Any) -> list[str]:
    """Return references, once each.

    Raises:
        ValueError: There are too many, or one cannot be a reference.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError("write a list of references")
    once = list(dict.fromkeys(_reference(each) for each in value))
    if len(once) > MAX_INPUT_FILES:
        raise ValueError(f"at most {MAX_INPUT_FILES} files in one call, and these are {len(once)}")
    return once


# A method's parameter of these types is a reference when its arguments are checked, and the file when it runs.
OneFile = Annotated[
    InputFile,
    PlainValidator(_reference),
    WithJsonSchema({"type": "string", "description": f"The file: {_KINDS}."}),
]
SeveralFiles = Annotated[
    tuple[InputFile, ...],
    PlainValidator(_references),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "maxItems": MAX_INPUT_FILES,
            "description": f"For each file {_KINDS}.",
        }
    ),
]
