"""Days and times in a person's own time zone."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from googleapiclient.http import HttpRequest
from pydantic import TypeAdapter, ValidationError

from app.credentials.credentials import Credentials
from app.deadline import Deadline
from app.errors import GoogleError, ToolError
from app.google.apis import GoogleApis
from app.principal import Principal
from app.run import new_run
from app.toolkits.arguments import LAST_DAY, Day
from app.toolkits.calendar import READ_EVENTS
from app.toolkits.gmail import READ_MAIL
from app.toolkits.gmail.days import days, in_seconds
from app.toolkits.gmail.message import received_at
from app.toolkits.zones import KEPT_SECONDS, UNANSWERED_SECONDS, KnownZones, PersonZone
from containers.testing import FakeGoogle, FakeTokens

BERLIN, CAIRO = ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Cairo")


def _utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("day", "zone", "first", "after_last"),
    [
        (date(2026, 12, 1), BERLIN, "2026-11-30T23:00", "2026-12-01T23:00"),
        (date(2026, 3, 29), BERLIN, "2026-03-28T23:00", "2026-03-29T22:00"),  # has 23 hours
        (date(2026, 10, 25), BERLIN, "2026-10-24T22:00", "2026-10-25T23:00"),  # has 25 hours
        (date(2026, 4, 24), CAIRO, "2026-04-23T22:00", "2026-04-24T21:00"),  # begins at 1, because midnight is skipped
        (date(2026, 12, 1), ZoneInfo("Pacific/Kiritimati"), "2026-11-30T10:00", "2026-12-01T10:00"),
    ],
)
def test_a_day_lasts_from_its_midnight_to_the_next(day: date, zone: ZoneInfo, first: str, after_last: str) -> None:
    """A day lasts from its midnight to the next, even if it has 23 or 25 hours."""
    assert days(day, day, zone) == f"after:{_utc(first)} before:{_utc(after_last)}"


def test_the_first_day_comes_first() -> None:
    """Days in the wrong order are refused, and no days give an empty search."""
    with pytest.raises(ToolError, match="the first day comes first"):
        days(date(2026, 12, 2), date(2026, 12, 1), BERLIN)
    assert days(None, None, BERLIN) == ""


@pytest.mark.parametrize(
    ("query", "searched"),
    [
        ("from:ada after:2026/12/01", "from:ada after:1796079600"),
        ("-(before:2026-12-01 OR NEWER:12/01/2026)", "-(before:1796079600 OR NEWER:1796079600)"),
        ("{older:2026/3/29 has:attachment}", "{older:1774738800 has:attachment}"),
        ('"after:2026/12/01" subject:"before:2026/12/01', '"after:2026/12/01" subject:"before:2026/12/01'),
        ("after:1796079600 newer_than:2d before:2026/13/01", "after:1796079600 newer_than:2d before:2026/13/01"),
        ("after:2026/12/01x hereafter:2026/12/01", "after:2026/12/01x hereafter:2026/12/01"),
        ("the day before:", "the day before:"),
        ("after:0001/01/01 before:9999/12/31", "after:0001/01/01 before:253402210800"),
    ],
)
def test_dates_in_a_search_are_the_persons_days(query: str, searched: str) -> None:
    """Dates in a search begin at the person's midnight; quoted texts, non-dates and relative times stay as they are."""
    assert in_seconds(query, BERLIN) == searched


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-10-25T00:30:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T01:30:00", "2026-10-25T02:30:00+01:00"),  # the clocks show this time twice
        ("2026-03-29T01:00:00", "2026-03-29T03:00:00+02:00"),
    ],
)
def test_a_time_has_the_offset_of_its_day(at: str, shown: str) -> None:
    """Two times that clocks show alike have different offsets."""
    assert received_at({"internalDate": str(_utc(at) * 1000)}, BERLIN) == shown


