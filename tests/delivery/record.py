"""The record that the badge toolkit keeps of every run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

ANSWER = re.compile(r"answer to (?P<name>m\d+) by (?P<run>[0-9a-f]{8}) with badge (?P<badge>[0-9a-f]{12})")


@dataclass(frozen=True)
class Run:
    """One run of one message; times are those of the machine's monotonic clock, in seconds.

    Attributes:
        name: The name of the message.
        pid: The pid of the process.
        earlier: The names of the messages in the run's history.
        ended: None if the run never ended.
    """

    run: str
    name: str
    pid: int
    earlier: tuple[str, ...]
    began: float
    ended: float | None = None


class Record:
    """Reads a file that grows, from where the previous read ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._runs: dict[str, Run] = {}
        self._read = 0  # bytes

    def runs(self) -> list[Run]:
        """Return every run so far, in the order in which they began."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # still being written
                self._read += len(line)
                self._take(json.loads(line))
        return [*self._runs.values()]

    def _take(self, note: dict[str, object]) -> None:
        at = float(str(note["at"]))
        if (ended := note.get("ended")) is not None:
            self._runs[str(ended)] = replace(self._runs[str(ended)], ended=at)
            return
        run, earlier = str(note["begun"]), note["earlier"]
        assert isinstance(earlier, list)
        self._runs[run] = Run(run, str(note["name"]), int(str(note["pid"])), tuple(map(str, earlier)), at)
