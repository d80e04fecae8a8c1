"""The mail that the sandbox's people find: written from templates, with names, days and figures that are new each time.

With markers, every subject and every body holds a `MARKER` that occurs nowhere else: where it turns up, this mail was
read. Tests and the demonstration go by them.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, make_msgid
from html import escape

from app.sandbox.google.gmail.enclosures import invitation, table_of
from app.sandbox.google.gmail.lives import ANYBODY, LIVES
from app.sandbox.google.gmail.topics import CLAUSES, INJECTION, LINES, SPAM, TALKS, TERMS, TRANSCRIPT, Topic
from app.sandbox.people import Person

MARKER = re.compile(r"mk[0-9a-f]{10}", re.IGNORECASE)
LONG = 22_000  # characters; more than any tool shows of one message at once

_DAY = 86_400  # seconds
_RANDOM = random.Random()  # noqa: S311  # no secrets; markers and ids come from elsewhere


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_DAYS = _words("Monday Tuesday Wednesday Thursday Friday")
_FIRST_NAMES = _words(
    "Alma Boris Carla Dario Edda Farid Gwen Hugo Ines Jonas Kira Luis Mara Nils Oona Pavel Rosa Sven Tala Ugo Vera Wim "
    "Yara Zeno"
)
_LAST_NAMES = _words(
    "Abel Brandt Castell Dorn Ekman Falk Grau Holm Iversen Jansen Keller Lund Moser Novak Ortiz Palm Quist Reyes Sato "
    "Toth Urban Voss Weiss Zorn"
)
_CITIES = _words("Bergen Bologna Bristol Cork Ghent Leeds Lyon Malmö Porto Riga Turin Utrecht Vienna York")
_THINGS = _words(
    "archive boiler bridge cabinet contract kettle ladder lamp ledger map mirror pump roof shelf table tower"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as RFC 5322 has it, its recipient's labels, and when it came, in seconds since the epoch."""

    raw: bytes
    label_ids: frozenset[str]
    at: float


def write_letters(person: Person, correspondent: Person | None, now: float, *, marked: bool) -> list[Letter]:
    """Return the letters that this person received, and wrote in answer, in the last 30 days.

    They are plain, HTML only, or both; read, unread or starred; two are longer than 20 000 characters; one has a file,
    one is an invitation, one tries to give the assistant orders, one is in the trash; some are threads, one of these
    with the correspondent.

    Args:
        person: Whose mail it is.
        correspondent: Another person of the sandbox, or None.
        now: The time that they are older than, in seconds since the epoch.
        marked: Whether each letter holds a marker.
    """
    return _Writer(person, now, marked=marked).letters(correspondent)


