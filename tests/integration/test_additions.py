"""Tests that a toolkit and a channel can be added to a copy of the project in only the files CONTRIBUTING.md names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit import test_architecture as architecture

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]

CHANNEL = {
    "interfaces/pager/__init__.py": '"""The pager: a toy channel."""\n',
    "interfaces/pager/client.py": '''"""The way back to a pager."""

from __future__ import annotations

import asyncio

from app.errors import AttachmentGoneError
from app.messages import Attachment, StoredMessage
from app.reply import ReplyContent


class PagerChannel:
    """Keeps what it is given to say. Lives as long as the process."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.shown: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Show it."""
        self.shown.put_nowait((message.principal.user, self.prefix + content.text))

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Do nothing: a pager shows a reply once."""

    def follow(self, message: StoredMessage) -> None:
        """Show nothing."""

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Do nothing: a pager shows replies only."""

    async def show_idle(self, message: StoredMessage) -> None:
        """Do nothing."""

    async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
        """Raise an error: a pager takes no files."""
        raise AttachmentGoneError("a pager takes no files")

    def is_group(self, message: StoredMessage) -> bool:
        """Return False: a pager is one person's."""
        return False
''',
    "interfaces/pager/interface.py": '''"""POST /pager/{user}."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app.delivery.work.intake import Intake
from app.messages import InboundMessage
from app.principal import Principal


class PagerRoutes:
    """Takes messages. Lives as long as the process."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def router(self) -> APIRouter:
        """Return the route."""
        routes = APIRouter()
        routes.add_api_route("/pager/{user}", self.post, methods=["POST"])
        return routes

    async def post(self, request: Request, user: str) -> dict[str, str]:
        """Store a message."""
        text = (await request.body()).decode()
        principal = Principal("pager", "toy", user)
        message = InboundMessage(principal, event_id=f"{user}:1", conversation=user, text=text)
        stored = await self._intake.accept(message)
        return {"message": stored.message_id}
''',
    "interfaces/pager/channel.py": '''"""The parts of the pager."""

from __future__ import annotations

from functools import partial

from app.sections.interfaces import PagerSettings
from app.settings import Settings
from interfaces.channel import ChannelDescription
from interfaces.pager.client import PagerChannel
from interfaces.pager.interface import PagerRoutes


def describe(pager: PagerSettings, settings: Settings) -> ChannelDescription:
    """Return the parts."""
    return ChannelDescription(
        title="Pager", sends=partial(PagerChannel, prefix=pager.prefix), routes=[PagerRoutes]
    )
''',
}
CHANNEL_LINES = {
    "app/sections/interfaces.py": {
        "class InterfacesSettings(Section):": "class PagerSettings(ChannelSettings):\n"
        '    """A toy."""\n\n    prefix: str = ""\n\n\nclass InterfacesSettings(Section):',
        "    slack: SlackSettings | None = None": "    slack: SlackSettings | None = None\n"
        "    pager: PagerSettings | None = None",
    },
    "containers/channels.py": {"CHANNELS = {": 'CHANNELS = {\n    "pager": "interfaces.pager.channel",'},
}

TOOLKIT = {
    "app/toolkits/tasks.py": '''"""The person's task lists: a toy."""

from __future__ import annotations

from app.google.client import GoogleClient
from app.toolkits.toolkit import Toolkit, tool


class TasksToolkit(Toolkit):
    """The task lists of one person. Lives for one request."""

    name = "tasks"

    def __init__(self, google: GoogleClient) -> None:
        self._google = google

    @tool(oauth_scopes=("https://www.googleapis.com/auth/tasks.readonly",))
    async def all(self) -> list[str]:
        """List the task lists by name."""
        lists = self._google.resource("tasks", "v1", "tasklists")
        found = await self._google.execute(lists.list())
        return [each["title"] for each in found["items"]]
