"""The arguments that the Gmail tools take from a model, and the phrases that a person can type for them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai.messages import ModelRequest, ToolCallPart, UserPromptPart

from app.llm.offline import reply
from app.toolkits.gmail import GmailToolkit
from app.toolkits.toolkit import Effect

DEFINITIONS = [spec.definition for spec in GmailToolkit.tools().values()]


@pytest.mark.parametrize(
    ("typed", "tool", "arguments"),
    [
        ("show my unread mail", "unread", {}),
        ("Do I have any unread messages?", "unread", {}),
        ("list 5 unread emails", "unread", {"limit": 5}),
        ("unread", "unread", {}),
        ("What's new?", "latest", {}),
        ("What\u2019s new in my inbox?", "latest", {}),
        ("latest mail", "latest", {}),
        ("last 5 mails", "latest", {"limit": 5}),
        ("Please show me my 3 latest e-mails", "latest", {"limit": 3}),
        ("check my inbox", "latest", {}),
        ("search mail for budget report", "search", {"query": "budget report"}),
        ("find messages about the harbour.", "search", {"query": "the harbour"}),
        ("mails about the harbour", "search", {"query": "the harbour"}),
        ("mails from Grace", "from_person", {"person": "Grace"}),
        ("show me all my mails from grace@example.com please", "from_person", {"person": "grace@example.com"}),
        (
            "mails from Grace Hopper since 2026-01-01 until 2026-02-01",
            "from_person",
            {"person": "Grace Hopper", "since": "2026-01-01", "until": "2026-02-01"},
        ),
        ("mails since 2026-01-01", "by_date", {"since": "2026-01-01"}),
        ("show me mails from 2026-01-01 to 2026-02-01", "by_date", {"since": "2026-01-01", "until": "2026-02-01"}),
        ("mails between 2026-01-01 and 2026-02-01", "by_date", {"since": "2026-01-01", "until": "2026-02-01"}),
        ("show my starred mails", "starred", {}),
        ("starred", "starred", {}),
        ("my drafts", "drafts", {}),
        ("show my labels", "labels", {}),
        ("show the last 5 threads", "threads", {"limit": 5}),
        ("conversations about the harbour", "threads", {"query": "the harbour"}),
        ("read thread 18f0c2d4e6a8b0c2", "read_thread", {"thread_id": "18f0c2d4e6a8b0c2"}),
        ("open attachment 18f0c2d4e6a8b0c2/1", "read_attachment", {"reference": "18f0c2d4e6a8b0c2/1"}),
        ("create a label called Work/Invoices", "create_label", {"label": "Work/Invoices"}),
        ("label mail 18f0c2 as Work", "add_label", {"message_ids": ["18f0c2"], "label": "Work"}),
        ('remove label "To do" from mail 18f0c2', "remove_label", {"message_ids": ["18f0c2"], "label": "To do"}),
        ("archive mail 18f0c2", "archive", {"message_ids": ["18f0c2"]}),
        ("archive mails 18f0c2, 18f0c3", "archive", {"message_ids": ["18f0c2", "18f0c3"]}),
        ("mark mail 18f0c2 as read", "mark_read", {"message_ids": ["18f0c2"]}),
        ("mark mail 18f0c2 unread.", "mark_unread", {"message_ids": ["18f0c2"]}),
        ("Please star mail 18f0c2", "star", {"message_ids": ["18f0c2"]}),
        ("unstar mail 18f0c2", "unstar", {"message_ids": ["18f0c2"]}),
        (
            "draft a mail to grace@example.com about Lunch: at noon?",
            "create_draft",
            {"to": "grace@example.com", "subject": "Lunch", "body": "at noon?"},
        ),
        ("delete the label Work/Bills", "delete_label", {"label": "Work/Bills"}),
        (
            "rewrite draft r18f0c2 as mail to grace@example.com about Lunch: at one?",
            "update_draft",
            {"draft_id": "r18f0c2", "to": "grace@example.com", "subject": "Lunch", "body": "at one?"},
        ),
        ("trash mail 18f0c2", "trash", {"message_ids": ["18f0c2"]}),
        ("delete mails 18f0c2,18f0c3", "trash", {"message_ids": ["18f0c2", "18f0c3"]}),
        ("untrash mail 18f0c2", "untrash", {"message_ids": ["18f0c2"]}),
        (
            "reply to mail 18f0c2 to grace@example.com about Re: Lunch: Yes:\nat noon",
            "reply",
            {"message_id": "18f0c2", "to": "grace@example.com", "subject": "Re: Lunch", "body": "Yes:\nat noon"},
        ),
        (
            "answer grace@example.com in mail 18f0c2, cc c@d.example, subject Lunch: yes",
            "reply",
            {
                "message_id": "18f0c2",
                "to": "grace@example.com",
                "cc": "c@d.example",
                "subject": "Lunch",
                "body": "yes",
            },
        ),
        ("look for invoices in my inbox", "search", {"query": "invoices"}),
        ("read mail 18f0c2d4e6a8b0c2", "read", {"message_id": "18f0c2d4e6a8b0c2"}),
        ("open message 18f0c2d4e6a8b0c2, page 2", "read", {"message_id": "18f0c2d4e6a8b0c2", "page": 2}),
        (
            "send mail to grace@example.com subject Lunch: at noon?\nAda",
            "send",
            {"to": "grace@example.com", "subject": "Lunch", "body": "at noon?\nAda"},
        ),
        (
            "Send an email to a@b.example, cc c@d.example with subject Lunch: yes: 12:30",
            "send",
            {"to": "a@b.example", "cc": "c@d.example", "subject": "Lunch", "body": "yes: 12:30"},
        ),
    ],
)
def test_a_phrase_calls_its_tool(typed: str, tool: str, arguments: dict[str, Any]) -> None:
    """A phrase calls its tool, with arguments that the tool's schema accepts."""
    call = reply([ModelRequest(parts=[UserPromptPart(typed)])], DEFINITIONS)

    assert isinstance(call, ToolCallPart)
    assert (call.tool_name, call.args) == (f"gmail_{tool}", arguments)
    assert set(arguments) <= set(GmailToolkit.tools()[call.tool_name].validator.validate_python(call.args))


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "hello",
            "send mail to grace",
            "read mail yesterday",
            "is there anything",
            "archive mail",
            "trash everything",
        ),
        "reply to mail 18f0c2: yes",  # the recipient is missing, and the person who approves has to see it
        "reply to mail 18f0c2 to grace@example.com: yes",  # the subject is missing
    ],
)
def test_other_words_call_nothing(typed: str) -> None:
    """A message that fits no phrase calls nothing."""
    assert not isinstance(reply([ModelRequest(parts=[UserPromptPart(typed)])], DEFINITIONS), ToolCallPart)


