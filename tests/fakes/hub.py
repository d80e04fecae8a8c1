"""A deployment whose people connect accounts at the sandbox's provider, and browsers to do it with."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr
from starlette.types import ASGIApp

from app.oauth.description import Endpoints, ProviderDescription
from app.principal import Principal
from app.sandbox.oauth.differences import GITHUB, Differences
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.server import serve_loopback
from app.sections.connections import ConnectionSettings
from app.sections.server import DatabaseSettings
from containers.application import Application
from containers.testing import AppClient, open_test_app, settings_in

CLIENT_ID, SECRET = "hub-client", secrets.token_urlsafe(16)
PUBLIC_URL = "http://127.0.0.1:8080"
_WHOAMI = {"endpoint": ("/user", "id", "login"), "answer": (None, "owner.user.id", "owner.user.name")}


def settings_of(root: str, differences: Differences, **changes: Any) -> ConnectionSettings:
    """Return the settings that describe a sandbox with these differences."""
    described: dict[str, Any] = {
        "provider": "github" if differences.revocation == "github" else "oauth",
        "title": "Hub",
        "client_id": CLIENT_ID,
        "client_secret": SecretStr(SECRET) if differences.client_authentication != "none" else None,
        "api": (root,),
        "client_authentication": differences.client_authentication,
        "scope_separator": "," if differences.scopes == "commas" else " ",
    }
    if differences.names in _WHOAMI:
        url, subject, shown = _WHOAMI[differences.names]
        described |= {
            "authorize_url": f"{root}/login/oauth/authorize",
            "token_url": f"{root}/login/oauth/access_token",
            "revoke_url": f"{root}/applications"
            if differences.revocation == "github"
            else (f"{root}/revoke" if differences.revocation == "rfc7009" else None),
            "whoami": {"url": f"{root}{url}" if url else None, "subject": subject, "shown": shown},
            "issuer": root if differences.issuer else None,
        }
    else:
        described["issuer"] = root
    return ConnectionSettings.model_validate({**described, **changes})


class PresetSettings(ConnectionSettings):
    """The settings of a preset, with all its addresses moved to the sandbox's host."""

    root: str

    def described(self, name: str) -> ProviderDescription:
        """Return the preset's description, whose endpoints are below the sandbox's root."""
        found = super().described(name)
        assert found.endpoints is not None
        its = found.endpoints
        endpoints = Endpoints(
            authorize=self._moved(its.authorize),
            token=self._moved(its.token),
            revoke=its.revoke and self._moved(its.revoke),
            issuer=its.issuer and self._moved(its.issuer),
            certs=its.certs and self._moved(its.certs),
        )
        whoami = found.whoami and replace(found.whoami, url=found.whoami.url and self._moved(found.whoami.url))
        return replace(found, endpoints=endpoints, whoami=whoami, api=(self.root,))

    def _moved(self, url: str) -> str:
        return f"{self.root}{urlsplit(url).path}"


