"""OAuth scopes are compared by what they permit."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from googleapiclient.discovery_cache import get_static_doc

from app.google.apis import API_VERSIONS
from app.google.scopes import IDENTITY_SCOPES, PERMITS, missing_scopes

AUTH = "https://www.googleapis.com/auth/"


def methods_of(description: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every method below a description with each scope that allows it."""
    for method in description.get("methods", {}).values():
        yield from ((scope, method["id"]) for scope in method.get("scopes", ()))
    for below in description.get("resources", {}).values():
        yield from methods_of(below)


@pytest.fixture(scope="module")
def allowed() -> dict[str, set[str]]:
    """Return the methods that Google's discovery documents allow, by scope."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, version in (*API_VERSIONS.items(), ("slides", "v1")):
        text = get_static_doc(name, version)
        assert text is not None
        for scope, method_id in methods_of(json.loads(text)):
            found[scope].add(method_id)
    return found


def test_no_implication_promises_more_than_google_allows(allowed: dict[str, set[str]]) -> None:
    """Google's documents allow every method that a scope is said to permit."""
    broken = {
        (wide, narrow): methods
        for wide, permitted in PERMITS.items()
        for narrow in permitted - IDENTITY_SCOPES
        if (methods := allowed[narrow] - allowed[wide]) or not allowed[narrow]
    }

    assert broken == {}


@pytest.mark.parametrize(
    ("granted", "wanted", "missing"),
    [
        ({"gmail.modify"}, {"gmail.readonly", "gmail.send"}, set()),
        ({"gmail.readonly"}, {"gmail.modify"}, {"gmail.modify"}),
        ({"gmail.compose"}, {"gmail.send", "gmail.readonly"}, {"gmail.readonly"}),
        ({"calendar"}, {"calendar.events.readonly", "calendar.events"}, set()),
        ({"drive"}, {"spreadsheets.readonly"}, set()),
        ({"drive.file"}, {"drive.readonly", "documents.readonly"}, {"drive.readonly", "documents.readonly"}),
        ({"userinfo.email"}, {"userinfo.email"}, set()),
    ],
)
def test_a_wide_scope_permits_the_narrow_ones(granted: set[str], wanted: set[str], missing: set[str]) -> None:
    """Only scopes that the granted ones do not already permit are asked for."""
    found = missing_scopes(frozenset(AUTH + each for each in wanted), frozenset(AUTH + each for each in granted))

    assert found == {AUTH + each for each in missing}


def test_the_whole_mailbox_permits_every_gmail_scope_that_tools_use() -> None:
    """`https://mail.google.com/`, which other programs ask for, permits reading, labels and sending."""
    wanted = frozenset(AUTH + f"gmail.{each}" for each in ("readonly", "modify", "send", "compose", "labels"))

    assert missing_scopes(wanted, frozenset({"https://mail.google.com/"})) == frozenset()
    assert missing_scopes(frozenset({"email"}), frozenset({f"{AUTH}userinfo.email"})) == frozenset()
