"""The environment of a server under test: a Google and a Slack on loopback, keys and databases."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from pydantic import SecretStr

from app.main import serving
from app.sandbox.attachment import CLIENT_ID, lead_to_github, lead_to_sandbox
from app.sandbox.github import GitHubSandbox
from app.sandbox.google.delegation import DelegatedAccount
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.people import Person
from app.sandbox.server import serve_loopback
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.slack.sockets import SlackSockets
from app.sandbox.telegram.sandbox import TelegramSandbox
from app.sandbox.whatsapp.sandbox import WhatsAppSandbox
from app.sections.agents import AgentSettings
from app.sections.connections import ConnectionSettings
from app.sections.interfaces import HttpSettings, InterfacesSettings, SlackSettings
from app.sections.section import Section
from app.sections.server import DatabaseSettings, KeyRingSettings, ServerSettings
from app.sections.telegram import TelegramSettings
from app.sections.whatsapp import WhatsAppSettings
from app.settings import Settings
from containers.application import Application
from containers.build import build
from containers.testing import open_test_app
from containers.testing.app import PATIENCE_SECONDS as PATIENCE_SECONDS  # for every wait on a server
from interfaces.telegram.bot_api import load
from interfaces.web.interface import callback_url
from tests.fakes.databases import Databases, SqliteDatabases
from tests.fakes.ports import free_port
from tests.fakes.server import NO_REUSE, PHONE_NUMBER, PORTFOLIO, TEAM, TEMPLATE, VERIFY_TOKEN, Server
from tests.fakes.slack_proxy import SlackProxy

Prepare = Callable[[Application], object]


@dataclass
class Environment:
    """The environment of servers, which run one at a time on its port.

    Attributes:
        github: Served, and in the settings, only if a test asks for it.
        slack_sockets: Slack's WebSockets; a test that needs them serves them.
        slack_proxy: A proxy in front of Slack's Web API.
        telegram_settings: Lead to Telegram; a test adds them if it needs them, because loading its SDK takes seconds.
    """

    google: GoogleSandbox
    github: GitHubSandbox
    slack: SlackSandbox
    slack_sockets: SlackSockets
    slack_proxy: SlackProxy
    telegram: TelegramSandbox
    telegram_settings: TelegramSettings
    whatsapp: WhatsAppSandbox
    settings: Settings
    databases: Databases

    @asynccontextmanager
    async def server(
        self, prepare: Prepare = lambda _: None, *, database: str = "deputy", **sections: Section
    ) -> AsyncIterator[Server]:
        """Serve on loopback.

        Args:
            prepare: Called with the container before anything is built, to override providers.
            database: The database's name; a second server with the same name finds the first one's rows.
            sections: Sections of the settings that differ from the environment's.
        """
        settings = await self._settings(database, sections)
        container = build(settings)
        prepare(container)
        async with (
            serving(container, settings) as base_url,
            httpx2.AsyncClient(base_url=base_url, timeout=2 * PATIENCE_SECONDS, limits=NO_REUSE) as client,
        ):
            yield Server(client, container, settings, self.google, self.slack, self.telegram, self.whatsapp)

    @asynccontextmanager
    async def in_process(
        self, prepare: Prepare = lambda _: None, *, database: str = "in-process", **sections: Section
    ) -> AsyncIterator[Server]:
        """Serve without a socket, any number at a time; browsers cannot reach it.

        An error that leaves the application is raised in the test.
        """
        settings = await self._settings(database, sections)
        async with open_test_app(settings, prepare) as app:
            yield Server(app.client, app.container, settings, self.google, self.slack, self.telegram, self.whatsapp)

    async def _settings(self, database: str, sections: dict[str, Section]) -> Settings:
        url = DatabaseSettings(url=SecretStr(await self.databases.reopened(database)))
        return self.settings.model_copy(update={"database": url, **sections})


def _key() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, repr=False)
class _Keys:
    """The secrets that platforms and settings share, new for each environment."""

    google_client_secret: str = field(default_factory=_key)
    slack_signing_secret: str = field(default_factory=_key)
    slack_bot_token: str = field(default_factory=lambda: f"xoxb-{_key()}")
    slack_app_token: str = field(default_factory=lambda: f"xapp-{_key()}")
    telegram_token: str = field(default_factory=lambda: f"700:{secrets.token_hex(20)}")
    telegram_secret: str = field(default_factory=_key)
    whatsapp_app_secret: str = field(default_factory=_key)
    whatsapp_token: str = field(default_factory=lambda: f"EAA{_key()}")

    def slack(self, url: str) -> SlackSettings:
        """Return the settings that lead to Slack at a URL."""
        return SlackSettings(
            signing_secret=SecretStr(self.slack_signing_secret),
            bot_token=SecretStr(self.slack_bot_token),
            api_base_url=f"{url}/api/",
        )

    def telegram(self, url: str) -> TelegramSettings:
        """Return the settings that lead to Telegram at a URL."""
        token, secret = SecretStr(self.telegram_token), SecretStr(self.telegram_secret)
        return TelegramSettings(bot_token=token, webhook_secret=secret, api_base_url=url)

    def whatsapp(self, url: str) -> WhatsAppSettings:
        """Return the settings that lead to WhatsApp at a URL."""
        return WhatsAppSettings(
            portfolio_id=PORTFOLIO,
            phone_number_id=PHONE_NUMBER,
            access_token=SecretStr(self.whatsapp_token),
            app_secret=SecretStr(self.whatsapp_app_secret),
            verify_token=SecretStr(VERIFY_TOKEN),
            number_key=SecretStr(secrets.token_hex(32)),
            template=TEMPLATE,
            api_base_url=f"{url}/v26.0/",
        )


@asynccontextmanager
async def open_environment(
    folder: Path,
    databases: Databases | None = None,
    *,
    public_url: str | None = None,
    people: Sequence[Person] | None = None,
    marked: bool = True,
    with_github: bool = False,
    service_accounts: Sequence[DelegatedAccount] = (),
    **sections: Section,
) -> AsyncIterator[Environment]:
    """Yield a Google, a Slack, a Telegram and a WhatsApp on loopback, with settings for HTTP, Slack and WhatsApp.

    Args:
        folder: The folder for keys.
        databases: The source of the servers' databases; SQLite files in the folder if None.
        public_url: The address at which browsers reach a server; its own address if None.
        people: The people who have a Google account; Ada and Grace if None.
        marked: Whether each mail and each issue contains a marker.
        with_github: Whether to serve a GitHub too, with the agent's toolkit for issues.
        service_accounts: The service accounts that may act as these people without consent.
        sections: Sections of the settings, such as ``delivery=DeliverySettings(…)``.
    """
    port = free_port()
    public_url = public_url or f"http://127.0.0.1:{port}"
    keys = _Keys()
    sockets = SlackSockets(keys.slack_app_token, ack_seconds=None)  # a slow machine is no fault
    slack = SlackSandbox(
        signing_secret=keys.slack_signing_secret, bot_token=keys.slack_bot_token, team=TEAM, sockets=sockets
    )
    slack_proxy = SlackProxy(slack.app)
    whatsapp = WhatsAppSandbox(
        app_secret=keys.whatsapp_app_secret, access_token=keys.whatsapp_token, templates=((TEMPLATE, "en"),)
    )
    telegram = TelegramSandbox(token=keys.telegram_token, secret=keys.telegram_secret)
    google = GoogleSandbox(
        client_id=CLIENT_ID,
        client_secret=keys.google_client_secret,
        redirect_uris=frozenset({callback_url(public_url)}),
        people=people,
        marked=marked,
        service_accounts=service_accounts,
    )
    github = GitHubSandbox(
        client_id=CLIENT_ID,
        client_secret=keys.google_client_secret,
        redirect_uri=callback_url(public_url, "github"),
        marked=marked,
    )
    async with (
        serve_loopback(google.app) as google_url,
        serve_loopback(slack_proxy) as slack_url,
        serve_loopback(telegram.app) as telegram_url,
        serve_loopback(whatsapp.app) as whatsapp_url,
        AsyncExitStack() as stack,
    ):
        settings = Settings(
            # Client and server share one event loop, so a slow machine delays a request and its timer alike.
            server=ServerSettings(port=port, public_url=public_url, head_seconds=600, body_seconds=600),
            key_ring=KeyRingSettings(file=folder / "keys.yaml"),
            agents={"assistant": AgentSettings(toolkits=("gmail",))},
            default_agent="assistant",
            interfaces=InterfacesSettings(
                http=HttpSettings(wait_seconds=PATIENCE_SECONDS),
                slack=keys.slack(slack_url),
                whatsapp=keys.whatsapp(whatsapp_url),
            ),
        ).model_copy(update=sections)
        settings = lead_to_sandbox(settings, google_url, keys.google_client_secret)
        if with_github:
            section = ConnectionSettings(provider="github", sandbox_port=0)
            agents = {"assistant": AgentSettings(toolkits=("gmail", "issues"))}
            settings = settings.model_copy(update={"connections": {"github": section}, "agents": agents})
            github_url = await stack.enter_async_context(serve_loopback(github))
            settings = lead_to_github(settings, "github", github_url, keys.google_client_secret)
        yield Environment(
            google,
            github,
            slack,
            sockets,
            slack_proxy,
            telegram,
            keys.telegram(telegram_url),
            whatsapp,
            settings,
            databases or SqliteDatabases(folder),
        )


def with_sockets(environment: Environment, **changes: Any) -> InterfacesSettings:
    """Return the interfaces, with Slack in Socket Mode."""
    assert environment.settings.interfaces.slack is not None
    mode = {"mode": "socket", "signing_secret": None, "app_token": SecretStr(environment.slack_sockets.app_token)}
    slack = environment.settings.interfaces.slack.model_copy(update={**mode, **changes})
    return environment.settings.interfaces.model_copy(update={"slack": slack})


def with_telegram(environment: Environment, interfaces: InterfacesSettings, **changes: Any) -> InterfacesSettings:
    """Return the interfaces with Telegram; import its SDK first, which would take longer than tests wait."""
    load()
    return interfaces.model_copy(update={"telegram": environment.telegram_settings.model_copy(update=changes)})


def with_http(settings: Settings, **changes: Any) -> InterfacesSettings:
    """Return the interfaces with changed settings of HTTP."""
    return settings.interfaces.model_copy(update={"http": HttpSettings(**changes)})
