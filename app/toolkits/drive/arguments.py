"""Argument types of the Drive tools; each rejects values that Google should never see."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from app.toolkits.written import MAX_HEADER, addresses, body_text, header_text

MAX_AT_ONCE = 10  # files that one call throws away, and people whom one call shares with
MAX_CONTENT = 100_000  # characters of a file that is written; a chat shows no more for approval

_ID = r"[A-Za-z0-9_-]{1,128}"


class Role(StrEnum):
    """The permission to do something with a file, as the API writes it."""

    READ = "reader"
    COMMENT = "commenter"
    WRITE = "writer"


def _line(text: str) -> str:
    """Return the text if it is one line that says something.

    Raises:
        ValueError: It is empty, or `header_text` refuses it.
    """
    if not text.strip():
        raise ValueError("this is empty: ask the person what it should be")
    return header_text(text)


def _content(text: str) -> str:
    """Return the text if it can be the content of a file.

    Raises:
        ValueError: It is empty or too long, or `body_text` refuses it.
    """
    if not text.strip():
        raise ValueError("the text is empty: ask the person what to write")
    if len(text) > MAX_CONTENT:
        raise ValueError(f"at most {MAX_CONTENT} characters, please")
    return body_text(text)


def _few_people(text: str) -> str:
    """Return addresses, separated by commas.

    Raises:
        ValueError: There are too many, or `addresses` refuses them.
    """
    found = addresses(text)
    if (count := len(found.split(", "))) > MAX_AT_ONCE:
        raise ValueError(f"at most {MAX_AT_ONCE} people in one call, and these are {count}")
    return found


FileId = Annotated[str, Field(pattern=rf"^{_ID}$", description="The `id` of a file in a result.")]
FileIds = Annotated[
    list[FileId],
    Field(min_length=1, max_length=MAX_AT_ONCE, description=f"The `id`s of 1 to {MAX_AT_ONCE} files in results."),
]
FolderId = Annotated[
    str,
    Field(
        pattern=rf"^{_ID}$",
        description="The `id` of a folder or a shared drive in a result; `root` is the person's own top folder.",
    ),
]
FileName = Annotated[str, Field(max_length=255), AfterValidator(_line)]
Content = Annotated[str, AfterValidator(_content)]
ShareWith = Annotated[str, Field(description="E-mail addresses, separated by commas."), AfterValidator(_few_people)]
ShareNote = Annotated[str, Field(max_length=MAX_HEADER), AfterValidator(_line)]
