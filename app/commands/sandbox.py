"""`deputy sandbox`: serve a simulated Google on loopback."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.commands.common import run, told_to_stop


def sandbox(
    redirect_uri: Annotated[str, typer.Option(help="The exact redirect URI of the OAuth client.")],
    client_secret: Annotated[str, typer.Option(envvar="SANDBOX_CLIENT_SECRET", help="The OAuth client's secret.")],
    client_id: Annotated[str, typer.Option(help="The OAuth client's id.")] = "deputy.sandbox",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free port.")] = 8085,
) -> None:
    """Serve a simulated Google on loopback: consent, tokens, and mail that is new at each start."""
    run(_serve(redirect_uri, client_id, client_secret, port))


async def _serve(redirect_uri: str, client_id: str, client_secret: str, port: int) -> None:
    from app.sandbox.google.sandbox import GoogleSandbox
    from app.sandbox.server import serve_loopback

    google = GoogleSandbox(
        client_id=client_id, client_secret=client_secret, redirect_uris=frozenset({redirect_uri}), marked=False
    )
    async with serve_loopback(google.app, port) as base_url:
        print(f"The sandbox Google listens on {base_url}")
        for person in google.people:
            print(f"  {person.name} <{person.email}>, {len(google.mailbox(person.email))} messages")
        sys.stdout.flush()
        await told_to_stop()
