"""The mail that the sandbox's people find: made of random words, so that no two sandboxes hold the same.

Every subject and every body holds a marker, `MARKER`, that occurs nowhere else: where it turns up, this mail was read.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, make_msgid
from html import escape

from app.sandbox.people import Person

MARKER = re.compile(r"mk[0-9a-f]{10}", re.IGNORECASE)
LONG = 22_000  # characters; more than any tool shows of one message at once

_DAY = 86_400  # seconds
_RANDOM = secrets.SystemRandom()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ADJECTIVES = _words(
    "amber brisk calm copper crisp dusty eager early faint gentle golden hollow ivory keen late mellow narrow "
    "north open pale quiet rapid rough silver slow small solid south steady sudden tidy upper velvet warm western "
    "winter"
)
_NOUNS = _words(
    "anchor arch atlas bakery barn beacon bridge budget canal cedar chart clinic compass contract court delta "
    "draft engine ferry forum garden glacier harbour heron index invoice island kettle lantern ledger library "
    "market meadow mill mirror museum orchard paper pilot pier plan quarry quartz report ribbon river roof saddle "
    "school signal studio summit survey table tender theatre timber tower valley vendor violin visit wharf window "
    "workshop"
)
_VERBS = _words(
    "announced approved brought built checked closed counted delayed delivered drafted finished found fixed moved "
    "opened ordered planned postponed printed read repaired sent shared shipped signed sketched tested visited "
    "wrapped wrote"
)
_FIRST_NAMES = _words(
    "Alma Boris Carla Dario Edda Farid Gwen Hugo Ines Jonas Kira Luis Mara Nils Oona Pavel Rosa Sven Tala Ugo "
    "Vera Wim Yara Zeno"
)
_LAST_NAMES = _words(
    "Abel Brandt Castell Dorn Ekman Falk Grau Holm Iversen Jansen Keller Lund Moser Novak Ortiz Palm Quist Reyes "
    "Sato Toth Urban Voss Weiss Zorn"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as RFC 5322 has it, its recipient's labels, and when it came, in seconds since the epoch."""

    raw: bytes
    label_ids: frozenset[str]
    at: float


def write_letters(person: Person, correspondent: Person | None, now: float) -> list[Letter]:
    """Return the letters that this person received, and wrote in answer, in the last 30 days.

    They are plain, HTML only, or both; read, unread or starred; two are longer than 20 000 characters; one has a file,
    one is in the trash; some are threads, one of these with the correspondent.

    Args:
        person: Whose mail it is.
        correspondent: Another person of the sandbox, or None.
        now: The time that they are older than, in seconds since the epoch.
    """
    writer = _Writer(person, now)
    letters = [
        *(writer.letter(kind, labels) for kind in ("plain", "html", "both") for labels in ("", "UNREAD", "STARRED")),
        writer.letter("plain", "UNREAD", length=LONG),
        writer.letter("html", "", length=LONG),
        writer.letter("file", "UNREAD"),
        writer.letter("both", "STARRED UNREAD"),
        writer.letter("plain", "TRASH"),
        *writer.thread(stranger(), 3),
    ]
    if correspondent:
        letters += writer.thread(correspondent, 3)
    return letters


class _Writer:
    """Writes one person's letters."""

    def __init__(self, person: Person, now: float) -> None:
        self._person = person
        self._now = now

    def letter(self, kind: str, labels: str, length: int = 400) -> Letter:
        """Return a single letter from somebody outside."""
        mail = _compose(stranger(), self._person, _subject(), kind, length)
        return self._dated(mail, labels, self._now - _RANDOM.uniform(3600, 29 * _DAY))

    def thread(self, other: Person, count: int) -> list[Letter]:
        """Return a thread that the other person begins; each letter answers the one before, the last is unread."""
        at = self._now - _RANDOM.uniform(5, 28) * _DAY
        subject = _subject()
        letters: list[Letter] = []
        earlier: list[str] = []
        for index in range(count):
            sender, recipient = (other, self._person) if index % 2 == 0 else (self._person, other)
            mail = _compose(sender, recipient, f"Re: {subject}" if earlier else subject, "plain", 300)
            if earlier:
                mail["In-Reply-To"] = earlier[-1]
                mail["References"] = " ".join(earlier)
            earlier.append(str(mail["Message-ID"]))
            letters.append(self._dated(mail, "UNREAD" if index == count - 1 else "", at + index * _DAY))
        return letters

    def _dated(self, mail: EmailMessage, labels: str, at: float) -> Letter:
        mail["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
        places = {"INBOX"} if "TRASH" not in labels else set()
        return Letter(mail.as_bytes(policy=SMTP), frozenset(places | set(labels.split())), at)


def stranger() -> Person:
    """Return a person without an account at the sandbox."""
    first, last = _RANDOM.choice(_FIRST_NAMES), _RANDOM.choice(_LAST_NAMES)
    domain = f"{_RANDOM.choice(_ADJECTIVES)}-{_RANDOM.choice(_NOUNS)}.example"
    return Person.named(f"{first} {last}", f"{first}.{last}@{domain}".lower())


def _compose(sender: Person, recipient: Person, subject: str, kind: str, length: int) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = formataddr((sender.name, sender.email))
    mail["To"] = formataddr((recipient.name, recipient.email))
    mail["Subject"] = subject
    mail["Message-ID"] = make_msgid(domain="sandbox.example")
    paragraphs = [f"Hello {recipient.name.split()[0]}, this is {_marker()}.", *_paragraphs(length), sender.name]
    text = "\n\n".join(paragraphs) + "\n"
    html = "<html><body>" + "".join(f"<p>{escape(each)}</p>" for each in paragraphs) + "</body></html>"
    if kind == "html":
        mail.set_content(html, subtype="html")
    else:
        mail.set_content(text)
    if kind == "both":
        mail.add_alternative(html, subtype="html")
    if kind == "file":
        rows = "".join(f"{_RANDOM.choice(_NOUNS)},{_RANDOM.randrange(1000)}\r\n" for _ in range(20))
        mail.add_attachment(rows.encode(), maintype="text", subtype="csv", filename=f"{_RANDOM.choice(_NOUNS)}.csv")
    return mail


def _subject() -> str:
    return f"{_RANDOM.choice(_ADJECTIVES)} {_RANDOM.choice(_NOUNS)} {_RANDOM.choice(_NOUNS)} {_marker()}".capitalize()


def _paragraphs(length: int) -> Iterator[str]:
    written = 0
    while written < length:
        paragraph = " ".join(_sentence() for _ in range(_RANDOM.randint(2, 5)))
        written += len(paragraph)
        yield paragraph


def _sentence() -> str:
    words = [_RANDOM.choice(each) for each in (_ADJECTIVES, _NOUNS, _VERBS, _ADJECTIVES, _NOUNS)]
    return "The {} {} {} the {} {}.".format(*words)


def _marker() -> str:
    return f"mk{secrets.token_hex(5)}"
