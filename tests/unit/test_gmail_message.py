"""Messages in the form of the Gmail API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.toolkits.gmail.content import (
    CUT,
    MAX_ENCLOSED,
    MAX_TEXT,
    TOO_DEEP,
    UNREADABLE,
    MailAttachment,
    attached_part,
    attached_text,
    content,
    kept_apart,
)
from app.toolkits.gmail.message import (
    MAX_SHOWN,
    UNKNOWN_DATE,
    header,
    headers,
    received_at,
    shown_header,
    snippet,
)


def part(kind: str, data: bytes | str, content_type: str = "") -> dict[str, Any]:
    """Return a leaf of a message."""
    raw = data.encode() if isinstance(data, str) else data
    headers = [{"name": "Content-Type", "value": content_type or kind}]
    body = {"size": len(raw), "data": base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    return {"mimeType": kind, "filename": "", "headers": headers, "body": body}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return a message of these parts."""
    return {"payload": {"mimeType": "multipart/mixed", "body": {"size": 0}, "parts": list(parts)}}


def multi(kind: str, *parts: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Return a multipart of this kind."""
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
    return {"mimeType": f"multipart/{kind}", "body": {"size": 0}, "headers": named, "parts": list(parts)}


def enclosed(sender: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """Return a message that is attached to another one, in Gmail's form."""
    inner = multi("mixed", *parts, From=sender, Subject="inner")
    return {"mimeType": "message/rfc822", "body": {"size": 1, "attachmentId": "m"}, "headers": [], "parts": [inner]}


def test_what_a_mail_says_shows_in_no_repr() -> None:
    """The repr of a mail's content shows neither its text nor an attachment's name, because logs could carry it."""
    attached = {**part("text/plain", "private words"), "filename": "private.txt", "partId": "1"}
    found = content(message(part("text/plain", "private words"), attached))

    assert found.text == "private words"
    assert [each.name for each in found.attachments] == ["private.txt"]
    assert "private" not in repr(found)


PLAIN, RICH = part("text/plain", "plain words"), part("text/html", "<b>plain words</b> and rich ones")
PICTURE = {**part("image/png", "png", "image/png"), "partId": "9"}


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([multi("alternative", PLAIN, RICH)], "plain words and rich ones"),
        ([multi("alternative", RICH, PLAIN)], "plain words"),
        ([multi("alternative", PLAIN, part("text/html", "<img src=a>"))], "plain words"),
        ([multi("alternative", PLAIN, multi("related", RICH, PICTURE))], "plain words and rich ones"),
        ([multi("related", multi("alternative", PLAIN, RICH), PICTURE)], "plain words and rich ones"),
        ([multi("related", PICTURE, {**RICH}, part("text/plain", "referred"))], ""),
        ([PLAIN, RICH], "plain words\n\nplain words and rich ones"),
        ([PLAIN, PICTURE, part("text/plain", "after")], "plain words\n\nafter"),
        ([RICH], "plain words and rich ones"),
        ([part("text/plain", "<html><body>rich</body></html>")], "rich"),
        ([part("text/plain", "")], ""),
        ([multi("signed", PLAIN, part("application/pgp-signature", "x"))], "plain words"),
        ([multi("report", PLAIN, part("message/delivery-status", "Status: 5.1.1"))], "plain words"),
        ([multi("unheard-of", PLAIN)], "plain words"),
    ],
)
def test_the_text_follows_from_how_the_parts_are_nested(parts: list[dict[str, Any]], text: str) -> None:
    """The text is the shown alternative, mixed parts in order, and the root of related parts (RFC 2046 and 2387)."""
    assert content(message(*parts)).text == text


def test_a_related_root_can_be_named() -> None:
    """The start parameter of related parts names the root (RFC 2387)."""
    root = {**RICH, "headers": [{"name": "Content-ID", "value": "<r>"}]}
    named = multi("related", PICTURE, root, Content_Type='multipart/related; start="<r>"')

    assert content(message(named)).text == "plain words and rich ones"
    assert [each.part_id for each in content(message(named)).attachments] == ["9"]


def test_versions_that_differ_are_said_to() -> None:
    """The model reads the version that a mail program shows, and learns whether the other version differs."""
    other = part("text/html", "<p>Wire 9,000 EUR to this account at once.")

    assert content(message(multi("alternative", part("text/plain", "Lunch at noon?"), other))).differs
    assert content(message(multi("alternative", part("text/plain", "Lunch at noon?"), other))).text.startswith("Wire")
    assert not content(message(multi("alternative", PLAIN, RICH))).differs