''',
    "app/sandbox/google/tasks.py": '''"""The sandbox's Tasks: a toy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.sandbox.google.api import ApiRequest


def list_task_lists(request: ApiRequest) -> Mapping[str, Any]:
    """Return the one list that everybody has."""
    return {"items": [{"id": "first", "title": request.person.email}]}
''',
}
TOOLKIT_LINES = {
    "containers/toolkits.py": {"BUILT_IN = {": 'BUILT_IN = {\n    "tasks": "app.toolkits.tasks:TasksToolkit",'},
    "app/sandbox/google/sandbox.py": {
        "            **self._gmail.handlers,": "            **self._gmail.handlers,\n"
        '            "tasks.tasklists.list": list_task_lists,',
        "from app.sandbox.log import Call": "from app.sandbox.google.tasks import list_task_lists\n"
        "from app.sandbox.log import Call",
    },
}

USES_THE_CHANNEL = """
import asyncio, sys
from pathlib import Path
from app.sections.interfaces import InterfacesSettings, PagerSettings
from containers.testing import open_test_app, settings_in

async def main():
    settings = settings_in(Path(sys.argv[1]))
    interfaces = InterfacesSettings(pager=PagerSettings(prefix="beep: "))
    async with open_test_app(settings.model_copy(update={"interfaces": interfaces})) as app:
        for user in ("ada", "grace"):
            (await app.client.post(f"/pager/{user}", content=f"hello from {user}")).raise_for_status()
        channel = app.container.channels()["pager"]
        shown = dict([await channel.sends.shown.get() for _ in range(2)])
        assert shown.keys() == {"ada", "grace"}, shown
        assert all(text.startswith("beep: ") for text in shown.values()), shown
        assert channel.title == "Pager"

asyncio.run(asyncio.wait_for(main(), 60))
"""

USES_THE_TOOLKIT = """
import asyncio, sys
from pathlib import Path
from app.sandbox.google.sandbox import GoogleSandbox
from app.sections.agents import AgentSettings
from containers.testing import FakeGoogle, assert_isolated, open_test_container, settings_in

async def main():
    settings = settings_in(Path(sys.argv[1]), agent=AgentSettings(toolkits=("tasks",)))
    sandbox = GoogleSandbox(client_id="c", client_secret="s", redirect_uris=frozenset())
    assert "tasks.tasklists.list" in sandbox._api._handlers
    async with open_test_container(settings) as container:
        FakeGoogle.install(container, lambda principal, request: {"items": [{"title": principal.user}]})
        found = await assert_isolated(container, container.toolkits.tasks, lambda tasks: tasks.all())
    assert found == [["ada"], ["grace"]], found

asyncio.run(asyncio.wait_for(main(), 60))
"""


@pytest.mark.parametrize(
    ("bullet", "names", "files", "lines", "use"),
    [
        ("A channel", {"platform": "pager"}, CHANNEL, CHANNEL_LINES, USES_THE_CHANNEL),
        (
            "A toolkit that is built in",
            {"name": "tasks", "api": "tasks"},
            TOOLKIT,
            TOOLKIT_LINES,
            USES_THE_TOOLKIT,
        ),
    ],
    ids=["channel", "toolkit"],
)
def test_it_is_added_by_the_files_that_the_page_names(
    tmp_path: Path,
    bullet: str,
    names: Mapping[str, str],
    files: Mapping[str, str],
    lines: Mapping[str, Mapping[str, str]],
    use: str,
) -> None:
    """The addition works for two people, breaks no architecture rule and touches only files that the page names."""
    for package in architecture.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    for path, changes in lines.items():
        text = (tmp_path / path).read_text()
        for before, after in changes.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (tmp_path / path).write_text(text)
    data = tmp_path / "data"
    data.mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    script = [sys.executable, "-c", use, str(data)]
    used = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert used.returncode == 0, used.stderr
    assert architecture.unexplained(tmp_path) == []
    named = named_by_the_page(bullet, names)
    assert {path for path in (*files, *lines) if not path.startswith(named)} == set()


def named_by_the_page(bullet: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the project's files and folders that one entry of CONTRIBUTING.md names, except tests."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    entry = re.search(rf"^- \*\*{re.escape(bullet)}\*\*.*?(?=^- \*\*)", page, re.MULTILINE | re.DOTALL)
    assert entry is not None
    paths = re.findall(r"`((?:app|containers|interfaces)/[^`]*)`", entry[0])
    for name, value in names.items():
        paths = [path.replace(f"<{name}>", value) for path in paths]
    return tuple(paths)
