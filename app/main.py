"""The server: the application that answers requests, and its life from the proof to the last reply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic_ai.models import Model
from starlette.types import Receive, Scope, Send

from app.database.reach import reason
from app.deadline import Deadline
from app.errors import SettingsError
from app.keys.check import check_or_begin
from app.principal import Principal
from app.settings import Settings
from app.supervisor import guarded
from containers.application import Application
from containers.proof import LifetimeError, Proof, prove
from containers.scopes import open_threads
from containers.toolkits import BUILT_IN
from interfaces.connections import ConnectionLimits
from interfaces.listening import listening
from interfaces.middleware import DATABASE_FAILURES, install
from interfaces.web.formatting import STATIC_FILES

log = logging.getLogger(__name__)

LOADS_AFTER_SECONDS = 0.5  # after the start of a server that nobody writes to
_PROBES = (Principal("probe", "lifetimes", "one"), Principal("probe", "lifetimes", "other"))


async def prove_lifetimes(container: Application, settings: Settings) -> Proof:
    """Prove that nothing of a person's outlives its request, nor reaches another one by a toolkit from outside.

    Raises:
        LifetimeError: Something may; the message draws the path.
        SettingsError: Something cannot be built as it is configured.
    """
    for model in _models(container, settings):
        del model  # built, or refused with the key of the agent that names it
    one, other = ((probe, Deadline.after(settings.delivery.deadline_seconds)) for probe in _PROBES)
    proof = await prove(container, one, other, passes=(SettingsError,))
    outside = container.toolkits.providers.keys() - BUILT_IN.keys() - settings.mcp.keys()
    if outside:
        from containers.toolkit_trial import try_toolkit  # it takes as long as the proof, and is for these alone

        if findings := [finding for name in sorted(outside) for finding in await try_toolkit(container, name)]:
            raise LifetimeError("Application", findings)
    if factories := [name for name, agent in settings.agents.items() if agent.agno is not None]:
        from containers.agno_agents import try_agno_agent

        if findings := [each for name in factories for each in await try_agno_agent(container, name, one, other)]:
            raise LifetimeError("Application", findings)
    return proof


@asynccontextmanager
async def running(container: Application, settings: Settings, *, answers: bool = True) -> AsyncIterator[None]:
    """Open and prove everything in the process, and close it in reverse order when the context ends.

    Args:
        container: The container to open.
        settings: The settings that it was built from.
        answers: This process answers messages, and not only takes them.

    Raises:
        SettingsError: The key ring does not fit the database; or a model, or the access to Google, cannot be set up.
        LifetimeError: The proof failed, so nothing is served.
    """
    # Python's own pool has six threads on two cores, which one person's slow calls would hold. The loop shuts it down.
    asyncio.get_running_loop().set_default_executor(open_threads(settings.delivery.concurrency))
    async with AsyncExitStack() as stack:
        database = container.database()
        stack.push_async_callback(database.close)
        await database.open()
        await check_or_begin(database, container.key_ring())
        stack.callback(container.pool().clear)
        stack.push_async_callback(container.http().aclose)
        stack.push_async_callback(container.persons_http().aclose)
        stack.push_async_callback(container.model_http().aclose)
        for http in container.discovery_http():
            stack.push_async_callback(http.aclose)
        for model in _models(container, settings):
            await stack.enter_async_context(model)  # its end closes what connections are its own
        container.tokens()  # a service account's key that cannot be used is told as such
        log.info("%s", await prove_lifetimes(container, settings))
        stack.push_async_callback(container.refresher().aclose)
        await stack.enter_async_context(container.replicas().joined(container.supervisor()))
        if container.replicas().alone:
            await container.inbox().recover()
        await stack.enter_async_context(container.engine().opened())
        for channel in container.channels().values():
            if channel.opens is not None:
                await stack.enter_async_context(channel.opens.opened())
        await stack.enter_async_context(container.sender().running(settings.delivery.grace_seconds))
        await stack.enter_async_context(container.waiters().running(container.supervisor()))
        if answers:
            sessions = container.mcp_sessions()
            for session in sessions:
                await stack.enter_async_context(session.opened())
            for session in sessions:
                await session.tried()
            await stack.enter_async_context(container.worker().running())
        await stack.enter_async_context(container.janitor().running())
        yield


@asynccontextmanager
async def loading(
    container: Application, after: asyncio.Event | None = None, *, loaded: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Load in a thread what the first answer needs and no acknowledgement does; the end of the context waits for it.

    Args:
        container: Knows what is to be loaded.
        after: Set when the first request has been answered. Loading waits for it, but not for long: it would make that
            request wait, because Python runs one thread at a time.
        loaded: Called once everything is loaded.
    """
    begin = after or asyncio.Event()
    if after is None:
        begin.set()

    async def load() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(begin.wait(), LOADS_AFTER_SECONDS)
        loads = (container.google_apis().load, *(channel.load for channel in container.channels().values()))
        for each in filter(None, loads):
            await guarded("loading", asyncio.to_thread(each))
        if loaded is not None:
            loaded()

    task = asyncio.create_task(load())
    try:
        yield
    finally:
        begin.set()
        await asyncio.wait({task})


