"""Reading a stranger's text takes time in proportion to its length."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.approvals.approvals import Approval, ApprovalState, PendingCall
from app.approvals.question import Question, ask
from app.characters import seen, spelled_out
from app.principal import Principal
from app.sandbox.google.gmail.mailbox import Mailbox
from app.sandbox.people import Person
from app.toolkits.charsets import decoded, looks_binary
from app.toolkits.gmail.content import attached_text, content, kept_apart
from app.toolkits.gmail.letter import answering_subject, outgoing, participants
from app.toolkits.gmail.message import received_at, shown_header, snippet
from app.toolkits.html_text import html_to_text
from app.toolkits.pages import pages
from app.toolkits.untrusted import Quotes, unquoted
from app.toolkits.written import body_text
from tests.fakes.growth import LONG, grows_faster, repeated

PERSON = Principal("http", "demo", "ada")

# Pieces that are repeated: they begin and do not end, nest, or can be read in many ways.
PIECES = {
    "spaces": " ",
    "letters": "a",
    "new lines": "\r\n",
    "less-than": "<",
    "open tags": "<a a",
    "nested tags": "<div>",
    "nested formatting": "<b><i>",
    "wrong nesting": "<b><div></b>",
    "hidden": "<div hidden>",
    "closing tags": "</div>",
    "paragraphs in a cell": "<td><b><p>",
    "half an end": "<script></",
    "comments": "<!--",
    "attributes": "<a b='\"",
    "quotes": "\"'",
    "entities": "&#9",
    "ampersands": "&amp",
    "numbers": "0",
    "brackets": "[(<{",
    "addresses": "a@a.",
    "at": "a@",
    "ids": "<a@",
    "encoded words": "=?utf-8?q?a",
    "joiners": "a\u200d\u200c",
    "variation selectors": "\ufe0f\U000e0101",
    "controls": "\x1b$B\x00",
    "surrogates": "é\u2028",
    "marks": "⟦00000000⟧",
    "style spaces": "<p style='display:" + " " * 50 + "x'>",
    "style sheets": "<style>.a{color:red}</style><b class=a>",
    "rules": "<style>.a .b>c,",
    "css escapes": "<style>\\61",
    "css strings": '<style>a{b:"\\"',
    "css brackets": "<style>[((url(",
    "css nesting": "<style>a{",
    "css attributes": '<style>[a="',
    "classes": "<b class='a b c'>",
}


def _html(text: str) -> object:
    return html_to_text(text)


def _in_a_style(text: str) -> object:
    return html_to_text(f'<div style="{text}"><style>{text}</style>')


def _in_an_attribute(text: str) -> object:
    return html_to_text(f"<div class='{text}'><font color='{text}'>")


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode(errors="replace")).decode()


def _mail(text: str) -> dict[str, Any]:
    """Return a mail in which each header, name and part is this text."""
    names = ("From", "To", "Subject", "Message-ID", "References", "Content-Type", "Content-Disposition", "Content-ID")
    headers = [{"name": name, "value": text} for name in names]
    part = {"mimeType": "text/plain", "headers": headers, "body": {"size": 1, "data": _encoded(text)}}
    related = {"mimeType": "multipart/related", "headers": headers, "parts": [part, {**part, "filename": text}]}
    both = {"mimeType": "multipart/alternative", "parts": [part, {**part, "mimeType": "text/html"}, related]}
    return {"payload": {**both, "headers": headers}, "snippet": text, "internalDate": text, "threadId": "t"}


def _read_mail(text: str) -> object:
    mail = _mail(text)
    part = mail["payload"]["parts"][0]
    return content(mail), kept_apart(mail), received_at(mail), snippet(mail), attached_text(part, part["body"]["data"])


def _answered(text: str) -> object:
    mail = _mail(text)
    participants(mail)
    return outgoing("a@x.example", answering_subject(mail), "b", None, answers=mail), shown_header(mail, "From")


def _written(text: str) -> object:
    try:
        return outgoing("a@x.example", "s", body_text(text), None)
    except ValueError:
        return None


def _asked(text: str) -> object:
    call = PendingCall("c", "letters_send", {"text": text, "list": [text]})
    approval = Approval("0" * 32, PERSON, "3f2a", "m", call, ApprovalState.PENDING, 3600.0)
    return ask(approval), ask(approval, Question("Send it?"))


def _stored(text: str) -> object:
    headers = "".join(f"{name}: {text}\r\n" for name in ("From", "Subject", "Content-Type"))
    mailbox = Mailbox(Person.named("Ada", "ada@x.example"))
    message = mailbox.store(f"{headers}\r\n{text}".encode(errors="replace"), (), 0)
    return message.words, message.snippet, json.dumps(message.resource("full"))


# Each reader with the shapes that might slow it down; the HTML reader, which reads anything, gets all of them.
CSS = [
    name for name in PIECES if name.startswith(("css", "style", "rules", "classes", "brackets", "quotes", "numbers"))
]
TEXT = ["spaces", "letters", "new lines", "entities", "addresses", "at", "ids", "encoded words", "joiners", "controls"]
READERS: dict[str, tuple[Callable[[str], object], list[str]]] = {
    "html": (_html, list(PIECES)),
    "style": (_in_a_style, [*CSS, "spaces"]),
    "attribute": (_in_an_attribute, ["spaces", "letters", "entities", "numbers"]),
    "mail": (_read_mail, [*TEXT, "quotes", "brackets", "surrogates"]),
    "answer": (_answered, [*TEXT, "quotes", "brackets"]),
    "letter": (_written, TEXT),
    "approval": (_asked, ["spaces", "new lines", "joiners", "variation selectors", "controls", "quotes"]),
    "charset": (lambda text: (decoded(text.encode(errors="replace"), text), looks_binary(text)), TEXT),
    "quotes": (
        lambda text: (unquoted(Quotes().quote(text)), seen(text), spelled_out(text), pages(text)),
        [*TEXT, "variation selectors", "marks"],
    ),
    "sandbox": (_stored, [*TEXT, "less-than", "half an end", "comments"]),
}


@pytest.mark.parametrize(
    "long",
    [
        LONG // 2,
        pytest.param(LONG, marks=pytest.mark.system),
        pytest.param(4 * LONG, marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_reading_takes_time_in_proportion(reader: str, long: int) -> None:
    """For every shape, a text that is several times as long takes about as many times as long to read."""
    read, shapes = READERS[reader]

    assert [name for name in shapes if grows_faster(read, repeated(PIECES[name]), long)] == []


def test_many_rules_and_many_elements_are_no_product() -> None:
    """A sheet of a thousand rules over a thousand elements is given up as too complicated, with a note."""
    rules = "".join(f".a .b .c{number % 7} {{color:red}}" for number in range(1_000))
    elements = "".join(f"<b class='a b c{number % 7}'>x" for number in range(1_000))
    shown = html_to_text(f"<style>{rules}</style>{elements}")

    assert "too complicated" in shown.text
    assert shown.hid
