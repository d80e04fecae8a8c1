"""Argument types of the Drive tools; each rejects values that Google should never see."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field

from app.toolkits.written import MAX_HEADER, few_addresses, one_line, some_text

MAX_AT_ONCE = 10  # files that one call throws away, and people whom one call shares with
MAX_CONTENT = 100_000  # characters of a file that is written; a chat shows no more for approval

_ID = r"[A-Za-z0-9_-]{1,128}"


class Role(StrEnum):
    """The permission to do something with a file, as the API writes it."""

    READ = "reader"
    COMMENT = "commenter"
    WRITE = "writer"


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
FileName = Annotated[str, Field(max_length=255), AfterValidator(one_line)]
Content = Annotated[str, AfterValidator(partial(some_text, at_most=MAX_CONTENT))]
ShareWith = Annotated[
    str,
    Field(description="E-mail addresses, separated by commas."),
    AfterValidator(partial(few_addresses, at_most=MAX_AT_ONCE)),
]
ShareNote = Annotated[str, Field(max_length=MAX_HEADER), AfterValidator(one_line)]
