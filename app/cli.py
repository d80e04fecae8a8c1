"""The command `deputy` runs the server, and looks after its people, keys and database.

Exit codes: 0, done; 1, what was asked for failed or does not hold; 2, the command line or the configuration is wrong.

`deputy --install-completion` lets your shell complete commands and options.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Any, Protocol

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

COMMANDS = MappingProxyType(
    {
        "serve": "Run the server until it is told to stop (SIGINT, SIGTERM).",
        "worker": "Answer messages beside the servers on the same PostgreSQL, until told to stop (SIGINT, SIGTERM).",
        "check": "Prove that nothing of a person's outlives its request, and that keys and engine fit the database.",
        "graph": "Print the container as a Mermaid graph, each provider with its lifetime.",
        "audit": "Print what was done in whose name, oldest first; it holds no secret and no text.",
        "demo": "Let two people use Slack and HTTP at once on a fresh server; exit 1 unless each saw their mail only.",
        "sandbox": "Serve a Google on loopback: consent, tokens, and mail that is made up anew at each start.",
        "tokens": "Tokens of the HTTP interface.",
        "users": "The people whom Deputy has seen.",
        "grants": "Who is connected with which Google account.",
        "deliveries": "Accepted messages, without what was said.",
        "db": "The database's schema.",
        "keys": "The keys that seal tokens at rest.",
        "slack": "The workspaces that have installed the app.",
        "tools": "What the agents can do.",
        "config": "The configuration.",
    }
)
"""The first sentence of each command's help, in the order in which `deputy --help` lists them."""

_ELSEWHERE = MappingProxyType(
    {"check": "proof", "graph": "proof", "db": "database"}
)  # modules not named as the command

_LONGEST_SENTENCE = 500  # characters


class _Formatter(Protocol):
    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: list[tuple[str, str]]) -> None: ...


class _Group(TyperGroup):
    """A group whose help shows each command's first sentence whole; Typer would cut it at the end of the line."""

    def format_commands(self, _ctx: object, formatter: _Formatter) -> None:
        commands = self.commands.items()
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(_LONGEST_SENTENCE)) for name, command in commands])


class _Commands(_Group):
    """The commands, each imported when it is run: all of them together take too long for `deputy --help`."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands.update({name: TyperCommand(name, short_help=sentence) for name, sentence in COMMANDS.items()})

    def get_command(self, _ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:
        return _imported(cmd_name) if cmd_name in COMMANDS else None


def _imported(name: str) -> TyperCommand | TyperGroup:
    command = getattr(import_module(f"app.commands.{_ELSEWHERE.get(name, name)}"), name)
    parent = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    if isinstance(command, typer.Typer):
        parent.add_typer(command, name=name, cls=_Group)
    else:
        parent.command(name)(command)
    made = get_group(parent).commands[name]
    assert isinstance(made, TyperCommand | TyperGroup)
    return made


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deputy {version('deputy')}")
        raise typer.Exit


def _root(
    version_: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Do nothing: Typer makes a group of an application that has a callback, and `_print_version` has printed."""
    del version_


cli = typer.Typer(
    cls=_Commands,
    callback=_root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich takes longer to import than everything else that `--help` needs
    help=__doc__,
)


def main() -> None:
    """Run the command line that the process was started with; the entry point of the `deputy` command."""
    cli()
