"""MCP servers that know people: each call uses its sender's own token, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.connections.connection import Connection
from app.errors import GrantRevokedError, SettingsError
from app.mcp import personal
from app.mcp.toolkit import PersonalMcpToolkit
from app.principal import Principal
from app.sections.mcp import McpSettings
from containers.application import Application
from containers.testing import (
    FakeTokens,
    assert_isolated,
    call,
    open_test_app,
    open_test_container,
    open_test_scope,
    scripted,
    use_model,
)
from tests.fakes.core_server import until
from tests.fakes.fading import without_the_collector
from tests.fakes.mcp_server import Older, PersonalOffice, personal_settings, serving, settings_with

CONTEXT = RunContext(deps=None, model=TestModel(), usage=RunUsage())


class Silent:
    """An MCP server that does not answer one method.

    Args:
        method: The method.
    """

    def __init__(self, method: str) -> None:
        self._method = method
        self.asked = 0
        self.ends = asyncio.Event()

    def over(self, app: ASGIApp) -> ASGIApp:
        """Return an application that does not answer the method until `ends` is set."""

        async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
            if Headers(scope=scope).get("mcp-method") == self._method:
                self.asked += 1
                await self.ends.wait()
            await app(scope, receive, send)

        return waiting


class Greedy:
    """An MCP server that demands wider permissions for each call.

    Args:
        scope: The OAuth scope that it names.
    """

    def __init__(self, scope: str) -> None:
        self._header = f'Bearer error="insufficient_scope", scope="{scope}"'

    def over(self, app: ASGIApp) -> ASGIApp:
        """Return an application that refuses tool calls."""

        async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
            if Headers(scope=scope).get("mcp-method") != "tools/call":
                await app(scope, receive, send)
                return
            await Response(status_code=403, headers={"WWW-Authenticate": self._header})(scope, receive, send)

        return refusing


@pytest.fixture
async def office() -> PersonalOffice:
    """Return the office whose tools the server offers."""
    return PersonalOffice()


@pytest.fixture
async def url(office: PersonalOffice) -> AsyncIterator[str]:
    """Yield the server's address."""
    async with serving(office.server()) as found:
        yield found


def granting(*people: Principal) -> FakeTokens:
    """Return tokens of people who have connected."""
    tokens = FakeTokens()
    for person in people:
        tokens.grant(person)
    return tokens


def names(info: AgentInfo) -> list[str]:
    """Return the names of the tools that a model was offered."""
    return [each.name for each in info.function_tools]


