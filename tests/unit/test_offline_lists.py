"""The offline model's lists: short lines for people, numbers in place of ids, and words for times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.tools import ToolDefinition

from app.llm.entries import moment
from app.llm.offline import reply
from app.llm.rendering import render
from app.toolkits.asides import with_aside

NOW = datetime(2026, 11, 29, 15, 0, tzinfo=UTC)  # a Sunday
READ = ToolDefinition(
    name="gmail_read",
    parameters_json_schema={"type": "object", "properties": {"message_id": {"type": "string"}}},
    metadata={"phrases": (r"(?:read|open) mail (?P<message_id>[\w-]{6,})",)},
)
TRASH = ToolDefinition(
    name="gmail_trash",
    parameters_json_schema={"type": "object", "properties": {"message_ids": {"type": "array"}}},
    metadata={"phrases": (r"trash mails? (?P<message_ids>[\w-]{6,}(?:\s*,\s*[\w-]{6,})*)",)},
)


def mail(number: int, **changes: Any) -> dict[str, Any]:
    """Return a mail as Gmail's tools list it, with its texts between marks."""
    return {
        "id": f"18f3a2b{number}",
        "thread_id": f"18f3a2b{number}",
        "from": "⟦0a1b2c3d⟧Nils Reyes <nils@work.example>⟦/0a1b2c3d⟧",
        "to": "⟦0a1b2c3d⟧Ada Lovelace <ada@sandbox.example>⟦/0a1b2c3d⟧",
        "subject": "⟦0a1b2c3d⟧Budget⟦/0a1b2c3d⟧",
        "date": "2026-11-29T09:12:00Z",
        "snippet": "⟦0a1b2c3d⟧Hello Ada, the estimate is in.⟦/0a1b2c3d⟧",
        **changes,
    }


def listing(*mails: dict[str, Any], **more: Any) -> ToolReturnPart:
    """Return the result of a tool that lists mails."""
    return ToolReturnPart("gmail_unread", {"untrusted": "data only", "messages": [*mails], **more}, "1")


def test_mails_are_a_short_list_without_ids() -> None:
    """A list shows sender, time, subject and one line of each mail, without ids or greetings."""
    answer = render([listing(mail(1), mail(2, date="2026-11-28T18:05:00Z", snippet=""), next_page="CgQ")], NOW)

    assert answer == (
        "2 messages (times in UTC):\n"
        "1. **Budget** from Nils Reyes, today 09:12\n   the estimate is in.\n"
        "2. **Budget** from Nils Reyes, yesterday 18:05\n\n"
        "There are more."
    )


def test_what_others_wrote_cannot_look_like_formatting() -> None:
    """Markdown in a subject or a text is removed, and a long text is cut at a word."""
    hostile = mail(1, subject="**Urgent** `approve 3f2a`\n2. fake", snippet="_word_ " * 40)
    answer = render([listing(hostile)], NOW)

    assert answer.splitlines()[1] == "1. **Urgent approve 3f2a 2. fake** from Nils Reyes, today 09:12"
    assert answer.splitlines()[2].endswith("word …")
    assert len(answer.splitlines()[2]) < 130


def test_a_mail_is_read_like_a_mail() -> None:
    """A mail shows its head line by line with full addresses, then its text, then its attachments."""
    attached = [{"reference": "18f3a2b1/2", "name": "figures.csv", "type": "text/csv", "size": 300}]
    read = ToolReturnPart("gmail_read", mail(1, body="Dear Ada,\n\nas agreed.", attachments=attached), "1")

    assert render([read], NOW) == (
        "**Budget**\nFrom Nils Reyes <nils@work.example>\nTo Ada Lovelace <ada@sandbox.example>\nToday 09:12, UTC\n\n"
        "Dear Ada,\n\nas agreed.\n\nAttached: figures.csv (text/csv)"
    )


def test_events_and_threads_are_lists_too() -> None:
    """Events are listed with their end, and events and threads with further details."""
    event = {"id": "e1", "title": "Review", "start": "2026-11-30T09:00+01:00", "end": "2026-11-30T10:30+01:00"}
    thread = {"id": "t1", "subject": "Tea", "from": ["Ada <a@x.example>", "Bob"], "mails": 3, "unread": 1}
    gone = {"id": "t2", "problem": with_aside("this mail is gone", "Check the id.")}

    assert render([ToolReturnPart("list", {"events": [{**event, "where": "C3"}]}, "1")], NOW) == (
        "1 event:\n1. **Review**, tomorrow 09:00 to 10:30 (where: C3)"
    )
    assert render([ToolReturnPart("list", {"threads": [thread, gone]}, "1")], NOW) == (
        "2 threads:\n1. **Tea** from Ada, Bob (mails: 3, unread: 1)\n2. (cannot be shown: this mail is gone)"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-29T09:12:00Z", "today 09:12"),
        ("2026-11-29T23:30:00-05:00", "tomorrow 23:30"),
        ("2026-11-28", "yesterday"),
        ("2026-11-20T07:00:00Z", "Friday 20 November 07:00"),
        ("2025-11-20", "Thursday 20 November 2025"),
        ("unknown", "unknown"),
    ],
)
def test_times_are_said_in_words(text: str, words: str) -> None:
    """Times are worded relative to today in their own offset, and other texts stay as they are."""
    now = datetime(2026, 11, 29, 4, 0, tzinfo=UTC) if "-05:00" in text else NOW

    assert moment(text, now) == words


def test_a_number_stands_for_a_thing_of_the_last_list() -> None:
    """A number in a command refers to the sender's latest list."""
    history = [ModelRequest(parts=[listing(mail(7), mail(8))]), ModelRequest(parts=[listing(mail(1), mail(2))])]

    def call(text: str) -> object:
        answer = reply([*history, ModelRequest(parts=[UserPromptPart(text)])], [READ, TRASH])
        return answer.args if isinstance(answer, ToolCallPart) else answer

    assert call("open mail 2") == call("read 2") == {"message_id": "18f3a2b2"}
    assert call("trash mails 1, 2") == {"message_ids": ["18f3a2b1", "18f3a2b2"]}
    assert isinstance(call("read 3"), TextPart)


def test_a_list_says_how_to_open_one_of_its_things() -> None:
    """A list says how to open its first item, but only if a tool understands that."""
    request = [ModelRequest(parts=[listing(mail(1))])]
    with_tool, without = reply(request, [READ], NOW), reply(request, [], NOW)

    assert isinstance(with_tool, TextPart)
    assert with_tool.content.endswith("\n\nWrite `read mail 1` to open the first one.")
    assert isinstance(without, TextPart)
    assert "read mail" not in without.content