def test_an_attached_mail_is_a_mail_of_its_own() -> None:
    """An attached mail's text is kept apart from the words of whoever attached it, however deep mails are nested."""
    bounce = enclosed("eve@evil.example", part("text/plain", "Wire 9,000 EUR"), enclosed("c@x.example", PLAIN))
    found = content(message(part("text/plain", "This is a scam"), bounce))
    ((headers_of, inner),) = found.enclosed
    ((_, innermost),) = inner.enclosed

    assert (found.text, inner.text, innermost.text) == ("This is a scam", "Wire 9,000 EUR", "plain words")
    assert header(headers_of, "From") == "eve@evil.example"


def test_a_text_that_gmail_keeps_apart_is_text() -> None:
    """A text that Gmail keeps apart is read as text, and listed as an attachment if it cannot be fetched."""
    apart = {**RICH, "partId": "1", "body": {"size": 9, "attachmentId": "a1"}}
    mail = message(multi("alternative", PLAIN, apart))

    assert kept_apart(mail) == ["a1"]
    assert content(mail, {"a1": RICH["body"]["data"]}).text == "plain words and rich ones"
    assert [each.part_id for each in content(mail).attachments] == ["1"]


def test_what_is_hidden_is_said_to_be() -> None:
    """Hidden text is reported only for the version that is shown."""
    hiding = part("text/html", "<p>seen<p hidden>unseen")

    assert content(message(hiding)).hid
    assert content(message(multi("alternative", PLAIN, hiding))).hid
    assert not content(message(multi("alternative", hiding, PLAIN))).hid


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        ("grüße".encode(), "text/plain; charset=latin-1", "grüße"),
        ("grüße".encode("latin-1"), 'text/plain; charset="ISO-8859-1"', "grüße"),
        ("grüße".encode("latin-1"), "text/plain", "grüße"),
        ("grüße".encode("latin-1"), "text/plain; charset=x-unknown", "grüße"),
        (b"Total \x80 1,200 \x96 don\x92t", "text/csv", "Total € 1,200 \u2013 don\u2019t"),
        (b"Total \x80", "text/plain; charset=iso-8859-1", "Total €"),
        (b"a\x81b", "text/plain", "a\ufffdb"),
        (b"a\xffb", "text/plain; charset=utf-8", "a\ufffdb"),
        ("日本".encode("utf-16"), "text/plain", "日本"),
        ("grüße".encode("utf-16-le"), "text/plain; charset=utf-16le", "grüße"),
        ("grüße, all of you".encode("utf-16-be"), "text/plain", "grüße, all of you"),
        ("\ufeffgrüße".encode(), "text/plain", "grüße"),
        ("日本".encode("iso2022_jp"), "text/plain; charset=ISO-2022-JP", "日本"),
        ("日本".encode("iso2022_jp"), "text/plain", "日本"),
        ("日本".encode("shift_jis"), 'text/plain; charset="Shift_JIS"', "日本"),
        ("привет".encode("koi8-r"), "text/plain; charset=koi8-r", "привет"),
        *(
            (b"plain", f"text/plain; charset={name}", "plain")
            for name in (
                "zip",
                "hex",
                "rot13",
                "idna",
                "punycode",
                "undefined",
                "unicode_escape",
                "mbcs",
                "\x00",
                "é",
                "",
            )
        ),
    ],
)
def test_text_is_decoded_whatever_it_was_written_in(data: bytes, declared: str, text: str) -> None:
    """Text is decoded as declared, by its bytes or as Windows-1252, and what cannot be decoded is marked."""
    kind = declared.partition(";")[0]
    file = {**part(kind, data, content_type=declared), "filename": "f"}

    assert attached_text(file, file["body"]["data"]) == text


@pytest.mark.parametrize("data", ["a", "\ud800", "é" * 5])
def test_what_cannot_be_decoded_is_marked(data: str) -> None:
    """A part that cannot be decoded is marked instead of being dropped."""
    assert content(message({"mimeType": "text/plain", "body": {"size": 3, "data": data}})).text == UNREADABLE


