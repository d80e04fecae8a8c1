"""What the Gmail tools take from the model: each type refuses what Gmail should never see."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field

from app.toolkits.gmail import letter

MAX_AT_ONCE = 10  # mails that one call changes; more than that is for the person to approve
FIRST_DAY = date(1980, 1, 1)  # there was no Internet mail before; Gmail takes a small number for something else
MAX_LABEL = 225  # characters, Gmail's own limit

_ID = r"[A-Za-z0-9_-]{1,64}"


def _few(message_ids: list[str]) -> list[str]:
    """The ids, once each.

    Raises:
        ValueError: There are more than `MAX_AT_ONCE`.
    """
    if len(once := list(dict.fromkeys(message_ids))) > MAX_AT_ONCE:
        raise ValueError(
            f"at most {MAX_AT_ONCE} mails in one call, and these are {len(once)}: "
            "changing more needs the person's approval, which cannot be asked for yet; tell them so"
        )
    return once


def _name(text: str) -> str:
    """The text in one line without double quotes, so that it stays one term of a search.

    Raises:
        ValueError: Nothing is left.
    """
    if not (name := " ".join(text.replace('"', " ").split())):
        raise ValueError("write a name or an address")
    return name


def _label(text: str) -> str:
    """The name of a label, without blanks around it.

    Raises:
        ValueError: It is empty, too long, or has a line break or a control character.
    """
    name = letter.header_text(text).strip()
    if not 1 <= len(name) <= MAX_LABEL:
        raise ValueError(f"the name of a label has 1 to {MAX_LABEL} characters")
    return name


Limit = Annotated[int, Field(ge=1, le=50, description="How many at most.")]
ListPage = Annotated[str | None, Field(description="`next_page` of an earlier result, to go on where it ended.")]
TextPage = Annotated[int, Field(ge=1, description="Which page of a long text.")]
Day = Annotated[date, Field(ge=FIRST_DAY, description="A day as YYYY-MM-DD; days begin at midnight UTC.")]
Person = Annotated[str, Field(max_length=200, description="A name or an address."), AfterValidator(_name)]
MessageId = Annotated[str, Field(pattern=rf"^{_ID}$", description="The `id` of a mail in a result.")]
MessageIds = Annotated[
    list[MessageId],
    Field(
        min_length=1,
        json_schema_extra={"maxItems": MAX_AT_ONCE},  # told to the model here; the validator's refusal says why
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
Recipients = Annotated[str, AfterValidator(letter.addresses)]
HeaderText = Annotated[str, AfterValidator(letter.header_text)]
