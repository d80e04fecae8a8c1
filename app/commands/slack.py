"""`deputy slack`: print the app's manifest, and list the workspaces that have installed the app."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from app.commands.common import CONFIG, WRONG, ConfigOption, JsonOption, configured, fail, run
from app.commands.container import moment
from app.commands.database import opened_with_keys
from app.commands.tables import print_table
from app.errors import SettingsError
from app.settings import Settings
from app.settings_file import read_settings_file
from interfaces.slack.installations import Installation, Installations
from interfaces.slack.manifest import SlackApp, app_manifest, creation_url

_URL = re.compile(r"https://[^\s/?#@]+/?")  # Slack sends to https only

slack = typer.Typer(no_args_is_help=True, help="Create the Slack app, and list where it is installed.")


@slack.command(name="manifest")
def print_manifest(
    config: ConfigOption = CONFIG,
    url: Annotated[
        str | None, typer.Option("--url", help="The address at which Slack reaches the server.  [default: public_url]")
    ] = None,
    socket: Annotated[bool, typer.Option("--socket", help="Connect to Slack instead; no public address.")] = False,
    as_json: JsonOption = False,
    link: Annotated[bool, typer.Option("--link", help="Print the page at Slack that creates the app.")] = False,
) -> None:
    """Print the manifest to create the Slack app from, as YAML. The configuration's secrets may still be unset."""
    tree = _tree(config)
    slack_section = _part(_part(tree, "interfaces"), "slack")
    socket = socket or (url is None and slack_section.get("mode") == "socket")
    url = url or _public_url(tree)
    if url is not None and not _URL.fullmatch(url):
        fail("--url needs the address as https://deputy.example.com, without a path", WRONG)
    if url is None and not socket:
        fail("say --url https://… , the address at which Slack reaches the server, or --socket if there is none", WRONG)
    manifest = app_manifest(SlackApp.of_tree(tree), url, socket=socket)
    if link:
        print(creation_url(manifest))
    else:
        print(json.dumps(manifest, indent=2) if as_json else yaml.safe_dump(manifest, sort_keys=False).rstrip())


class _AnyVariable(dict[str, str]):
    """An environment in which every variable is set, so that a configuration can be read before its secrets exist."""

    def get(self, name: str, default: object = None) -> str:
        return "unset"


def _tree(config: Path) -> Mapping[str, Any]:
    if not config.exists():
        return {}
    try:
        tree = read_settings_file(config, _AnyVariable()).tree
    except SettingsError as error:
        fail(str(error), WRONG)
    return tree if isinstance(tree, dict) else {}


def _part(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = tree.get(name)
    return part if isinstance(part, dict) else {}


def _public_url(tree: Mapping[str, Any]) -> str | None:
    """Return the configured address, if Slack can reach it: with https, which Slack demands."""
    url = _part(tree, "server").get("public_url")
    return url if isinstance(url, str) and _URL.fullmatch(url) else None


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
