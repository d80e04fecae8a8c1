"""Answers as WhatsApp shows them: in its own markup, with buttons and lists, and cut into messages of its length."""

from __future__ import annotations

import pytest

from app.reply import Button, ReplyContent
from app.sandbox.whatsapp.messages import check_content
from interfaces.splitting import utf16_length
from interfaces.whatsapp.formatting import rendered
from interfaces.whatsapp.outgoing import payloads


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** *italic* ~~gone~~ `code_x`", "*bold* _italic_ ~gone~ `code_x`"),
        ("# Head **b**\n\ntext", "*Head b*\n\ntext"),
        ("- a\n- b\n  - c\n\n3. x\n4. y", "- a\n- b\n  - c\n\n3. x\n4. y"),
        ("- a\nafter", "- a\n\nafter"),
        ("> q\n> r", "> q\n> r"),
        ("```python\nx\n    y\n```", "```\nx\n    y\n```"),
        ("[here](https://a.example/_x_)", "here (https://a.example/_x_)"),
        ("<https://a.example/_x_>", "https://a.example/_x_"),
        ("![chart](https://a.example/c)", "chart (https://a.example/c)"),
        ("one\ntwo", "one\ntwo"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        ("snake_case_name", "snake_case_name"),
    ],
)
def test_markdown_is_shown_in_whatsapps_markup(markdown: str, shown: str) -> None:
    """Markdown becomes WhatsApp's markup, and headings and links, which it lacks, become text."""
    assert rendered(markdown) == shown


@pytest.mark.parametrize("secret", ["_aB_", "__x__", "a_b_", "-_*a*", "~a~b"])
def test_an_address_stays_as_it_is(secret: str) -> None:
    """An address is not changed, because a consent link opens nothing if one character of its secret is lost."""
    address = f"https://deputy.example/connect/google/{secret}x"

    assert (
        rendered(f"Connect here: {address}\nThen (see {address}).") == f"Connect here: {address}\nThen (see {address})."
    )


def test_what_is_to_be_approved_is_shown_to_the_letter() -> None:
    """Arguments are shown as code, in which no mark formats, links or hides anything, and no fence ends the code."""
    question = "Send this mail?\n    To: a_b_@x\n    Text: *hi* [a](b) ```\n      | [x]: y\nReply `approve 3f2a`."
    head, code, tail = rendered(question).split("\n\n")

    assert head == "Send this mail?"
    assert code.replace("\u200b", "") == "```\nTo: a_b_@x\nText: *hi* [a](b) ```\n  | [x]: y\n```"
    assert code.count("```") == 2
    assert tail == "Reply `approve 3f2a`."


def test_what_a_server_asks_is_shown_to_the_letter() -> None:
    """In a verbatim reply every indented line is code, however deep its indent, and Deputy's own lines are not."""
    asked = "    *How* many?\n    ```\n  __Co__pies [a](b) (words)\n    1. __init__\n"
    question = f"The server office asks you:\n{asked}Reply `deny 3f2a`."
    (shown,) = payloads(ReplyContent(question, verbatim=True), with_buttons=True)
    head, code, tail = shown["text"]["body"].split("\n\n")

    assert (head, tail) == ("The server office asks you:", "Reply `deny 3f2a`.")
    assert code.replace("\u200b", "") == "```\n  *How* many?\n  ```\n__Co__pies [a](b) (words)\n  1. __init__\n```"
    assert code.count("```") == 2


def test_nothing_is_hidden() -> None:
    """HTML, entities and definitions of links are shown like any other text."""
    assert (
        rendered("[a]: https://x.example\n&nbsp;<b>x</b><!-- y -->")
        == "[a]: https://x.example\n&nbsp;<b>x</b><!-- y -->"
    )


def test_a_mark_that_markdown_leaves_alone_formats_nothing() -> None:
    """A mark that Markdown escapes is followed by a zero-width space where a word begins, but not within words."""
    assert rendered(r"\*not bold\* 2\*3 a\_b") == "*\u200bnot bold* 2*3 a_b"


@pytest.mark.parametrize("unit", ["word ", "🙂", "e\u0301", "\n\n- item", "    a line of code\n"])
def test_every_part_of_a_long_answer_is_taken(unit: str) -> None:
    """WhatsApp accepts every part of a long answer, and no text is lost."""
    text = unit * (12_000 // len(unit))
    parts = payloads(ReplyContent(text), with_buttons=True)
    bodies = [check_content(part, media=(), templates=()) for part in parts]

    assert len(bodies) > 2
    assert all(utf16_length(body) <= 4096 for body in bodies)
    assert all(body.startswith(f"(continued, {number} of {len(bodies)})") for number, body in enumerate(bodies[1:], 2))
    assert sum(body.count(unit.strip()) for body in bodies) >= text.count(unit.strip())


def _buttons(count: int, label: str = "Choice {}") -> tuple[Button, ...]:
    return tuple(Button(label.format(number), command=f"choose {number}") for number in range(count))


@pytest.mark.parametrize(
    ("buttons", "kind"),
    [
        ((), "text"),
        (_buttons(1), "button"),
        (_buttons(3), "button"),
        (_buttons(4), "list"),
        (_buttons(10), "list"),
        (_buttons(11), "text"),
        (_buttons(2, "A label much too long for a button {}"), "button"),
        (_buttons(2, "same"), "list"),
        ((Button("Open", url="https://a.example"),), "text"),
        (tuple(Button("x" * 30, command=f"{'long ' * 6}{number}") for number in range(2)), "text"),
    ],
)
def test_buttons_are_shown_as_far_as_they_fit(buttons: tuple[Button, ...], kind: str) -> None:
    """Up to three choices are buttons and up to ten a list; a label that does not fit is replaced by its command."""
    (shown,) = payloads(ReplyContent("Which one?", buttons), with_buttons=True)
    said = check_content(shown, media=(), templates=())

    expected = kind if (kind != "list" or len({button.label for button in buttons}) > 1) else "text"
    assert said == "Which one?"
    assert (shown["interactive"]["type"] if "interactive" in shown else "text") == expected


def test_a_press_says_the_command() -> None:
    """The id of a button is the command that its person could type."""
    (shown,) = payloads(ReplyContent("Send it?", (Button("Approve", command="approve 3f2a"),)), with_buttons=True)

    assert shown["interactive"]["action"]["buttons"] == [
        {"type": "reply", "reply": {"id": "approve 3f2a", "title": "Approve"}}
    ]


def test_buttons_stand_below_the_last_part() -> None:
    """A long text comes before its buttons; a last part too long for buttons has them below a short text."""
    long = payloads(ReplyContent("x" * 1500, _buttons(2)), with_buttons=True)
    longer = payloads(ReplyContent("x" * 4500, _buttons(2)), with_buttons=True)
    in_group = payloads(ReplyContent("x", _buttons(2)), with_buttons=False)

    assert [part["type"] for part in long] == ["text", "interactive"]
    assert long[1]["interactive"]["body"]["text"] == "Choose:"
    assert [part["type"] for part in longer] == ["text", "interactive"]
    assert longer[1]["interactive"]["body"]["text"].startswith("(continued, 2 of 2)")
    assert [part["type"] for part in in_group] == ["text"]
