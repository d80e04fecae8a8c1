"""Requests that Google, an agent or a tool cannot fulfil."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

from app.deadline import Deadline
from app.google.client import GoogleClient
from app.messages import ConversationKey
from app.oauth.provider import RemovedProvider
from app.sandbox.attachment import lead_to_sandbox
from app.sandbox.server import serve_loopback
from app.sections.agents import AgentSettings, ModelSettings
from app.settings import Settings
from app.toolkits.gmail import GmailToolkit
from containers.application import Application
from containers.testing import (
    FakeTokens,
    call,
    open_test_container,
    open_test_scope,
    scripted,
    settings_in,
    use_model,
)
from tests.fakes.core_server import inbound
from tests.fakes.gmail_sandbox import open_gmail_sandbox
from tests.fakes.google_api import FakeCredentials, LoopThreads, Recorder, google_faults
from tests.fakes.sandbox import ADA as ADAS_ADDRESS
from tests.fakes.sandbox import sandbox
from tests.fakes.zones import FixedZone
from tests.provoking.showing import ADA, READ_MAIL, Provoke, Shown, raised

NOWHERE = "http://127.0.0.1:9"  # the discard port, where nobody listens


async def mail_that_is_not_there(folder: Path) -> Shown:
    """Read a mail that does not exist."""
    async with open_gmail_sandbox() as gmail:
        toolkit = await gmail.toolkit(ADAS_ADDRESS)
        return await raised(toolkit.read("0123456789abcdef"))


async def google_that_is_away(folder: Path) -> Shown:
    """Call Google where nobody listens."""
    tokens = FakeTokens()
    tokens.grant(ADA, READ_MAIL)
    async with open_test_container(lead_to_sandbox(settings_in(folder), NOWHERE, "")) as container:
        tokens.install(container)
        async with open_test_scope(ADA) as scope:
            await scope.get(container.credentials).ensure(frozenset({READ_MAIL}))
            return await raised(scope.get(container.toolkits.providers["gmail"]).latest())


async def connection_that_was_removed(folder: Path) -> Shown:
    """Use a grant whose connection is no longer in the settings."""
    return await raised(RemovedProvider("hub").get_ready())


async def refresh_token_that_is_over(folder: Path) -> Shown:
    """Use a refresh token that Google does not know."""
    google = sandbox()
    async with serve_loopback(google.app) as url:
        settings = lead_to_sandbox(settings_in(folder), url, "GOCSPX-sandbox")
        client = settings.google.model_copy(update={"client_id": "deputy.apps.sandbox.example"})
        async with open_test_container(settings.model_copy(update={"google": client})) as container:
            return await raised(container.google_auth().refresh("spent"))


async def access_token_that_is_over(folder: Path) -> Shown:
    """Use a token that Google refuses, even after a renewal."""
    async with open_gmail_sandbox() as gmail:
        credentials = FakeCredentials("spent", renewed="spent as well")
        google = GoogleClient(
            credentials, gmail.apis, gmail.pool, LoopThreads(), Deadline.after(20), Recorder(), google_faults()
        )
        return await raised(GmailToolkit(google, FixedZone()).latest())


@asynccontextmanager
async def agent_of(settings: Settings) -> AsyncIterator[tuple[Application, list[Shown]]]:
    """Yield a container; after the block, append its agent's error on a message of Ada's."""
    seen: list[Shown] = []
    async with open_test_container(settings) as container:
        yield container, seen
        message, _ = await container.inbox().accept(inbound(ADA, "go"))
        begun = await container.inbox().begin_next(ConversationKey.of(message))
        assert begun is not None
        async with open_test_scope(ADA) as scope:
            seen.append(await raised(scope.get(container.agents.providers["assistant"]).answer(begun)))


async def endless_steps(folder: Path) -> Shown:
    """Run a model that never stops calling tools."""
    settings = settings_in(folder, toolkits={"notes": "tests.outside.notes:NotesToolkit"})
    async with agent_of(settings) as (container, seen):
        use_model(container, scripted(*[[call("notes_add", str(step), text="again")] for step in range(99)]))
    return seen[0]


async def model_that_is_away(folder: Path) -> Shown:
    """Run a model at an endpoint where nobody listens."""
    away = {
        "models": {"local": ModelSettings(base_url=f"{NOWHERE}/v1", model="llama3.2")},
        "agents": {"assistant": AgentSettings(model=("local",))},
    }
    async with agent_of(settings_in(folder).model_copy(update=away)) as (_, seen):
        pass
    return seen[0]


async def days_the_wrong_way_round(folder: Path) -> Shown:
    """Ask for a time that ends before it begins."""
    async with open_test_container(settings_in(folder)) as container, open_test_scope(ADA) as scope:
        return await raised(
            scope.get(container.toolkits.providers["gmail"]).by_date(date(2026, 2, 1), date(2026, 1, 1))
        )


PROVOKED: list[Provoke] = [
    connection_that_was_removed,
    refresh_token_that_is_over,
    mail_that_is_not_there,
    google_that_is_away,
    access_token_that_is_over,
    endless_steps,
    model_that_is_away,
    days_the_wrong_way_round,
]
