"""`deputy tokens`: manage tokens of the HTTP interface."""

from __future__ import annotations

from typing import Annotated

import typer

from app.api_tokens import ApiTokens
from app.commands.common import CONFIG, WRONG, ConfigOption, PrincipalOption, configured, fail, principal, run
from app.commands.database import opened_with_keys
from app.credentials.workspace import domain_of
from app.principal import Principal
from app.settings import Settings

tokens = typer.Typer(no_args_is_help=True, help="Manage tokens of the HTTP interface.")


@tokens.command()
def issue(
    principal_text: PrincipalOption,
    config: ConfigOption = CONFIG,
    label: Annotated[str, typer.Option(help="The purpose of the token.")] = "issued by hand",
    email: Annotated[
        str | None, typer.Option(help="Their address, which you have checked; workspace mode uses its Google account.")
    ] = None,
) -> None:
    """Print a new token for a person; only its hash is stored, so it cannot be shown again."""
    if email is not None and domain_of(email) is None:
        fail("--email takes one address, such as ada@acme.example", WRONG)
    print(run(_issue(configured(config), principal(principal_text), label, email)))


@tokens.command()
def revoke(principal_text: PrincipalOption, config: ConfigOption = CONFIG) -> None:
    """Revoke every token of a person."""
    print(f"tokens revoked: {run(_revoke(configured(config), principal(principal_text)))}")


async def _issue(settings: Settings, owner: Principal, label: str, email: str | None) -> str:
    async with opened_with_keys(settings) as opened:
        return await ApiTokens(*opened).issue(owner, label=label, email=email)


async def _revoke(settings: Settings, owner: Principal) -> int:
    async with opened_with_keys(settings) as opened:
        return await ApiTokens(*opened).revoke(owner)
