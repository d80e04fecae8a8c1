"""`deputy demo`: run the demonstration."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.commands.common import FAILED, JsonOption, run

AgnoOption = Annotated[bool, typer.Option("--agno", help="Read mail by agno's own GmailTools, where it is installed.")]


def demo(as_json: JsonOption = False, with_agno: AgnoOption = False) -> None:
    """Run two people on every channel at once on a new server; exit 1 unless each saw only their own mail."""
    from app.demo.demonstration import run_demo

    outcome = run(run_demo(with_agno=with_agno))
    print(json.dumps(outcome.as_json(), indent=2) if as_json else outcome.as_table())
    if not outcome.held:
        raise typer.Exit(FAILED)
