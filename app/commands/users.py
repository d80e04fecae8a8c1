"""`deputy users`: the people whom Deputy has seen."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from app.commands.common import CONFIG, FAILED, ConfigOption, JsonOption, PrincipalOption, configured, principal, run
from app.commands.container import moment, opened_container
from app.commands.database import opened_database
from app.commands.grants import print_ended
from app.offboarding import Offboarded
from app.principal import Principal
from app.settings import Settings
from app.users import User, Users

users = typer.Typer(no_args_is_help=True, help="The people whom Deputy has seen.")

_COLUMNS = ("principal", "state", "first_seen", "last_seen", "offboarded")


@users.command(name="list")
def list_users(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """List everybody: since when they are known, when they were last seen, and who was offboarded."""
    found = [_as_json(user) for user in run(_everybody(configured(config)))]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(*(column.replace("_", " ") for column in _COLUMNS))
    for user in found:
        table.add_row(*(user[column] or "" for column in _COLUMNS))
    Console().print(table, markup=False)


@users.command()
def offboard(principal_text: PrincipalOption, config: ConfigOption = CONFIG) -> None:
    """Refuse a person from now on, and end their grants, links, tokens and messages. Run it again after a failure."""
    outcome = run(_offboard(configured(config), principal(principal_text)))
    print_ended(outcome.credentials)
    print(f"{outcome.api_tokens} tokens of the HTTP interface ended, {outcome.messages} undone messages given up")
    if not outcome.finished:
        raise typer.Exit(FAILED)
    print(f"{principal_text} is offboarded; servers cancel what they still have in work within a second or two")


@users.command()
def restore(principal_text: PrincipalOption, config: ConfigOption = CONFIG) -> None:
    """Let an offboarded person in again. What they had is gone: they consent anew, and are issued new tokens."""
    restored = run(_restore(configured(config), principal(principal_text)))
    print(f"{principal_text} {'is let in again' if restored else 'was not offboarded'}")


def _as_json(user: User) -> dict[str, Any]:
    state = "present" if user.offboarded_at is None else "being offboarded" if user.ended_at is None else "offboarded"
    return {
        "principal": str(user.principal),
        "state": state,
        "first_seen": moment(user.first_seen_at),
        "last_seen": moment(user.last_seen_at),
        "offboarded": moment(user.offboarded_at),
    }


async def _everybody(settings: Settings) -> list[User]:
    async with opened_database(settings) as database:
        return await Users(database).everybody()


async def _offboard(settings: Settings, whom: Principal) -> Offboarded:
    async with opened_container(settings) as container:
        return await container.offboarding().offboard(whom)


async def _restore(settings: Settings, whom: Principal) -> bool:
    async with opened_database(settings) as database:
        return await Users(database).restore(whom)
