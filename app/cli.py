"""The command `deputy`.

Exit codes: 0 done; 1 what was asked for failed; 2 the command line or the configuration is wrong.
"""

from __future__ import annotations

import typer

from app.commands.config import config
from app.commands.database import db
from app.commands.deliveries import deliveries
from app.commands.demo import demo
from app.commands.grants import grants
from app.commands.keys import keys
from app.commands.proof import check, graph
from app.commands.sandbox import sandbox
from app.commands.serve import serve
from app.commands.slack import slack
from app.commands.tokens import tokens
from app.commands.tools import tools
from app.commands.users import users
from app.commands.worker import worker

cli = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
for command in (serve, worker, check, graph, demo, sandbox):
    cli.command()(command)
cli.add_typer(tokens, name="tokens")
cli.add_typer(users, name="users")
cli.add_typer(grants, name="grants")
cli.add_typer(deliveries, name="deliveries")
cli.add_typer(db, name="db")
cli.add_typer(keys, name="keys")
cli.add_typer(slack, name="slack")
cli.add_typer(tools, name="tools")
cli.add_typer(config, name="config")


def main() -> None:
    """The entry point of the `deputy` command."""
    cli()
