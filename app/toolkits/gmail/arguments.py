"""Argument types of the Gmail tools; each rejects values that Gmail should never see."""

from __future__ import annotations

import unicodedata
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field

from app.toolkits.written import addresses, header_text, some_text

MAX_AT_ONCE = 10  # mails that one call changes; the guard counts over all calls of a message
MAX_LABEL = 225  # characters, Gmail's own limit
MAX_BODY = 100_000  # characters of a mail that is written; a chat shows no more for approval

_ID = r"[A-Za-z0-9_-]{1,64}"


def _few(message_ids: list[str]) -> list[str]:
    """Return the ids, once each.

    Raises:
        ValueError: There are more than `MAX_AT_ONCE`.
    """
    if len(once := list(dict.fromkeys(message_ids))) > MAX_AT_ONCE:
        raise ValueError(f"at most {MAX_AT_ONCE} mails in one call, and these are {len(once)}: make several calls")
    return once


def _name(text: str) -> str:
    """Return the text in one line without double quotes, so that it stays one term of a search.

    Raises:
        ValueError: Nothing is left.
    """
    if not (name := " ".join(text.replace('"', " ").split())):
        raise ValueError("write a name or an address")
    return name


def _label(text: str) -> str:
    """Return the name of a label in normal form C, without blanks around it.

    Raises:
        ValueError: It is empty, too long, or has a line break or a control character.
    """
    name = unicodedata.normalize("NFC", header_text(text).strip())
    if not 1 <= len(name) <= MAX_LABEL:
        raise ValueError(f"the name of a label has 1 to {MAX_LABEL} characters")
    return name


def _subject(text: str) -> str:
    """Return the text if it is a valid subject.

    Raises:
        ValueError: It is empty, or `header_text` refuses it.
    """
    if not text.strip():
        raise ValueError("the subject is empty: ask the person what it should be")
    return header_text(text)


Person = Annotated[str, Field(max_length=200, description="A name or an address."), AfterValidator(_name)]
MessageId = Annotated[str, Field(pattern=rf"^{_ID}$", description="The `id` of a mail in a result.")]
MessageIds = Annotated[
    list[MessageId],
    Field(
        min_length=1,
        json_schema_extra={"maxItems": MAX_AT_ONCE},  # for the model; the validator's refusal gives the reason
        description=f"The `id`s of 1 to {MAX_AT_ONCE} mails in results.",
    ),
    AfterValidator(_few),
]
ThreadId = Annotated[str, Field(pattern=rf"^{_ID}$", description="The `thread_id` of a mail in a result.")]
DraftId = Annotated[str, Field(pattern=rf"^{_ID}$", description="The `id` of a draft in a result.")]
Reference = Annotated[
    str, Field(pattern=rf"^{_ID}/[0-9.]{{0,40}}$", description="The `reference` of an attachment in a result.")
]
Label = Annotated[str, Field(description="The name of a label, not its id."), AfterValidator(_label)]
Recipients = Annotated[str, AfterValidator(addresses)]
Subject = Annotated[str, AfterValidator(_subject)]
Body = Annotated[str, AfterValidator(partial(some_text, at_most=MAX_BODY))]
