"""What a start imports: seconds of each would go into packages that it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMAND = "app.cli"
SERVER = "app.main, app.sandbox.attachment, containers.build"


@pytest.mark.parametrize(
    ("modules", "unused"),
    [
        (COMMAND, {"fastapi", "pydantic_ai", "googleapiclient", "dependency_injector"}),
        (SERVER, {"app.sandbox.google.sandbox", "jsonschema", "slack_sdk", "openai", "mcp", "alembic"}),
    ],
    ids=["any command", "a server without Slack, and without the sandbox"],
)
def test_a_start_imports_nothing_that_it_does_not_use(modules: str, unused: set[str]) -> None:
    """Each process imports what it needs, and the rest only where the configuration asks for it."""
    script = f"import sys, {modules}; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    imported = set(process.stdout.split())

    assert set(modules.split(", ")) <= imported
    assert unused & imported == set()
