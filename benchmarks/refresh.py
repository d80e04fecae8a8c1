"""P5: a refresh storm. Four processes with eight requests each need one person's access token, which just expired.

Run it with ``python -m benchmarks.refresh``. The token endpoint is the Google sandbox's, in its own process, with 150
ms added to each answer; it rotates refresh tokens, and ends the grant if a used one comes again. The peer is the naive
way: each request refreshes and saves. Both run on SQLite, and on PostgreSQL if its server is installed. A request has
failed if it raised an error, or got a token that Google does not accept after the storm; the grant is alive if the
refresh token stored at the end still works.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import httpx2
import urllib3
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.database.database import Database
from app.errors import DeputyError
from app.google.auth import GoogleAuth
from app.google.connections import open_http
from app.google.endpoints import GoogleEndpoints
from app.grants.grants import Grants
from app.grants.refresh import Refresher
from app.grants.refresh_leases import RefreshLeases
from app.keys.ring import KeyRing
from app.oauth.token_endpoint import TokenEndpoint
from app.oauth.tokens import ProviderAccount, ProviderTokens
from app.principal import Principal
from app.sandbox.server import serve_loopback
from benchmarks.figures import Figure, show, show_figures, within
from tests.fakes.credentials import connect
from tests.fakes.databases import PostgresServer
from tests.fakes.google_api import google_faults
from tests.fakes.postgres import find_binaries, running_postgres
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import ADA, CLIENT_ID, CLIENT_SECRET, READ, REDIRECT_URI, SandboxClient, sandbox

PROCESSES = 4
REQUESTS = 8  # in each
DELAY_SECONDS = 0.15
OURS, NAIVE = "single flight and lease", "each refreshes and saves"
PERSON = Principal("http", "demo", "ada")
KEYS = {"k1": bytes(range(32))}


class Row(NamedTuple):
    """One storm; the seconds are those of a request, from the moment its process sent all of them."""

    database: str
    way: str
    token_calls: int
    failures: int
    alive: bool
    p50: float
    p95: float

    @property
    def name(self) -> str:
        """Return the name of its line."""
        return f"{self.database}, {self.way}"


class SlowTokens:
    """Delays the token endpoint, counts refreshes at ``/calls``, and says at ``/alive`` whether a bearer is valid."""

    def __init__(self) -> None:
        self._google = sandbox()
        self._app: ASGIApp = self._google.app
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if path == "/calls":
            await JSONResponse({"calls": self._calls})(scope, receive, send)
        elif path == "/alive":
            bearer = Request(scope).query_params["bearer"]
            await JSONResponse({"alive": self._google.bearer_owner(bearer) == ADA})(scope, receive, send)
        else:
            if path == "/token":
                self._calls += 1
                await asyncio.sleep(DELAY_SECONDS)
            await self._app(scope, receive, send)


async def serve_tokens() -> None:
    """Run the sandbox's process: print the address, and end with standard input."""
    async with serve_loopback(SlowTokens()) as base_url:
        print(base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def opened(database_url: str, google_url: str) -> AsyncIterator[tuple[Database, Grants, GoogleAuth]]:
    """Yield the objects that a process needs to refresh."""
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        stack.push_async_callback(database.close)
        await database.open()
        http = await stack.enter_async_context(open_http())
        pool = stack.enter_context(urllib3.PoolManager())
        endpoints = GoogleEndpoints(*(f"{google_url}/{path}" for path in ("auth", "token", "revoke", "certs", "")))
        google = GoogleAuth(
            endpoints,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            redirect_uri=REDIRECT_URI,
            token_endpoint=TokenEndpoint(http, google_faults()),
            pool=pool,
        )
        yield database, Grants(database, KeyRing(KEYS)), google


async def naively(grants: Grants, google: GoogleAuth) -> str:
    """Read a grant, refresh it, save the tokens, and return the access token."""
    grant = await grants.find(PERSON)
    assert grant is not None
    tokens = await google.refresh(str(grant.refresh_token))
    await grants.replace_tokens(grant, tokens)
    return tokens.access_token


async def storm(way: str, database_url: str, google_url: str) -> None:
    """Run one of the processes: wait for a line, make all requests at once, and print the result of each."""
    async with opened(database_url, google_url) as (database, grants, google):
        refresher = Refresher(grants, RefreshLeases(database), google_alone(google))

        async def request() -> tuple[str | None, float]:
            begin = time.monotonic()
            try:
                if way == NAIVE:
                    token: str | None = await naively(grants, google)
                else:
                    grant = await refresher.fresh(PERSON)
                    token = grant.access_token if grant else None
            except DeputyError:
                token = None
            return token, time.monotonic() - begin

        await grants.find(PERSON)  # opens the connections before the storm
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(await asyncio.gather(*(request() for _ in range(REQUESTS)))), flush=True)


