"""What the Gmail tools take: arguments of a model, and phrases of a person for the offline model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai.messages import ModelRequest, ToolCallPart, UserPromptPart

from app.llm.offline import reply
from app.toolkits.gmail import GmailToolkit

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
        ("mails from Grace", "search", {"query": "Grace"}),
        ("show me all my mails from grace@example.com please", "search", {"query": "grace@example.com"}),
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
    """The phrase reaches the tool, with arguments that its schema takes."""
    call = reply([ModelRequest(parts=[UserPromptPart(typed)])], DEFINITIONS)

    assert isinstance(call, ToolCallPart)
    assert (call.tool_name, call.args) == (f"gmail_{tool}", arguments)
    assert GmailToolkit.tools()[call.tool_name].validator.validate_python(call.args)


@pytest.mark.parametrize("typed", ["hello", "send mail to grace", "read mail yesterday", "is there anything"])
def test_other_words_call_nothing(typed: str) -> None:
    """What does not fit is not guessed at."""
    assert not isinstance(reply([ModelRequest(parts=[UserPromptPart(typed)])], DEFINITIONS), ToolCallPart)


def test_recipients_are_bare_before_anybody_approves_them() -> None:
    """The arguments that a person is shown are those that are sent: addresses without names."""
    arguments = {"to": "Ada <ada@x.example>", "subject": "s", "body": "b", "cc": '"ada@x.example" <eve@x.example>'}
    checked = GmailToolkit.tools()["gmail_send"].validator.validate_python(arguments)

    assert (checked["to"], checked["cc"]) == ("ada@x.example", "eve@x.example")


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
    ],
)
def test_wrong_arguments_are_refused_before_the_tool(tool: str, arguments: dict[str, Any], wrong: str) -> None:
    """The validator says what is wrong, so that the model can mend it and no call is made or approved."""
    with pytest.raises(ValidationError, match=wrong):
        GmailToolkit.tools()[f"gmail_{tool}"].validator.validate_python(arguments)
