"""A sandbox's mail for people, without markers, which reads like the mail of two different people."""

from __future__ import annotations

import re

from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.gmail.lives import ADA as ADAS_LIFE
from app.sandbox.google.gmail.lives import GRACE as GRACES_LIFE
from tests.fakes.sandbox import ADA, GRACE, sandbox


def test_an_unmarked_mailbox_reads_like_mail() -> None:
    """A mail has no marker and no template variable left, and its sender's address is at a reserved name."""
    google = sandbox(marked=False)
    for email in (ADA, GRACE):
        for each in google.mailbox(email):
            text = f"{each.subject}\n{each.body}"
            assert not MARKER.search(text)
            assert not re.search(r"[{}]", text)
            assert each.sender.endswith(".example")


def test_two_people_have_different_lives() -> None:
    """Each person's mail comes from their own company and senders, so the mailboxes cannot be confused."""
    google = sandbox(marked=False)
    ada, grace = ({each.sender.partition("@")[2] for each in google.mailbox(email)} for email in (ADA, GRACE))

    assert ADAS_LIFE.company in ada - grace
    assert GRACES_LIFE.company in grace - ada
    assert len(ada - grace) >= 4
    assert len(grace - ada) >= 4


def test_a_mailbox_holds_an_invitation_a_table_and_an_attempt_to_give_orders() -> None:
    """Each mailbox holds an invitation, a table and an attempt to give orders, all new at each start."""
    first, second = (sandbox(marked=False) for _ in range(2))
    for email in (ADA, GRACE):
        files = {file.get_filename() for each in first.mailbox(email) for file in each.attachments}
        assert files == {"invite.ics", "figures.csv"}
        assert sum("ignore your previous instructions" in each.body for each in first.mailbox(email)) == 1
        assert {each.raw for each in first.mailbox(email)}.isdisjoint(each.raw for each in second.mailbox(email))
