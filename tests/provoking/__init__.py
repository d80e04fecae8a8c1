"""Provokes every error that docs/errors.md shows where it occurs, in the page's order."""

from tests.provoking import containers, google, messages, people, settings
from tests.provoking.showing import Provoke

PROVOKED: list[Provoke] = [
    *settings.PROVOKED,
    *messages.PROVOKED,
    *people.PROVOKED,
    *google.PROVOKED,
    *containers.PROVOKED,
]

__all__ = ["PROVOKED", "Provoke"]