async def measure() -> list[Row]:
    """Measure each way on each database, and return a row for each; takes about half a minute."""
    rows = []
    binaries = find_binaries()
    with running_postgres(binaries) if binaries else nullcontext() as server:
        for way in (OURS, NAIVE):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(await _measure("SQLite", way, f"sqlite+aiosqlite:///{Path(folder, 'deputy.db')}"))
            if server is not None:
                async with PostgresServer(server.url).databases() as databases:
                    rows.append(await _measure("PostgreSQL", way, await databases.empty("storm")))
    return rows


async def _measure(name: str, way: str, database_url: str) -> Row:
    async with AsyncExitStack() as stack:
        google = await stack.enter_async_context(_process("google"))
        google_url = (await _line(google)).strip()
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=google_url))
        await _connect(client, database_url, google_url)
        before = (await client.get("/calls")).json()["calls"]
        processes = [
            await stack.enter_async_context(_process("storm", way, database_url, google_url)) for _ in range(PROCESSES)
        ]
        for process in processes:
            assert (await _line(process)).strip() == "ready"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        requests = [each for process in processes for each in json.loads(await _line(process))]
        calls = (await client.get("/calls")).json()["calls"] - before
        good = {token: await _is_good(client, token) for token in {token for token, _ in requests}}
        seconds = sorted(seconds for _, seconds in requests)
        return Row(
            database=name,
            way=way,
            token_calls=calls,
            failures=sum(not good[token] for token, _ in requests),
            alive=await _still_refreshes(database_url, google_url),
            p50=statistics.median(seconds),
            p95=seconds[int(0.95 * len(seconds))],
        )


async def _connect(http: httpx2.AsyncClient, database_url: str, google_url: str) -> None:
    answer = await SandboxClient(http).sign_in(ADA, READ)
    tokens = ProviderTokens(
        access_token=answer["access_token"],
        expires_at=time.time() + 1,
        refresh_token=answer["refresh_token"],
        granted_scopes=frozenset(answer["scope"].split()),
        account=ProviderAccount("1", ADA),
    )
    async with opened(database_url, google_url) as (database, grants, _):
        await connect(database, grants, PERSON, tokens)


async def _is_good(client: httpx2.AsyncClient, token: str | None) -> bool:
    return token is not None and (await client.get("/alive", params={"bearer": token})).json()["alive"]


async def _still_refreshes(database_url: str, google_url: str) -> bool:
    async with opened(database_url, google_url) as (_, grants, google):
        grant = await grants.find(PERSON)
        try:
            return grant is not None and bool(await google.refresh(str(grant.refresh_token)))
        except DeputyError:
            return False


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.refresh", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        await asyncio.wait_for(process.communicate(b""), 30)  # the process ends when its standard input ends


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode()


def figures(rows: list[Row]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    found: dict[str, Figure] = {}
    naive = {row.database: row for row in rows if row.way == NAIVE}
    for row in rows:
        if row.way == OURS:
            peer, storm_on = naive[row.database], f"P5 refresh storm on {row.database}"
            found[f"{storm_on}, token calls"] = within(row.token_calls, peer.token_calls, "calls", at_most=1)
            found[f"{storm_on}, failed requests"] = within(row.failures, peer.failures, "requests", at_most=0)
            found[f"{storm_on}, lost grants"] = within(not row.alive, not peer.alive, "grants", at_most=0)
    return found


def main() -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    rows = asyncio.run(measure())
    columns: dict[str, dict[str, float]] = {
        "token calls": {row.name: row.token_calls for row in rows},
        "failures": {row.name: row.failures for row in rows},
        "grant alive": {row.name: row.alive for row in rows},
        "p50, s": {row.name: row.p50 for row in rows},
        "p95, s": {row.name: row.p95 for row in rows},
    }
    show(f"{PROCESSES} x {REQUESTS} requests", columns)
    found = figures(rows)
    show_figures(found)
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["google"]:
        asyncio.run(serve_tokens())
    elif sys.argv[1:2] == ["storm"]:
        asyncio.run(storm(*sys.argv[2:]))
    else:
        main()
