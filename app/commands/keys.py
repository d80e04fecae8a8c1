"""`deputy keys`: the keys that seal tokens at rest."""

from __future__ import annotations

import typer

from app.credentials.key_ring import make_key

keys = typer.Typer(no_args_is_help=True, help="The keys that seal tokens at rest.")


@keys.command()
def generate() -> None:
    """Print a fresh key in base64, for key_ring.keys. Keep it: what it sealed opens with no other."""
    print(make_key())
