"""Tests of the administrators' commands when people have accounts at several providers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import cli
from app.commands.container import opened_container
from app.mcp.definition import Definition
from app.mcp.pins import Pins
from app.principal import Principal
from app.settings import load_settings
from tests.fakes.core_server import inbound
from tests.fakes.credentials import google_tokens

ADA, GRACE = "http:demo:ada", "http:demo:grace"
CLIENT = {"client_id": "deputy", "client_secret": "hush"}


@pytest.fixture
def config(tmp_path: Path, ada: Principal, grace: Principal) -> Path:
    """Return a configuration whose two people have accounts at Google, GitHub and Microsoft, none of which answers."""
    path = tmp_path / "config.yaml"
    nowhere = {"authorize_url": "http://127.0.0.1:9/a", "token_url": "http://127.0.0.1:9/t"}
    tree = {
        "agents": {"assistant": {"toolkits": ["gmail", "hub", "office", "hn"]}},
        "default_agent": "assistant",
        "interfaces": {"http": {}},
        "google": {"mode": "sandbox", "sandbox": {"port": 1}},
        "connections": {
            "github": {"provider": "github", "revoke_url": "http://127.0.0.1:9/r", **nowhere, **CLIENT},
            "work": {"provider": "microsoft", **CLIENT},
        },
        "toolkits": {
            "hub": "tests.outside.hub:HubToolkit",
            "hn": {"agno": "agno.tools.hackernews:HackerNewsTools", "reads": ["*"]},
        },
        "mcp": {"office": {"url": "http://127.0.0.1:1/mcp", "connection": "github", "oauth_scopes": ["repo"]}},
        "database": {"url": f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}"},
        "key_ring": {"file": str(tmp_path / "keys.yaml")},
    }
    path.write_text(yaml.safe_dump(tree))

    async def fill() -> None:
        async with opened_container(load_settings(path, {})) as container:
            for person in (ada, grace):
                await container.intake().accept(inbound(person, conversation=person.user))
                for provider in ("google", "github", "work"):
                    tokens = google_tokens(f"{person.user}-{provider}", account=f"{person.user}-{provider}")
                    async with container.database().writing() as connection:
                        await container.grants().activate(connection, person, tokens, provider=provider)
            await Pins(container.database()).take("office", [Definition("get", "Get it.", {"type": "object"}, {})])

    asyncio.run(fill())
    return path


def deputy(config: Path, *arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, [*arguments, "-c", str(config)], env={"COLUMNS": "240"})


def listed(config: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return what a list command prints as JSON."""
    found: list[dict[str, Any]] = json.loads(deputy(config, *arguments, "--json").stdout)
    return found


def left(config: Path) -> set[tuple[str, str, str]]:
    """Return each grant's principal, provider and state."""
    return {(each["principal"], each["provider"], each["state"]) for each in listed(config, "grants", "list")}


def test_one_providers_grants_are_revoked(config: Path) -> None:
    """`--provider` ends only this person's grants at that provider."""
    revoked = deputy(config, "grants", "revoke", "--principal", ADA, "--provider", "work")
    unknown = deputy(config, "grants", "revoke", "--principal", ADA, "--provider", "gitlab")

    assert revoked.exit_code == 0, revoked.output
    assert "erased here; Microsoft has no way to end it there" in revoked.stdout
    assert unknown.exit_code == 2
    assert "there is no gitlab; there is github, google, work" in unknown.stderr
    assert {each for each in left(config) if each[2] == "active"} == {
        *((ADA, name, "active") for name in ("google", "github")),
        *((GRACE, name, "active") for name in ("google", "github", "work")),
    }
    assert {each["provider"] for each in listed(config, "grants", "list", "--provider", "github")} == {"github"}


def test_offboarding_names_every_provider(config: Path) -> None:
    """Offboarding reports by provider what has ended and what is unconfirmed; another person's grants stay active."""
    offboarded = deputy(config, "users", "offboard", "--principal", ADA)

    assert offboarded.exit_code == 1
    assert "erased here; Microsoft has no way to end it there" in offboarded.stdout
    for title in ("Google", "GitHub"):
        assert f"no longer used, but {title} gave no answer; run this again" in offboarded.stdout
    assert {(name, state) for who, name, state in left(config) if who == GRACE} == {
        (name, "active") for name in ("google", "github", "work")
    }


def test_every_tool_says_where_it_comes_from(config: Path) -> None:
    """Each tool is listed with connection, OAuth scopes, effect and origin, as JSON and as a table."""
    tools = {tool["name"]: tool for tool in listed(config, "tools", "list")}
    table = [line.split("\t") for line in deputy(config, "tools", "list").stdout.splitlines()]
    rows = {row[0]: dict(zip(table[0], row, strict=True)) for row in table[1:]}

    assert {tool["origin"] for tool in tools.values()} == {"google", "own", "mcp", "agno"}
    shown = {
        "gmail_send": ("google", "google", "act"),
        "hub_repositories": ("own", "github", "read"),
        "office_get": ("mcp", "github", "act"),
        "hn_get_top_hackernews_stories": ("agno", None, "read"),
    }
    for name, (origin, connection, effect) in shown.items():
        told, row = tools[name], rows[name]
        assert (told["origin"], told["connection"], told["effect"]) == (origin, connection, effect)
        assert (row["origin"], row["connection"], row["effect"]) == (origin, connection or "none", effect)
        assert row["OAuth scopes"] == (", ".join(each.rpartition("/")[2] for each in told["oauth_scopes"]) or "none")
    assert tools["office_get"]["oauth_scopes"] == tools["hub_repositories"]["oauth_scopes"] == ["repo"]
