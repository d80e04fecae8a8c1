"""MCP servers that name their own authorization servers, and a deployment that discovers them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl, SecretStr
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.principal import Principal
from app.sandbox.oauth.differences import Differences
from app.sandbox.server import serve_loopback
from app.sections.mcp import McpSettings
from app.sections.server import DatabaseSettings
from containers.application import Application
from containers.testing import open_test_app, use_model
from tests.fakes.hub import HubApp, path_of
from tests.fakes.mcp_server import serving, settings_with
from tests.fakes.open_provider import REGISTERS, Openness, OpenProvider
from tests.fakes.ports import free_port

STRANGER = Differences(
    refreshes=True,
    rotates=True,
    scopes="spaces",
    revocation="rfc7009",
    issuer=True,
    client_authentication="basic",
    errors_with_200=False,
)
"""An authorization server of today, at which clients register themselves."""


@dataclass
class GuardedOffice(TokenVerifier):
    """An MCP server that accepts only the tokens that one authorization server issued for it.

    Attributes:
        sandbox: The authorization server.
        url: The server's own address.
        issuer: The authorization server's address.
        calls: The account and the argument of each call.
        refused: The account and the tool of each call whose token lacked a scope.
        needs: The OAuth scope that a tool needs beyond the server's own, by the tool's name.
        metadata: False metadata of the server, an object, any text or a whole answer; None for the truth.
        bearers: The tokens that it was sent, valid or not.
    """

    sandbox: OpenProvider
    url: str
    issuer: str
    calls: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    needs: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] | str | Response | None = None
    bearers: set[str] = field(default_factory=set)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the token's data if the authorization server has issued it."""
        self.bearers.add(token)
        grant = self.sandbox.grant_of(token)
        if grant is None:
            return None
        return AccessToken(
            token=token,
            client_id="deputy",
            scopes=sorted(grant.scopes),
            subject=grant.account,
            resource=self.sandbox.resource_of(grant),
        )

    def server(self) -> MCPServer:
        """Return an MCP server for this office."""
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(self.issuer),
            resource_server_url=AnyHttpUrl(self.url),
            required_scopes=["books"],
            validate_token_resource=True,
        )
        server = MCPServer("office", token_verifier=self, auth=auth)

        async def called(mark: str) -> str:
            token = get_access_token()
            assert token is not None
            self.calls.append((token.subject or "", mark))
            return f"{token.subject} called with {mark}"

        server.add_tool(called, name="who", description="Say who calls.")
        server.add_tool(called, name="write", description="Write into one's own book.")
        return server

    def over(self, app: ASGIApp) -> ASGIApp:
        """Return an application in front of the server, which requires scopes and serves the test's metadata."""

        async def before(scope: Scope, receive: Receive, send: Send) -> None:
            if self.metadata is not None and scope["path"].startswith("/.well-known/oauth-protected-resource"):
                said = self.metadata
                if not isinstance(said, Response):
                    body = (said if isinstance(said, str) else json.dumps(said)).encode()
                    said = Response(body, media_type="application/json")
                await said(scope, receive, send)
                return
            if not self.needs or scope["method"] != "POST":
                await app(scope, receive, send)
                return
            message = await receive()
            asked = json.loads(message["body"] or b"{}")
            tool = asked.get("params", {}).get("name", "") if asked.get("method") == "tools/call" else ""
            bearer = next((value for key, value in scope["headers"] if key == b"authorization"), b"").decode()
            grant = self.sandbox.grant_of(bearer.removeprefix("Bearer "))
            need = self.needs.get(tool)
            if need and grant is not None and need not in grant.scopes:
                self.refused.append((grant.account, tool))
                header = f'Bearer error="insufficient_scope", scope="books {need}"'
                await Response(status_code=403, headers={"WWW-Authenticate": header})(scope, receive, send)
                return
            pending: list[Message] = [message]

            async def again() -> Message:
                return pending.pop() if pending else await receive()

            await app(scope, again, send)

        return before


