"""People's texts are understood as they meant them, in time proportional to their length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.chat.accounts import find_code
from app.chat.answers import GivenAnswer, find_answer
from app.chat.approvals import find_decision
from app.chat.words import pieces_of, words_of
from tests.fakes.growth import grows_faster

COMMANDS = ("google accounts", "connect google as work", "use work for this conversation", "disconnect google")
SENT_BACK = (
    "{}", "`{}`", "```{}```", "*{}*", "_{}_", "~{}~", "**{}**", "{}.", "{}!", "{} ", "\n{}\n", "\u200b{}\u200b", "“{}”",
    "> {}", "'{}'", "`{}`.", "({})", "\ufeff{}\u2060",
)  # fmt: skip


@pytest.mark.parametrize("form", SENT_BACK)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood_as_it_is_sent_back(command: str, form: str) -> None:
    """Marks of code and style, quotes, stops, spaces and invisible characters are not part of a command."""
    assert words_of(form.format(command.upper())) == tuple(command.split())


def test_words_are_compared_in_one_normal_form() -> None:
    """A letter with an accent is the same word, however a keyboard composes it."""
    assert words_of("use ars\u0327iv") == words_of("use ar\u015fiv") == ("use", "ar\u015fiv")


def test_a_long_text_is_no_command() -> None:
    """A long text has no words, so no command looks at it."""
    assert words_of("use work " * 50) == ()
    assert find_decision("approve 3f2a" + " " * 39_980 + "x") is None


HOSTILE: dict[str, Callable[[int], str]] = {
    "spaces": lambda length: "approve 3f2a" + " " * length + "x",
    "spaces after confirm": lambda length: "confirm" + " " * length + "K7P2QX9M x",
    "words": lambda length: "use " + "a " * (length // 2),
    "one word": lambda length: "rename " + "a" * length,
    "backticks": lambda length: "`" * length,
    "accents": lambda length: "use " + "a\u0301\u0327" * (length // 3),
    "signs that nobody sees": lambda length: "\u200b" * length + "approve 3f2a",
    "colons": lambda length: "confirm" + ":" * length,
    "line ends": lambda length: "google" + "\n" * length + "accounts now",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_text_costs_no_more_than_its_length(text: Callable[[int], str]) -> None:
    """A text that is fifty times as long takes about fifty times as long; with backtracking it would be 2,500 times."""
    assert not grows_faster(
        lambda text: (words_of(text), pieces_of(text), find_code(text), find_decision(text), find_answer(text)), text
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("answer 3f2a 12", "12"),
        ("`answer 3F2A: twelve apples`", "twelve apples"),
        ("/answer 3f2a:12", "12"),
        ("*answer* `3f2a`\nname: Ada\nyear: 1815", "name: Ada\nyear: 1815"),
        ("answer 3f2a", ""),
    ],
)
def test_an_answer_is_read_as_it_is_written(text: str, answer: str) -> None:
    """Marks around the words of the command are removed, and the answer keeps its lines."""
    assert find_answer(text) == GivenAnswer("3f2a", answer)


@pytest.mark.parametrize("text", ["", "answer", "answer me", "answer 3f2", "answer 3f2ag x", "the answer 3f2a 12"])
def test_another_sentence_is_no_answer(text: str) -> None:
    """A sentence that is not an answer is left to the assistant."""
    assert find_answer(text) is None


def test_no_command_has_a_pattern() -> None:
    """Commands compare words and use no regular expressions, which took quadratic time on a whole message."""
    chat = Path(__file__).parents[2] / "app" / "chat"
    assert [path.name for path in sorted(chat.glob("*.py")) if "re.compile" in path.read_text()] == []
