"""A person's tenants and name in a user object of Slack."""

from __future__ import annotations

from typing import Any

import pytest

from interfaces.slack.people import MAX_NAME_LENGTH, name_of, tenants_of


@pytest.mark.parametrize(("user", "tenants"), [
    ({"team_id": "T1"}, ("T1",)),
    ({"team_id": "T1", "enterprise_user": {"enterprise_id": "E1", "teams": ["T2", "T1"]}}, ("E1", "T1", "T2")),
    ({"team_id": "T1", "enterprise_user": {"teams": "T2"}}, ("T1",)),
    ({"team_id": "", "enterprise_user": "E1"}, ()),
    ({}, ()),
])  # fmt: skip
def test_the_tenants_of_a_user_object(user: dict[str, Any], tenants: tuple[str, ...]) -> None:
    """The organisation comes first, and a value that is not a text is ignored."""
    assert tenants_of(user) == tenants


@pytest.mark.parametrize(("user", "name"), [
    ({"profile": {"real_name": "Ada Lovelace", "display_name": "ada"}}, "Ada Lovelace"),
    ({"profile": {"real_name": " ", "display_name": "ada"}}, "ada"),
    ({"profile": "Ada", "real_name": "Ada"}, "Ada"),
    ({"real_name": "Ada\u202e\n\u200bL"}, "AdaL"),
    ({"real_name": "A" * 200}, "A" * MAX_NAME_LENGTH),
    ({"real_name": 1}, None),
    ({}, None),
])  # fmt: skip
def test_the_name_in_a_user_object(user: dict[str, Any], name: str | None) -> None:
    """The name is short, without characters that are invisible or change the direction of the text."""
    assert name_of(user) == name