class _Writer:
    """Writes one person's letters."""

    def __init__(self, person: Person, now: float, *, marked: bool) -> None:
        self._person = person
        self._now = now
        self._marked = marked
        self._life = LIVES.get(person.email, ANYBODY)
        names = _RANDOM.sample(_FIRST_NAMES, 5), _RANDOM.sample(_LAST_NAMES, 5)
        self._colleagues = [
            Person.named(f"{first} {last}", f"{first}.{last}@{self._life.company}")
            for first, last in zip(*names, strict=True)
        ]

    def letters(self, correspondent: Person | None) -> list[Letter]:
        """Return all of them."""
        life = self._life
        first, second, third, fourth = _RANDOM.sample(life.work, 4)
        service, receipt, booking = _RANDOM.sample(life.services, 3)
        news, issue = life.newsletters
        figures, columns = life.file
        return [
            self._single(first, "UNREAD", 0.1, 1),
            self._single(service, "UNREAD", 0.2, 2, html=True),
            self._single(life.invitation, "UNREAD", 1, 3, file=invitation(self._now)),
            self._single(figures, "UNREAD", 1, 4, file=table_of(columns)),
            self._single(INJECTION, "UNREAD", 2, 5),
            self._single(news, "UNREAD", 2, 6, html=True, plain=False),
            self._single(second, "STARRED UNREAD", 3, 7, html=True),
            self._single(third, "STARRED", 4, 10),
            self._single(booking, "STARRED", 5, 12, html=True, plain=False),
            self._single(fourth, "", 8, 20),
            self._single(receipt, "", 8, 25, html=True),
            self._single(issue, "", 9, 28, html=True, plain=False),
            self._single(TRANSCRIPT, "UNREAD", 12, 20, goes_on=LINES),
            self._single(TERMS, "", 12, 28, html=True, plain=False, goes_on=CLAUSES),
            self._single(SPAM, "TRASH", 5, 28),
            *self._thread(_RANDOM.choice(self._colleagues), _RANDOM.choice(life.threads)),
            *(self._thread(correspondent, TALKS[self._person.email < correspondent.email]) if correspondent else ()),
        ]

    def _single(
        self,
        topic: Topic,
        labels: str,
        from_days: float,
        to_days: float,
        *,
        plain: bool = True,
        html: bool = False,
        file: EmailMessage | None = None,
        goes_on: Sequence[str] = (),
    ) -> Letter:
        """Return a mail that came between so many days ago, in the versions that are asked for."""
        at = self._now - _RANDOM.uniform(from_days, to_days) * _DAY
        details = _details()
        sender = self._sender(topic, details)
        paragraphs = topic.text.format_map(details).split("\n\n")
        if goes_on:
            paragraphs += self._going_on(goes_on)
        mail = self._mail(sender, self._person, topic.subject.format_map(details), paragraphs, plain=plain, html=html)
        if file is not None:
            mail.make_mixed()
            mail.attach(file)
        return _dated(mail, labels, at)

    def _thread(self, other: Person, said: Sequence[str]) -> list[Letter]:
        """Return a thread that the other person begins; each letter answers the one before, the last is unread."""
        at = self._now - _RANDOM.uniform(3, 20) * _DAY
        details = _details()
        subject, *texts = [text.format_map(details) for text in said]
        letters: list[Letter] = []
        earlier: list[str] = []
        for index, text in enumerate(texts):
            sender, recipient = (other, self._person) if index % 2 == 0 else (self._person, other)
            mail = self._mail(sender, recipient, f"Re: {subject}" if earlier else subject, [text])
            if earlier:
                mail["In-Reply-To"] = earlier[-1]
                mail["References"] = " ".join(earlier)
            earlier.append(str(mail["Message-ID"]))
            letters.append(_dated(mail, "UNREAD" if index == len(texts) - 1 else "", at + index * _DAY))
        return letters

    def _mail(
        self,
        sender: Person,
        recipient: Person,
        subject: str,
        paragraphs: Sequence[str],
        *,
        plain: bool = True,
        html: bool = False,
    ) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = formataddr((sender.name, sender.email))
        mail["To"] = formataddr((recipient.name, recipient.email))
        mail["Subject"] = f"{subject} [{_marker()}]" if self._marked else subject
        mail["Message-ID"] = make_msgid(domain="sandbox.example")
        greeting = f"Hello {recipient.name.split()[0]},"
        if self._marked:
            greeting += f" this is {_marker()}."
        paragraphs = [greeting, *paragraphs, sender.name]
        if plain:
            mail.set_content("\n\n".join(paragraphs) + "\n")
        if html:
            body = "<html><body>" + "".join(f"<p>{escape(each)}</p>" for each in paragraphs) + "</body></html>"
            if plain:
                mail.add_alternative(body, subtype="html")
            else:
                mail.set_content(body, subtype="html")
        return mail

    def _sender(self, topic: Topic, details: Mapping[str, str]) -> Person:
        if topic.sender is None:
            return _RANDOM.choice(self._colleagues)
        name, mailbox = (part.format_map(details) for part in topic.sender)
        return Person.named(name, f"{mailbox}@{re.sub('[^a-z0-9]+', '-', name.lower())}.example")

    def _going_on(self, lines: Sequence[str]) -> Iterator[str]:
        """Yield further paragraphs until the letter is long."""
        written = number = 0
        while written < LONG:
            number += 1
            speaker = _RANDOM.choice(self._colleagues).name.split()[0] if lines is LINES else f"{number}"
            paragraph = f"{speaker}: {_RANDOM.choice(lines).format_map(_details())}"
            written += len(paragraph)
            yield paragraph


def _details() -> dict[str, str]:
    """Return new values for the names in a template."""
    return {
        "city": _RANDOM.choice(_CITIES),
        "code": f"{_RANDOM.choice('ABCDEFGHKLMNPQRSTUVWXYZ')}{_RANDOM.randrange(10_000, 100_000)}",
        "day": _RANDOM.choice(_DAYS),
        "money": f"€{_RANDOM.randrange(12, 2_900):,}.{_RANDOM.choice(['00', '20', '50', '95'])}",
        "n": str(_RANDOM.randrange(3, 10)),
        "n2": str(_RANDOM.randrange(11, 60)),
        "room": f"{_RANDOM.choice('ABCDE')}{_RANDOM.randrange(1, 30)}",
        "thing": _RANDOM.choice(_THINGS),
        "time": f"{_RANDOM.randrange(8, 19)}:{_RANDOM.choice(['00', '15', '30', '45'])}",
    }


def _dated(mail: EmailMessage, labels: str, at: float) -> Letter:
    mail["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
    places = {"INBOX"} if "TRASH" not in labels else set()
    return Letter(mail.as_bytes(policy=SMTP), frozenset(places | set(labels.split())), at)


def _marker() -> str:
    return f"mk{secrets.token_hex(5)}"
