"""The sandbox reads the headers of a mail without its body, and finds those that the whole mail has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.sandbox.google.gmail.mime import parse_headers, parse_mail

LINES = st.sampled_from(
    [
        b"From: ada@sandbox.example",
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        b" and more of it",
        b"Content-Type: multipart/mixed; boundary=between",
        b"--between",
        b"From ada Mon Nov 30 10:00:00 2026",
        b"no header",
        b"",
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b""])


@given(st.lists(st.tuples(LINES, ENDS), max_size=8))
def test_headers_are_those_of_the_whole_mail(lines: list[tuple[bytes, bytes]]) -> None:
    """However a mail is malformed, its headers and its type are the same with and without the body."""
    raw = b"".join(line + end for line, end in lines)
    whole, headers = parse_mail(raw), parse_headers(raw)

    assert headers.items() == whole.items()
    assert headers.get_content_type() == whole.get_content_type()


def test_nothing_of_the_body_is_read() -> None:
    """What follows the first empty line is left out, even if it looks like a header."""
    headers = parse_headers(b"Subject: minutes\r\n\r\nBcc: grace@sandbox.example\r\n")

    assert headers.items() == [("Subject", "minutes")]
    assert headers.get_payload() == ""
