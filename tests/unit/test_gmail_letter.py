"""Messages that Deputy writes for Gmail."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from app.errors import ToolError
from app.toolkits.gmail import letter
from app.toolkits.gmail.letter import MAX_REFERENCES, OutgoingMail, answering_subject, outgoing, participants
from app.toolkits.written import MAX_HEADER, addresses, body_text, header_text


def answered(**headers: str) -> dict[str, Any]:
    """Return a mail in thread t1 with these headers; an underscore stands for a hyphen."""
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
    return {"threadId": "t1", "payload": {"headers": named}}


def answer(mail: Mapping[str, Any], to: str, body: str, cc: str | None) -> OutgoingMail:
    """Return an answer to a mail, under the subject that it must have."""
    return outgoing(to, answering_subject(mail), body, cc, answers=mail)


def parsed(written: OutgoingMail) -> tuple[EmailMessage, bytes]:
    """Return a letter as the API gets it, both parsed as a mail and as raw bytes."""
    raw = base64.urlsafe_b64decode(written.message["raw"])
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail, raw


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
    """Only addresses without names are approved and sent, because a name can look like another address."""
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
    """A malformed, invented or smuggled recipient is an error and is not guessed at."""
    with pytest.raises(ValueError, match=r"please|write"):
        addresses(given)


@pytest.mark.parametrize("text", ["a\nBcc: eve@evil.example", "a\rb", "a\x00b", "a\u2028b", "x" * 1000])
def test_a_header_is_one_line(text: str) -> None:
    """A header with a line break, which would begin another header, is refused."""
    with pytest.raises(ValueError, match="please"):
        header_text(text)


def test_an_outgoing_mail_is_what_was_given() -> None:
    """Recipients, subject and body arrive unchanged in any script, and there is no From."""
    mail, raw = parsed(outgoing("ada@x.example", "Grüße 👋", "Line\n" + "ü" * 2000, "bob@x.example"))

    assert (mail["To"], mail["Cc"], mail["Subject"], mail["From"]) == (
        "ada@x.example",
        "bob@x.example",
        "Grüße 👋",
        None,
    )
    assert mail.get_content().splitlines() == ["Line", "ü" * 2000]
    assert max(map(len, raw.splitlines())) <= 998


@pytest.mark.parametrize(
    ("headers", "references"),
    [
        ({"Message_ID": "<1@x>"}, ["<1@x>"]),
        ({"Message_ID": "<3@x>", "References": "<1@x> <2@x>", "In_Reply_To": "<0@x>"}, ["<1@x>", "<2@x>", "<3@x>"]),
        ({"Message_ID": "<2@x>", "In_Reply_To": "<1@x>"}, ["<1@x>", "<2@x>"]),
        ({"Message_ID": "<2@x>", "In_Reply_To": "<0@x> <1@x>"}, ["<2@x>"]),
        ({"Message_ID": "  <2@x> (odd)", "References": "<1@\r\nBcc:eve@evil.example> <ü@x>"}, ["<2@x>"]),
        ({"References": "<1@x>"}, []),
    ],
)
def test_an_answer_refers_to_what_it_answers(headers: dict[str, str], references: list[str]) -> None:
    """As RFC 5322 section 3.6.4 says, an answer keeps the References or one In-Reply-To, and adds the Message-ID."""
    mail, _ = parsed(answer(answered(**headers), "a@x.example", "Yes.", None))

    assert str(mail.get("References", "")).split() == references
    assert mail.get("In-Reply-To", None) == (references[-1] if references else None)
    assert (mail["To"], mail["Bcc"], mail.defects) == ("a@x.example", None, [])


def test_long_ids_stay_as_they_are() -> None:
    """An id longer than a line is not encoded, and a long thread keeps its first and last ids."""
    ids = [f"<{number}-{'x' * 150}@mail.example>" for number in range(50)]
    _, raw = parsed(answer(answered(Message_ID=ids[-1], References=" ".join(ids[:-1])), "a@x.example", "Yes.", None))

    kept = raw.partition(b"References: ")[2].partition(b"\r\nTo:")[0].decode().split("\r\n ")

    assert kept == [ids[0], *ids[-MAX_REFERENCES + 1 :]]
    assert max(map(len, raw.splitlines())) <= 998


@pytest.mark.parametrize(
    ("subject", "answers"),
    [
        ("Lunch", "Re: Lunch"),
        ("RE: Lunch", "RE: Lunch"),
        ("Re : Lunch", "Re : Lunch"),
        ("Report", "Re: Report"),
        ("", "Re:"),
        ("Lunch\r\nBcc: eve@evil.example\u2028X: y", "Re: Lunch Bcc: eve@evil.example X: y"),
    ],
)
def test_the_subject_of_an_answer(subject: str, answers: str) -> None:
    """The subject of an answer has one Re:, and a line break in the original subject begins no header."""
    message = answer(answered(Subject=subject, Message_ID="<1@x>"), "a@x.example", "Yes.", "b@x.example")
    mail, _ = parsed(message)

    assert (mail["Subject"], mail["Cc"], mail["Bcc"]) == (answers, "b@x.example", None)
    assert message.message["threadId"] == "t1"


def test_a_subject_of_any_length_can_be_answered() -> None:
    """The subject of an answer is cut to the maximum length of a header."""
    mail, _ = parsed(answer(answered(Subject="x" * 5000), "a@x.example", "Yes.", None))

    assert mail["Subject"] == "Re: " + "x" * (MAX_HEADER - 4)


def test_participants_are_all_who_wrote_or_got_it() -> None:
    """Participants come from the four address headers, regardless of other text in them, and from no other header."""
    mail = answered(
        From='"Ada, L." <Ada@x.example>', To="b@x.example,c@x.example", Cc="(d) <d@x.example>", Subject="e@x.example"
    )
    mail["payload"]["headers"].append({"name": "reply-to", "value": "list@x.example"})

    assert participants(mail) == {f"{name}@x.example" for name in ("ada", "b", "c", "d", "list")}


@pytest.mark.parametrize(
    "subject",
    [
        "=?utf-8?q?fake?= encoded",
        "=?utf-8?q??=",
        "=?utf-8?b?ZmFrZQ==?=",
        "=?",
        "a =?utf-8?q?b?= =?utf-8?q?c?=",
        " leading",
        "trailing ",
        "two  blanks",
        "ü" * MAX_HEADER,
        "x" * MAX_HEADER,
        'quotes "and" <brackets>, commas; (comments)',
        "e\u0301 \u200b \u202e \U000e0041 \xa0",
        "日本語" * 100,
    ],
)
def test_a_subject_is_read_as_it_was_approved(subject: str) -> None:
    """Another mail program reads any subject exactly as the person approved it."""
    mail, raw = parsed(outgoing("ada@x.example", subject, "b", None))

    assert str(mail["Subject"]) == subject
    assert max(map(len, raw.splitlines())) <= 998


@pytest.mark.parametrize(
    "body", ["a\r\nb\rc\n", ".\nFrom x\n =?utf-8?q?x?=", "ü" * 3000, "\n\n a \n\n", "a\u2028b\xa0\t"]
)
def test_a_text_is_read_as_it_was_approved(body: str) -> None:
    """Every character of a text arrives; only the kind of line breaks, and a final one, may change."""
    mail, _ = parsed(outgoing("ada@x.example", "s", body, None))
    approved = body_text(body)

    assert mail.get_content().replace("\r\n", "\n") == approved + ("" if approved.endswith("\n") else "\n")


@pytest.mark.parametrize("body", ["a\x00b", "a\x1b[2J", "a\x85b", "a\ud800b"])
def test_what_cannot_be_shown_is_not_written(body: str) -> None:
    """A control character or half a character in the text of a mail is refused."""
    with pytest.raises(ValueError, match="no control characters"):
        body_text(body)


@pytest.mark.parametrize("part", ["subject", "recipient", "text", "header"])
def test_a_mail_that_reads_differently_is_not_sent(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail that differs in any header or in its text from what was approved is not sent."""
    written = letter._written

    def tampered(name: str, value: str) -> str:
        if part == "recipient" and name == "To":
            return f"{value}, eve@evil.example"
        if part == "subject" and name == "Subject":
            return f"{value} and more"
        if part == "header" and name == "To":
            return f"{value}\r\nBcc: eve@evil.example"
        return f"{written(name, value)}\r\nContent-Language: en\r\n\r\nother" if part == "text" else value

    monkeypatch.setattr(letter, "_written", tampered)

    with pytest.raises(ToolError, match="nothing was sent"):
        outgoing("ada@x.example", "s", "b", None)
