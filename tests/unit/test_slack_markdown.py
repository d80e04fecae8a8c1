"""Markdown for Slack that notifies nobody and hides no link."""

from __future__ import annotations

import pytest

from interfaces.slack.markdown import safe_markdown


@pytest.mark.parametrize(
    "call",
    ["<!channel>", "<!here|x>", "<!everyone>", "<!subteam^S1>", "<!date^1^x|y>", "<@U0ADA>", "<#C012>", "<!CHANNEL>"],
)
def test_nobody_is_called(call: str) -> None:
    """Slack's own marks no longer notify anybody, and look the same."""
    safe = safe_markdown(f"a {call} b")

    assert call not in safe
    assert safe.replace("\u2060", "") == f"a {call} b"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("[bank](https://evil.example)", "[bank] (https://evil.example)"),
        ("[bank]( <https://evil.example> )", "[bank] ( <https://evil.example> )"),
        ("[bank](\nhttps://evil.example)", "[bank] (\nhttps://evil.example)"),
        ("![x](https://evil.example/?q=1)", "![x] (https://evil.example/?q=1)"),
        ("[b](javascript:alert(1)) [c](//evil.example)", "[b] (javascript:alert(1)) [c] (//evil.example)"),
        ("[bank]\n\n[bank]: https://evil.example", "[bank]\n\n[bank] : https://evil.example"),
        ("> - [1]: <https://evil.example>", "> - [1] : <https://evil.example>"),
    ],
)
def test_a_link_shows_where_it_leads(text: str, safe: str) -> None:
    """A link's label cannot replace its address."""
    assert safe_markdown(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "**bold** _it_ ~~no~~",
        "# Title\n- a\n1. b",
        "`<b>` and `handlers[i](event)`",
        "<!DOCTYPE html>",
        "a < b & c > d",
        "https://a.example",
    ],
)
def test_anything_else_is_left_alone(text: str) -> None:
    """Formatting, code and comparisons do not change."""
    assert safe_markdown(text) == text
