"""Partial answers: the fields that a selector keeps."""

from __future__ import annotations

from typing import Any

import pytest

from app.sandbox.google.fields import FieldsError, parse_fields, select

ANSWER = {
    "messages": [{"id": "1", "payload": {"headers": ["h"], "body": "b"}}, {"id": "2"}],
    "nextPageToken": "t",
    "count": 2,
}


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ("count", {"count": 2}),
        ("messages/id,nextPageToken", {"messages": [{"id": "1"}, {"id": "2"}], "nextPageToken": "t"}),
        ("messages(id,payload/headers)", {"messages": [{"id": "1", "payload": {"headers": ["h"]}}, {"id": "2"}]}),
        ("messages/payload(body)", {"messages": [{"payload": {"body": "b"}}, {}]}),
        ("*", ANSWER),
        ("absent", {}),
    ],
)
def test_a_selector_leaves_what_it_names(fields: str, left: Any) -> None:
    """Commas, slashes, parentheses and the asterisk select fields as Google documents it."""
    assert select(parse_fields(fields), ANSWER) == left


@pytest.mark.parametrize("fields", ["messages(id", "messages)", ",id", "id,", "a//b", "a;b", "messages()"])
def test_a_malformed_selector_is_refused(fields: str) -> None:
    """A malformed selector raises an error instead of selecting nothing."""
    with pytest.raises(FieldsError):
        select(parse_fields(fields), ANSWER)
