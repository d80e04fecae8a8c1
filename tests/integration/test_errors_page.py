"""Tests that docs/errors.md has a heading for every error, and shows the code's messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import errors
from app.errors import DeputyError
from tests.provoking import PROVOKED, Provoke
from tests.provoking.showing import Shown

PAGE = (Path(__file__).parents[2] / "docs/errors.md").read_text()
HEADING_OR_MESSAGE = re.compile(r"^## (?P<name>\w+)$|^```text\n(?P<text>.*?)\n```$", re.MULTILINE | re.DOTALL)


def headings() -> list[str]:
    """Return the errors that the page has, in its order."""
    return [match["name"] for match in HEADING_OR_MESSAGE.finditer(PAGE) if match["name"]]


def messages() -> list[Shown]:
    """Return the messages that the page shows, each with the error of its heading."""
    shown: list[Shown] = []
    name = ""
    for match in HEADING_OR_MESSAGE.finditer(PAGE):
        name = match["name"] or name
        if match["text"]:
            shown.append((name, match["text"]))
    return shown


def fits(message: str, shown: str) -> bool:
    """Return whether a message matches the one shown, in which ``…`` stands for any text."""
    return re.fullmatch(re.escape(shown).replace("…", ".+"), message, re.DOTALL) is not None


def test_every_error_has_its_heading() -> None:
    """The headings follow the tree in app/errors.py, then the errors of the containers and of the system."""
    tree: list[str] = re.findall(r"^[│├└─ ]*(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    defined = {
        kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DeputyError)
    }

    assert set(tree) == defined
    assert headings() == [*tree, "LifetimeError", "ScopeError", "IsolationError", "OSError"]


def test_every_message_is_provoked() -> None:
    """The page shows as many messages as tests provoke, and at least one for each error that is raised."""
    families = {"DeputyError", "MessageError", "ConsentError"}

    assert len(messages()) == len(PROVOKED)
    assert set(headings()) - {name for name, _ in messages()} == families


@pytest.mark.parametrize(
    ("provoke", "shown"), [*zip(PROVOKED, messages(), strict=False)], ids=lambda each: getattr(each, "__name__", "")
)
async def test_the_message_is_the_codes_own(
    provoke: Provoke, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page shows the class and the words of the error that is raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    kind, message = await provoke(tmp_path)

    assert kind == shown[0]
    assert fits(message, shown[1]), message


@pytest.mark.parametrize(("message", "same"), [("a 1 b", True), ("a b", False), ("a 1 c", False), ("xa 1 b", False)])
def test_only_what_differs_may_differ(message: str, same: bool) -> None:
    """A message may differ from the page only where the page has an ellipsis."""
    assert fits(message, "a … b") is same
