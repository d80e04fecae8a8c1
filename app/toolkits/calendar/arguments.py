"""Argument types of the calendar tools; each rejects values that Google should never see."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from app.toolkits.calendar.times import read_moment, read_when
from app.toolkits.written import addresses, body_text, header_text

MAX_TITLE = 500  # characters
MAX_TEXT = 8_000  # characters of a description; Google takes 8,192
MAX_PEOPLE = 20  # whose calendars are looked at, and who is invited by one call


def _moment(text: str) -> str:
    read_moment(text)
    return text.strip()


def _when(text: str) -> str:
    read_when(text)
    return text.strip()


def _line(text: str) -> str:
    """Return the text if it is one line that says something.

    Raises:
        ValueError: It is empty, too long, or `header_text` refuses it.
    """
    if not text.strip():
        raise ValueError("this is empty: ask the person what it should be")
    if len(text) > MAX_TITLE:
        raise ValueError(f"at most {MAX_TITLE} characters, please")
    return header_text(text)


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"at most {MAX_TEXT} characters, please")
    return body_text(text)


def _people(text: str) -> str:
    """Return addresses, separated by commas.

    Raises:
        ValueError: There are too many, or `addresses` refuses them.
    """
    found = addresses(text)
    if (count := len(found.split(", "))) > MAX_PEOPLE:
        raise ValueError(f"at most {MAX_PEOPLE} people in one call, and these are {count}")
    return found


Time = Annotated[
    str,
    Field(description="A time with an offset or a zone: 2026-12-01T10:00+01:00 or 2026-12-01T10:00 Europe/Berlin."),
    AfterValidator(_moment),
]
When = Annotated[
    str,
    Field(
        description="A time with an offset or a zone, 2026-12-01T10:00+01:00 or 2026-12-01T10:00 Europe/Berlin; or a "
        "whole day, 2026-12-01."
    ),
    AfterValidator(_when),
]
EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,1024}$", description="The `id` of an event in a result.")]
CalendarId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.@#+-]{1,254}$",
        description="The `id` of a calendar in calendar_calendars; `primary` is the person's own.",
    ),
]
Title = Annotated[str, AfterValidator(_line)]
Location = Annotated[str, AfterValidator(_line)]
Description = Annotated[str, AfterValidator(_text)]
People = Annotated[str, Field(description="E-mail addresses, separated by commas."), AfterValidator(_people)]
