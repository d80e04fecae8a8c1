"""Deputy next to a project that has its own package `app`, run from the project's folder with PYTHONPATH=."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TOOLKIT = """
from deputy import Principal, Toolkit, tool


class NotesToolkit(Toolkit):
    name = "notes"

    def __init__(self, principal: Principal) -> None:
        self._owner = principal.user

    @tool(oauth_scopes=())
    async def show(self) -> str:
        "Return the person's notes."
        return f"{self._owner} has none"
"""
TEST = """
import asyncio, pathlib, tempfile
from deputy.testing import open_test_app, settings_in, two_principals

async def main():
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(pathlib.Path(folder), toolkits={"notes": "my_tools:NotesToolkit"})
        async with open_test_app(settings) as app:
            print((await app.ask(two_principals()[0], "/notes_show")).json()["answer"])

asyncio.run(main())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a web project with a package `app`, a toolkit and Deputy's configuration."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    (tmp_path / "app" / "models.py").write_text("LIMIT = 3\n")
    (tmp_path / "my_tools.py").write_text(TOOLKIT)
    tree = {
        "key_ring": {"file": "keys.yaml"},
        "toolkits": {"notes": "my_tools:NotesToolkit"},
        "agents": {"assistant": {"toolkits": ["notes"]}},
        "default_agent": "assistant",
        "interfaces": {"http": {}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


def run(project: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in the project."""
    return subprocess.run(
        [*map(str, command)], cwd=project, env={"PYTHONPATH": "."}, capture_output=True, text=True, timeout=60
    )


def deputy(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in the project."""
    return run(project, Path(sys.executable).with_name("deputy"), *arguments)


def test_the_command_finds_its_own_packages_and_the_projects_toolkit(project: Path) -> None:
    """`deputy tools list` works beside the other `app`, and lists the project's tool."""
    listed = deputy(project, "tools", "list")

    assert (listed.returncode, listed.stderr) == (0, "")
    assert "notes_show" in listed.stdout


def test_the_module_is_the_command(project: Path) -> None:
    """`python -m deputy` also works, although it puts the project's folder first on the path."""
    version = run(project, sys.executable, "-m", "deputy", "--version")

    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("deputy ")


def test_a_toolkit_that_needs_the_other_package_is_told_why_it_cannot(project: Path) -> None:
    """A toolkit that imports the other `app` exits with 2, and one line says that `app` is Deputy's."""
    (project / "my_tools.py").write_text(f"from app.models import LIMIT\n{TOOLKIT}")
    listed = deputy(project, "tools", "list")

    assert listed.returncode == 2
    assert "No module named 'app.models': in this process `app` is Deputy's own package" in listed.stderr
    assert listed.stderr.count("\n") == 1


def test_a_package_that_was_imported_before_is_told_in_one_sentence(project: Path) -> None:
    """If the other `app` was imported before the command began, the command ends with one line that says so."""
    begun = run(project, sys.executable, "-c", "import app.models, deputy.command; deputy.command.main()")

    assert begun.returncode == 1
    assert begun.stderr.startswith(f"deputy: the package `app` at {project / 'app'} hides Deputy's package")
    assert begun.stderr.count("\n") == 1


def test_a_project_tests_its_toolkit(project: Path) -> None:
    """A project's test works once it calls `own_packages_first`, and without it the error says to do so."""
    first = "from deputy.packages import own_packages_first\nown_packages_first()\n"
    refused, tested = (run(project, sys.executable, "-c", code) for code in (TEST, first + TEST))

    assert refused.returncode == 1
    assert "call deputy.packages.own_packages_first() before other imports" in refused.stderr.splitlines()[-1]
    assert (tested.returncode, tested.stderr) == (0, "")
    assert "ada has none" in tested.stdout


def test_importing_deputy_costs_nothing(project: Path) -> None:
    """`import deputy` imports none of its packages."""
    imported = run(project, sys.executable, "-c", "import sys, deputy; print(*sys.modules)")
    modules = set(imported.stdout.split())

    assert "deputy" in modules
    assert modules & {"app", "containers", "interfaces", "pydantic", "pydantic_ai", "dependency_injector"} == set()
