"""Tests that docs/chat.md lists exactly the container's chat commands."""

from __future__ import annotations

import re
from pathlib import Path

from app.principal import Principal
from containers.testing import open_test_container, settings_in
from tests.fakes.core_server import inbound
from tests.fakes.credentials import connect, google_tokens

PAGE = Path(__file__).parents[2] / "docs" / "chat.md"
OF_COMMANDS, _, _ = PAGE.read_text(encoding="utf-8").partition("\n## ")  # the tables below contain settings
COMMANDS = re.findall(r"^\| `([^`]+)` \|", OF_COMMANDS, re.MULTILINE)


async def test_each_command_is_taken_and_none_is_missing(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """Each listed command is answered by exactly one command of the container, and the page misses no command."""
    async with open_test_container(settings_in(tmp_path)) as container:
        database, grants = container.database(), container.grants()
        async with database.writing() as connection:
            await grants.activate(connection, ada, google_tokens("ada-1"), alias="work")
        await connect(database, grants, grace, google_tokens("grace-1"))
        async with database.writing() as connection:
            await grants.erase(connection, grace)
        answering = set()
        for text in COMMANDS:
            # Ending an account would ask Google, so the command is sent by Grace, who has no account.
            sender = grace if text == "disconnect google" else ada
            message, _ = await container.inbox().accept(inbound(sender, text, conversation=text))
            replies = [(type(each).__name__, await each.reply(message)) for each in container.commands()]
            taken = [name for name, reply in replies if reply is not None]
            assert len(taken) == 1, (text, taken)
            answering |= set(taken)
        names = {type(each).__name__ for each in container.commands()}
        left = await grants.find(ada)

    assert answering == names
    assert len(COMMANDS) >= 11
    assert left is not None
