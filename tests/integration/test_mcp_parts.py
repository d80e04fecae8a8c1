"""MCP servers as parts of the whole: the graph, overrides, the check-up, and settings that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from mcp.server.mcpserver import Elicit, Resolve
from pydantic import BaseModel
from pydantic_ai import RunContext

from app.commands.mcp_checkup import look_at_mcp
from app.diagnosis import Verdict
from app.errors import SettingsError
from app.main import prove_lifetimes
from app.mcp.definition import Definition
from app.principal import Principal
from app.sections.mcp import McpSettings
from app.toolkits.given import given_tool
from app.toolkits.toolkit import Effect, Toolkit, ToolSpec
from containers.application import Application
from containers.build import build
from containers.proof import mermaid
from containers.scopes import Scoped
from containers.testing import call, open_test_app, open_test_container, scripted, use_model
from tests.fakes.mcp_server import Office, PersonalOffice, personal_settings, serving, settings_with, shared

SOMEWHERE = "https://mcp.example/mcp"


class Room(BaseModel):
    """What a server asks for."""

    number: int


async def which_room() -> Elicit[Room]:
    """Ask the person."""
    return Elicit("Which room?", Room)


class Replaced(
    Toolkit,
    given=[
        given_tool(
            "office",
            "look_up",
            description="Look.",
            schema={"type": "object", "properties": {}},
            effect=Effect.READ,
        )
    ],
):
    """A double of the office's tools."""

    name = "office"

    async def run_tool(self, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> str:
        """Answer without a server."""
        return "a double"


async def test_the_graph_shows_whose_a_server_is(tmp_path: Path) -> None:
    """In the graph a shared connection belongs to the process and a person's to the request; both pass the proof."""
    settings = personal_settings(tmp_path, SOMEWHERE)
    both = settings.model_copy(update={"mcp": {**settings.mcp, "docs": shared(SOMEWHERE)}})
    async with open_test_container(both) as container:
        await prove_lifetimes(container, both)
        drawn = mermaid(container)

    assert "process_mcp__docs__session" in drawn
    assert "request_mcp__office__session" in drawn
    assert "request_mcp__office__connection" in drawn
    assert "request_toolkits__docs --> process_mcp__docs__session" in drawn


async def test_a_test_replaces_a_servers_tools(tmp_path: Path, ada: Principal) -> None:
    """A test can override a server's toolkit, and then needs no server."""

    def prepare(container: Application) -> None:
        container.toolkits.providers["office"].override(Scoped(Replaced))
        use_model(container, scripted([call("office_look_up", "1")]))

    async with open_test_app(settings_with(tmp_path, office=shared("http://127.0.0.1:1/mcp")), prepare) as app:
        answer = (await app.ask(ada, "look")).json()["answer"]

    assert answer == "office_look_up: a double"


async def test_the_checkup_finds_what_an_administrator_should_know(tmp_path: Path) -> None:
    """The check-up reports servers that answer, have changed, are down, or accept calls without a token."""
    people = PersonalOffice()
    async with serving(Office().server(look_up="Look.")) as url, serving(people.server()) as personal:
        settings = personal_settings(tmp_path, personal)
        servers = {
            "docs": shared(url),
            "down": shared("http://127.0.0.1:1/mcp"),
            "office": settings.mcp["office"],
            "open": McpSettings(url=url, connection="accounts"),
        }
        settings = settings.model_copy(update={"mcp": servers})
        async with open_test_container(settings) as container:
            pins = container.mcp.providers["pins"]()
            await pins.take("docs", [Definition("look-up", "Look!", {"type": "object"}, {})])
            found = [(each.title, each.verdict, each.found) async for each in look_at_mcp(container, settings)]

    assert found == [
        ("MCP docs", Verdict.OK, "it answers, speaks MCP 2026-07-28 and has 4 tools"),
        ("MCP docs", Verdict.NOTE, "it describes look-up otherwise than before, so I do not use that"),
        ("MCP down", Verdict.FAULT, "it does not answer (ConnectError)"),
        ("MCP office", Verdict.OK, "it answers, and takes no call without a person's token"),
        ("MCP open", Verdict.NOTE, "it answers 400 to a call without a token, so it may not know people"),
    ]


async def test_a_question_of_a_servers_sdk_is_answered(tmp_path: Path, ada: Principal) -> None:
    """A server whose SDK seals its state and checks the answer against its question gets both back correctly."""
    server = Office().server()

    @server.tool(description="Book a room.")
    async def book(room: Annotated[Room, Resolve(which_room)]) -> str:
        return f"booked {room.number}"

    async with serving(server) as url:
        settings = settings_with(tmp_path, office=shared(url, "book"))
        model = scripted([call("office_book", "1")])
        async with open_test_app(settings, lambda container: use_model(container, model)) as app:
            asked = (await app.ask(ada, "book")).json()
            await app.ask(ada, f"answer {asked['approval']['code']} 7")
            answer = (await app.told(ada, asked["message"]))["answer"]

    assert "    Which room?" in asked["question"]
    assert "booked 7" in answer


@pytest.mark.parametrize(("server", "other"), [("gmail", "gmail"), ("drive_notes", "drive"), ("ask", "ask")])
def test_two_toolkits_cannot_have_tools_of_one_name(tmp_path: Path, server: str, other: str) -> None:
    """A server whose tools could have the names of another toolkit's or a team's tools is refused."""
    with pytest.raises(
        SettingsError, match=rf"mcp\.{server}: its tools could have the same names as those of {other};"
    ):
        build(settings_with(tmp_path, **{server: shared(SOMEWHERE)}))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"identity": "none"}, "write either `command` or `url`"),
        ({"url": SOMEWHERE, "command": "server", "identity": "none"}, "write either `command` or `url`"),
        ({"url": SOMEWHERE}, "say whose the calls are"),
        ({"url": SOMEWHERE, "identity": "none", "connection": "google"}, "say whose the calls are"),
        ({"url": SOMEWHERE, "identity": "none", "args": ("x",)}, "this is for a server with `command`"),
        ({"url": SOMEWHERE, "connection": "google", "headers": {"A": "b"}}, "`url` and `identity: none`"),
        ({"url": SOMEWHERE, "identity": "none", "oauth_scopes": ("x",)}, "this is for a server with `connection`"),
        ({"url": SOMEWHERE, "identity": "none", "oauth": "discover"}, "say whose the calls are"),
        ({"url": "http://mcp.example/", "oauth": "discover"}, "travel over https only"),
        ({"command": "server", "oauth": "discover"}, "a program gets nobody's token"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(section: dict[str, Any], words: str) -> None:
    """Settings that leave open or contradict how a server is reached, or whose the calls are, are refused."""
    with pytest.raises(ValueError, match=words):
        McpSettings.model_validate(section)
