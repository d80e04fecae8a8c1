"""Connections to providers besides Google, as toolkits use them: two people at once, each with their own token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from dependency_injector import providers
from pydantic import SecretStr
from pydantic_ai.messages import ToolCallPart

from app.audit.audit import Audit, AuditSearch
from app.connections.connection import Connection
from app.errors import ConsentRequiredError, CredentialsError, ForeignRunError, GrantRevokedError, SettingsError
from app.principal import Principal
from app.run import new_run
from app.sections.connections import ConnectionSettings
from app.settings import Settings
from containers.application import Application
from containers.build import build
from containers.testing import (
    FakeTokens,
    IsolationError,
    assert_isolated,
    call,
    open_test_app,
    open_test_container,
    open_test_scope,
    scripted,
    settings_in,
    use_model,
)
from tests.outside.hub import HubToolkit, LendingToolkit

GITHUB = ConnectionSettings(
    provider="github", client_id="hub", client_secret=SecretStr("hush"), api=("https://api.github.test",)
)


class Hub:
    """The API of a provider, which answers with the bearer that it received.

    Attributes:
        bearers: The received tokens with their paths, in order.
        refused: The tokens that it rejects.
    """

    def __init__(self) -> None:
        self.bearers: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        self.tokens = FakeTokens()

    def prepare(self, container: Application) -> None:
        """Replace the network and people's consents with this hub."""
        self.tokens.install(container, "github")
        container.persons_http.override(providers.Object(httpx2.MockTransport(self._answer)))

    def calling(self, *calls: str | ToolCallPart) -> Callable[[Application], None]:
        """Return a preparation whose model makes these calls, each of them a tool's name or a whole call."""

        def prepare(container: Application) -> None:
            self.prepare(container)
            use_model(container, scripted([call(each, each) if isinstance(each, str) else each for each in calls]))

        return prepare

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.bearers.append((token, request.url.path))
        await asyncio.sleep(0)
        return httpx2.Response(401 if token in self.refused else 200, text=f"of {token}")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with a toolkit that needs GitHub."""
    found = settings_in(tmp_path, toolkits={"hub": "tests.outside.hub:HubToolkit"})
    return found.model_copy(update={"connections": {"github": GITHUB}})


async def test_two_people_are_answered_under_their_own_token(
    settings: Settings, ada: Principal, grace: Principal
) -> None:
    """The guard ensures each sender's own access, and the client signs requests with it."""
    hub = Hub()
    for person in (ada, grace):
        hub.tokens.grant(person, "repo")
    async with open_test_app(settings, hub.calling("hub_repositories")) as app:
        told = await asyncio.gather(*(app.ask(person, "go") for person in (ada, grace) for _ in range(3)))

    for person, answers in ((ada, told[:3]), (grace, told[3:])):
        for answer in answers:
            assert f"of token-{person.user}-" in answer.json()["answer"]
    assert len(hub.bearers) == 6
    assert {person for person, _ in hub.tokens.asked} == {ada, grace}


async def test_a_tool_is_given_only_the_connection_that_it_declares(
    settings: Settings, ada: Principal, grace: Principal
) -> None:
    """A tool without a connection, or with another one, gets no token of this one, even if its person granted it."""
    hub, google = Hub(), FakeTokens()
    async with open_test_container(settings) as container:
        hub.prepare(container)
        google.install(container)
        for person in (ada, grace):
            hub.tokens.grant(person)
            google.grant(person, "https://mail.google.com/")
        for person in (ada, grace):
            async with open_test_scope(person) as scope:
                tools = scope.get(container.toolkits.providers["hub"])
                connections = scope.get(container.all_connections)
                await connections.ensure("google", frozenset({"https://mail.google.com/"}))
                await connections.ensure("github", frozenset())
                assert f"token-{person.user}" in await tools.elsewhere("https://api.github.test/user")
                with pytest.raises(CredentialsError, match="google"):
                    await tools.as_google()
                await connections.ensure(None, frozenset())
                with pytest.raises(CredentialsError, match="github"):
                    await tools.undeclared()


async def test_the_token_goes_to_the_provider_alone(settings: Settings, ada: Principal, grace: Principal) -> None:
    """A URL outside the provider's API, which a model may have chosen, gets neither a request nor the token."""
    hub = Hub()
    for person in (ada, grace):
        hub.tokens.grant(person)
    urls = (
        "https://api.github.test.evil.example/",
        "http://api.github.test/",
        "https://api.github.test:8443/",
        "https://api.github.test@evil.example/",
    )
    calls = [call("hub_elsewhere", str(number), url=url) for number, url in enumerate(urls)]
    async with open_test_app(settings, hub.calling(*calls)) as app:
        told = await asyncio.gather(*(app.ask(person, "go") for person in (ada, grace)))

    for answer in told:
        text = answer.json()["answer"]
        assert text.count("so nothing was sent to") == len(urls)
    assert hub.bearers == []


async def test_a_rejected_token_is_renewed_once(settings: Settings, ada: Principal, grace: Principal) -> None:
    """After a 401 the client gets another token and repeats the call."""
    hub = Hub()
    async with open_test_container(settings) as container:
        hub.prepare(container)
        for person in (ada, grace):
            hub.tokens.grant(person)
        async with open_test_scope(ada) as one, open_test_scope(grace) as other:
            del other
            connection = one.get(container.connections.providers["github"])
            await connection.ensure()
            hub.refused.add(connection.access_token)
            async with connection.client() as client:
                answer = await client.get("https://api.github.test/user")

    assert (answer.status_code, answer.text) == (200, "of token-ada-2")
    assert [token for token, _ in hub.bearers] == ["token-ada-1", "token-ada-2"]


