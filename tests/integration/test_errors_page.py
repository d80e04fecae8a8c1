"""docs/errors.md has a heading for every error, and shows what the code says."""

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
    """The errors that the page has, in its order."""
    return [match["name"] for match in HEADING_OR_MESSAGE.finditer(PAGE) if match["name"]]


def messages() -> list[Shown]:
    """The messages that the page shows, each below the heading of its error."""
    shown: list[Shown] = []
    name = ""
    for match in HEADING_OR_MESSAGE.finditer(PAGE):
        name = match["name"] or name
        if match["text"]:
            shown.append((name, match["text"]))
    return shown


def fits(message: str, shown: str) -> bool:
    """Whether a message is the one that is shown, ``…`` standing for what differs."""
    return re.fullmatch(re.escape(shown).replace("…", ".+"), message, re.DOTALL) is not None


def test_every_error_has_its_heading() -> None:
    """In the order of the tree that app/errors.py draws; what the containers and the system raise follows."""
    tree: list[str] = re.findall(r"^[│├└─ ]*(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    defined = {
        kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DeputyError)
    }

    assert set(tree) == defined
    assert headings() == [*tree, "LifetimeError", "ScopeError", "IsolationError", "OSError"]


def test_every_message_is_provoked() -> None:
    """The page shows as many messages as are held to the code below, and one at least of each error that is raised."""
    families = {"DeputyError", "MessageError", "ConsentError"}

    assert len(messages()) == len(PROVOKED)
    assert set(headings()) - {name for name, _ in messages()} == families


@pytest.mark.parametrize(
    ("provoke", "shown"), [*zip(PROVOKED, messages(), strict=False)], ids=lambda each: getattr(each, "__name__", "")
)
async def test_the_message_is_the_codes_own(
    provoke: Provoke, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page shows is what is raised, by its class and its words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    kind, message = await provoke(tmp_path)

    assert kind == shown[0]
    assert fits(message, shown[1]), message


@pytest.mark.parametrize(("message", "same"), [("a 1 b", True), ("a b", False), ("a 1 c", False), ("xa 1 b", False)])
def test_only_what_differs_may_differ(message: str, same: bool) -> None:
    """A word that is not the page's is noticed."""
    assert fits(message, "a … b") is same
