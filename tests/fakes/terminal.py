"""A command on a pseudo-terminal, as a person runs it: its output, and the lines they type."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_SECONDS = 60.0
_LEFT_OUT = ("CI", "PYTEST", "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "NO_COLOR")  # unset in a person's terminal


class Terminal:
    """A running command and its screen. Lives until the command ends or the context does."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self.printed = ""
        self._screen = screen
        self._seen = 0

    def expect(self, text: str) -> str:
        """Wait until this text appears after what was expected before; return everything up to its end."""
        while (at := self.printed.find(text, self._seen)) < 0:
            assert self._read(), f"{text!r} did not appear in:\n{self.printed}"
        begin, self._seen = self._seen, at + len(text)
        return self.printed[begin : self._seen]

    def expect_all(self, *texts: str) -> None:
        """Wait until all these texts appear after what was expected before, in any order."""
        begin, ends = self._seen, []
        for text in texts:
            self._seen = begin
            self.expect(text)
            ends.append(self._seen)
        self._seen = max(ends)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._screen, f"{line}\n".encode())

    def answer(self, question: str, line: str) -> None:
        """Wait for a question, and type the answer once the prompt is complete: earlier input can be discarded."""
        self.expect(question)
        while not self.printed.endswith(": "):
            assert self._read(), f"no answer was awaited after:\n{self.printed}"
        self.type(line)

    def interrupt(self) -> None:
        """Send everything on the terminal SIGINT, as Ctrl-C does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Read until the command ends; return its exit code."""
        while self._read():
            pass
        return self.process.wait(_PATIENCE_SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], _PATIENCE_SECONDS)
        assert ready, f"nothing more was printed after:\n{self.printed}"
        try:
            read = os.read(self._screen, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.printed += read.decode(errors="replace").replace("\r\n", "\n")
        return bool(read)


@contextmanager
def on_terminal(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run a command on a terminal of its own; its whole session ends with the block."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    process = subprocess.Popen(
        [*map(str, command)],
        cwd=cwd,
        env={**environ, "TERM": "xterm", "COLUMNS": "120", **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        terminal.end()
        os.close(ours)
