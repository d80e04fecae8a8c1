"""`deputy grants`: list and revoke people's connections to their accounts."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.commands.common import (
    CONFIG,
    FAILED,
    WRONG,
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
from app.commands.tables import print_table
from app.consent.ended import Ended
from app.database.prefix import whole_id
from app.database.tables import grants as stored_grants
from app.database.tables import owned_by
from app.grants.listing import ConnectedAccount, connected
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.settings import Settings

grants = typer.Typer(no_args_is_help=True, help="List and revoke people's connections to their accounts.")

ProviderOption = Annotated[str | None, typer.Option(help="Only this provider's: google, or a name in `connections`.")]
_COLUMNS = ("grant", "principal", "provider", "account", "state", "since", "changed", "OAuth scopes")


@grants.command(name="list")
def list_grants(
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
    principal_text: Annotated[str | None, typer.Option("--principal", help="Only this person's.")] = None,
    provider: ProviderOption = None,
) -> None:
    """List who is connected to which account, with which OAuth scopes and since when. Shows no secret."""
    whose = principal(principal_text) if principal_text is not None else None
    found = [
        _as_json(grant)
        for grant in run(_connected(configured(config)))
        if whose in (None, grant.principal) and provider in (None, grant.provider)
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [{**grant, "OAuth scopes": "\n".join(_short(scope) for scope in grant["granted_scopes"])} for grant in found]
    print_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows], wrapped=("OAuth scopes",))


@grants.command()
def revoke(
    principal_text: PrincipalOption,
    config: ConfigOption = CONFIG,
    grant: Annotated[
        str | None, typer.Option(help="Only this grant: its id in `deputy grants list`, or the beginning of it.")
    ] = None,
    provider: ProviderOption = None,
) -> None:
    """Revoke a person's grants, at their providers and here. Run it again after a failure.

    Google and GitHub keep the access if somebody else uses the same account. Without --grant, the person's open consent
    links and the messages that wait for their consent are cancelled too, with --provider only those of this provider.
    """
    settings = configured(config)
    ended = run(_revoke(settings, principal(principal_text), grant, provider))
    print_ended(ended, settings)
    if ended.waiting:
        raise typer.Exit(FAILED)


def print_ended(ended: Ended, settings: Settings) -> None:
    """Print the grants and links that have ended."""
    for grant in ended.erased:
        title = _title(grant.provider, settings)
        where = f"erased here; {title} has no way to end it there"
        if grant.at_provider:
            where = f"ended at {title} and erased"
        elif grant.shared:
            where = f"erased; another grant needs the account at {title}"
        print(f"{grant.email}: {where}")
    for waiting in ended.waiting:
        title = _title(waiting.provider, settings)
        print(f"{waiting.email}: no longer used, but {title} gave no answer; run this again, or let a server retry")
    print(
        f"grants erased: {len(ended.erased)}, links cancelled: {ended.links}, waiting messages cancelled: {ended.runs}"
    )


def _title(provider: str, settings: Settings) -> str:
    """Return a provider's name for people."""
    if provider == GOOGLE:
        return "Google"
    connection = settings.connections.get(provider)
    return connection.described(provider).title if connection is not None else provider


def _as_json(grant: ConnectedAccount) -> dict[str, Any]:
    return {
        "grant": grant.grant_id,
        "principal": str(grant.principal),
        "provider": grant.provider,
        "account": grant.email,
        "state": grant.state,
        "granted_scopes": list(grant.granted_scopes),
        "since": moment(grant.since),
        "changed": moment(grant.changed_at),
    }


def _short(oauth_scope: str) -> str:
    return oauth_scope.rstrip("/").rpartition("/")[2]


async def _connected(settings: Settings) -> list[ConnectedAccount]:
    async with opened_database(settings) as database:
        return await connected(database)


async def _revoke(settings: Settings, whose: Principal, grant_id: str | None, provider: str | None) -> Ended:
    async with opened_container(settings) as container:
        known = {GOOGLE, *settings.connections, *(grant.provider for grant in await connected(container.database()))}
        if provider is not None and provider not in known:
            fail(f"--provider: there is no {provider}; there is {', '.join(sorted(known))}", WRONG)
        if grant_id is not None:
            grant_id = await whole_id(
                container.database(), stored_grants.c.id, grant_id, "grant", owned_by(stored_grants, whose)
            )
        return await container.revocation().end(whose, grant_id=grant_id, provider=provider)
