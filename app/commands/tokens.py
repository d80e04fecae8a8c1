"""`deputy tokens`: tokens of the HTTP interface."""

from __future__ import annotations

from typing import Annotated

import typer

from app.api_tokens import ApiTokens
from app.commands.common import CONFIG, ConfigOption, PrincipalOption, configured, principal, run
from app.commands.database import opened_database
from app.principal import Principal
from app.settings import Settings

tokens = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP interface.")


@tokens.command()
def issue(
    principal_text: PrincipalOption,
    config: ConfigOption = CONFIG,
    label: Annotated[str, typer.Option(help="What it is for.")] = "issued by hand",
) -> None:
    """Print a new token for a principal; it is stored as a hash and cannot be shown again."""
    print(run(_issue(configured(config), principal(principal_text), label)))


@tokens.command()
def revoke(principal_text: PrincipalOption, config: ConfigOption = CONFIG) -> None:
    """End every token of a principal."""
    print(f"{run(_revoke(configured(config), principal(principal_text)))} ended")


async def _issue(settings: Settings, owner: Principal, label: str) -> str:
    async with opened_database(settings) as database:
        return await ApiTokens(database).issue(owner, label=label)


async def _revoke(settings: Settings, owner: Principal) -> int:
    async with opened_database(settings) as database:
        return await ApiTokens(database).revoke(owner)
