"""The log: one line per event, with its time, message and person, and never the text of other people's exceptions."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from io import StringIO

import pytest

from app.commands.logs import JsonFormatter, TextFormatter
from app.errors import SettingsError
from app.log_context import log_about
from app.principal import Principal

SECRET = "CANARY7f3a"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def written() -> StringIO:
    """Return the stream that the log is written to."""
    return StringIO()


@pytest.fixture(params=[TextFormatter(), JsonFormatter()], ids=["text", "json"])
def log(request: pytest.FixtureRequest, written: StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """Yield a logger of this test's own that writes in the format."""
    handler = logging.StreamHandler(written)
    handler.setFormatter(request.param)
    log = logging.getLogger("app.test")
    monkeypatch.setattr(log, "propagate", False)
    log.addHandler(handler)
    yield log
    log.removeHandler(handler)
    handler.close()


async def test_lines_of_two_people_name_their_own(
    log: logging.Logger, written: StringIO, ada: Principal, grace: Principal
) -> None:
    """When two messages are answered in turns, each line names its own message and person."""
    turns = [asyncio.Event() for _ in range(7)]
    turns[0].set()

    async def answer(person: Principal, first: int) -> None:
        log_about(f"message-of-{person.user}", person)
        for turn in range(first, 6, 2):
            await turns[turn].wait()
            log.warning("written for %s", person.user)
            turns[turn + 1].set()

    await asyncio.gather(*(asyncio.create_task(answer(person, first)) for first, person in enumerate((ada, grace))))
    log.warning("about nobody")
    *lines, last = written.getvalue().splitlines()

    assert [re.findall(r"written for (\w+)", line) for line in lines] == [["ada"], ["grace"]] * 3
    for line, user in zip(lines, ["ada", "grace"] * 3, strict=True):
        assert f"message-of-{user}" in line
        assert f"http:demo:{user}" in line
        assert ("ada" in line) != ("grace" in line)
    assert "message-of" not in last


def test_an_event_is_one_line(log: logging.Logger, written: StringIO) -> None:
    """Each event is one line that begins with its time; line breaks and control characters are escaped."""
    log.warning("one\ntwo\r\x1b[31m\u2028%s", "x" * 500)
    [line] = written.getvalue().splitlines()

    assert re.match(rf'{TIME} WARNING app\.test |\{{"time": "{TIME}", "level": "warning"', line)
    assert "x" * 500 in line
    assert "\x1b" not in line


def test_an_exception_shows_where_and_not_what(log: logging.Logger, written: StringIO) -> None:
    """A foreign exception is logged with its class and frames on one line, without its text, notes or cause."""
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as cause:
            error = ValueError(f"not a number: {SECRET}")
            error.add_note(SECRET)
            raise error from cause
    except ValueError:
        log.exception("a tool failed")
    [line] = written.getvalue().splitlines()

    assert SECRET not in line
    assert "ValueError" in line
    assert re.search(rf"{__name__}:\d+ test_an_exception_shows_where", line)


def test_our_own_exception_is_quoted(log: logging.Logger, written: StringIO) -> None:
    """Deputy's own exceptions are logged with their text, which says what to do and holds no secret."""
    try:
        raise SettingsError("google.mode: write sandbox")
    except SettingsError:
        log.exception("it did not start")

    assert "SettingsError: google.mode: write sandbox" in written.getvalue()


@pytest.mark.parametrize("log", [JsonFormatter()], indirect=True)
def test_json_lines_have_their_own_keys(log: logging.Logger, written: StringIO) -> None:
    """A JSON line has the time, level, logger, text, error and frames under their own names."""
    try:
        raise SettingsError("wrong")
    except SettingsError:
        log.exception("it %s", "failed")
    event = json.loads(written.getvalue())

    assert re.fullmatch(TIME, event["time"])
    assert (event["level"], event["logger"], event["message"]) == ("error", "app.test", "it failed")
    assert event["error"] == "SettingsError: wrong"
    assert len(event["frames"]) == 1


def test_a_task_that_failed_unseen_shows_no_text(log: logging.Logger, written: StringIO) -> None:
    """Only the first line of asyncio's message is kept, because its further lines quote the exception."""
    text = f"Task exception was never retrieved\nfuture: {SECRET}"
    log.handle(logging.LogRecord("asyncio", logging.ERROR, "", 0, text, (), None))

    assert "never retrieved" in written.getvalue()
    assert SECRET not in written.getvalue()
