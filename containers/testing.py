"""For tests of what is put into the container: a deployer's toolkits, and Deputy's own parts.

async with open_test_container(tmp_path) as container:
    await assert_isolated(container, container.gmail, lambda gmail: gmail.latest())
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from dependency_injector import providers
from pydantic import SecretStr

from app.deadline import Deadline
from app.principal import Principal
from app.sandbox.attachment import configured_for_sandbox
from app.sections.agents import AgentSettings
from app.sections.interfaces import HttpSettings, InterfacesSettings
from app.sections.server import DatabaseSettings, KeyRingSettings
from app.settings import Settings
from containers.application import Application
from containers.build import build
from containers.lifetimes import collector_off
from containers.scope import Scope

T = TypeVar("T")

_DEADLINE_SECONDS = 30.0


class IsolationError(AssertionError):
    """Two people met in an object, or one outlived its request."""


def two_principals() -> tuple[Principal, Principal]:
    """Ada and Grace, two people of one tenant who must never see each other's things."""
    return Principal("http", "demo", "ada"), Principal("http", "demo", "grace")


def settings_in(
    folder: Path, *, toolkits: Mapping[str, str] | None = None, agent: AgentSettings | None = None
) -> Settings:
    """Settings for a test: SQLite and a key ring in a folder, the sandbox's addresses, the offline model.

    Args:
        folder: Where the files are; give each test its own.
        toolkits: Toolkits from outside, name to ``package.module:Class``.
        agent: The one agent; one with all toolkits when it is None.
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
async def open_test_container(
    folder: Path, *, toolkits: Mapping[str, str] | None = None, settings: Settings | None = None
) -> AsyncIterator[Application]:
    """A container with an open database, in a folder of the test's own; nothing of it runs by itself.

    Raises:
        SettingsError: A toolkit is refused; the message says why and what to do.
    """
    container = build(settings or settings_in(folder, toolkits=toolkits))
    database = container.database()
    try:
        await database.open()
        yield container
    finally:
        await container.http().aclose()
        await database.close()


def open_test_scope(principal: Principal, *seeds: object) -> AbstractAsyncContextManager[Scope]:
    """A request scope of this person, as a message of theirs would have it."""
    return Scope(principal, Deadline.after(_DEADLINE_SECONDS), *seeds)


async def assert_isolated(
    container: Application,
    provider: providers.Provider[T],
    use: Callable[[T], Awaitable[Any]] | None = None,
    *,
    seeds: Callable[[Principal], tuple[object, ...]] = lambda _: (),
) -> list[Any]:
    """Run two people's requests interleaved, and fail unless they have nothing in common and leave nothing behind.

    Args:
        container: The container that the provider is of.
        provider: A scoped provider, such as that of a toolkit.
        use: What each of them does with their object; both are under way at once.
        seeds: Further seeds of a person's scope.

    Returns:
        What `use` returned, Ada's first.

    Raises:
        IsolationError: Both got the same object, or one lived on after its request.
    """
    with collector_off():
        watched, results = await _interleaved(provider, use, seeds)
        await asyncio.sleep(0)
        if alive := [ref for ref in watched if ref() is not None]:
            kinds = ", ".join(sorted(type(ref()).__mro__[0].__name__ for ref in alive))
            raise IsolationError(f"{kinds} outlived its request; `deputy check` names who holds it")
    return results


async def _interleaved(
    provider: providers.Provider[T],
    use: Callable[[T], Awaitable[Any]] | None,
    seeds: Callable[[Principal], tuple[object, ...]],
) -> tuple[list[weakref.ref[Any]], list[Any]]:
    both_are_open = asyncio.Barrier(2)

    async def request(principal: Principal) -> tuple[int, weakref.ref[Any], Any]:
        async with open_test_scope(principal, *seeds(principal)) as scope:
            made = scope.get(provider)
            await both_are_open.wait()
            result = await use(made) if use is not None else None
            await both_are_open.wait()
            return id(made), weakref.ref(made), result

    (one, one_ref, one_result), (other, other_ref, other_result) = await asyncio.gather(
        *(request(principal) for principal in two_principals())
    )
    if one == other:
        raise IsolationError(f"two people were given the same {provider}")
    return [one_ref, other_ref], [one_result, other_result]
