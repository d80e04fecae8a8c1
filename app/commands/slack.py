"""`deputy slack`: list the workspaces that have installed the app."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from app.commands.common import CONFIG, ConfigOption, JsonOption, configured, run
from app.commands.container import moment
from app.commands.database import opened_with_keys
from app.commands.tables import print_table
from app.settings import Settings
from interfaces.slack.installations import Installation, Installations

slack = typer.Typer(no_args_is_help=True, help="List the workspaces that have installed the app.")


@slack.callback()
def _group() -> None:
    """Make a group, although it has only one command."""


@slack.command(name="list")
def list_installations(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """List every installation: workspace, time, installer and the bot's permissions. Shows no token."""
    found = run(_all(configured(config)))
    if as_json:
        print(json.dumps([{**asdict(each), "installed_at": moment(each.installed_at)} for each in found], indent=2))
        return
    columns = ("workspace", "organisation", "name", "bot", "installed by", "since", "may")
    rows = [
        (
            *(each.workspace, each.organisation, each.name, each.bot_user, each.installed_by),
            *(moment(each.installed_at), each.bot_scopes),
        )
        for each in found
    ]
    print_table(columns, rows, wrapped=("name", "may"))


async def _all(settings: Settings) -> list[Installation]:
    async with opened_with_keys(settings) as opened:
        return await Installations(*opened).all()
