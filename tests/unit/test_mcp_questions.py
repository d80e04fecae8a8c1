"""Questions of MCP servers, read as forms: which ones are refused, and what an answer may be."""

from __future__ import annotations

from typing import Any

import mcp_types
import pytest

from app.approvals.form import Form
from app.errors import ToolError
from app.mcp.questions import question_in

TEXT = {"type": "string"}


def form_of(schema: dict[str, Any], message: str = "Well?") -> Form:
    """Return the form of one question."""
    params = mcp_types.ElicitRequestFormParams(message=message, requested_schema=schema)
    return asked(mcp_types.ElicitRequest(params=params))


def asked(request: mcp_types.InputRequest, *, knows_people: bool = True, state: str = "state") -> Form:
    """Return the form of one request."""
    result = mcp_types.InputRequiredResult(input_requests={"ask": request}, request_state=state)
    return question_in("shop", result, url="https://shop.example/mcp", knows_people=knows_people).form


def flat(**properties: Any) -> dict[str, Any]:
    """Return a schema that requires all of these properties."""
    return {"type": "object", "properties": properties, "required": [*properties]}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (flat(password=TEXT), "Log in"),
        (flat(value={"type": "string", "title": "API key"}), "Well?"),
        (flat(value=TEXT), "Send your \uff50assword"),  # a full-width letter
        (flat(value=TEXT), "Send your pass\u200bword"),
        (flat(value={"type": "integer"}), "Your PIN?"),
        (flat(access_token=TEXT), "Well?"),
    ],
)
def test_no_form_asks_for_a_secret(schema: dict[str, Any], message: str) -> None:
    """A form that asks for a secret is refused, because texts in a chat are kept; servers must use a page for it."""
    with pytest.raises(ToolError, match="for a password or another secret"):
        form_of(schema, message)


@pytest.mark.parametrize(
    "schema",
    [
        flat(**{f"field{number}": TEXT for number in range(9)}),
        flat(value={"type": "object", "properties": {"deep": TEXT}}),
        flat(value={"type": "array", "items": TEXT}),
        flat(value={"$ref": "#/x"}),
        flat(value={"type": "string", "enum": [str(number) for number in range(21)]}),
        flat(value={"type": "string", "enum": [1, 2]}),
        flat(value={"type": "string", "description": "x" * 10_001}),
        flat(one={"type": "string", "title": "Name"}, two={"type": "string", "title": "name"}),
    ],
)
def test_what_cannot_be_asked_in_a_chat_is_refused(schema: dict[str, Any]) -> None:
    """Only a few simple values can be asked for, each under its own name."""
    with pytest.raises(ToolError, match="The server shop asks"):
        form_of(schema)


def test_a_value_is_answered_by_its_name_without_marks() -> None:
    """A value's name is read without marks, such as the asterisk of a required value or those of a list."""
    form = form_of(
        flat(
            name={"type": "string", "title": "Your name *"},
            year={"type": "integer", "title": "**Year**:"},
            marks={"type": "string", "title": "***"},
        )
    )

    assert [each.label for each in form.fields] == ["Your name", "Year", "marks"]
    answers = form.read("Your name *: Ada\n- year: 1815\nMarks: none")
    assert answers == {"ask": {"name": "Ada", "year": 1815, "marks": "none"}}


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "https://bank.example@evil.example/",
        "https://b\u0430nk.example/",
        "javascript:alert(1)",
        "https://shop.example/\u202e",
        "https://shop.example/" + "x" * 2_000,
        "https://[",
    ],
)
def test_an_address_that_misleads_is_refused(url: str) -> None:
    """The address of a page must use https and hide nothing."""
    with pytest.raises(ToolError, match="an address that is not safe"):
        asked(mcp_types.ElicitRequest(params=mcp_types.ElicitRequestURLParams(message="Pay", url=url)))


def test_nothing_else_is_given_to_a_server() -> None:
    """Servers get neither a model nor a list of folders, and a state that is too long is not kept."""
    with pytest.raises(ToolError, match="something that I do not give to servers"):
        asked(mcp_types.ListRootsRequest())
    with pytest.raises(ToolError, match="more than I ask anybody at once"):
        asked(mcp_types.ElicitRequest(params=mcp_types.ElicitRequestURLParams(message="", url="")), state="x" * 64_001)


@pytest.mark.parametrize(
    ("described", "text", "value"),
    [
        ({"type": "boolean"}, "Yes.", True),
        ({"type": "boolean"}, "no", False),
        ({"type": "number", "maximum": 2}, "1.5", 1.5),
        ({"type": "string", "oneOf": [{"const": "#f00", "title": "Red"}]}, "red", "#f00"),
        ({"type": "string", "enum": ["b", "a"]}, "2", "a"),
        ({"type": "string", "enum": ["2", "1"]}, "2", "2"),
        ({"type": "string", "format": "date"}, "2026-11-30", "2026-11-30"),
        ({"type": "string"}, "two\nlines", "two\nlines"),
    ],
)
def test_an_answer_is_read_as_the_value_that_is_asked_for(described: dict[str, Any], text: str, value: object) -> None:
    """A choice can be named by its words, its value or its number."""
    assert form_of(flat(it=described)).read(text) == {"ask": {"it": value}}


@pytest.mark.parametrize(
    ("described", "text"),
    [
        ({"type": "boolean"}, "perhaps"),
        ({"type": "number", "maximum": 2}, "nan"),
        ({"type": "integer"}, "1" * 5_000),
        ({"type": "string", "enum": ["a"]}, "0"),
        ({"type": "string", "enum": ["a"]}, "\u00b2"),
        ({"type": "string", "format": "email"}, "ada"),
        ({"type": "string", "maxLength": 3}, "four"),
        ({"type": "string"}, "x" * 2_001),
        ({"type": "string", "minLength": 1}, ""),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_in_words(described: dict[str, Any], text: str) -> None:
    """An answer that does not fit is refused with what would fit."""
    with pytest.raises(ValueError, match="`it` takes"):
        form_of(flat(it=described)).read(text)


def test_several_values_are_answered_on_lines_of_their_own() -> None:
    """Each value stands on a line after its name; optional ones may be left out, and nothing is guessed."""
    schema = {**flat(name=TEXT, age={"type": "integer"}, note=TEXT), "required": ["name", "age"]}
    form = form_of(schema)

    assert form.read("Age: 3\n- name: Ada: the first") == {"ask": {"name": "Ada: the first", "age": 3}}
    for wrong in ("Ada, 3", "name: Ada\nname: Grace\nage: 3", "name: Ada\nsize: 3"):
        with pytest.raises(ValueError, match="Write each answer on a line of its own"):
            form.read(wrong)