async def test_a_second_rejection_ends_the_access(settings: Settings, ada: Principal, grace: Principal) -> None:
    """If the renewed token gets a 401 too, that person's access has ended; the call is not repeated again."""
    hub = Hub()
    hub.refused.update({"token-ada-1", "token-ada-3"})
    async with open_test_container(settings) as container:
        hub.prepare(container)
        for person in (ada, grace):
            hub.tokens.grant(person)
        async with open_test_scope(ada) as one, open_test_scope(grace) as other:
            hers, theirs = [each.get(container.connections.providers["github"]) for each in (one, other)]
            for each in (hers, theirs):
                await each.ensure()
            with pytest.raises(GrantRevokedError) as caught:
                await hers.client().get("https://api.github.test/user")
            answer = await theirs.client().get("https://api.github.test/user")
        async with open_test_scope(ada) as again:
            with pytest.raises(ConsentRequiredError):
                await again.get(container.connections.providers["github"]).ensure()

    assert (caught.value.principal, caught.value.connection) == (ada, "github")
    assert (answer.status_code, answer.text) == (200, "of token-grace-2")
    assert [token for token, _ in hub.bearers] == ["token-ada-1", "token-ada-3", "token-grace-2"]


async def test_every_call_is_in_the_audit_trail(settings: Settings, ada: Principal, grace: Principal) -> None:
    """Each call is recorded under its person's credential, with its method and host but without its path."""
    hub = Hub()
    for person in (ada, grace):
        hub.tokens.grant(person, "repo")
    async with open_test_app(settings, hub.calling("hub_repositories")) as app:
        await asyncio.gather(app.ask(ada, "go"), app.ask(grace, "go"))
        audit: Audit = app.container.audit()
        entries = [entry for person in (ada, grace) for entry in await audit.find(AuditSearch(principal=person))]

    calls = [(entry.principal, entry.tool, entry.credential, entry.method, entry.status) for entry in entries]
    for person in (ada, grace):
        assert (person, "hub_repositories", str(person), "GET api.github.test", 200) in calls
    assert not any("repos" in str(entry.method) for entry in entries)


async def test_nothing_lives_on_after_the_request(settings: Settings, ada: Principal, grace: Principal) -> None:
    """Two people have separate connections, freed after their requests, and a kept client can send nothing."""
    hub = Hub()
    async with open_test_container(settings) as container:
        hub.prepare(container)
        provider = container.connections.providers["github"]
        for person in (ada, grace):
            hub.tokens.grant(person)

        async def use(connection: Connection[str]) -> str:
            await connection.ensure()
            return (await connection.client().get("https://api.github.test/")).text

        results = await assert_isolated(container, provider, use)
        async with open_test_scope(ada) as scope:
            connection = scope.get(provider)
            await connection.ensure()
            client = connection.client()
            with new_run(), pytest.raises(ForeignRunError):
                await client.get("https://api.github.test/")
            with new_run(), pytest.raises(ForeignRunError):
                connection.access_token  # noqa: B018
        with pytest.raises(RuntimeError):
            await client.get("https://api.github.test/")

    assert [result.split("-")[1] for result in results] == ["ada", "grace"]


async def test_the_trial_runs_tools_on_a_connection(tmp_path: Path, settings: Settings) -> None:
    """The isolation check runs a toolkit's tools without sending anything, and finds one that shares its connection."""
    toolkits = {"hub": "tests.outside.hub:HubToolkit", "lending": "tests.outside.hub:LendingToolkit"}
    found = settings_in(tmp_path, toolkits=toolkits).model_copy(update={"connections": {"github": GITHUB}})
    async with open_test_container(found) as container:
        await assert_isolated(container, container.toolkits.providers["hub"])
        try:
            with pytest.raises(IsolationError, match="with the client of another request"):
                await assert_isolated(container, container.toolkits.providers["lending"])
        finally:
            LendingToolkit._kept = ()


def test_a_tool_says_what_it_needs() -> None:
    """Each tool's spec contains its declared connection and OAuth scopes."""
    specs = HubToolkit.tools()

    assert (specs["hub_repositories"].connection, specs["hub_repositories"].oauth_scopes) == ("github", ("repo",))
    assert (specs["hub_star"].connection, specs["hub_star"].oauth_scopes) == ("github", ())
    assert specs["hub_undeclared"].connection is None


@pytest.mark.parametrize(
    ("toolkit", "words"),
    [
        ("unconnected:UnconnectedToolkit", "needs the connection gitlab; add it to `connections`"),
        ("asking:AskingToolkit", r"asks for gitlab: Connection\[Literal\['gitlab'\]\]; it can ask for: "),
    ],
)
def test_an_unknown_connection_stops_the_start(settings: Settings, toolkit: str, words: str) -> None:
    """A toolkit that needs a connection which the settings lack stops the start, with the connection's name."""
    name, _, cls = toolkit.partition(":")
    with pytest.raises(SettingsError, match=words):
        build(settings.model_copy(update={"toolkits": {name: f"tests.outside.hub:{cls}"}}))