class _Calendars:
    """Calendars that name a zone for each person and count how often they are asked."""

    def __init__(self) -> None:
        self.zones: dict[str, str | GoogleError] = {"ada": "Europe/Berlin", "grace": "Africa/Cairo"}
        self.asked: list[str] = []
        self.tokens = FakeTokens()
        self.now = 0.0
        self.known = KnownZones(lambda: self.now)
        self.apis = GoogleApis(None)

    async def zone(self, person: Principal) -> ZoneInfo:
        """Return the zone that a tool gets that reads the person's mail."""
        with new_run():
            credentials = Credentials(person, self.tokens, Deadline.after(30))
            await credentials.ensure(frozenset({READ_MAIL}))

            google = FakeGoogle(person, self.apis, self._answer)
            found = await PersonZone(person, credentials, google, self.known).get()
            assert credentials._ensured() == {READ_MAIL}  # the tool has gained no permission
            return found

    def _answer(self, person: Principal, request: HttpRequest) -> object:
        self.asked.append(person.user)
        zone = self.zones[person.user]
        if isinstance(zone, GoogleError):
            raise zone
        return {"timeZone": zone}


async def test_two_people_have_their_own_zone(ada: Principal, grace: Principal) -> None:
    """Each person's zone is asked for once and is their own, and the tool gains no permission from it."""
    calendars = _Calendars()
    for person in (ada, grace):
        calendars.tokens.grant(person, READ_MAIL, READ_EVENTS)
    found = await asyncio.gather(*(calendars.zone(person) for person in (ada, grace)))
    again = await asyncio.gather(*(calendars.zone(person) for person in (grace, ada)))

    assert (found, again) == ([BERLIN, CAIRO], [CAIRO, BERLIN])
    assert sorted(calendars.asked) == ["ada", "grace"]


async def test_nobody_is_asked_for_their_calendar(ada: Principal, grace: Principal) -> None:
    """Without permission, or after a fault of Google, the zone is UTC; with permission it is known a minute later."""
    calendars = _Calendars()
    calendars.tokens.grant(ada, READ_MAIL)
    calendars.tokens.grant(grace, READ_MAIL, READ_EVENTS)
    calendars.zones["grace"] = GoogleError("refused", status=403, reason="accessNotConfigured")
    unknown = [await calendars.zone(person) for person in (ada, grace)]
    asked_without = list(calendars.asked)
    calendars.tokens.grant(ada, READ_EVENTS)
    calendars.now = UNANSWERED_SECONDS
    later = await calendars.zone(ada)

    assert unknown == [ZoneInfo("UTC")] * 2
    assert asked_without == ["grace"]
    assert later == BERLIN


async def test_a_fault_of_googles_is_forgotten_within_a_minute(ada: Principal, grace: Principal) -> None:
    """Days begin at midnight UTC only while Google does not answer, and for at most a minute after that."""
    calendars = _Calendars()
    for person in (ada, grace):
        calendars.tokens.grant(person, READ_MAIL, READ_EVENTS)
    calendars.zones["ada"] = GoogleError("gave no answer", status=503)
    during = [await calendars.zone(person) for person in (ada, grace)]
    calendars.zones["ada"] = "Europe/Berlin"
    calendars.now = UNANSWERED_SECONDS
    after = [await calendars.zone(person) for person in (ada, grace)]

    assert (during, after) == ([ZoneInfo("UTC"), CAIRO], [BERLIN, CAIRO])


@pytest.mark.parametrize("day", [date(9999, 12, 31), date(1979, 12, 31), "9999-12-31"])
def test_a_day_that_cannot_be_counted_from_is_no_argument(day: object) -> None:
    """A day that cannot be counted from is refused as an argument; the last day that can be is accepted."""
    with pytest.raises(ValidationError):
        TypeAdapter(Day).validate_python(day)
    assert TypeAdapter(Day).validate_python(LAST_DAY) == LAST_DAY
    assert days(LAST_DAY, LAST_DAY, ZoneInfo("America/Los_Angeles"))


def test_known_zones_are_forgotten(ada: Principal, grace: Principal) -> None:
    """A zone is forgotten after an hour, and is known only for the person and the account that it belongs to."""
    now = 0.0
    known = KnownZones(lambda: now)
    known.keep(ada, "one", BERLIN)

    assert known.find(ada, "one") == BERLIN
    assert known.find(ada, "two") is None
    assert known.find(grace, "one") is None
    now = KEPT_SECONDS
    assert known.find(ada, "one") is None
