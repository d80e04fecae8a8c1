"""A Slack with several workspaces that can install the app, and an administrator with a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from pydantic import SecretStr

from app.sandbox.server import serve_loopback
from app.sandbox.slack.install import SlackInstalls
from app.sandbox.slack.sandbox import SlackSandbox
from app.sections.interfaces import InterfacesSettings, SlackSettings
from interfaces.slack.pages import callback_url
from tests.fakes.environment import open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server

CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET = "1.2", "client-secret", "8f742231b10e8888abcd99yyyzzz85a5"
PLACES = {"T0ONE": "One Inc", "T0TWO": "Two Ltd", "T0THREE": "Three AG", "E0GRID": "Grid Group", "T0PART": "Part of it"}
ORGANISATIONS = {"T0PART": "E0OTHER"}


@dataclass(frozen=True)
class Workspaces:
    """A server that workspaces install, and their Slack.

    Attributes:
        server: The server; its `slack` is this Slack.
        installs: The installations in that Slack.
    """

    server: Server
    installs: SlackInstalls

    async def install(self, place: str) -> httpx2.Response:
        """Let an administrator install the app in this place, with all scopes; return the last page they see."""
        page = await install(self.server.base_url, place)
        if place in self.installs.tokens:
            self.server.slack.admit(place, self.installs.tokens[place])
        return page


async def install(base_url: str, place: str, *, allow: bool = True) -> httpx2.Response:
    """Press the button of /slack/install in a new browser and decide at Slack; return the last page."""
    async with httpx2.AsyncClient(timeout=30) as browser:
        asked = await browser.post(f"{base_url}/slack/install", follow_redirects=True)
        form = {"place": place, "decision": "allow" if allow else "deny"}
        return await browser.post(str(asked.url), data=form, follow_redirects=True)


def sandbox(redirect_uri: str) -> tuple[SlackSandbox, SlackInstalls]:
    """Return a Slack in which the app is not installed yet."""
    slack = SlackSandbox(signing_secret=SIGNING_SECRET, bot_token="xoxb-of-nobody", team="T0NOBODY")
    installs = SlackInstalls(
        slack,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=redirect_uri,
        places=PLACES,
        organisations=ORGANISATIONS,
    )
    return slack, installs


@asynccontextmanager
async def workspaces(folder: Path, *, allowed: Sequence[str] = ()) -> AsyncIterator[Workspaces]:
    """Yield a server on a socket that is not installed yet; it may be installed in these places, or in any if none."""
    async with open_environment(folder) as environment:
        slack, installs = sandbox(callback_url(environment.settings.server.public_url))
        async with serve_loopback(installs.app) as slack_url:
            section = SlackSettings(
                signing_secret=SecretStr(SIGNING_SECRET),
                client_id=CLIENT_ID,
                client_secret=SecretStr(CLIENT_SECRET),
                workspaces=tuple(allowed),
                api_base_url=f"{slack_url}/api/",
                authorize_url=f"{slack_url}/oauth/v2/authorize",
            )
            async with environment.server(
                ScriptedModel().install, interfaces=InterfacesSettings(slack=section)
            ) as server:
                server.slack = slack
                yield Workspaces(server, installs)
