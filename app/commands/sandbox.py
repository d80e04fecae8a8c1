"""`deputy sandbox`: serve simulated providers and platforms on loopback, and write as their people."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
import yaml
from pydantic import SecretStr

from app.commands.common import run, told_to_stop
from app.errors import SettingsError
from app.sections.agents import AgentSettings
from app.sections.connections import ConnectionSettings
from app.sections.google import GoogleSettings
from app.sections.section import Section
from app.sections.server import DatabaseSettings, KeyRingSettings, ServerSettings
from app.settings import Settings
from app.supervisor import cancel

if TYPE_CHECKING:
    from app.demo.terminal import TerminalChats
    from app.sections.interfaces import InterfacesSettings

_HEADING = "# Written by `deputy sandbox`, anew at each start: every secret in here ends with it.\n"
_LOOK_SECONDS = 0.1
_GITHUB = "github"


def sandbox(
    server: Annotated[str, typer.Option(help="The address of the `deputy serve` that it works with.")] = (
        "http://127.0.0.1:8080"
    ),
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The configuration file to write for `deputy serve`.")
    ] = Path("sandbox.yaml"),
    redirect_uri: Annotated[
        str | None, typer.Option(help="The exact redirect URI of the OAuth client; by default the server's.")
    ] = None,
    client_secret: Annotated[
        str | None,
        typer.Option(envvar="SANDBOX_CLIENT_SECRET", help="The OAuth client's secret; made up by default."),
    ] = None,
    client_id: Annotated[str, typer.Option(help="The OAuth client's id.")] = "deputy.sandbox",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Google's port; 0 picks a free one.")] = 8085,
) -> None:
    """Serve a simulated Google, GitHub, Slack, Telegram and WhatsApp on loopback.

    It writes a configuration for `deputy serve`, which you start in another terminal. Then you type here, as Ada or
    Grace, `ada@telegram: show my unread mail` or, in a group, `grace@slack#team: show my unread mail`, and read what
    each of them is answered. Mail, people and secrets are new at each start.
    """
    run(_serve(server.rstrip("/"), config, redirect_uri, client_id, client_secret or secrets.token_urlsafe(32), port))


async def _serve(
    server: str, config: Path, redirect_uri: str | None, client_id: str, client_secret: str, port: int
) -> None:
    import httpx2

    from app.demo.platforms import serving_platforms
    from app.demo.terminal import TerminalChats
    from app.sandbox.attachment import lead_to_github, lead_to_sandbox
    from app.sandbox.github import GitHubSandbox
    from app.sandbox.google.sandbox import GoogleSandbox
    from app.sandbox.server import serve_loopback
    from interfaces.web.interface import callback_url

    stopped = asyncio.create_task(told_to_stop())
    redirect_uris = frozenset({redirect_uri or callback_url(server)})
    google = GoogleSandbox(client_id=client_id, client_secret=client_secret, redirect_uris=redirect_uris, marked=False)
    github = GitHubSandbox(client_id=client_id, client_secret=client_secret, redirect_uri=callback_url(server, _GITHUB))
    async with (
        serve_loopback(google.app, port) as google_url,
        serve_loopback(github) as github_url,
        serving_platforms(limited=True) as (platforms, interfaces),
        httpx2.AsyncClient(base_url=server, timeout=30) as client,
    ):
        settings = lead_to_sandbox(_settings(server, interfaces, client_id, client_secret), google_url, client_secret)
        settings = lead_to_github(settings, _GITHUB, github_url, client_secret, client_id)
        google_settings = settings.google.model_copy(update={"client_id": client_id})
        _write(config, settings.model_copy(update={"google": google_settings}))
        print(f"The sandbox Google listens on {google_url}")
        for person in google.people:
            print(f"  {person.name} <{person.email}>, {len(google.mailbox(person.email))} messages")
        names = [person.name.split()[0].lower() for person in google.people]
        print(
            f"GitHub, Slack, Telegram and WhatsApp listen too. In another terminal: deputy serve --config {config}\n"
            f"Then write here as {' or '.join(name.title() for name in names)}:\n"
            f"  {names[0]}@telegram: show my unread mail\n"
            f"  {names[-1]}@slack#team: which issues are assigned to me?",
            flush=True,
        )
        chats = TerminalChats(client, platforms, google.people)
        tasks = [asyncio.create_task(_send_lines(chats)), asyncio.create_task(_show_news(chats))]
        try:
            await stopped
        finally:
            await cancel(tasks)


async def _send_lines(chats: TerminalChats) -> None:
    """Send what is typed, until the input ends."""
    from app.demo.terminal import TypedLineError

    async for line in _typed_lines():
        if not line.strip():
            continue
        try:
            await chats.say(line)
        except TypedLineError as error:
            print(f"deputy: {error}", file=sys.stderr, flush=True)


async def _show_news(chats: TerminalChats) -> None:
    """Print what Deputy writes, its further lines indented."""
    while True:
        for text in chats.news():
            print(text.replace("\n", "\n    "), flush=True)
        await asyncio.sleep(_LOOK_SECONDS)


async def _typed_lines() -> AsyncIterator[str]:
    """Yield the lines of standard input.

    A thread reads them: an event loop would make the terminal non-blocking, for the output too.
    """
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def read() -> None:
        pending = b""
        with suppress(OSError, RuntimeError):  # there is no input, or the loop was closed
            while chunk := os.read(0, 65_536):
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole:
                    loop.call_soon_threadsafe(lines.put_nowait, line.decode(errors="replace"))
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line


def _settings(server: str, interfaces: InterfacesSettings, client_id: str, client_secret: str) -> Settings:
    """Return the settings of a server that works with the sandbox; its data lie in `var`, apart from others'."""
    return Settings(
        server=ServerSettings(port=urlsplit(server).port or 80, public_url=server),
        database=DatabaseSettings(url=SecretStr("sqlite+aiosqlite:///var/sandbox.db")),
        key_ring=KeyRingSettings(file=Path("var/sandbox-keys.yaml")),
        google=GoogleSettings(mode="google", client_id=client_id, client_secret=SecretStr(client_secret)),
        connections={_GITHUB: ConnectionSettings(provider="github", sandbox_port=0)},
        agents={"assistant": AgentSettings(model="offline", toolkits=("gmail", "calendar", "drive", "issues"))},
        default_agent="assistant",
        interfaces=interfaces,
    )


def _write(path: Path, settings: Settings) -> None:
    """Write the settings as a configuration file that its owner alone can read.

    Raises:
        SettingsError: There is a file that `deputy sandbox` has not written.
    """
    if path.exists() and not path.read_text().startswith(_HEADING):
        raise SettingsError(f"{path} is not a file of `deputy sandbox`; name another one with --config")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(_HEADING + yaml.safe_dump(_plain(settings), sort_keys=False))


def _plain(value: Any) -> Any:
    """Return settings as YAML's own types, with what was set alone."""
    if isinstance(value, Section):
        return {
            name: _plain(getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value
