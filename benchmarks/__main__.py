"""Run every benchmark and write benchmarks/results.json."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from benchmarks import scope

RESULTS = Path(__file__).with_name("results.json")

rows = asyncio.run(scope.measure())
RESULTS.write_text(json.dumps(scope.results(rows), indent=2) + "\n")
print(RESULTS.read_text(), end="")
