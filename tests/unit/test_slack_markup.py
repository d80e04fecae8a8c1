"""Text typed in Slack is recovered from its markup, and answers are cut without breaking anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interfaces.slack.formatting import MAX_POST_LENGTH, escaped, posts
from interfaces.slack.markup import mentioned, typed
from tests.fakes.growth import grows_faster, repeated

NAMES = {"U0ADA": "Ada Lovelace"}
TYPED = {
    "<@U0BOT> show my mail": "show my mail",
    "  <@U0BOT|deputy>   show my mail": "show my mail",
    "<@U0BOT>: approve 3f2a": "approve 3f2a",
    "<@U0BOT>, <@U0BOT> show": "show",
    "Hey <@U0BOT>, show my mail": "Hey, show my mail",
    "show <@U0BOT> my mail": "show my mail",
    "thanks <@U0BOT>!": "thanks!",
    "one\n<@U0BOT> two": "one\ntwo",
    "one <@U0BOT>\ntwo": "one\ntwo",
    "<@U0BOT>": "",
    "<@U0ADA> wrote me a mail, find it": "@Ada Lovelace wrote me a mail, find it",
    "<@U0ADA> <@U0BOT> fix this": "@Ada Lovelace fix this",
    "ask <@U0BOT> <@U0ADA>": "ask @Ada Lovelace",
    "ask <@U0NOBODY> or <@W0GRACE|grace>": "ask @U0NOBODY or @grace",
    "from:<http://acme.example|acme.example>": "from:acme.example",
    "see <https://acme.example/a>": "see https://acme.example/a",
    "<https://acme.example/?a=1&amp;b=2|acme.example/?a=1&amp;b=2>": "acme.example/?a=1&b=2",
    "<https://x.example|see the report>": "see the report (https://x.example)",
    "<https://evil.example|https://bank.example>": "https://bank.example (https://evil.example)",
    "<mailto:ada@x.example|ada@x.example>": "ada@x.example",
    "<mailto:ada@x.example>": "ada@x.example",
    "<mailto:ada@x.example|Ada>": "Ada (ada@x.example)",
    "call <tel:+4930123456|+49 30 123-456>": "call +49 30 123-456",
    "call <tel:+4930123456>": "call +4930123456",
    "<#C0ALL|general> <#C0ALL> <#C0ALL|>": "#general #C0ALL #C0ALL",
    "<!here> <!channel|@channel> <!everyone>": "@here @channel @everyone",
    "<!subteam^S0OPS|@ops> <!subteam^S0OPS>": "@ops @S0OPS",
    "<!date^1392734382^{date_num}|18 February>": "18 February",
    "<!date^1392734382^{date_num}^https://x.example>": "2014-02-18T14:39:42Z",
    "a &lt; b &amp;&amp; b &gt; c": "a < b && b > c",
    "&amp;lt; &copy; &amp;copy;": "&lt; &copy; &copy;",
    "```if a &lt; b:\n    x```": "```if a < b:\n    x```",
}


@pytest.mark.parametrize(("text", "meant"), TYPED.items())
def test_what_was_typed_is_recovered(text: str, meant: str) -> None:
    """Mentions of the assistant are removed, and everything else becomes what the person saw."""
    assert typed(text, own_id="U0BOT", names=NAMES) == meant


def test_only_people_who_are_mentioned_are_asked_about() -> None:
    """Each mentioned person is listed once, and channels and groups are not."""
    text = "<@U0ADA> <@W0GRACE|grace> <@U0ADA> <#C0ALL> <!subteam^S0OPS> <https://U0X>"
    assert mentioned(text) == ("U0ADA", "W0GRACE")


HOSTILE: dict[str, Callable[[int], str]] = {
    "own mentions": lambda length: "<@U0BOT> " * (length // 9),
    "marks that never end": lambda length: "<" * length,
    "one mark that never ends": lambda length: "<" + "a" * length,
    "spaces around": lambda length: " " * (length // 2) + "<@U0BOT>" + " " * (length // 2) + "x",
    "ampersands": lambda length: "&" * length,
    "links": lambda length: "<a|" * (length // 3),
    "a long label": lambda length: "<tel:1|" + "2" * length + ">",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_text_costs_no_more_than_its_length(text: Callable[[int], str]) -> None:
    """A text that is fifty times as long takes about fifty times as long, not 2,500 times."""
    assert not grows_faster(lambda text: (typed(text, own_id="U0BOT", names={}), mentioned(text)), text)


CARD = "Send this mail?\nTo: mallory@example.com\nReply `approve 3f2a` to send it."


def test_a_post_never_begins_with_somebodys_text() -> None:
    """Wherever an answer is cut, its next part begins with a mark, so quoted mail cannot look like a question."""
    for length in range(MAX_POST_LENGTH - 80, MAX_POST_LENGTH + 40, 7):
        cut = posts(f"Your mail:\n{'x' * length}\n{CARD}")

        assert len(cut) == 2
        assert cut[1].startswith("(continued, 2 of 2)\n")


def test_the_parts_are_the_whole_answer() -> None:
    """Only the line ends at the cuts are lost, nothing is doubled, and no part is longer than Slack accepts."""
    lines = [f"line {number} &<>" for number in range(3_000)]
    cut = posts("\n".join(lines))

    assert [line for post in cut for line in post.splitlines() if not line.startswith("(continued, ")] == lines
    assert all(len(post) <= MAX_POST_LENGTH for post in cut)
    assert all("&" not in escaped(post).replace("&amp;", "").replace("&lt;", "").replace("&gt;", "") for post in cut)


def test_a_code_block_that_is_cut_is_closed_and_opened_again() -> None:
    """A code block that is cut is closed and reopened, and the text around it stays outside."""
    code = "\n".join(f"print({number})" for number in range(900))
    cut = posts(f"Look:\n```python\n{code}\n```\nThat is all.")

    assert len(cut) > 2
    assert all(post.count("```") == 2 for post in cut)
    assert all(post.split("\n")[1] == "```python" for post in cut[1:])
    assert cut[-1].endswith("```\nThat is all.")


@pytest.mark.parametrize("whole", ["👩‍👩‍👧", "e\u0301", "👍🏽", "🇩🇪", "a\u0300\u0301\u0302"])
def test_characters_are_not_cut(whole: str) -> None:
    """A character made of several code points is not cut."""
    cut = posts(whole * 3_000)
    bodies = [post.split("\n", 1)[1] if number else post for number, post in enumerate(cut)]

    assert "".join(bodies) == whole * 3_000
    assert all(len(body) % len(whole) == 0 for body in bodies)


def test_a_huge_answer_is_cut_in_time_that_grows_with_its_length() -> None:
    """Two million characters are cut into hundreds of posts in time proportional to their length."""
    assert len(posts("a" * 2_000_000)) > 500

    assert not grows_faster(posts, repeated("a"), 2_000_000)