ODD: list[Any] = [None, 7, "text", [], {}, True, 1e99, [None, [], "x", {}], {"a": 1}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("key", ["payload", "headers", "parts", "body", "data", "mimeType", "filename", "internalDate"])
def test_no_shape_of_json_makes_reading_fail(key: str, odd: Any) -> None:
    """A value of the wrong JSON type anywhere in a mail is read as nothing, without an error."""
    inner = {**part("text/plain", "x"), "partId": "0"}
    inner = inner | ({"body": {"size": 1, "data": odd}} if key == "data" else {key: odd})
    for mail in ({"payload": inner, key: odd}, message(inner), message(multi("alternative", inner, {key: odd}))):
        content(mail)
        kept_apart(mail)
        attached_part(mail, "0")
        received_at(mail)
        snippet(mail)
        assert all(isinstance(each, str) for each in headers(mail, "From"))


def test_attachments_are_named_not_read() -> None:
    """A part with a file name, text or not, is an attachment, and so is a picture without a name."""
    small = {**part("text/plain", "x" * 9), "filename": "a.txt", "partId": "1"}
    found = content(message(part("text/plain", "hi"), small, {**part("image/png", "png"), "partId": "2.1"}))

    assert found.text == "hi"
    assert found.attachments == (
        MailAttachment("1", "a.txt", "text/plain", 9),
        MailAttachment("2.1", "", "image/png", 3),
    )


def test_nesting_and_length_are_bounded() -> None:
    """Thousands of nested parts cause no stack overflow, and a text that is too long ends with a notice."""
    nested = part("text/plain", "x" * (MAX_TEXT + 1))
    for _ in range(2000):
        nested = {"mimeType": "multipart/mixed", "parts": [nested]}

    assert content({"payload": nested}).text == "x" * MAX_TEXT + CUT


def test_what_is_nested_too_deeply_says_so() -> None:
    """Parts or mails that are nested too deep are cut off, and a text says so."""
    deep, mails = PLAIN, enclosed("a@x.example", PLAIN)
    for _ in range(200):
        deep, mails = multi("mixed", PLAIN, deep), enclosed("a@x.example", mails)

    assert content(message(deep)).text.endswith(TOO_DEEP)
    assert str(content(message(mails))).count("MailContent") <= MAX_ENCLOSED + 1


def test_headers_date_and_snippet_are_read() -> None:
    """Header names are found in any case, the time is Gmail's, and entities in a snippet are resolved."""
    mail = {"payload": {"headers": [{"name": "FROM", "value": "Ada"}]}, "internalDate": "1795470000123"}

    assert (header(mail, "From"), header(mail, "Cc")) == ("Ada", "")
    assert received_at(mail) == "2026-11-23T21:40:00Z"
    assert received_at({"internalDate": "-62135596800000"}) == "0001-01-01T00:00:00Z"
    assert [received_at({"internalDate": each}) for each in ("9" * 18, "-" + "9" * 18, "x", None)] == [UNKNOWN_DATE] * 4
    assert received_at({}) == UNKNOWN_DATE
    assert snippet({"snippet": "Ada&#39;s &amp; mine"}) == "Ada's & mine"


def test_an_attached_text_is_found_by_its_place_and_decoded() -> None:
    """An attached text is found by its part id and decoded, HTML is read as text, and an unknown id finds nothing."""
    table = {**part("text/csv", b"gr\xfc\xdfe,1", "text/csv; charset=latin-1"), "filename": "a.csv", "partId": "1"}
    page = {**part("text/html", "<p>rich<p>"), "filename": "a.html", "partId": "2.0"}
    mail = message(part("text/plain", "hi"), table, {"mimeType": "multipart/mixed", "parts": [page]})

    assert attached_part(mail, "1") is table
    assert attached_part(mail, "3") is None
    assert attached_text(table, table["body"]["data"]) == "grüße,1"
    assert attached_text(page, page["body"]["data"]) == "rich"


def test_a_header_of_any_length_is_shown_short() -> None:
    """A header of a thousand recipients is shown cut, and all headers of a name can still be read in full."""
    long = ", ".join(f"p{number}@x.example" for number in range(1000))
    mail = {"payload": {"headers": [{"name": "To", "value": long}, {"name": "to", "value": "b@x.example"}]}}

    assert shown_header(mail, "To") == f"{long[:MAX_SHOWN]} […]"
    assert headers(mail, "TO") == [long, "b@x.example"]
