"""The command `deputy`.

Exit codes: 0 done; 1 what was asked for failed; 2 the command line or the configuration is wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.logging import RichHandler

from app.api_tokens import ApiTokens
from app.database.database import Database
from app.errors import DeputyError, PrincipalError, SettingsError
from app.principal import Principal
from app.settings import Settings, load_settings
from containers.findings import LifetimeError

cli = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help=__doc__)
tokens = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP interface.")
cli.add_typer(tokens, name="tokens")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
PrincipalOption = Annotated[str, typer.Option("--principal", help="Whom: platform:tenant:user, as in http:demo:ada.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

CONFIG = Path("config.yaml")
DEMO_PEOPLE = (Principal("http", "demo", "ada"), Principal("http", "demo", "grace"))
_DEMO_LABEL = "printed by deputy serve"


@cli.command()
def serve(config: ConfigOption = CONFIG) -> None:
    """Run the server until it is told to stop (SIGINT, SIGTERM)."""
    _run(_serve(_settings(config)))


@cli.command()
def check(config: ConfigOption = CONFIG) -> None:
    """Prove that nothing of a person's outlives its request; exit 1 with the paths where something may."""
    print(_run(_check(_settings(config))))


@cli.command()
def graph(config: ConfigOption = CONFIG) -> None:
    """Print the container as a Mermaid graph, each provider with its lifetime."""
    from app.sandbox.attachment import configured_for_sandbox
    from containers.application import build
    from containers.mermaid import mermaid

    print(mermaid(build(configured_for_sandbox(_settings(config)))))


@cli.command()
def demo(as_json: JsonOption = False) -> None:
    """Let two people use Slack and HTTP at once on a fresh server; exit 1 unless each saw their own mail only."""
    from app.demo.demonstration import run_demo

    outcome = _run(run_demo())
    print(json.dumps(outcome.as_json(), indent=2) if as_json else outcome.as_table())
    if not outcome.held:
        raise typer.Exit(1)


@cli.command()
def sandbox(
    redirect_uri: Annotated[str, typer.Option(help="Where consents are answered.")],
    client_id: Annotated[str, typer.Option(help="The OAuth client's id.")] = "deputy.sandbox",
    client_secret: Annotated[str, typer.Option(envvar="SANDBOX_CLIENT_SECRET", help="Its secret.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 8085,
) -> None:
    """Serve a Google on loopback: consent, tokens, and mail that is made up anew at each start."""
    if not client_secret:
        _fail("give the client's secret with --client-secret or SANDBOX_CLIENT_SECRET", 2)
    _run(_sandbox(redirect_uri, client_id, client_secret, port))


@tokens.command("issue")
def issue_token(
    principal: PrincipalOption,
    config: ConfigOption = CONFIG,
    label: Annotated[str, typer.Option(help="What it is for.")] = "issued by hand",
) -> None:
    """Print a new token for a principal; it is stored as a hash and cannot be shown again."""
    print(_run(_issue_token(_settings(config), _principal(principal), label)))


@tokens.command("revoke")
def revoke_tokens(principal: PrincipalOption, config: ConfigOption = CONFIG) -> None:
    """End every token of a principal."""
    print(f"{_run(_revoke_tokens(_settings(config), _principal(principal)))} ended")


def main() -> None:
    """The entry point of the `deputy` command."""
    cli()


async def _serve(settings: Settings) -> None:
    from app.main import serving
    from app.sandbox.attachment import attached_sandbox
    from containers.application import build
    from interfaces.web.interface import callback_url

    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with AsyncExitStack() as stack:
        settings, google = await stack.enter_async_context(
            attached_sandbox(settings, callback_url(settings.server.public_url))
        )
        container = build(settings)
        base_url = await stack.enter_async_context(serving(container, settings))
        print(f"Deputy listens on {base_url}; people reach it at {settings.server.public_url}", flush=True)
        if google is not None and settings.interfaces.http is not None:
            await _print_curl_lines(container.api_tokens(), base_url)
        await stop.wait()


async def _print_curl_lines(api_tokens: ApiTokens, base_url: str) -> None:
    """Fresh tokens for two people of the sandbox; those of an earlier start end."""
    print("\nTwo people to try it as, each with their own account in the Google sandbox:\n")
    for person in DEMO_PEOPLE:
        await api_tokens.revoke(person, label=_DEMO_LABEL)
        token = await api_tokens.issue(person, label=_DEMO_LABEL)
        body = json.dumps({"conversation": "main", "text": "show my unread mail"})
        print(
            f"curl -s {base_url}/v1/messages -H 'Authorization: Bearer {token}' "
            f"-H 'Content-Type: application/json' -d '{body}'\n",
            flush=True,
        )
    print("Open the consent_url that you get, then ask again.", flush=True)


async def _check(settings: Settings) -> str:
    from app.main import prove_lifetimes
    from app.sandbox.attachment import configured_for_sandbox
    from containers.application import build

    settings = configured_for_sandbox(settings)
    container = build(settings)
    try:
        return str(await prove_lifetimes(container, settings))
    finally:
        await container.http().aclose()
        await container.database().close()


async def _sandbox(redirect_uri: str, client_id: str, client_secret: str, port: int) -> None:
    from app.sandbox.google import GoogleSandbox
    from app.sandbox.server import serve_loopback

    google = GoogleSandbox(client_id=client_id, client_secret=client_secret, redirect_uris=frozenset({redirect_uri}))
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with serve_loopback(google.app, port) as base_url:
        print(f"The sandbox Google listens on {base_url}")
        for person in google.people:
            print(f"  {person.name} <{person.email}>, {len(google.mailbox(person.email))} messages")
        sys.stdout.flush()
        await stop.wait()


async def _issue_token(settings: Settings, principal: Principal, label: str) -> str:
    database = Database(settings.database.url.get_secret_value())
    try:
        await database.open()
        return await ApiTokens(database).issue(principal, label=label)
    finally:
        await database.close()


async def _revoke_tokens(settings: Settings, principal: Principal) -> int:
    database = Database(settings.database.url.get_secret_value())
    try:
        await database.open()
        return await ApiTokens(database).revoke(principal)
    finally:
        await database.close()


def _settings(path: Path) -> Settings:
    try:
        settings = load_settings(path, os.environ)
    except SettingsError as error:
        _fail(str(error), 2)
    # Libraries write bodies and parameters at their debug level, so only our own level can be lowered.
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(show_path=False, rich_tracebacks=False)],
    )
    for package in ("app", "containers", "interfaces"):
        logging.getLogger(package).setLevel(settings.logging.level.upper())
    return settings


def _principal(text: str) -> Principal:
    try:
        return Principal.parse(text)
    except PrincipalError as error:
        _fail(str(error), 2)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; an error of ours becomes one message and an exit code."""
    try:
        return asyncio.run(work)
    except SettingsError as error:
        _fail(str(error), 2)
    except (DeputyError, LifetimeError, OSError) as error:
        _fail(str(error), 1)


def _fail(message: str, code: int) -> NoReturn:
    print(f"deputy: {message}", file=sys.stderr)
    raise typer.Exit(code)
