"""Mistakes in a configuration, and in a principal on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from app.database.database import Database
from app.errors import DeputyError
from app.keys.file import decode_keys
from app.principal import Principal
from app.settings import load_settings
from containers.build import build
from containers.testing import open_test_container, settings_in
from tests.provoking.showing import Provoke, Shown, raised, shown

CONFIG: dict[str, Any] = {
    "agents": {"assistant": {"toolkits": ["gmail"]}},
    "default_agent": "assistant",
    "interfaces": {"http": {}},
    "google": {"mode": "sandbox"},
    "key_ring": {"file": "var/keys.yaml"},
}


def refused(**sections: Any) -> Shown:
    """Return the error for a config.yaml with these sections, from loading it or from building the container."""
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump({**CONFIG, **sections}, sort_keys=False))
    with pytest.raises(DeputyError) as error:
        _use(path)
    return shown(error.value)


def _use(path: Path) -> None:
    container = build(load_settings(path, environ={}))
    container.database()
    for model in container.models.providers.values():
        model()


async def unknown_key(folder: Path) -> Shown:
    """Set an unknown key."""
    return refused(google={"mood": "sandbox"})


async def unset_variable(folder: Path) -> Shown:
    """Refer to a variable that is not in the environment."""
    return refused(google={"mode": "google", "client_secret": "${GOOGLE_CLIENT_SECRET}"})


async def unknown_agent(folder: Path) -> Shown:
    """Misspell the name of an agent."""
    return refused(default_agent="asistant")


async def unknown_toolkit(folder: Path) -> Shown:
    """Misspell a toolkit of an agent."""
    return refused(agents={"assistant": {"toolkits": ["gmial"]}})


async def toolkit_that_is_not_there(folder: Path) -> Shown:
    """Name a toolkit whose package is not installed."""
    return refused(toolkits={"notes": "my_package.notes:NotesToolkit"})


async def toolkit_that_asks_for_too_much(folder: Path) -> Shown:
    """Name a toolkit whose constructor has a parameter that no provider fits."""
    return refused(toolkits={"greedy": "tests.outside.notes:GreedyToolkit"})


async def model_without_a_key(folder: Path) -> Shown:
    """Name a model whose provider needs a key, without one."""
    return refused(agents={"assistant": {"model": "openai:gpt-5-mini"}})


async def slack_app_that_anybody_can_install(folder: Path) -> Shown:
    """Trust addresses from Slack although any workspace may install the app."""
    slack = {"signing_secret": "s", "client_id": "1.2", "client_secret": "s"}
    return refused(google={"linking": "email_match"}, interfaces={"slack": slack})


async def key_that_is_none(folder: Path) -> Shown:
    """Use a key that was written by hand."""
    with pytest.raises(DeputyError) as error:
        decode_keys({"k1": "not base64"})
    return shown(error.value)


async def database_that_cannot_be_opened(folder: Path) -> Shown:
    """Use a database URL without an asynchronous driver."""
    return refused(database={"url": "sqlite:///var/deputy.db"})


async def database_that_is_away(folder: Path) -> Shown:
    """Use a database server that does not listen."""
    return await raised(Database("postgresql+asyncpg://deputy:secret@127.0.0.1:1/deputy").open())


async def database_of_a_newer_version(folder: Path) -> Shown:
    """Use a database that a newer Deputy has migrated."""
    async with open_test_container(settings_in(folder)) as container:
        database = container.database()
        async with database.writing() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        return await raised(database.open())


async def half_a_principal(folder: Path) -> Shown:
    """Parse a principal without its user."""
    with pytest.raises(DeputyError) as error:
        Principal.parse("http:demo")
    return shown(error.value)


async def token_for_another_channel(folder: Path) -> Shown:
    """Issue a token for a person on another channel."""
    async with open_test_container(settings_in(folder)) as container:
        return await raised(container.api_tokens().issue(Principal("slack", "T1", "U1"), label=""))


PROVOKED: list[Provoke] = [
    unknown_key,
    unset_variable,
    unknown_agent,
    unknown_toolkit,
    toolkit_that_is_not_there,
    toolkit_that_asks_for_too_much,
    model_without_a_key,
    slack_app_that_anybody_can_install,
    key_that_is_none,
    database_that_cannot_be_opened,
    database_that_is_away,
    database_of_a_newer_version,
    half_a_principal,
    token_for_another_channel,
]
