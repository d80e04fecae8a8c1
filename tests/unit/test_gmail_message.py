"""Messages in the form of the Gmail API."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from app.toolkits.gmail_message import (
    CUT,
    MAX_TEXT,
    Attachment,
    addresses,
    content,
    header,
    header_text,
    outgoing,
    received_at,
    snippet,
)


def part(kind: str, data: bytes | str, content_type: str = "") -> dict[str, Any]:
    """A leaf of a message."""
    raw = data.encode() if isinstance(data, str) else data
    headers = [{"name": "Content-Type", "value": content_type or kind}]
    body = {"size": len(raw), "data": base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    return {"mimeType": kind, "filename": "", "headers": headers, "body": body}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    """A message of these parts."""
    return {"payload": {"mimeType": "multipart/mixed", "body": {"size": 0}, "parts": list(parts)}}


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([part("text/plain", "plain"), part("text/html", "<b>rich</b>")], "plain"),
        ([part("text/html", "<b>rich</b>")], "rich"),
        ([part("text/plain", " "), part("text/html", "<b>rich</b>")], "rich"),
        ([part("text/plain", "no HTML?"), part("text/html", f"<p>{'word ' * 50}")], "word " * 49 + "word"),
        ([part("text/plain", "<html><body>rich</body></html>")], "rich"),
        ([part("text/plain", "one"), part("text/plain", "two")], "one\n\ntwo"),
        ([part("text/plain", "")], ""),
        ([{"parts": [part("text/plain", "deep")], "mimeType": "multipart/alternative"}], "deep"),
    ],
)
def test_the_text_that_says_most_is_taken(parts: list[dict[str, Any]], text: str) -> None:
    """Plain text, unless there is none, or it is HTML, or it says next to nothing of what the HTML says."""
    assert content(message(*parts)).text == text


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        ("grüße".encode(), "text/plain; charset=latin-1", "grüße"),
        ("grüße".encode("latin-1"), 'text/plain; charset="ISO-8859-1"', "grüße"),
        ("grüße".encode("latin-1"), "text/plain", "grüße"),
        ("grüße".encode("latin-1"), "text/plain; charset=x-unknown", "gr\ufffd\ufffde"),
    ],
)
def test_text_is_decoded_whatever_it_was_written_in(data: bytes, declared: str, text: str) -> None:
    """UTF-8 as Gmail gives it, else what is declared, and never an error."""
    assert content(message(part("text/plain", data, content_type=declared))).text == text


def test_attachments_are_named_not_read() -> None:
    """A part with a file name is an attachment, text or not; a picture without one is too."""
    small = {**part("text/plain", "x" * 9), "filename": "a.txt"}
    found = content(message(part("text/plain", "hi"), small, part("image/png", "png")))

    assert found.text == "hi"
    assert found.attachments == (Attachment("a.txt", "text/plain", 9), Attachment("", "image/png", 3))


def test_nesting_and_length_are_bounded() -> None:
    """A thousand nested parts are no stack overflow, and a text that is too long says so at its end."""
    nested = part("text/plain", "x" * (MAX_TEXT + 1))
    for _ in range(2000):
        nested = {"mimeType": "multipart/mixed", "parts": [nested]}

    assert content({"payload": nested}).text == "x" * MAX_TEXT + CUT


def test_headers_date_and_snippet_are_read() -> None:
    """Names are found in any case, the time is Gmail's own, and the snippet's entities are resolved."""
    mail = {"payload": {"headers": [{"name": "FROM", "value": "Ada"}]}, "internalDate": "1795470000123"}

    assert (header(mail, "From"), header(mail, "Cc")) == ("Ada", "")
    assert received_at(mail) == "2026-11-23T21:40:00Z"
    assert snippet({"snippet": "Ada&#39;s &amp; mine"}) == "Ada's & mine"


@pytest.mark.parametrize(
    ("given", "bare"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada L. <ada@example.com>, grace@example.co.uk", "ada@example.com, grace@example.co.uk"),
        ('"ada@example.com" <eve@evil.example>', "eve@evil.example"),
        ("ada@example.com, ada@example.com,", "ada@example.com"),
        ('"Lovelace, Ada" <ada@example.com>', "ada@example.com"),
    ],
)
def test_addresses_are_bare(given: str, bare: str) -> None:
    """What is approved and sent is addresses without names, as a name can look like another address."""
    assert addresses(given) == bare


@pytest.mark.parametrize(
    "given",
    [
        *(
            "",
            ",",
            "ada",
            "ada@",
            "@example.com",
            "ada@localhost",
            "ada@example.com grace@example.com",
            "a..b@x.example",
        ),
        *("ada@exämple.com", "all: ada@example.com;", "<ada@example.com", "a" * 1000 + "@b.example", " " * 800 + "x"),
        *("ada@example.com\r\nBcc: eve@evil.example", "ada@example.com\u2028Bcc: eve@evil.example"),
    ],
)
def test_other_addresses_are_refused(given: str) -> None:
    """A malformed, invented or smuggled recipient is an error, not a guess."""
    with pytest.raises(ValueError, match=r"please|write"):
        addresses(given)


@pytest.mark.parametrize("text", ["a\nBcc: eve@evil.example", "a\rb", "a\x00b", "a\u2028b", "x" * 1000])
def test_a_header_is_one_line(text: str) -> None:
    """A line break in a subject would begin another header."""
    with pytest.raises(ValueError, match="please"):
        header_text(text)


def test_an_outgoing_mail_is_what_was_given() -> None:
    """Recipients, subject and body arrive unchanged, in any script; there is no From."""
    raw = base64.urlsafe_b64decode(outgoing("ada@x.example", "Grüße 👋", "Line\n" + "ü" * 2000, "bob@x.example")["raw"])
    mail = message_from_bytes(raw, policy=default)

    assert (mail["To"], mail["Cc"], mail["Subject"], mail["From"]) == (
        "ada@x.example",
        "bob@x.example",
        "Grüße 👋",
        None,
    )
    assert mail.get_content().splitlines() == ["Line", "ü" * 2000]
    assert max(map(len, raw.splitlines())) <= 998
