"""docs/wording.md contains every text that a person can read, in one voice."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests import wording

PAGE = wording.ROOT / "docs/wording.md"
# Words that read like a program or like another voice, with what to write instead.
FOREIGN = {
    r"\bValue error\b": "what is wrong",
    r"\bwhoever\b": "who, or anybody",
    r"\bnone of yours\b|\bof yours waits for this\b": "you have no …",
    r"\bis over\b": "has ended, has expired",
    r"\bmend\b": "fix",
    r"\be-mails?\b": "mail",
    r"\ball the same\b": "anyway",
    r"\b[Ii]nvalid\b": "say what is accepted",
    r"!!|\bOops\b|\bSorry\b": "say what happened and the next step",
}


@cache
def page() -> str:
    """Return the page, which is made once for all tests here."""
    return wording.page()


def test_the_page_is_made_from_the_source() -> None:
    """The page is what `make docs` writes, so that a changed sentence can be read beside the others."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("pattern", FOREIGN)
def test_one_voice(pattern: str) -> None:
    """No sentence in the chat or on a page uses words from another voice."""
    told, _, _ = page().partition("## On the command line")

    assert [line for line in told.splitlines() if re.search(pattern, line)] == [], FOREIGN[pattern]


def test_what_is_listed() -> None:
    """Literals and f-strings are listed, joined lines included; docstrings, logs, patterns and assertions are not."""
    module = '''
"""A module of words."""
ALONE = "one word and more"
PATTERN = re.compile("a pattern of words")
log.warning("a line for operators %s", 1)
def say(name: "an annotation of words") -> str:
    """Return a docstring of words."""
    assert name, "an assertion of words"
    return f"Hello {name}, this is {count(name)} of " "several lines."
'''

    assert wording.of_module(module) == ["one word and more", "Hello {name}, this is {count} of several lines."]
    page = '<p>Hello <b>{{ who }}</b></p>{% if x %}<button title="a hint">Go</button>{% endif %}'
    assert wording.of_template(page) == ["Hello {{ who }}", "a hint", "Go"]
    assert wording.of_script("const a = 'two words'; const b = `and ${count} more`; x('one')") == [
        "two words",
        "and ${count} more",
    ]


def test_everything_that_a_person_knows_is_on_the_page() -> None:
    """The page has words from each part: commands, questions, apologies, pages, channels and help."""
    page = wording.page()
    words = (
        "Nothing waits for your decision.", "Send this mail?", "My model provider is overloaded.", "reading a mail",
        "Continue to {{ provider }}", "I've sent you a direct message.", "Run the server until SIGINT or SIGTERM.",
    )  # fmt: skip

    assert [each for each in words if each not in page] == []