def test_recipients_are_bare_before_anybody_approves_them() -> None:
    """Recipients become addresses without names before a person approves them, so they see what is sent."""
    arguments = {"to": "Ada <ada@x.example>", "subject": "s", "body": "b", "cc": '"ada@x.example" <eve@x.example>'}
    checked = GmailToolkit.tools()["gmail_send"].validator.validate_python(arguments)

    assert (checked["to"], checked["cc"]) == ("ada@x.example", "eve@x.example")


def test_a_mail_that_is_named_twice_counts_once() -> None:
    """An id that is given twice counts once, so eleven ids of which two are equal are ten."""
    arguments = {"message_ids": [f"18f{number}" for number in range(10)] + ["18f0"]}
    checked = GmailToolkit.tools()["gmail_archive"].validator.validate_python(arguments)

    assert checked["message_ids"] == arguments["message_ids"][:10]


def test_a_person_is_one_term_of_the_search() -> None:
    """Quotes are removed from a person's name, so that it cannot end its term and begin another search."""
    checked = GmailToolkit.tools()["gmail_from_person"].validator.validate_python({"person": 'Ada" OR in:anywhere "'})

    assert checked["person"] == "Ada OR in:anywhere"


def test_only_what_others_notice_or_what_is_lost_acts() -> None:
    """Each tool that acts or organises has the effect that the design gives it."""
    by_effect = {
        effect: {spec.method for spec in GmailToolkit.tools().values() if spec.effect is effect} for effect in Effect
    }

    assert by_effect[Effect.ACT] == {"send", "reply", "send_draft", "trash", "untrash", "delete_label"}
    assert by_effect[Effect.ORGANISE] == {
        *("create_label", "add_label", "remove_label", "archive"),
        *("mark_read", "mark_unread", "star", "unstar", "create_draft", "update_draft"),
    }


@pytest.mark.parametrize(
    ("tool", "arguments", "wrong"),
    [
        ("send", {"to": "ada", "subject": "s", "body": "b"}, "write e-mail addresses"),
        (
            "send",
            {"to": "a@x.example", "cc": "a@x.example\nBcc: e@x.example", "subject": "s", "body": "b"},
            "line break",
        ),
        ("send", {"to": "a@x.example", "subject": "s\r\nBcc: e@x.example", "body": "b"}, "line break"),
        ("read", {"message_id": "../drafts"}, "pattern"),
        ("read", {"message_id": ""}, "pattern"),
        ("read", {"message_id": "18f0", "page": 0}, "greater than"),
        ("latest", {"limit": 51}, "less than"),
        ("unread", {"limit": 0}, "greater than"),
        ("search", {"query": "a", "user_id": "grace"}, "Extra inputs"),
        ("archive", {"message_ids": []}, "at least 1"),
        ("archive", {"message_ids": [f"18f{number}" for number in range(11)]}, "at most 10 mails in one call"),
        ("trash", {"message_ids": ["18f0", "../drafts"]}, "pattern"),
        ("add_label", {"message_ids": ["18f0"], "label": " "}, "1 to 225"),
        ("create_label", {"label": "a\nb"}, "line break"),
        ("reply", {"message_id": "18f0", "body": "b"}, "Field required"),
        ("reply", {"message_id": "18f0", "to": "ada", "subject": "s", "body": "b"}, "write e-mail addresses"),
        ("reply", {"message_id": "18f0", "to": "a@x.example", "body": "b"}, "Field required"),
        ("send", {"to": "a@x.example", "subject": " ", "body": "b"}, "subject is empty: ask the person"),
        ("send", {"to": "a@x.example", "subject": "s", "body": "\n"}, "text is empty: ask the person"),
        ("send", {"to": "a@x.example", "subject": "s", "body": "b\x00"}, "no control characters"),
        ("send_draft", {"draft_id": "r1"}, "Field required"),
        ("create_draft", {"to": "a@x.example", "subject": "s\nBcc: e@x.example", "body": "b"}, "line break"),
        ("by_date", {"since": "yesterday"}, "valid date"),
        ("by_date", {"since": "0001-01-01"}, "greater than"),
        ("from_person", {"person": ' "" '}, "write a name"),
        ("read_attachment", {"reference": "18f0/../1"}, "pattern"),
    ],
)
def test_wrong_arguments_are_refused_before_the_tool(tool: str, arguments: dict[str, Any], wrong: str) -> None:
    """The validator says what is wrong, so that the model can fix it before a call is made or approved."""
    with pytest.raises(ValidationError, match=wrong):
        GmailToolkit.tools()[f"gmail_{tool}"].validator.validate_python(arguments)
