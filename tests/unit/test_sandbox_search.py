"""Gmail's search language in the sandbox."""

from __future__ import annotations

import pytest

from app.sandbox.google.gmail.mailbox import SYSTEM_LABELS, Label
from app.sandbox.google.gmail.message import MailboxMessage
from app.sandbox.google.gmail.search import SearchError, read_search

NOW = 1_795_000_000.0  # 2026-11-18, 11:06:40 UTC
ADA = "ada@sandbox.example"
LABELS = [*(Label(name, name) for name in SYSTEM_LABELS), Label("Label_1", "Tax Office/2026")]


def message(
    name: str, head: str, body: str = "", labels: tuple[str, ...] = ("INBOX",), days_ago: float = 1.0
) -> MailboxMessage:
    """Return a message of Ada's whose id is its name."""
    at = int((NOW - days_ago * 86_400) * 1000)
    raw = f"{head}\r\n\r\n{body}".replace("\n", "\r\n").encode()
    return MailboxMessage(name, name, raw, frozenset(labels), at, 1)


FILE = "Content-Type: multipart/mixed; boundary=x"
MESSAGES = [
    message("lunch", f"From: Grace <grace@sandbox.example>\nTo: {ADA}\nSubject: Lunch plans", "Meet at the old mill."),
    message("unread", f"From: bob@vendor.example\nTo: {ADA}\nSubject: Invoice", "Old mill.", ("INBOX", "UNREAD")),
    message("star", f"From: bob@vendor.example\nTo: x@y.example\nCc: {ADA}\nSubject: Re: x", "", ("STARRED",), 9),
    message("sent", f"From: {ADA}\nTo: grace@sandbox.example\nSubject: the mill is old", "", ("SENT",), 20),
    message("trash", "From: spam@spam.example\nSubject: mill", "", ("TRASH",), 2),
    message("tax", "From: tax@office.example\nSubject: Tax", "", ("INBOX", "Label_1"), 400),
    message(
        "file",
        f"From: bob@vendor.example\n{FILE}",
        "--x\n\nSee file.\n--x\nContent-Disposition: attachment; filename=Mill.csv\n\n1\n--x--",
    ),
]


def found(query: str) -> set[str]:
    """Return the names of the messages that a query finds, including hidden ones."""
    search = read_search(query, email=ADA, labels=LABELS, now=NOW)
    return {each.id for each in MESSAGES if search.matches(each)}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"lunch", "unread", "star", "sent", "trash", "tax", "file"}),
        ("mill", {"lunch", "unread", "sent", "trash", "file"}),
        ("MILL old", {"lunch", "unread", "sent"}),
        ('"old mill"', {"lunch", "unread"}),
        ("old-mill", {"lunch", "unread"}),
        ("mil", set()),
        ("mill -old", {"trash", "file"}),
        ('mill -"old mill"', {"sent", "trash", "file"}),
        ("from:grace", {"lunch"}),
        ("from:bob@vendor.example", {"unread", "star", "file"}),
        ("from:me", {"sent"}),
        ("to:me", {"lunch", "unread", "star"}),
        ("cc:me", {"star"}),
        ("subject:mill", {"sent", "trash"}),
        ('subject:"lunch plans"', {"lunch"}),
        ("subject:(plans lunch)", {"lunch"}),
        ("is:unread", {"unread"}),
        ("is:starred", {"star"}),
        ("is:read in:inbox", {"lunch", "tax", "file"}),
        ("in:sent", {"sent"}),
        ("in:trash", {"trash"}),
        ("label:tax-office-2026", {"tax"}),
        ("label:absent", set()),
        ("has:attachment", {"file"}),
        ("filename:csv", {"file"}),
        ("newer_than:7d", {"lunch", "unread", "trash", "file"}),
        ("older_than:1y", {"tax"}),
        ("after:2026/11/09 before:2026-11-10", {"star"}),
        ("after:1794900000", {"lunch", "unread", "file"}),
        ("from:grace OR is:starred", {"lunch", "star"}),
        ("from:grace OR from:bob is:unread", {"unread"}),
        ("{from:grace is:starred}", {"lunch", "star"}),
        ("-{is:read in:inbox}", set()),
        ("(from:bob -is:starred) OR in:sent", {"unread", "file", "sent"}),
        ("12:30", set()),
    ],
)
def test_a_query_finds(query: str, names: set[str]) -> None:
    """Words, phrases, exclusions, groups, alternatives and operators find what Gmail's help says."""
    assert found(query) == names


@pytest.mark.parametrize(
    "query", ["larger:5M", "is:snoozed", "has:drive", "after:soon", "newer_than:3w", "category:x", "(mill", "mill)"]
)
def test_what_is_not_spoken_is_refused(query: str) -> None:
    """A query that the sandbox would silently misread is an error."""
    with pytest.raises(SearchError):
        found(query)


@pytest.mark.parametrize(("query", "reaches"), [("mill", False), ("in:trash", True), ("in:anywhere mill", True)])
def test_a_query_says_whether_it_reaches_the_trash(query: str, reaches: bool) -> None:
    """Trash and spam are searched only if the query asks for them."""
    assert read_search(query, email=ADA, labels=LABELS, now=NOW).reaches_hidden is reaches
