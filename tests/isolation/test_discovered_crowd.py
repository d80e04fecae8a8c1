"""Fifty people at an MCP server that names its own authorization server."""

from __future__ import annotations

from pathlib import Path

from app.principal import Principal
from tests.fakes.discovered import connect, open_found


async def test_fifty_people_are_fifty_identities(tmp_path: Path) -> None:
    """Fifty people who connect and ask at once share one registration, and each is answered as themselves."""
    people = [Principal("http", "demo", f"person-{number}") for number in range(50)]
    async with open_found(tmp_path) as found:
        await connect(found, *people)

        assert sorted(found.office.calls) == sorted((person.user, "who am I") for person in people)
        assert len(found.office.sandbox.registered) == 1
