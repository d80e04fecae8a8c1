"""Messages in the form of the Gmail API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.toolkits.gmail.message import (
    CUT,
    MAX_SHOWN,
    MAX_TEXT,
    Attachment,
    attached_part,
    attached_text,
    content,
    header,
    headers,
    received_at,
    shown_header,
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


def test_what_a_mail_says_shows_in_no_repr() -> None:
    """Neither its text nor the name of what came with it, which a log or an error might carry along."""
    attached = {**part("text/plain", "private words"), "filename": "private.txt", "partId": "1"}
    found = content(message(part("text/plain", "private words"), attached))

    assert found.text == "private words"
    assert [each.name for each in found.attachments] == ["private.txt"]
    assert "private" not in repr(found)


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
    small = {**part("text/plain", "x" * 9), "filename": "a.txt", "partId": "1"}
    found = content(message(part("text/plain", "hi"), small, {**part("image/png", "png"), "partId": "2.1"}))

    assert found.text == "hi"
    assert found.attachments == (Attachment("1", "a.txt", "text/plain", 9), Attachment("2.1", "", "image/png", 3))


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


def test_an_attached_text_is_found_by_its_place_and_decoded() -> None:
    """HTML is read as text, a file is in whatever it was written in, and an unknown place is none."""
    table = {**part("text/csv", b"gr\xfc\xdfe,1", "text/csv; charset=latin-1"), "filename": "a.csv", "partId": "1"}
    page = {**part("text/html", "<p>rich<p>"), "filename": "a.html", "partId": "2.0"}
    mail = message(part("text/plain", "hi"), table, {"mimeType": "multipart/mixed", "parts": [page]})

    assert attached_part(mail, "1") is table
    assert attached_part(mail, "3") is None
    assert attached_text(table, table["body"]["data"]) == "grüße,1"
    assert attached_text(page, page["body"]["data"]) == "rich"


def test_a_header_of_any_length_is_shown_short() -> None:
    """A thousand recipients leave room for the mail; all headers of a name can still be had."""
    long = ", ".join(f"p{number}@x.example" for number in range(1000))
    mail = {"payload": {"headers": [{"name": "To", "value": long}, {"name": "to", "value": "b@x.example"}]}}

    assert shown_header(mail, "To") == f"{long[:MAX_SHOWN]} […]"
    assert headers(mail, "TO") == [long, "b@x.example"]
