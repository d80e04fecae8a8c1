"""The files that the sandbox's people find in their Drive: drawn anew at each start.

For a proof, every name and every text holds a marker, as the mail does: where it turns up, this file was read.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from app.sandbox.google.drive.file import DOCUMENT, FOLDER, SPREADSHEET, DriveFile
from app.sandbox.google.drive.store import DriveStore
from app.sandbox.people import Person

_RANDOM = secrets.SystemRandom()
_TITLES = (
    "Annual report", "Budget draft", "Garden plans", "Interview notes", "Launch checklist", "Meeting minutes",
    "Moving house", "Project outline", "Reading list", "Recipe collection", "Talk abstract", "Travel plans",
)  # fmt: skip
_POINTS = (
    "Ask who is responsible, and by when.", "Compare with what we had last year.", "Everything here is settled.",
    "Keep this short.", "Leave room for questions.", "Look at it again on Friday.", "Needs a second opinion.",
    "The numbers are still missing.", "Two weeks should be enough.", "Write to everybody when this is done.",
)  # fmt: skip
_PIXEL = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"


def shelf(store: DriveStore, person: Person, people: tuple[Person, ...], *, marked: bool) -> Iterator[DriveFile]:
    """Yield a person's files: two documents, a table, a text, a picture, and a folder with one more document.

    The second document is shared with everybody else, for reading.

    Args:
        store: Where the files will be kept.
        person: Their owner.
        people: Everybody at the sandbox.
        marked: Whether names and texts hold markers.
    """
    sign = _marked if marked else str
    titles = _RANDOM.sample(_TITLES, 5)
    root = store.root(person)
    others = {each.email: "reader" for each in people if each != person}

    def file(name: str, kind: str, content: str | bytes = "", parent: str = root, **more: object) -> DriveFile:
        at = _earlier(store.now())
        data = content if isinstance(content, bytes) else content.encode()
        return DriveFile(store.new_id(), name, kind, person.email, parent, at, at, data, **more)  # type: ignore[arg-type]

    yield file(sign(titles[0]), DOCUMENT, _text(titles[0], sign))
    yield file(sign(titles[1]), DOCUMENT, _text(titles[1], sign), roles=others)
    yield file(
        sign(titles[2]), SPREADSHEET, f"item,amount,note\nrent,1200,{sign('monthly')}\nbooks,85,{sign('once')}\n"
    )
    yield file(f"{sign(titles[3])}.txt", "text/plain", _text(titles[3], sign))
    yield file(f"{sign('Picture')}.png", "image/png", _PIXEL)
    folder = file(sign("Archive"), FOLDER)
    yield folder
    yield file(sign(titles[4]), DOCUMENT, _text(titles[4], sign), folder.file_id)


def team_files(store: DriveStore, *, marked: bool) -> Iterator[DriveFile]:
    """Yield the files of the shared drive, with or without markers."""
    sign = _marked if marked else str
    at = _earlier(store.now())
    title = "Team handbook"
    yield DriveFile(
        store.new_id(),
        sign(title),
        DOCUMENT,
        None,
        store.team,
        at,
        at,
        _text(title, sign).encode(),
        drive_id=store.team,
    )


def _text(title: str, sign: Callable[[str], str]) -> str:
    lines = [sign(f"{number}. {_RANDOM.choice(_POINTS)}") for number in range(1, 6)]
    return "\n".join([title, "", *lines, ""])


def _earlier(now: datetime) -> datetime:
    return now - timedelta(hours=_RANDOM.randint(5, 2_000))


def _marked(text: str) -> str:
    return f"{text} mk{secrets.token_hex(5)}"
