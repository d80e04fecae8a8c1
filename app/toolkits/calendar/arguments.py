"""Argument types of the calendar tools; each rejects values that Google should never see."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field

from app.toolkits.calendar.times import read_moment, read_when
from app.toolkits.written import few_addresses, long_text, one_line

MAX_TITLE = 500  # characters
MAX_TEXT = 8_000  # characters of a description; Google takes 8,192
MAX_PEOPLE = 20  # whose calendars are looked at, and who is invited by one call


def _moment(text: str) -> str:
    read_moment(text)
    return text.strip()


def _when(text: str) -> str:
    read_when(text)
    return text.strip()


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
Title = Annotated[str, AfterValidator(partial(one_line, at_most=MAX_TITLE))]
Location = Annotated[str, AfterValidator(partial(one_line, at_most=MAX_TITLE))]
Description = Annotated[str, AfterValidator(partial(long_text, at_most=MAX_TEXT))]
People = Annotated[
    str,
    Field(description="E-mail addresses, separated by commas."),
    AfterValidator(partial(few_addresses, at_most=MAX_PEOPLE)),
]
