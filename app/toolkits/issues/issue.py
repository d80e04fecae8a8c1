"""Issues as GitHub gives them, and as they are shown; others write titles and texts, so they are quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.toolkits.shapes import mapping, number, objects, text
from app.toolkits.untrusted import Quotes

_MAX_TITLE = 300  # characters shown of one
_MAX_REPOSITORY = 200


def summary(issue: Mapping[str, Any], quotes: Quotes, repository: str = "") -> dict[str, Any]:
    """Return what a list says about an issue.

    Args:
        issue: As the API gives it.
        quotes: Those of the answer that it becomes a part of.
        repository: Where it is, for an issue that does not say so itself.
    """
    place = text(mapping(issue, "repository"), "full_name")[:_MAX_REPOSITORY] or repository
    return {
        "title": quotes.quote(text(issue, "title")[:_MAX_TITLE]) or "(no title)",
        "issue": f"{place}#{number(issue, 'number')}",
        "opened_by": _login(issue),
        **({} if text(issue, "state") == "open" else {"state": text(issue, "state")[:20]}),
        **({"comments": number(issue, "comments")} if number(issue, "comments") else {}),
        **({"pull_request": True} if "pull_request" in issue else {}),
        "modified": text(issue, "updated_at")[:40],
    }


def whole_text(issue: Mapping[str, Any], comments: Sequence[Mapping[str, Any]]) -> str:
    """Return an issue's text, and below it its comments, each with its author's name."""
    parts = [text(issue, "body") or "(no text)"]
    parts += [f"{_login(each)} on {text(each, 'created_at')[:10]}:\n{text(each, 'body')}" for each in comments]
    return "\n\n".join(parts)


def assignees(issue: Mapping[str, Any]) -> str:
    """Return the accounts that it is assigned to, with commas."""
    return ", ".join(text(each, "login")[:_MAX_REPOSITORY] for each in objects(issue, "assignees"))


def _login(value: Mapping[str, Any]) -> str:
    """Return an author's account, whose name GitHub limits to letters, digits and hyphens."""
    return text(mapping(value, "user"), "login")[:_MAX_REPOSITORY]
