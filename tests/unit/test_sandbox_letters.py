"""The mail that the sandbox invents."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.gmail.message import MailboxMessage
from app.sandbox.google.sandbox import GoogleSandbox
from tests.fakes.sandbox import ADA, GRACE, Clock, sandbox

CLOCK = Clock()


def markers(messages: list[MailboxMessage]) -> set[str]:
    """Return every marker in these messages."""
    return {found.lower() for each in messages for found in MARKER.findall(each.subject + each.body)}


def test_everybody_has_mail_of_every_kind() -> None:
    """Each mailbox holds unread, read, starred and trashed mail, plain, HTML only and both, long and short."""
    google = sandbox(now=CLOCK)

    for email in (ADA, GRACE):
        messages = google.mailbox(email)
        labels = [each.label_ids for each in messages]
        assert len(messages) >= 12
        assert {"UNREAD", "STARRED", "TRASH", "SENT", "INBOX"} <= frozenset().union(*labels)
        kinds = {each.mail.get_content_type() for each in messages}
        assert kinds == {"text/plain", "text/html", "multipart/alternative", "multipart/mixed"}
        assert sum(len(each.body) > 20_000 for each in messages) == 2
        assert any("INBOX" in each and "UNREAD" not in each for each in labels)


def test_mail_is_of_the_last_thirty_days_and_newest_first() -> None:
    """Mails are from the last thirty days, newest first, and their headers have the mailbox's dates."""
    messages = sandbox(now=CLOCK).mailbox(ADA)
    ages = [CLOCK.now - each.at / 1000 for each in messages]

    assert ages == sorted(ages)
    assert ages[0] > 0
    assert ages[-1] < 30 * 86_400
    assert all(abs(parsedate_to_datetime(each.header("Date")).timestamp() - each.at / 1000) < 1 for each in messages)


def test_threads_hold_several_messages_one_of_them_with_the_other_person() -> None:
    """A conversation is one thread in each mailbox, and its messages have different ids there."""
    google = sandbox(now=CLOCK)
    ada = [each for each in google.mailbox(ADA) if each.sender == GRACE]
    thread = [each for each in google.mailbox(ADA) if each.thread_id == ada[0].thread_id]
    same = [each for each in google.mailbox(GRACE) if each.message_id == ada[0].message_id]

    assert len(thread) == 3
    assert {each.sender for each in thread} == {ADA, GRACE}
    assert len(same) == 1
    assert same[0].id != ada[0].id


def test_no_text_is_fixed() -> None:
    """Two sandboxes share no marker and no subject, and each message has its own marker."""
    first, second = (sandbox(now=CLOCK).mailbox(ADA) for _ in range(2))
    bodies = [set(MARKER.findall(each.body)) for each in first]

    assert not markers(first) & markers(second)
    assert not {each.subject for each in first} & {each.subject for each in second}
    assert all(len(each) == 1 for each in bodies)
    assert len(set.union(*bodies)) == len(first)


def test_each_person_has_mail_that_nobody_else_has() -> None:
    """Most markers of a mailbox are in no other, so that a leak would be visible."""
    google: GoogleSandbox = sandbox(now=CLOCK)
    ada, grace = markers(google.mailbox(ADA)), markers(google.mailbox(GRACE))

    assert len(ada - grace) >= 12
    assert len(grace - ada) >= 12
    assert ada & grace
