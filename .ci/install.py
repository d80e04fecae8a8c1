"""Runs `pip install` and says how far it is: on one line of a terminal, or in one line of a log.

Usage: python .ci/install.py TITLE OPTION…
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable

_SHOWN_AFTER_A_FAILURE = 30  # lines of pip's
_PIP = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off")


def main(title: str, *options: str) -> int:
    """Install, and return pip's exit code; after a failure, pip's last lines are printed."""
    on_terminal = sys.stdout.isatty()
    if not on_terminal:
        print(title, flush=True)
    unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*_PIP, *options], env=unbuffered, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None
        said: deque[str] = deque(maxlen=_SHOWN_AFTER_A_FAILURE)
        for progress in _progress(pip.stdout, said):
            if on_terminal:
                print(f"\r\x1b[K{title}: {progress}", end="", flush=True)
    if on_terminal:
        print(f"\r\x1b[K{title}")
    if pip.returncode:
        print(*said, sep="", file=sys.stderr)
    return pip.returncode


def _progress(lines: Iterable[str], said: deque[str]) -> Iterable[str]:
    """Keep pip's last lines in `said`; yield what it is doing whenever that changes."""
    found = 0
    for line in lines:
        said.append(line)
        step = line.split()[:1]
        if step in (["Collecting"], ["Obtaining"], ["Requirement"]):
            found += 1
            yield f"{found} found"
        elif step == ["Installing"]:
            yield f"installing {line.count(',') + 1}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
