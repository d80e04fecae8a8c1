"""The entry point of the command `deputy`, which works next to any other project."""

from __future__ import annotations

import sys

from deputy.packages import own_packages_first


def main() -> None:
    """Run the command line that the process was started with, with Deputy's own packages found first."""
    try:
        own_packages_first()
    except ImportError as error:
        sys.exit(f"deputy: {error}")
    from app.cli import main as run

    run()
