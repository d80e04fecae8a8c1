"""Commands that list: nothing is cut off, a pipe gets plain columns, and times have one format."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner, Result

from app.audit.audit import AuditEntry, AuditEvent
from app.cli import cli
from app.commands.container import opened_container
from app.commands.tables import print_table
from app.mcp.definition import Definition
from app.mcp.pins import Pins
from app.principal import Principal
from app.settings import load_settings
from interfaces.slack.installations import Installation, Installations
from tests.fakes.core_server import inbound
from tests.fakes.credentials import connect, google_tokens

LONG = Principal("http", "a-tenant-with-a-long-name.example", "somebody-with-a-really-long-name@a-company.example")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LISTS: dict[str, tuple[str, ...]] = {
    "audit": ("--principal", str(LONG)),
    "config show": (),
    "deliveries list": (),
    "deliveries show": ("MESSAGE",),
    "grants list": (),
    "mcp list": (),
    "slack list": (),
    "tools list": (),
    "users list": (),
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a configuration whose database holds everything that can be listed, for two people."""
    folder = tmp_path_factory.mktemp("listing")
    path = folder / "config.yaml"
    tree = {
        "agents": {"assistant": {"toolkits": ["gmail"]}},
        "default_agent": "assistant",
        "interfaces": {"http": {}},
        "mcp": {"office": {"url": "http://127.0.0.1:1/mcp", "identity": "none"}},
        "google": {"mode": "sandbox", "sandbox": {"port": 1}},
        "database": {"url": f"sqlite+aiosqlite:///{folder / 'deputy.db'}"},
        "key_ring": {"file": str(folder / "keys.yaml")},
    }
    path.write_text(yaml.safe_dump(tree))

    async def fill() -> None:
        async with opened_container(load_settings(path, {})) as container:
            for person in (LONG, Principal("http", "demo", "grace")):
                message = inbound(person, conversation=person.user)
                await container.intake().accept(message)
                await connect(container.database(), container.grants(), person, google_tokens("refresh-1"))
                called = AuditEntry(person, AuditEvent.CALL, time.time(), "f" * 32, method="gmail.users.messages.get")
                await container.audit().append([called])
            installation = Installation("T1", None, "One Inc", "U0BOT", "chat:write im:history", "U0ADMIN", time.time())
            await Pins(container.database()).take("office", [Definition("get", "Get it.", {"type": "object"}, {})])
            await Installations(container.database(), container.key_ring()).save(installation, "xoxb-1")

    asyncio.run(fill())
    return path


def deputy(config: Path, command: str, *options: str) -> Result:
    """Run a list command in this process, as if in a pipe."""
    arguments = (message_id(config) if option == "MESSAGE" else option for option in LISTS[command])
    result = CliRunner().invoke(cli, [*command.split(), *arguments, *options, "--config", str(config)])
    assert result.exit_code == 0, result.output
    return result


def message_id(config: Path) -> str:
    """Return the beginning of a message's id."""
    listed = CliRunner().invoke(cli, ["deliveries", "list", "--json", "--config", str(config)])
    return str(json.loads(listed.stdout)[0]["message_id"])[:8]


def options(group: object, *path: str) -> Iterator[tuple[str, str]]:
    """Yield every option of every command, with the command's full name."""
    if isinstance(group, TyperGroup):
        for name in group.commands:
            yield from options(group.get_command(typer.Context(group), name), *path, name)
    elif isinstance(group, TyperCommand):
        yield from ((" ".join(path), option) for parameter in group.params for option in parameter.opts)


def test_every_command_that_prints_json_is_here() -> None:
    """Every command with `--json` is in `LISTS` or is known not to list."""
    printing = {name for name, option in options(typer.main.get_command(cli)) if option == "--json"}

    assert printing - {"demo", "doctor", "slack manifest", "telegram status"} == LISTS.keys()


@pytest.mark.parametrize("command", LISTS)
def test_times_have_one_format(config: Path, command: str) -> None:
    """Times are printed like 2026-11-28T09:12:25Z in tables and in JSON."""
    for printed in (deputy(config, command).stdout, deputy(config, command, "--json").stdout):
        dates = re.findall(r"\b\d{4}-\d\d-\d\d[T ]?[^\s\",]*", printed)

        assert not re.findall(r"\b1[6-9]\d{8}(?:\.\d+)?\b", printed)  # POSIX timestamps of recent years
        assert all(TIME.fullmatch(date) for date in dates)
        assert dates or command in {"config show", "tools list"}


@pytest.mark.parametrize("command", sorted(LISTS.keys() - {"deliveries show"}))
def test_a_pipe_gets_plain_columns(config: Path, command: str) -> None:
    """A pipe gets a header and one line per row, separated by tabs, without box-drawing characters."""
    lines = deputy(config, command).stdout.splitlines()
    rows: list[Any] = json.loads(deputy(config, command, "--json").stdout)

    assert len(lines) == len(rows) + 1
    assert len({line.count("\t") for line in lines}) == 1
    assert not re.search("[\u2500-\u257f\u2026]", "".join(lines))


@pytest.mark.parametrize("columns", [40, 80, 400])
def test_a_terminal_cuts_nothing(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """On a terminal of any width ids, principals and times stay on one line, and only long text is wrapped."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    whole = ("0123456789abcdef" * 2, str(LONG), "2026-11-28T09:12:25Z")
    rows = [(*whole, "many words " * 20), (*whole, None)]
    print_table(("message", "principal", "changed", "what"), rows, wrapped=("what",))

    for cell in whole:
        assert sum(cell in line for line in terminal.getvalue().splitlines()) == 2
    assert terminal.getvalue().count("many") == 20


def test_the_list_says_whose_reply_waits(config: Path) -> None:
    """The list of deliveries has a column for the state of the reply."""
    names, *rows = (line.split("\t") for line in deputy(config, "deliveries list").stdout.splitlines())

    assert names[:4] == ["message", "principal", "state", "reply"]
    assert {row[1] for row in rows} == {str(LONG), "http:demo:grace"}


def test_the_version_is_printed() -> None:
    """`deputy --version` prints the version."""
    printed = CliRunner().invoke(cli, ["--version"])

    assert printed.exit_code == 0
    assert re.fullmatch(r"deputy \d+\.\d+\.\d+\n", printed.stdout)


def test_the_database_is_its_owners_alone(config: Path) -> None:
    """Only the owner may read the database file and its journals, because they hold everybody's messages."""
    files = list(config.parent.glob("deputy.db*"))

    assert files
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
