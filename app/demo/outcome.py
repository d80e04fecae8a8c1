"""The outcome of the demonstration, and the verdict on it."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from app.principal import Principal

_CELL_LENGTH = 400  # characters of one message that the table shows


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the transcript."""

    seconds: float
    channel: str
    person: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Participant:
    """One person on one channel with one question, what they were answered, and whose that was.

    Attributes:
        own_letters: How many of their own mails, or issues, they were shown.
        foreign_letters: How many of anybody else's.
        calls: The calls under their bearer to their own account.
        foreign_calls: Those to any other account, or refused.
    """

    channel: str
    person: str
    email: str
    principal: Principal
    own_letters: int = 0
    foreign_letters: int = 0
    calls: int = 0
    foreign_calls: int = 0

    @property
    def held(self) -> bool:
        """They saw what is their own and nobody else's, by calls under their own bearer."""
        return self.own_letters > 0 and self.calls > 0 and not self.foreign_letters and not self.foreign_calls


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of the demonstration.

    Attributes:
        expected: How many were to take part, each question counted.
        stray_calls: The calls of the providers' APIs under anybody else's bearer.
    """

    transcript: tuple[Line, ...]
    participants: tuple[Participant, ...]
    expected: int
    stray_calls: int

    @property
    def held(self) -> bool:
        """Whether everybody saw their own mail only, and every call is accounted for."""
        whole = len(self.participants) == self.expected > 0
        return whole and all(each.held for each in self.participants) and not self.stray_calls

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        participants = [
            {**asdict(each), "principal": str(each.principal), "held": each.held} for each in self.participants
        ]
        return {
            "held": self.held,
            "participants": participants,
            "stray_calls": self.stray_calls,
            "transcript": [asdict(line) for line in self.transcript],
        }

    def as_table(self) -> str:
        """Return the transcript and the verdict as text."""
        transcript = Table("s", "channel", "person", "who", "says", title="Two people on every channel, at once")
        for line in self.transcript:
            transcript.add_row(f"{line.seconds:.2f}", line.channel, line.person, line.speaker, _shorten(line.text))
        verdict = Table("channel", "person", "own found", "others' found", "own calls", "others' calls", "held")
        for each in self.participants:
            counts = (each.own_letters, each.foreign_letters, each.calls, each.foreign_calls)
            verdict.add_row(each.channel, each.person, *map(str, counts), "yes" if each.held else "NO")
        output = io.StringIO()
        console = Console(file=output, width=120)
        console.print(transcript, verdict, markup=False)
        console.print(f"Calls under nobody's bearer: {self.stray_calls}. {'Held.' if self.held else 'NOT HELD.'}")
        return output.getvalue()


def _shorten(text: str) -> str:
    return text if len(text) <= _CELL_LENGTH else text[:_CELL_LENGTH] + " …"
