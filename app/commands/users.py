"""`deputy users`: list, offboard and restore people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from app.commands.common import (
    CONFIG,
    FAILED,
    ConfigOption,
    JsonOption,
    PrincipalOption,
    configured,
    fail,
    principal,
    run,
)
from app.commands.container import moment, opened_container
from app.commands.database import opened_database
from app.commands.grants import print_ended
from app.commands.tables import print_table
from app.errors import UnavailableError
from app.offboarding import Offboarded
from app.principal import Principal
from app.settings import Settings
from app.users import User, Users

if TYPE_CHECKING:
    from containers.application import Application

users = typer.Typer(no_args_is_help=True, help="List, offboard and restore people.")

_COLUMNS = ("principal", "state", "first_seen", "last_seen", "offboarded")


@users.command(name="list")
def list_users(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """List everybody, with the times when they were first seen, last seen and offboarded."""
    found = [_as_json(user) for user in run(_everybody(configured(config)))]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    columns = [column.replace("_", " ") for column in _COLUMNS]
    print_table(columns, [[user[column] for column in _COLUMNS] for user in found])


@users.command()
def offboard(principal_text: PrincipalOption, config: ConfigOption = CONFIG) -> None:
    """Block a person, and end their grants, links, tokens and messages. Run it again after a failure.

    A member of a Slack organisation is offboarded in the organisation and in all of its workspaces.
    """
    settings = configured(config)
    outcomes, unknown = run(_offboard(settings, principal(principal_text)))
    for whom, outcome in outcomes:
        print_ended(outcome.credentials, settings)
        print(f"HTTP tokens revoked: {outcome.api_tokens}, unfinished messages cancelled: {outcome.messages}")
        if outcome.finished:
            print(f"{whom} is offboarded; servers cancel messages in progress within a second or two")
    _end(unknown, finished=all(outcome.finished for _, outcome in outcomes))


@users.command()
def restore(principal_text: PrincipalOption, config: ConfigOption = CONFIG) -> None:
    """Restore an offboarded person. Their access is gone: they have to consent again and need new tokens.

    A member of a Slack organisation is restored in the organisation and in all of its workspaces.
    """
    outcomes, unknown = run(_restore(configured(config), principal(principal_text)))
    for whom, restored in outcomes:
        print(f"{whom} {'is restored' if restored else 'was not offboarded'}")
    _end(unknown, finished=True)


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


def _end(unknown: str | None, *, finished: bool) -> None:
    """End the command as failed if something is left to do."""
    if unknown is not None:
        fail(f"{unknown}; their other identities could not be looked up, so run this again", FAILED)
    if not finished:
        raise typer.Exit(FAILED)


async def _offboard(settings: Settings, whom: Principal) -> tuple[list[tuple[Principal, Offboarded]], str | None]:
    """Return the outcome for each identity of a person, and the reason if others may be left."""
    async with opened_container(settings) as container:
        users, offboarding = container.users(), container.offboarding()
        await users.offboard(whom)  # before anybody is asked
        others, unknown = await _others(container, whom)
        for other in others:
            await users.offboard(other)
        return [(each, await offboarding.offboard(each)) for each in (whom, *others)], unknown


async def _restore(settings: Settings, whom: Principal) -> tuple[list[tuple[Principal, bool]], str | None]:
    """Return whether each identity of a person was restored, and the reason if others may be left."""
    async with opened_container(settings) as container:
        outcomes = [(whom, await container.users().restore(whom))]
        others, unknown = await _others(container, whom)
        outcomes += [(other, await container.users().restore(other)) for other in others]
        return outcomes, unknown


async def _others(container: Application, whom: Principal) -> tuple[tuple[Principal, ...], str | None]:
    """Return a person's other identities and principals that look the same, and why some may be missing."""
    alike = await container.api_tokens().lookalikes(whom)
    try:
        return (*(await container.identities().of(whom))[1:], *alike), None
    except UnavailableError as error:
        return alike, str(error)