@asynccontextmanager
async def receiving(container: Application) -> AsyncIterator[None]:
    """Receive messages over the connections that channels open themselves, until the context ends.

    Raises:
        SettingsError: A platform refuses a connection for good.
    """
    async with AsyncExitStack() as stack:
        for receiver in container.receivers():
            await stack.enter_async_context(receiver.receiving())
        yield


def _models(container: Application, settings: Settings) -> Iterator[Model]:
    for name, provider in container.models.providers.items():
        try:
            yield provider()
        except SettingsError as error:
            agent = next(agent for agent, its in settings.led_agents().items() if name in its.model)
            raise SettingsError(f"agents.{agent}.model: {error}") from None


def create_app(container: Application, settings: Settings, ready: asyncio.Event) -> FastAPI:
    """Return the ASGI application of a running container.

    Args:
        container: Open while the application is served.
        settings: The settings that the container was built from.
        ready: Set while messages are taken.
    """
    # Starlette's redirect from or to a slash at the end leads to the host that the request names.
    app = FastAPI(title="Deputy", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    install(app, max_body_bytes=settings.server.max_body_bytes)
    for routes in container.routes():
        app.include_router(routes.router())
    app.mount("/static", StaticFiles(directory=STATIC_FILES))

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """Tell that the process is alive."""
        return {"ok": True}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Tell whether messages are accepted: the process is not stopping, and its database answers and is writable."""
        why = "stopping"
        if ready.is_set():
            try:
                await container.database().check()
            except DATABASE_FAILURES as error:
                why = f"the database cannot be used: {reason(error)}"
            else:
                return JSONResponse({"ready": True})
        return JSONResponse({"ready": False, "why": why}, 503)

    return app


@asynccontextmanager
async def serving(
    container: Application, settings: Settings, *, loaded: Callable[[], None] | None = None
) -> AsyncIterator[str]:
    """Serve until the context ends: open and proven first, then listening; yields the base URL.

    At the end, new requests are refused, those under way end, and then the process's objects are closed.

    Args:
        container: The container to open and to serve.
        settings: The settings that it was built from.
        loaded: Called once everything that the first answer needs is loaded.

    Raises:
        LifetimeError: The proof failed, so nothing is served.
        OSError: The port is taken.
    """
    ready = asyncio.Event()
    async with running(container, settings, answers=settings.delivery.server_answers):
        app = create_app(container, settings, ready)
        limits = ConnectionLimits(
            per_client=settings.server.connections_per_client,
            head_seconds=settings.server.head_seconds,
            body_seconds=settings.server.body_seconds,
        )
        answered = asyncio.Event()

        async def first_noted(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            finally:
                answered.set()

        async with listening(first_noted, settings.server.host, settings.server.port, limits) as base_url:
            ready.set()
            try:
                async with loading(container, answered, loaded=loaded), receiving(container):
                    yield base_url
            finally:
                ready.clear()  # from here on nobody should send more, though what comes is still stored
                await container.worker().drain()
                await container.sender().drain(settings.delivery.grace_seconds)
                container.waiters().end()
                container.feed().end()
