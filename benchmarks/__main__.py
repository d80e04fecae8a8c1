"""Run every benchmark and write benchmarks/results.json; ``python -m benchmarks NAME …`` runs some of them.

A benchmark is a module with a ``main()`` that prints its table and returns its figures. Each runs in a process of its
own, so that what one has imported does not slow the next. One that fails, or takes longer than it may, is named at the
end; the figures that it had before stay in the file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, figures_of

# Each with the seconds that it may take, for a busy machine. On two quiet cores it takes less than half of that.
BENCHMARKS = {
    "scope": 120,
    "agent": 120,
    "services": 300,
    "call": 120,
    "start": 300,
    "idle": 200,
    "message": 200,
    "refresh": 120,
    "memory": 400,
    "growth": 240,
    "assistant": 400,
    "delivery": 300,
}
RESULTS = Path(__file__).with_name("results.json")
_ONE = "--one"


def main(names: list[str]) -> int:
    """Run these benchmarks, or all; return how many failed."""
    figures: dict[str, Figure] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    took: dict[str, str] = {}
    for name in names or BENCHMARKS:
        began = time.monotonic()
        found = _run(name)
        seconds = f"{time.monotonic() - began:.0f} s"
        took[name] = seconds if found is not None else f"FAILED after {seconds}"
        if found is not None:
            figures |= found
            RESULTS.write_text(json.dumps(figures, indent=2) + "\n")  # now: the last one takes minutes
    print("\n".join(f"{name}: {how}" for name, how in took.items()))
    print(f"{RESULTS}: {sum(figure['met'] for figure in figures.values())} of {len(figures)} targets are met")
    return sum(how.startswith("FAILED") for how in took.values())


def _run(name: str) -> dict[str, Figure] | None:
    """Return the figures of a benchmark, or None if it has none after the time that it may take."""
    with tempfile.TemporaryDirectory(prefix="deputy-bench-") as folder:
        file = Path(folder, "figures.json")
        command = [sys.executable, "-u", "-m", "benchmarks", _ONE, name, str(file)]
        process = subprocess.Popen(command, start_new_session=True)
        try:
            process.wait(BENCHMARKS[name])
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process)
        figures: dict[str, Figure] | None = json.loads(file.read_text()) if file.exists() else None
        return figures


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a benchmark and everything that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(5.0)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


if __name__ == "__main__":
    if sys.argv[1:2] == [_ONE]:
        Path(sys.argv[3]).write_text(json.dumps(figures_of(sys.argv[2])))
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the benchmark that runs, too
        sys.exit(main(sys.argv[1:]))
