"""The command `deputy` runs the server and manages its people, keys and database.

Exit codes: 0, done; 1, the command failed or a check did not pass; 2, the command line or the configuration is wrong.

Run `deputy --install-completion` once to let your shell complete commands and options.
"""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Any, Protocol

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

DISTRIBUTION = "deputy-assistant"  # as pyproject.toml calls it

COMMANDS = MappingProxyType(
    {
        "init": "Write config.yaml and a file with its secrets, from a few questions, and check the result.",
        "serve": "Run the server until SIGINT or SIGTERM.",
        "worker": "Answer messages for the servers on the same PostgreSQL, until SIGINT or SIGTERM.",
        "check": "Prove that no personal data outlives its request, and that keys and engine match the database.",
        "doctor": (
            "Ask the channels, Google, the models and the database whether they work, and say what to do where not."
        ),
        "graph": "Print the container as a Mermaid graph that shows each provider's lifetime.",
        "audit": "Print who did what with which account, oldest first, without any secret or text.",
        "demo": "Run two people on every channel at once on a new server; exit 1 unless each saw only their own mail.",
        "sandbox": "Serve a simulated Google, GitHub, Slack, Telegram and WhatsApp on loopback.",
        "tokens": "Manage tokens of the HTTP interface.",
        "users": "List, offboard and restore people.",
        "grants": "List and revoke people's connections to their accounts.",
        "deliveries": "List, show and retry accepted messages, without their texts.",
        "db": "Migrate and copy the database.",
        "keys": "Make and rotate the keys that seal tokens at rest.",
        "slack": "Create the Slack app, and list where it is installed.",
        "telegram": "Tell Telegram where to post, and show what it knows of the bot.",
        "tools": "List the agents' tools.",
        "mcp": "List and check the MCP servers, and accept changed tools.",
        "config": "Show and document the configuration.",
    }
)
"""The first sentence of each command's help, in the order of `deputy --help`."""

_ELSEWHERE = MappingProxyType(
    {"check": "proof", "graph": "proof", "db": "database"}
)  # modules whose name is not the command's

_LONGEST_SENTENCE = 500  # characters


class _Formatter(Protocol):
    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: list[tuple[str, str]]) -> None: ...


class _Group(TyperGroup):
    """A group whose help shows each command's whole first sentence; Typer would cut it at the end of the line."""

    def format_commands(self, _ctx: object, formatter: _Formatter) -> None:
        commands = self.commands.items()
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(_LONGEST_SENTENCE)) for name, command in commands])


class _Commands(_Group):
    """The commands, each imported only when it runs, because importing all of them would make `deputy --help` slow."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands.update({name: TyperCommand(name, short_help=sentence) for name, sentence in COMMANDS.items()})

    def get_command(self, _ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:
        return _imported(cmd_name) if cmd_name in COMMANDS else None


def _imported(name: str) -> TyperCommand | TyperGroup:
    collects = gc.isenabled()
    gc.disable()  # modules are no garbage, and looking for it among them takes an eighth of the import
    try:
        command = getattr(import_module(f"app.commands.{_ELSEWHERE.get(name, name)}"), name)
    finally:
        if collects:
            gc.enable()
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
        typer.echo(f"deputy {version(DISTRIBUTION)}")
        raise typer.Exit


def _root(
    version_: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Do nothing: the callback makes Typer build a group, and `_print_version` does the work."""
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
