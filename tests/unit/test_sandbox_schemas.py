"""Discovery schemas as JSON Schema, and how the sandbox checks requests by them."""

from __future__ import annotations

import pytest

from app.sandbox.google.schemas import Schemas

SCHEMAS = Schemas(
    {
        "Event": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "annotations": {"required": ["calendar.events.update"]}},
                "count": {"type": "string", "format": "int64"},
                "size": {"type": "integer", "format": "uint32"},
                "data": {"type": "string", "format": "byte"},
                "at": {"type": "string", "format": "date-time"},
                "status": {"type": "string", "enum": ["open", "shut"]},
                "extra": {"type": "any"},
                "guests": {"type": "array", "items": {"$ref": "Guest"}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "Guest": {"type": "object", "properties": {"email": {"type": "string"}}},
    }
)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"count": "-9223372036854775808", "size": 4294967295, "data": "aGk_-w==", "extra": [None]},
        {"at": "2026-01-31T10:00:00.5+01:00", "status": "open", "labels": {"any": "text"}},
        {"guests": [{"email": "ada@sandbox.example"}, {}]},
    ],
)
def test_what_fits_is_accepted(value: object) -> None:
    """Values in the forms that Google's type reference gives are accepted."""
    assert SCHEMAS.error("Event", value) is None


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"colour": "red"}, "Event: "),
        ({"count": 5}, "Event.count: "),
        ({"count": "5.0"}, "Event.count: "),
        ({"size": -1}, "Event.size: "),
        ({"size": "1"}, "Event.size: "),
        ({"data": "a+b/"}, "Event.data: "),
        ({"at": "2026-01-31T10:00:00"}, "Event.at: "),
        ({"status": "ajar"}, "Event.status: "),
        ({"labels": {"any": 1}}, "Event.labels.any: "),
        ({"guests": [{}, {"name": "Ada"}]}, "Event.guests[1]: "),
        ([], "Event: "),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(value: object, where: str) -> None:
    """An error begins with the path of what is wrong."""
    error = SCHEMAS.error("Event", value)

    assert error is not None
    assert error.startswith(where)


def test_an_error_quotes_no_value() -> None:
    """An error names only the rule and the key, because a value may be the text of a mail."""
    error = SCHEMAS.error("Event", {"status": "a secret", "guests": "another secret"})

    assert "secret" not in str(error)


def test_what_a_method_requires_is_missed() -> None:
    """A property that a method requires by its annotations is reported as missing."""
    assert SCHEMAS.missing("Event", {}, "calendar.events.update") == ["id"]
    assert SCHEMAS.missing("Event", {}, "calendar.events.insert") == []
