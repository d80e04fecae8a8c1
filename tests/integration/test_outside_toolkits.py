"""An external toolkit: one class and one line of configuration, isolated even if its author did not think of it."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.errors import SettingsError
from app.main import prove_lifetimes
from app.settings import Settings
from containers.proof import LifetimeError
from containers.testing import (
    IsolationError,
    assert_isolated,
    open_test_container,
    open_test_scope,
    settings_in,
    two_principals,
)
from tests.outside.notes import KeepingToolkit, NotesToolkit

PACKAGE = "tests.outside.notes"


def with_toolkit(folder: Path, name: str, path: str) -> Settings:
    """Return settings with one external toolkit."""
    return settings_in(folder, toolkits={name: path})


async def test_it_is_one_class_and_one_line(tmp_path: Path) -> None:
    """A class named in the settings becomes part of the agent, and gets what its constructor asks for."""
    async with open_test_container(with_toolkit(tmp_path, "notes", f"{PACKAGE}:NotesToolkit")) as container:
        ada, _ = two_principals()
        async with open_test_scope(ada) as scope:
            tools = scope.get(container.agents.providers["assistant"]).tools()

            assert {"gmail_send", "notes_add", "notes_publish"} <= tools.keys()


async def test_it_leaks_nothing(tmp_path: Path) -> None:
    """Two people who use the toolkit at once find only their own notes, and nothing outlives the requests."""
    async with open_test_container(with_toolkit(tmp_path, "notes", f"{PACKAGE}:NotesToolkit")) as container:

        async def use(notes: NotesToolkit) -> list[str]:
            await notes.add("first")
            return await notes.add("second")

        results = await assert_isolated(container, container.toolkits.providers["notes"], use)

        assert results == [["ada: first", "ada: second"], ["grace: first", "grace: second"]]


async def test_a_kept_instance_is_noticed(tmp_path: Path) -> None:
    """A toolkit whose instance is kept by its module fails the isolation check."""
    async with open_test_container(with_toolkit(tmp_path, "keeping", f"{PACKAGE}:KeepingToolkit")) as container:
        with pytest.raises(IsolationError, match=KeepingToolkit.__name__):
            await assert_isolated(container, container.toolkits.providers["keeping"])


@pytest.mark.parametrize(("name", "toolkit"), [("onlyone", "OnlyOneToolkit"), ("keeping", "KeepingToolkit")])
async def test_what_cannot_be_built_afresh_is_refused(tmp_path: Path, name: str, toolkit: str) -> None:
    """A toolkit that gives two people one instance, or keeps one, stops the start with its name."""
    async with open_test_container(with_toolkit(tmp_path, name, f"{PACKAGE}:{toolkit}")) as container:
        with pytest.raises(LifetimeError) as refused:
            await prove_lifetimes(container, settings_in(tmp_path))

        assert f"toolkits.{name}" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "path", "told"),
    [
        ("greedy", f"{PACKAGE}:GreedyToolkit", "asks for everything: dict"),
        ("untyped", f"{PACKAGE}:UntypedToolkit", "asks for thing, untyped"),
        ("empty", f"{PACKAGE}:EmptyToolkit", "has no tools"),
        ("nothing", f"{PACKAGE}:NoToolkit", "inherits deputy.Toolkit"),
        ("other", f"{PACKAGE}:NotesToolkit", "has the name 'notes'"),
        ("gone", f"{PACKAGE}:GoneToolkit", "cannot be imported"),
        ("gone", "tests.outside.gone:GoneToolkit", "Is its package installed, or its folder on PYTHONPATH?"),
        ("sharing", "tests.outside.sharing:SharingToolkit", "that all people would share"),
        ("caching", "tests.outside.caching:CachingToolkit", "is cached for all people"),
        ("gmail", f"{PACKAGE}:NotesToolkit", "a built-in toolkit has this name"),
    ],
)
async def test_what_breaks_a_rule_is_refused(tmp_path: Path, name: str, path: str, told: str) -> None:
    """A toolkit that breaks a rule stops the start, with its name and the rule."""
    with pytest.raises(SettingsError) as refused:
        async with open_test_container(with_toolkit(tmp_path, name, path)):
            pass

    assert f"toolkits.{name}" in str(refused.value)
    assert told in str(refused.value)


SENTINEL = "CANARY7f3a"
BROKEN = {
    "import nothing_of_this_name\n": (1, "No module named 'nothing_of_this_name'. Is its package installed"),
    "\ndef (:\n": (2, "invalid syntax"),
    "\n\nprint(missing)\n": (3, "NameError: name 'missing' is not defined"),
    f"x = 1\nraise RuntimeError('{SENTINEL}')\n": (2, "RuntimeError"),
    f"\nimport json; json.loads('{SENTINEL}')\n": (2, "JSONDecodeError"),
    "import sys\nsys.exit(3)\n": (2, "SystemExit"),
    "from app.toolkits.toolkit import Toolkit, tool\n\n\nclass Broken(Toolkit):\n    name = 'broken'\n\n    @tool()\n"
    "    async def add(self) -> str: ...\n": (7, "write oauth_scopes=() if it needs neither"),
    "from app.toolkits.toolkit import Toolkit, tool\n\n\nclass Broken(Toolkit):\n    name = 'broken'\n\n"
    "    @tool(oauth_scopes='x')\n    async def add(self) -> str: ...\n": (7, "takes a tuple of strings"),
    "from app.toolkits.toolkit import Toolkit\n\n\nclass Broken(Toolkit):\n    kept: list[str] = []\n": (4, "share"),
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_module_that_fails_to_import_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A module that cannot be imported is reported in one line with both places, without text from the exception."""
    module = f"broken_{zlib.crc32(source.encode())}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"agents: {{a: {{toolkits: [broken]}}}}\ndefault_agent: a\ntoolkits:\n  broken: {module}:Broken\n"
        f"interfaces: {{http: {{}}}}\nkey_ring: {{file: {tmp_path / 'keys.yaml'}}}\n"
    )
    line, why = BROKEN[source]

    checked = CliRunner().invoke(cli, ["check", "--config", str(config)])

    assert checked.exit_code == 2
    assert checked.stderr.startswith(f"deputy: {config}:4: toolkits.broken: {module}:Broken ")
    assert why in checked.stderr.partition(f": {tmp_path / module}.py:{line}: ")[2]
    assert checked.stderr.count("\n") == 1
    assert SENTINEL not in checked.output
