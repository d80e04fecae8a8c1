"""`deputy serve`: run the server."""

from __future__ import annotations

import asyncio
import errno
import json
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from app.commands.common import CONFIG, ConfigOption, configured, run, told_to_stop
from app.commands.frameworks import import_frameworks
from app.commands.tuning import settle, tuned
from app.errors import SettingsError
from app.principal import Principal
from app.settings import Settings

if TYPE_CHECKING:
    from app.api_tokens import ApiTokens
    from containers.application import Application

T = TypeVar("T")

_PEOPLE = (Principal("http", "demo", "ada"), Principal("http", "demo", "grace"))
_LABEL = "printed by deputy serve"


def serve(config: ConfigOption = CONFIG) -> None:
    """Run the server until SIGINT or SIGTERM."""
    with tuned():
        run(_serve(configured(config)))


async def _serve(settings: Settings) -> None:
    # Imported here: the other commands start without the server.
    import_frameworks()
    from app.main import serving
    from app.sandbox.attachment import attached_github, attached_sandbox, github_ports
    from containers.build import build
    from interfaces.web.interface import callback_url

    stopped = asyncio.create_task(told_to_stop())  # from now on, a signal stops the server cleanly
    async with AsyncExitStack() as stack:
        sandbox = attached_sandbox(settings, callback_url(settings.server.public_url))
        settings, google = await _listening(stack, sandbox, "google.sandbox.port")
        for name in github_ports(settings):
            github = attached_github(settings, name, callback_url(settings.server.public_url, name))
            settings, _ = await _listening(stack, github, f"connections.{name}.sandbox_port")
        container = build(settings, only_used=True)
        base_url = await _listening(stack, serving(container, settings, loaded=settle), "server.port")
        print(f"Deputy listens on {base_url}; people reach it at {settings.server.public_url}", flush=True)
        if settings.serves_playground():
            print(f"\nIn a browser, two people side by side: {settings.server.public_url.rstrip('/')}/", flush=True)
        if google is not None:
            print("The sandbox is new at each start, so people connect their accounts to it again.", flush=True)
        if google is not None and settings.interfaces.http is not None:
            await _print_curl_lines(container.api_tokens(), base_url)
        await until_stopped(container, stopped)


async def _listening(stack: AsyncExitStack, server: AbstractAsyncContextManager[T], key: str) -> T:
    """Enter the context of a server.

    Raises:
        OSError: Its port is taken; the message names the key of the settings and says what to do.
    """
    try:
        return await stack.enter_async_context(server)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        taken = f"{key}: {error.filename} is already in use; stop what listens there, or set another port"
        raise OSError(taken) from None


async def until_stopped(container: Application, stopped: asyncio.Task[None]) -> None:
    """Return once the process has received a signal to stop.

    Raises:
        SettingsError: This process froze, and another one has replaced it.
    """
    replicas = container.replicas()
    lost = asyncio.create_task(replicas.lost.wait())
    await asyncio.wait({stopped, lost}, return_when=asyncio.FIRST_COMPLETED)
    lost.cancel()
    if replicas.lost.is_set():
        raise SettingsError("delivery.engine: another process has replaced this one, because this one froze")


async def _print_curl_lines(api_tokens: ApiTokens, base_url: str) -> None:
    """Print a curl line for two people of the sandbox, with new tokens; tokens of an earlier start are revoked."""
    print("\nIn a terminal, as two people, each with their own account in the Google sandbox:")
    for person in _PEOPLE:
        await api_tokens.revoke(person, label=_LABEL)
        token = await api_tokens.issue(person, label=_LABEL)
        name = person.user.title()
        for title, text in ((name, "show my unread mail"), (f"{name}, with the code of the page", "confirm CODE")):
            print(f"\n# {title}\n{_curl_line(base_url, token, text)}")
    print(
        "\nThe first answer has a consent_url: open it in a browser and allow the access. The last page shows a code.\n"
        "Once it is confirmed, ask again to see the mail. These tokens are valid until the next start.",
        flush=True,
    )


def _curl_line(base_url: str, token: str, text: str) -> str:
    body = json.dumps({"conversation": "main", "text": text})
    headers = f"-H 'Authorization: Bearer {token}' -H 'Content-Type: application/json'"
    return f"curl -s {base_url}/v1/messages {headers} -d '{body}'"
