"""What a start imports: seconds of each would go into packages that it does not use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Set
from pathlib import Path

import pytest
import typer
from typer.main import get_group

from app.cli import COMMANDS, cli

HELP = "import sys; from app.cli import cli; cli(['--help'], standalone_mode=False); print('imported:', *sys.modules)"
COMMAND = "import sys; import app.commands.common; print('imported:', *sys.modules)"
SERVER = "import sys; import app.main, app.sandbox.attachment, containers.build; print('imported:', *sys.modules)"


def imported(script: str, *arguments: Path) -> Set[str]:
    """Return the modules that a new process has imported at the end of a script."""
    process = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, check=True, text=True
    )
    modules = process.stdout.rpartition("imported: ")[2].split()
    assert "sys" in modules
    return set(modules)


def test_help_imports_typer_and_nothing_else() -> None:
    """`deputy --help` imports none of the commands that it lists."""
    modules = imported(HELP)

    assert {name for name in modules if name.startswith(("app.", "containers.", "interfaces."))} == {"app.cli"}
    assert {"rich", "pydantic", "sqlalchemy", "yaml", "httpx2"} & modules == set()


@pytest.mark.parametrize(
    ("script", "unused"),
    [
        (COMMAND, {"fastapi", "pydantic_ai", "googleapiclient", "dependency_injector", "rich", "httpx2"}),
        (SERVER, {"app.sandbox.google.sandbox", "jsonschema", "slack_sdk", "openai", "mcp", "alembic", "rich"}),
    ],
    ids=["any command", "a server without Slack, and without the sandbox"],
)
def test_a_start_imports_nothing_that_it_does_not_use(script: str, unused: set[str]) -> None:
    """Each process imports what it needs, and the rest only where the configuration asks for it."""
    assert unused & imported(script) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    """The sentence that `deputy --help` shows without importing a command is the first of its own help."""
    with typer.Context(get_group(cli)) as context:
        command = get_group(cli).get_command(context, name)

    assert command is not None
    assert (command.help or "").split("\n\n")[0].replace("\n", " ").startswith(COMMANDS[name])
