"""The imports of a start: packages that it does not use would cost seconds each."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Awaitable, Set
from pathlib import Path

import httpx2
import pytest
import typer
import yaml
from typer.main import get_group

from app.cli import COMMANDS, cli
from app.commands.tuning import settle, tuned
from app.main import serving
from app.sections.server import ServerSettings
from containers.build import build
from containers.testing.container import settings_in
from tests.fakes.databases import SqliteDatabases

HELP = "import sys; from app.cli import cli; cli(['--help'], standalone_mode=False); print('imported:', *sys.modules)"
COMMAND = "import sys; import app.commands.common; print('imported:', *sys.modules)"
SERVER = "import sys; import app.main, app.sandbox.attachment, containers.build; print('imported:', *sys.modules)"

ACKNOWLEDGED = """
import asyncio, json, os, sys, time
from pathlib import Path
import httpx2
import app.commands.serve
from app.commands.frameworks import import_frameworks
import_frameworks()
from app.main import create_app, running
from app.settings import load_settings
from containers.build import build
from slack_sdk.signature import SignatureVerifier

async def main():
    settings = load_settings(Path(sys.argv[1]), os.environ)
    container = build(settings, only_used=True)
    async with running(container, settings, answers=False):
        transport = httpx2.ASGITransport(create_app(container, settings, asyncio.Event()))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            event = {"type": "message", "channel_type": "im", "channel": "D0ADA", "user": "U0ADA", "team": "T0ONE"}
            event |= {"text": "show my unread mail", "ts": "1790000000.000100", "event_ts": "1790000000.000100"}
            body = json.dumps({"type": "event_callback", "event_id": "Ev1", "team_id": "T0ONE", "event": event})
            now = str(int(time.time()))
            signature = SignatureVerifier(sys.argv[2]).generate_signature(timestamp=now, body=body)
            headers = {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": signature}
            response = await client.post("/slack/events", content=body, headers=headers)
        imported = [*sys.modules]
        assert response.status_code == 200, response.text
        assert (await container.inbox().count_undone()).total() == 1
        print("imported:", *imported)

asyncio.run(main())
"""
SIGNING_SECRET = "8f742231b10e8888abcd99fff00085a5"
CONFIG = {
    "google": {"mode": "google", "client_id": "1-test.apps.googleusercontent.com", "client_secret": "none"},
    "agents": {"assistant": {"instructions": "You help one person.", "toolkits": ["gmail"]}},
    "default_agent": "assistant",
    "interfaces": {"http": {}, "slack": {"signing_secret": SIGNING_SECRET, "bot_token": "xoxb-test"}},
}
# Not rich: pydantic-ai imports httpx if it is installed, for example beside agno, and httpx imports rich.
NOT_USED = {
    "agno", "alembic", "app.toolkits.calendar", "app.toolkits.drive", "bs4", "google.api_core.retry", "google.protobuf",
    "jsonschema", "mako", "markdown_it", "mcp", "openai", "procrastinate", "psycopg", "pydantic_ai.models.function",
}  # fmt: skip
USED_LATER = {"aiohttp", "containers.toolkit_trial", "jinja2", "slack_sdk.web.async_client"}


def imported(script: str, *arguments: str) -> Set[str]:
    """Return the modules that a new process has imported at the end of a script."""
    process = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=True, text=True)
    modules = process.stdout.rpartition("imported: ")[2].split()
    assert "sys" in modules
    return set(modules)


def test_help_imports_typer_and_nothing_else() -> None:
    """`deputy --help` imports none of the commands that it lists."""
    modules = imported(HELP)

    assert {name for name in modules if name.startswith(("app.", "containers.", "interfaces."))} == {"app.cli"}
    assert {"rich", "pydantic", "sqlalchemy", "yaml", "httpx2"} & modules == set()


@pytest.mark.parametrize(
    ("script", "unused"),
    [
        (COMMAND, {"fastapi", "pydantic_ai", "googleapiclient", "dependency_injector", "rich", "httpx2"}),
        (SERVER, {"app.sandbox.google.sandbox", "jsonschema", "slack_sdk", "openai", "mcp", "agno", "alembic"}),
    ],
    ids=["any command", "a server without Slack, and without the sandbox"],
)
def test_a_start_imports_nothing_that_it_does_not_use(script: str, unused: set[str]) -> None:
    """A process imports only what it needs, and the rest only if the configuration asks for it."""
    assert unused & imported(script) == set()


async def test_a_message_is_acknowledged_before_what_answers_it_is_imported(tmp_path: Path) -> None:
    """A server with HTTP and Slack acknowledges a message before it imports modules that only a reply needs."""
    url = await SqliteDatabases(tmp_path).migrated("deputy")
    config = tmp_path / "config.yaml"
    places = {"database": {"url": url}, "key_ring": {"file": str(tmp_path / "keys.yaml")}}
    config.write_text(yaml.safe_dump({**CONFIG, **places}))
    modules = imported(ACKNOWLEDGED, str(config), SIGNING_SECRET)

    assert {"interfaces.slack.client", "interfaces.http.interface"} <= modules
    assert (NOT_USED | USED_LATER) & modules == set()


async def test_what_a_reply_needs_is_loaded_after_the_first_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules for replies are loaded after the first request is answered, because importing would delay it."""
    begun, loaded = asyncio.Event(), asyncio.Event()

    async def guarded(what: str, work: Awaitable[None]) -> None:
        if what == "loading":
            begun.set()
        await work

    monkeypatch.setattr("app.main.LOADS_AFTER_SECONDS", 3600.0)
    monkeypatch.setattr("app.main.guarded", guarded)
    await SqliteDatabases(tmp_path).migrated("deputy")
    settings = settings_in(tmp_path).model_copy(update={"server": ServerSettings(port=0)})
    async with (
        serving(build(settings), settings, loaded=loaded.set) as base_url,
        httpx2.AsyncClient(base_url=base_url) as client,
    ):
        for _ in range(5):
            await asyncio.sleep(0)
        too_early = begun.is_set() or loaded.is_set()
        (await client.get("/healthz")).raise_for_status()
        async with asyncio.timeout(60):
            await begun.wait()
            await loaded.wait()

    assert not too_early


def test_a_server_collects_no_garbage_among_what_its_start_made() -> None:
    """The garbage collector is off during the start, then skips the start's objects, and is restored at the end."""
    thresholds = gc.get_threshold()
    try:
        with tuned():
            during_the_start = gc.isenabled()
            settle()
            frozen, while_it_serves = gc.get_freeze_count(), gc.isenabled()
    finally:
        gc.unfreeze()

    assert (during_the_start, while_it_serves) == (False, True)
    assert frozen > 0
    assert gc.get_threshold() == thresholds


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    """The sentence that `deputy --help` shows for a command is the first one of that command's own help."""
    with typer.Context(get_group(cli)) as context:
        command = get_group(cli).get_command(context, name)

    assert command is not None
    assert (command.help or "").split("\n\n")[0].replace("\n", " ").startswith(COMMANDS[name])
