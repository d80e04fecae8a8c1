"""A container for tests, two people, and their request scopes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from app.deadline import Deadline
from app.principal import Principal
from app.run import new_run
from app.sandbox.attachment import configured_for_sandbox
from app.sections.agents import AgentSettings
from app.sections.interfaces import HttpSettings, InterfacesSettings
from app.sections.server import DatabaseSettings, KeyRingSettings
from app.settings import Settings
from containers.application import Application
from containers.build import build
from containers.scopes import Scope

_DEADLINE_SECONDS = 30.0


def two_principals() -> tuple[Principal, Principal]:
    """Return Ada and Grace, two people of one tenant who must never see each other's data."""
    return Principal("http", "demo", "ada"), Principal("http", "demo", "grace")


def settings_in(
    folder: Path, *, toolkits: Mapping[str, str] | None = None, agent: AgentSettings | None = None
) -> Settings:
    """Return settings for a test: SQLite and a key ring in a folder, the sandbox's addresses, the offline model.

    Args:
        folder: Where the files are; give each test its own.
        toolkits: External toolkits, name to ``package.module:Class``.
        agent: The only agent; None for one with all toolkits.
    """
    toolkits = dict(toolkits or {})
    return configured_for_sandbox(
        Settings(
            database=DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{folder / 'deputy.db'}")),
            key_ring=KeyRingSettings(file=folder / "keys.yaml"),
            toolkits=toolkits,
            agents={"assistant": agent or AgentSettings(toolkits=("gmail", *toolkits))},
            default_agent="assistant",
            interfaces=InterfacesSettings(http=HttpSettings()),
        )
    )


@asynccontextmanager
async def open_test_container(settings: Settings) -> AsyncIterator[Application]:
    """Yield the container of these settings with its database open; nothing in it runs yet.

    Args:
        settings: Settings such as those of `settings_in`.

    Raises:
        SettingsError: A toolkit cannot be used; the message says why and what to do.
    """
    container = build(settings)
    database = container.database()
    try:
        await database.open()
        yield container
    finally:
        await container.persons_http().aclose()
        await container.http().aclose()
        await database.close()


@asynccontextmanager
async def open_test_scope(principal: Principal, *seeds: object) -> AsyncIterator[Scope]:
    """Open a request scope for this person, and a run, as one of their messages does."""
    with new_run():
        async with Scope(principal, Deadline.after(_DEADLINE_SECONDS), *seeds) as scope:
            yield scope
