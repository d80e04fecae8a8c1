"""P3: the cost of seven Google services for one more user, in time and in memory.

Run it with ``python -m benchmarks.services``. Ours is a request scope of the real container with its `GoogleClient`,
opened and closed, from which the seven APIs are requested: templates that everybody shares. The peer is the documented
way of Google's library: ``build(api, version, credentials=…)`` seven times, from the documents that the library ships.

A second pair of lines adds the use of a service: one request made of each, and not sent. Time is the median CPU time,
including the collector, with all variants in turn in one process; every request must be the right method of the right
API. Memory is the growth of a separate process after 500 users, of whom nothing is kept.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import google.oauth2.credentials
from googleapiclient.discovery import build

from app.deadline import Deadline
from app.google.apis import API_VERSIONS
from app.google.client import GoogleClient
from app.principal import Principal
from benchmarks.figures import Figure, against, elsewhere, in_turn, repeat, show, show_figures, within
from containers.application import Application
from containers.scopes import Scope
from containers.testing import open_test_container, settings_in

ROUNDS = 60
USERS = 500
OURS, PEER = "Deputy: a request scope with its Google client", "googleapiclient: build(credentials=)"

REQUESTS: dict[str, Callable[[Any], Any]] = {
    "calendar": lambda service: service("events").list(calendarId="primary"),
    "docs": lambda service: service("documents").get(documentId="1"),
    "drive": lambda service: service("files").list(),
    "gmail": lambda service: service("users", "messages").list(userId="me"),
    "people": lambda service: service("people", "connections").list(resourceName="people/me"),
    "sheets": lambda service: service("spreadsheets").get(spreadsheetId="1"),
    "tasks": lambda service: service("tasklists").list(),
}

Variant = Callable[[bool], Awaitable[list[str]]]
"""Has the seven services for one more user; makes a request of each if it is told so, and returns the method ids."""


@asynccontextmanager
async def opened_container() -> AsyncIterator[Application]:
    """Yield the real container, with its APIs loaded as they are after a start."""
    with tempfile.TemporaryDirectory() as name:
        async with open_test_container(settings_in(Path(name))) as container:
            container.google_apis().load()
            yield container


def _ours(container: Application) -> Variant:
    users = 0

    async def use(requests: bool) -> list[str]:
        nonlocal users
        users += 1
        async with Scope(Principal("http", "demo", f"user-{users}"), Deadline.after(60)) as scope:
            client: GoogleClient = scope.get(container.google)
            for api, version in API_VERSIONS.items():
                client.resource(api, version)
            if not requests:
                return []
            return [
                REQUESTS[api](partial(client.resource, api, version)).methodId for api, version in API_VERSIONS.items()
            ]

    return use


def _built() -> Variant:
    users = 0

    async def use(requests: bool) -> list[str]:
        nonlocal users
        users += 1
        credentials = google.oauth2.credentials.Credentials(f"token-{users}")
        services = {api: build(api, version, credentials=credentials) for api, version in API_VERSIONS.items()}
        if not requests:
            return []
        return [REQUESTS[api](partial(_nested, service)).methodId for api, service in services.items()]

    return use


def _nested(service: Any, *path: str) -> Any:
    for name in path:
        service = getattr(service, name)()
    return service


async def measure() -> tuple[dict[str, float], dict[str, float]]:
    """Return the median microseconds of each variant: for the services, and with a request of each."""
    async with opened_container() as container:
        variants = {OURS: (_ours(container), 40), PEER: (_built(), 2)}
        for name, (variant, _) in variants.items():
            made = await variant(True)
            assert [method.partition(".")[0] for method in made] == list(API_VERSIONS), name
            assert all(method.endswith((".list", ".get")) for method in made), name
        had, used = (
            {name: (repeat(partial(variant, requests)), times) for name, (variant, times) in variants.items()}
            for requests in (False, True)
        )
        return (
            await in_turn(had, rounds=ROUNDS, clock=time.process_time_ns),
            await in_turn(used, rounds=ROUNDS, clock=time.process_time_ns),
        )


def growth(name: str) -> float:
    """Return by how many MB this process has grown after 500 users; to be called in a separate process."""
    return asyncio.run(_growth(name))


async def _growth(name: str) -> float:
    async with opened_container() as container:
        use = _ours(container) if name == OURS else _built()
        for _ in range(5):
            await use(True)
        before = _resident_mb()
        for _ in range(USERS):
            await use(True)
        return _resident_mb() - before


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def figures(had: dict[str, float], grown: dict[str, float]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    return {
        "P3 seven Google services": within(had[OURS] / 1000, had[PEER] / 1000, "ms", at_most=0.15),
        "P3 seven Google services, against build()": against(had[OURS] / 1000, had[PEER] / 1000, "ms", at_most=0.01),
        "P3 memory after 500 users": within(grown[OURS], grown[PEER], "MB", at_most=2.0),
    }


def main() -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    had, used = asyncio.run(measure())
    grown = {name: elsewhere(growth, name) for name in (OURS, PEER)}
    show(
        "seven Google services for one more user",
        {"us": had, "+ requests, us": used, "MB after 500": grown},
        digits=1,
    )
    found = figures(had, grown)
    show_figures(found)
    return found


if __name__ == "__main__":
    main()