class HubApp:
    """The running deployment.

    Attributes:
        app: The deployment; people write to it over HTTP.
        sandbox: The provider that they connect as `github`.
        root: The provider's address.
    """

    def __init__(self, app: AppClient, sandbox: OAuthSandbox, root: str) -> None:
        self.app = app
        self.sandbox = sandbox
        self.root = root
        self.container: Application = app.container

    def browser(self) -> httpx2.AsyncClient:
        """Return a new browser."""
        return httpx2.AsyncClient(transport=self.app.client._transport, base_url=PUBLIC_URL)

    async def say(self, principal: Principal, text: str, **body: Any) -> dict[str, Any]:
        """Send a message, and return its status."""
        answer = await self.app.ask(principal, text, **{"conversation": principal.user, **body})
        told: dict[str, Any] = answer.json()
        return told

    async def read(self, principal: Principal, path: str = "/user/repos") -> dict[str, Any]:
        """Let the assistant read from the provider's API."""
        return await self.say(principal, f"/hub_read url={self.root}{path}")

    async def link(self, principal: Principal, text: str = "connect github") -> str:
        """Return the path of a link that this person is sent."""
        told = await self.say(principal, text)
        return path_of(told.get("consent_url") or told["answer"])

    async def authorize(self, browser: httpx2.AsyncClient, link: str) -> str:
        """Open a link and press its button; return the address of the provider's consent page."""
        await browser.get(link)
        opened = await browser.post(link)
        return opened.headers["location"]

    async def allow(self, page: str, account: str, **fields: str) -> str:
        """Consent at the provider, and return the callback's path."""
        async with httpx2.AsyncClient() as at_provider:
            answer = await at_provider.post(page, data={"account": account, "decision": "allow", **fields})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].removeprefix(PUBLIC_URL)

    async def finish(self, browser: httpx2.AsyncClient, callback: str) -> httpx2.Response:
        """Follow a callback to the page of its sign-in."""
        answer = await browser.get(callback)
        return await browser.get(answer.headers["location"]) if answer.status_code == 303 else answer

    async def connect(self, principal: Principal, link: str | None = None, **fields: str) -> dict[str, Any]:
        """Take a person through their consent, including the code; return the reply to the code."""
        async with self.browser() as browser:
            page = await self.authorize(browser, link or await self.link(principal))
            shown = await self.finish(browser, await self.allow(page, principal.user, **fields))
        return await self.say(principal, f"confirm {code_in(shown)}")


def path_of(text: str) -> str:
    """Return the path of the link in a text."""
    found = re.search(r"/connect/[\w-]+/[\w-]+", text)
    assert found is not None, text
    return found[0]


def code_in(page: httpx2.Response) -> str:
    """Return the code that a page shows."""
    found = re.search(r"<strong>([0-9A-Z]{8})</strong>", page.text)
    assert found is not None, page.text
    return found[1]


@asynccontextmanager
async def open_hub(
    folder: Path,
    differences: Differences = GITHUB,
    *,
    database: str | None = None,
    prepare: Callable[[Application], object] = lambda _: None,
    preset: str | None = None,
    before: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    **changes: Any,
) -> AsyncIterator[HubApp]:
    """Run a deployment with two connections, `github` and `other`, to a sandbox with these differences.

    Args:
        folder: The folder for keys.
        differences: The sandbox's differences.
        database: The database's URL; a file in the folder if None.
        prepare: Called with the container before anything is built.
        preset: The provider whose preset describes the connection.
        before: Returns an application in front of the sandbox's.
        changes: Other settings of the connection.
    """
    sandbox = OAuthSandbox(
        client_id=CLIENT_ID,
        client_secret=SECRET,
        redirect_uris=frozenset({f"{PUBLIC_URL}/oauth/github/callback"}),
        differences=differences,
    )
    async with serve_loopback(before(sandbox.app)) as root:
        settings = settings_in(folder, toolkits={"hub": "tests.outside.hub:HubToolkit"})
        section: ConnectionSettings
        if preset is not None:
            client: dict[str, Any] = {"client_id": CLIENT_ID, "client_secret": SecretStr(SECRET)}
            section = PresetSettings(provider=preset, root=root, **client, **changes)
        else:
            section = settings_of(root, differences, **changes)
        other = section.model_copy(update={"title": "Other"})
        update: dict[str, Any] = {"connections": {"github": section, "other": other}}
        if database is not None:
            update["database"] = DatabaseSettings(url=SecretStr(database))
        async with open_test_app(settings.model_copy(update=update), prepare) as app:
            yield HubApp(app, sandbox, root)


async def consent(link: str, account: str, *, allow: bool = True) -> httpx2.Response:
    """Go from a link to the last page in a new browser, over the network, and return that page."""
    async with httpx2.AsyncClient(timeout=30, follow_redirects=True) as browser:
        await browser.get(link)
        page = await browser.post(link)
        return await browser.post(str(page.url), data={"account": account, "decision": "allow" if allow else "deny"})