@dataclass
class FoundApp:
    """A deployment whose people use such a server, with the helpers of `HubApp`.

    Attributes:
        annex: A second server, for which the same authorization server issues tokens; None unless it is asked for.
    """

    hub: HubApp
    office: GuardedOffice
    container: Application
    annex: GuardedOffice | None = None

    async def ask(self, principal: Principal, text: str) -> dict[str, Any]:
        """Send a message, and return its status."""
        return await self.hub.say(principal, text)

    async def told(self, principal: Principal, message: str) -> str:
        """Return the answer to a message that waited."""
        return str((await self.hub.app.told(principal, message))["answer"])


async def uses(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Call the tool that the message names, with the message as the mark; list the tools first if they are unknown.

    A tool without its server's name is the office's.
    """
    said = [part for message in messages for part in message.parts if part.part_kind == "user-prompt"][-1]
    server, _, name = str(said.content).split()[0].rpartition("_")
    server = server or "office"
    tool = f"{server}_{name}"
    turn = messages[max(index for index, each in enumerate(messages) if said in each.parts) :]
    returned = [part for message in turn for part in message.parts if part.part_kind == "tool-return"]
    if returned and returned[-1].tool_name == tool:
        return ModelResponse(parts=[TextPart(str(returned[-1].content))])
    known = [each.name for each in info.function_tools]
    return ModelResponse(
        parts=[ToolCallPart(tool, {"mark": said.content}) if tool in known else ToolCallPart(f"{server}_tools", {})]
    )


@asynccontextmanager
async def open_found(
    folder: Path,
    openness: Openness = REGISTERS,
    *,
    differences: Differences = STRANGER,
    database: str | None = None,
    prepare: Callable[[Application], object] = lambda _: None,
    with_annex: bool = False,
    **settings_of_server: Any,
) -> AsyncIterator[FoundApp]:
    """Run a deployment with one MCP server, `office`, that names its own authorization server.

    Args:
        folder: The folder for keys.
        openness: How Deputy becomes known to the authorization server.
        differences: The authorization server's differences.
        database: The database's URL; a file in the folder if None.
        prepare: Called with the container before anything is built.
        with_annex: Whether there is a second MCP server, `annex`, that names the same authorization server.
        settings_of_server: Other settings of each MCP server.
    """
    urls = [f"http://127.0.0.1:{free_port()}/mcp" for _ in range(2 if with_annex else 1)]
    accounts = ("ada", "grace", *(f"person-{number}" for number in range(50)))
    sandbox = OpenProvider(urls[0], accounts, differences, openness)
    sandbox.resources.update(urls)
    async with AsyncExitStack() as stack:
        root = await stack.enter_async_context(serve_loopback(sandbox.app))
        servers = {
            name: GuardedOffice(sandbox, url, root) for name, url in zip(("office", "annex"), urls, strict=False)
        }
        said = {"oauth": "discover", "reads": ("who",), **settings_of_server}
        sections = {name: McpSettings.model_validate({"url": each.url, **said}) for name, each in servers.items()}
        settings = settings_with(folder, **sections)
        if database is not None:
            settings = settings.model_copy(update={"database": DatabaseSettings(url=SecretStr(database))})

        def prepared(container: Application) -> None:
            use_model(container, FunctionModel(uses))
            prepare(container)

        for each in servers.values():
            await stack.enter_async_context(serving(each.server(), each.url, older=each))
        app = await stack.enter_async_context(open_test_app(settings, prepared))
        yield FoundApp(HubApp(app, sandbox, root), servers["office"], app.container, servers.get("annex"))


async def connect(found: FoundApp, *people: Principal, text: str = "who am I") -> None:
    """Let people consent, all at once, each from a first message, and await its answer."""

    async def one(person: Principal) -> None:
        waits = await found.ask(person, text)
        assert (waits["state"], waits["waits_for"]) == ("parked", "consent"), waits
        await found.hub.connect(person, path_of(waits["consent_url"]))
        assert f"{person.user} called with {text}" in await found.told(person, waits["message"])

    await asyncio.gather(*map(one, people))
