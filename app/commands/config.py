"""`deputy config`: show the settings in force, and document all of them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import typer

from app.commands.common import CONFIG, WRONG, ConfigOption, JsonOption, fail
from app.commands.tables import print_table
from app.errors import SettingsError
from app.settings import settings_of
from app.settings_file import read_settings_file
from app.settings_reference import explain
from app.settings_reference import reference as reference_page

config = typer.Typer(no_args_is_help=True, help="Show and document the configuration.")


@config.command()
def show(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Print every value in force and where it came from; secrets are masked."""
    try:
        file = read_settings_file(config, os.environ)
        settings = explain(settings_of(file), file)
    except SettingsError as error:
        fail(str(error), WRONG)
    if as_json:
        print(json.dumps([asdict(setting) for setting in settings], indent=2))
        return
    rows = [(setting.path, setting.value, setting.origin) for setting in settings]
    print_table(("key", "value", "from"), rows, wrapped=("value",))


@config.command()
def reference() -> None:
    """Print a Markdown page that documents every key."""
    print(reference_page(), end="")