async def asks(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Ask the server who calls, with the message as the mark; list its tools first if they are unknown."""
    said = [part for message in messages for part in message.parts if part.part_kind == "user-prompt"]
    returned = [part for message in messages for part in message.parts if part.part_kind == "tool-return"]
    if returned and returned[-1].tool_name == "office_who":
        return ModelResponse(parts=[TextPart(str(returned[-1].content))])
    if "office_who" not in names(info):
        return ModelResponse(parts=[ToolCallPart("office_tools", {})])
    return ModelResponse(parts=[ToolCallPart("office_who", {"mark": said[-1].content})])


@pytest.mark.parametrize("count", [8, pytest.param(50, marks=pytest.mark.system)])
async def test_so_many_people_are_so_many_identities(
    tmp_path: Path, office: PersonalOffice, url: str, count: int
) -> None:
    """Many people who call at once are each identified as themselves, and each gets their own answer."""
    people = [Principal("http", "demo", f"person-{number}") for number in range(count)]
    tokens = granting(*people)

    def prepare(container: Application) -> None:
        tokens.install(container, "accounts")
        use_model(container, FunctionModel(asks))

    async with open_test_app(personal_settings(tmp_path, url, "who"), prepare) as app:
        answers = await asyncio.gather(*(app.ask(person, f"mark-{person.user}") for person in people))
        told = [
            answer.json() if "answer" in answer.json() else await app.told(person, answer.json()["message"])
            for person, answer in zip(people, answers, strict=True)
        ]

    assert sorted(office.callers) == sorted((person.user, f"mark-{person.user}") for person in people)
    for person, each in zip(people, told, strict=True):
        assert f"{person.user} called with mark-{person.user}" in each["answer"]


async def test_a_first_message_waits_for_its_person_and_is_then_answered(
    tmp_path: Path, office: PersonalOffice, url: str, ada: Principal, grace: Principal
) -> None:
    """A person who has not connected is asked for consent; the run then continues with newly listed tools."""
    tokens = granting()
    tokens.grant(grace, "openid", "email")
    server = McpSettings(url=url, connection="google", oauth_scopes=("email",), reads=("who",))

    def prepare(container: Application) -> None:
        tokens.install(container)
        use_model(container, FunctionModel(asks))

    async with open_test_app(settings_with(tmp_path, office=server), prepare) as app:
        waits = (await app.ask(ada, "mark")).json()
        before = list(office.callers)
        tokens.grant(ada, "email")
        await app.container.parking().consent_ended(ada, granted=True)
        answer = (await app.told(ada, waits["message"]))["answer"]

    assert (waits["state"], waits["waits_for"], before) == ("parked", "consent", [])
    assert office.callers == [("ada", "mark")]
    assert "ada called with mark" in answer


async def test_what_acts_is_done_as_the_person_who_approved_it(
    tmp_path: Path, office: PersonalOffice, url: str, ada: Principal, grace: Principal
) -> None:
    """Two people who approve at once each write into their own book."""
    tokens = granting(ada, grace)

    def prepare(container: Application) -> None:
        tokens.install(container, "accounts")
        use_model(container, scripted([call("office_tools", "0")], [call("office_write", "1", text="mine")]))

    async with open_test_app(personal_settings(tmp_path, url), prepare) as app:
        asked = {person: (await app.ask(person, "write")).json() for person in (ada, grace)}
        before = dict(office.books)
        await asyncio.gather(
            *(app.ask(person, f"approve {each['approval']['code']}") for person, each in asked.items())
        )
        for person, each in asked.items():
            await app.told(person, each["message"])

    assert before == {}
    assert office.books == {"ada": ["mine"], "grace": ["mine"]}


async def test_a_server_does_not_choose_what_people_grant_at_another_provider(
    tmp_path: Path, office: PersonalOffice, ada: Principal, grace: Principal
) -> None:
    """Extra permissions that a server demands are not asked for, and the answer names the setting for them."""
    tokens = granting(ada, grace)

    def prepare(container: Application) -> None:
        tokens.install(container, "accounts")
        use_model(container, FunctionModel(asks))

    async with (
        serving(office.server(), older=Greedy("everything")) as url,
        open_test_app(personal_settings(tmp_path, url, "who"), prepare) as app,
    ):
        answers = [(await app.ask(person, "mine")).json()["answer"] for person in (ada, grace)]

    assert all("everything" in each and "`mcp.office.oauth_scopes`" in each for each in answers), answers
    assert office.callers == []


async def test_nothing_passes_between_two_people(
    tmp_path: Path, office: PersonalOffice, url: str, ada: Principal, grace: Principal
) -> None:
    """The isolation check finds no object of one request in another, and none alive afterwards."""
    async with open_test_container(personal_settings(tmp_path, url, "who")) as container:
        granting(ada, grace).install(container, "accounts")

        async def use(toolkit: PersonalMcpToolkit) -> str:
            return str(sorted(toolkit.known()))

        results = await assert_isolated(container, container.toolkits.providers["office"], use)

    assert results == ["['office_tools']"] * 2


async def who(container: Application, person: Principal, held: list[weakref.ref[object]]) -> Any:
    """Call the server in a request of this person, and keep weak references to the request's objects."""
    async with open_test_scope(person) as scope:
        connection: Connection[Any] = scope.get(container.mcp.providers["office.connection"])
        toolkit = scope.get(container.toolkits.providers["office"])
        session = scope.get(container.mcp.providers["office.session"])
        held += [weakref.ref(each) for each in (connection, toolkit, session)]
        await connection.ensure()
        await toolkit.call_tool("office_tools", {}, CONTEXT)
        return await toolkit.call_tool("office_who", {"mark": "m"}, CONTEXT)


async def test_a_closed_request_leaves_nothing_of_its_person(
    tmp_path: Path, office: PersonalOffice, url: str, ada: Principal, grace: Principal
) -> None:
    """After a request closes, its client and token are freed, whether its calls succeeded or were refused."""
    held: list[weakref.ref[object]] = []
    ended = False
    with without_the_collector():
        async with open_test_container(personal_settings(tmp_path, url, "who")) as container:
            granting(ada, grace).install(container, "accounts")
            answers = await asyncio.gather(*(who(container, person, held) for person in (ada, grace)))
            office.refused.add("grace")
            try:
                await who(container, grace, held)
            except GrantRevokedError:
                ended = True

            assert ended
            assert "ada called" in str(answers[0])
            assert "grace called" in str(answers[1])
            assert len(held) == 9
            assert [each() for each in held if each() is not None] == []


@pytest.mark.parametrize("silent", ["tools/list", "tools/call"])
async def test_a_connection_that_is_cut_off_leaves_nothing_of_its_person(
    tmp_path: Path, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    """A request that is cancelled while the server is silent leaves no objects, even if closing takes too long."""
    monkeypatch.setattr(personal, "_CLOSE_SECONDS", 0.0)
    held: list[weakref.ref[object]] = []
    quiet = Silent(silent)
    async with (
        serving(PersonalOffice().server(), older=quiet) as url,
        open_test_container(personal_settings(tmp_path, url, "who")) as container,
    ):
        granting(ada, grace).install(container, "accounts")
        asking = [asyncio.create_task(who(container, person, held)) for person in (ada, grace)]
        await until(lambda: quiet.asked == 2)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        assert [task.cancelled() for task in asking] == [True, True]
        del task
        asking.clear()

        assert len(held) == 6
        assert [each() for each in held if each() is not None] == []
        quiet.ends.set()


async def test_a_session_of_an_older_protocol_ends_with_its_request(
    tmp_path: Path, office: PersonalOffice, ada: Principal, grace: Principal
) -> None:
    """With a protocol that has sessions, each request has its own session for one person, and ends it."""
    older = Older()
    held: list[weakref.ref[object]] = []
    async with (
        serving(office.server(), older=older) as url,
        open_test_container(personal_settings(tmp_path, url, "who")) as container,
    ):
        granting(ada, grace).install(container, "accounts")
        await asyncio.gather(*(who(container, person, held) for person in (ada, grace, ada)))
        protocol = container.mcp.providers["office.catalogue"]().protocol

        assert [each() for each in held if each() is not None] == []

    assert protocol == "2025-11-25"
    assert sorted(name for name, _ in office.callers) == ["ada", "ada", "grace"]
    assert len(older.sessions) == 3
    assert older.ended == older.sessions.keys()
    assert {len(bearers) for bearers in older.sessions.values()} == {1}


async def test_a_server_that_is_down_is_told_in_words(tmp_path: Path, office: PersonalOffice, ada: Principal) -> None:
    """If a server cannot be reached, the answer says so."""
    async with serving(office.server()) as url:
        pass

    def prepare(container: Application) -> None:
        granting(ada).install(container, "accounts")
        use_model(container, scripted([call("office_tools", "0")]))

    async with open_test_app(personal_settings(tmp_path, url), prepare) as app:
        answer = (await app.ask(ada, "hello")).json()["answer"]

    assert "The server office does not answer, so nothing was done." in answer


async def test_a_program_gets_nobodys_token(tmp_path: Path) -> None:
    """The settings refuse a person's connection for a server run as a program, and an unknown connection."""
    with pytest.raises(ValueError, match="a program gets nobody's token"):
        McpSettings(command="server", connection="accounts")
    with pytest.raises(SettingsError, match=r"mcp\.office\.connection: there is no connection 'nobody'"):
        async with open_test_app(
            settings_with(tmp_path, office=McpSettings(url="https://mcp.example/mcp", connection="nobody"))
        ):
            pass
