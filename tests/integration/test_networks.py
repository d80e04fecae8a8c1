"""Company networks: a proxy for all requests, and certificates of the company's own authority."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pydantic_ai
import pytest
import urllib3
from slack_sdk.http_retry.builtin_interval_calculators import BackoffRetryIntervalCalculator
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import GoogleError, SettingsError, UnavailableError
from app.google.connections import open_http
from app.google.service_account import open_service_account
from app.llm.endpoints import open_model_http
from app.llm.models import build_model
from app.log_once import LogOnce
from app.network import open_pool
from app.oauth.token_endpoint import TokenEndpoint
from app.principal import Principal
from app.proxies import Proxy, proxy_for
from app.sandbox.google.delegation import GOOGLES_AUDIENCE, DelegatedAccount
from app.sandbox.google.gmail.letters import MARKER
from app.sections.agents import AgentSettings, ModelSettings
from app.toolkits.gmail import READ_MAIL
from interfaces.slack.installations import OneWorkspace
from interfaces.slack.people import SlackPeople
from tests.fakes.chat_server import ChatServer, chat_server
from tests.fakes.company import PASSWORD, Company, company_network
from tests.fakes.environment import Environment, open_environment
from tests.fakes.google_api import google_faults
from tests.fakes.leaks import everything_in
from tests.fakes.loopback import Reply, serve
from tests.fakes.ports import free_port
from tests.fakes.server import ADA, GRACE, TEAM, Server, direct, own_markers, user
from tests.guards import NetworkRefusedError

GOOGLE, MODELS, SLACK = "google.company.example", "models.company.example", "slack.company.example"
OPENAI = "api.openai.com"
ACCOUNT = DelegatedAccount.delegated("sandbox.example", [READ_MAIL])
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _no_network_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@dataclass
class Office:
    """The services that the tests reach through the company's network."""

    company: Company
    environment: Environment
    model: ChatServer


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """Yield Google, Slack and a model behind the environment's proxy, with certificates of the company's authority."""
    async with open_environment(tmp_path, service_accounts=[ACCOUNT]) as environment, chat_server() as model:
        apps: dict[str, ASGIApp] = {
            GOOGLE: environment.google.app,
            "oauth2.googleapis.com": environment.google.app,
            SLACK: environment.slack_proxy,
            MODELS: model.app,
            OPENAI: model.app,
        }
        async with company_network(tmp_path, apps) as company:
            monkeypatch.setenv("HTTPS_PROXY", company.proxy_url)
            monkeypatch.setenv("SSL_CERT_FILE", str(company.authority.file))
            yield Office(company, environment, model)


@asynccontextmanager
async def deputy(office: Office) -> AsyncIterator[Server]:
    """Yield a server that uses everything through the proxy; only the sign-in page for browsers is on loopback."""
    settings = office.environment.settings
    assert settings.interfaces.slack is not None
    endpoints = settings.google.endpoints.model_copy(
        update={
            "token": f"https://{GOOGLE}/token",
            "revoke": f"https://{GOOGLE}/revoke",
            "certs": f"https://{GOOGLE}/oauth2/v1/certs",
            "issuer": f"http://{GOOGLE}",
        }
    )
    slack = settings.interfaces.slack.model_copy(update={"api_base_url": f"https://{SLACK}/api/"})
    model = ModelSettings(base_url=f"https://{MODELS}/v1", model="llama-test")
    office.environment.settings = settings.model_copy(
        update={
            "google": settings.google.model_copy(update={"endpoints": endpoints, "api_root": f"https://{GOOGLE}/"}),
            "interfaces": settings.interfaces.model_copy(update={"slack": slack}),
            "agents": {"assistant": AgentSettings(model=("local",), toolkits=("gmail",))},
            "models": {"local": model},
        }
    )
    async with office.environment.server() as server:
        yield server


async def test_everything_that_a_message_needs_goes_through_the_proxy(office: Office, ada: Principal) -> None:
    """One person over HTTP and one in Slack get only their own mail, and all requests go through the proxy."""
    grace = Principal("slack", TEAM, user("grace"))
    question = 'use gmail_unread {"limit": 10}'
    async with deputy(office) as server:
        await asyncio.gather(server.connect(ada, ADA), server.connect(grace, GRACE))
        event = server.slack.event(user=grace.user, text=question, channel=direct("grace"))
        answers, _ = await asyncio.gather(server.ask(ada, question), server.deliver(event))
        posts = await server.posts(direct("grace"), 1)
        markers = own_markers(server.google, (ADA, GRACE))

    for text, email in ((answers.text, ADA), (posts[0].text, GRACE)):
        shown = {marker.lower() for marker in MARKER.findall(text)}
        assert shown
        assert shown <= markers[email]
    assert {GOOGLE, MODELS, SLACK} == set(office.company.asked)


async def test_a_service_account_and_a_providers_model_go_through_the_proxy(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Service-account tokens for two people, and `openai-chat:` with its default address, go through the proxy."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up")
    async with open_http() as http, open_model_http() as model_http:
        endpoint = TokenEndpoint(http, google_faults())
        account = open_service_account(ACCOUNT.key(), None, token_url=GOOGLES_AUDIENCE, token_endpoint=endpoint)
        tokens = await asyncio.gather(*(account.token_for(email, frozenset({READ_MAIL})) for email in (ADA, GRACE)))
        agent = pydantic_ai.Agent(build_model("openai-chat:gpt-5", model_http))
        answers = await asyncio.gather(*(agent.run(name) for name in ("ada", "grace")))

    owners = [office.environment.google.bearer_owner(each.access_token) for each in tokens]
    assert owners == [ADA, GRACE]
    assert [answer.output.strip() for answer in answers] == ["you said ada", "you said grace"]
    assert not any("cookie" in asked.headers for asked in office.model.asked)
    assert set(office.company.asked) == {"oauth2.googleapis.com", OPENAI}


async def ask_google(root: str) -> object:
    """Ask for a token with the client that Deputy uses."""
    async with open_http() as http:
        return await TokenEndpoint(http, google_faults()).post(f"{root}/token", {}, "a token request")


async def ask_pool(root: str) -> object:
    """Ask for certificates with the connection pool that Deputy uses."""
    return await asyncio.to_thread(open_pool().request, "GET", f"{root}/oauth2/v1/certs", retries=False)


async def ask_model(root: str) -> object:
    """Ask for models with the client that Deputy uses."""
    async with open_model_http() as http:
        return await http.get(f"{root}/v1/models")


async def ask_slack(root: str) -> object:
    """Ask Slack for a person's name."""
    return await SlackPeople(OneWorkspace("xoxb-sandbox"), f"{root}/api/").find_name(Principal("slack", TEAM, "U0ADA"))


@pytest.fixture(autouse=True)
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Slack's client retry without a pause."""
    monkeypatch.setattr(BackoffRetryIntervalCalculator, "calculate_sleep_duration", lambda *_: 0.0)


CLIENTS = (ask_google, ask_pool, ask_model, ask_slack)
Ask = Callable[[str], Awaitable[object]]
NO_ANSWER = (GoogleError, UnavailableError, httpx2.TransportError, urllib3.exceptions.HTTPError)


@pytest.fixture
async def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Company]:
    """Yield a network with one server, which answers everything with a 404 error."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"ok": False, "error": "user_not_found"}, 404)(scope, receive, send)

    async with company_network(tmp_path, {"server.company.example": app}) as company:
        monkeypatch.setenv("HTTPS_PROXY", company.proxy_url)
        monkeypatch.setenv("SSL_CERT_FILE", str(company.authority.file))
        yield company


@pytest.mark.parametrize("ask", CLIENTS)
async def test_no_proxy_is_heeded(ask: Ask, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client connects directly to a host listed in NO_PROXY, and through the proxy to any other."""
    port = company.ports["server.company.example"]
    monkeypatch.setenv("NO_PROXY", "elsewhere.example, .company.example")
    with pytest.raises(NetworkRefusedError):  # the tests' own guard stops it before a DNS look-up
        await ask(f"https://server.company.example:{port}")
    straight = list(company.asked)
    monkeypatch.setenv("NO_PROXY", "elsewhere.example")
    with suppress(GoogleError):
        await ask("https://server.company.example")

    assert straight == []
    assert company.asked == ["server.company.example"]


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("proxy", ["unreachable", "refusing"])
async def test_a_proxy_that_does_not_connect_passes_and_is_named(
    ask: Ask, proxy: str, company: Company, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy that does not connect is a temporary fault, logged once with its address and without its password."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("app.oauth.retrying.MAX_TRIES", 1)
    monkeypatch.setattr("app.network._log", LogOnce(logging.getLogger("app.network")))
    address = f"127.0.0.1:{free_port()}" if proxy == "unreachable" else company.proxy_url.rpartition("@")[2]
    monkeypatch.setenv("HTTPS_PROXY", f"http://deputy:{PASSWORD}@{address}")
    company.refuses = "503 Service Unavailable"
    with pytest.raises(NO_ANSWER) as raised:
        await ask("https://server.company.example")

    lines = [record.getMessage() for record in caplog.records if record.name == "app.network"]
    said = "ConnectionRefusedError" if proxy == "unreachable" else "it answered 503"
    assert lines == [
        f"the proxy http://{address} made no connection to server.company.example ({said}); look at HTTPS_PROXY and "
        "NO_PROXY"
    ]
    assert not isinstance(raised.value, GoogleError) or (raised.value.passes and raised.value.unsent)
    for word in (PASSWORD, unquote(PASSWORD)):
        assert word not in caplog.text + everything_in(raised.value)


@pytest.mark.parametrize("ask", CLIENTS)
async def test_an_unknown_authority_is_named(
    ask: Ask, company: Company, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without SSL_CERT_FILE no client trusts the company's certificates, and the log says what to set."""
    monkeypatch.setattr("app.network._log", LogOnce(logging.getLogger("app.network")))
    monkeypatch.setattr("app.oauth.retrying.MAX_TRIES", 1)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NO_ANSWER):
        await ask("https://server.company.example")

    (line,) = [record.getMessage() for record in caplog.records if record.name == "app.network"]
    assert line.startswith("the certificate of server.company.example is not trusted (")
    assert "SSL_CERT_FILE" in line


@pytest.mark.parametrize("ask", CLIENTS)
async def test_this_machine_is_asked_straight(ask: Ask, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback addresses are contacted directly, without NO_PROXY."""
    monkeypatch.setenv("HTTP_PROXY", company.proxy_url)
    with serve(lambda _: Reply(b'{"ok": false, "error": "user_not_found"}', 404)) as loopback, suppress(*NO_ANSWER):
        await ask(loopback.url)

    assert len(loopback.received) == 1
    assert company.asked == []


@pytest.mark.parametrize(("variables", "url", "through"), [
    ({"HTTPS_PROXY": "http://p:1"}, "https://a.example/", "http://p:1"),
    ({"https_proxy": "p:1"}, "https://a.example/", "http://p:1"),
    ({"HTTPS_PROXY": "http://p:1"}, "http://a.example/", None),
    ({"HTTP_PROXY": "http://p:1"}, "http://a.example/", "http://p:1"),
    ({"ALL_PROXY": "http://p:1"}, "https://a.example/", "http://p:1"),
    ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "https://q:2"}, "https://a.example/", "https://q:2"),
    ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example"}, "https://b.a.example:8443/x", None),
    ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example"}, "https://ba.example/", "http://p:1"),
    ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://a.example/", None),
    ({"ALL_PROXY": "http://p:1", "NO_PROXY": "b.example, 10.0.0.0/8"}, "https://10.1.2.3/", None),
    ({"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "https://11.1.2.3/", "http://p:1"),
    ({"ALL_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, "https://[fd00::1]/", None),
    ({"ALL_PROXY": "http://p:1"}, "http://localhost:8000/", None),
    ({"ALL_PROXY": "http://p:1"}, "http://[::1]:8000/", None),
    ({"ALL_PROXY": "http://p:1"}, "http://127.9.9.9/", None),
])  # fmt: skip
def test_which_proxy(variables: dict[str, str], url: str, through: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy variables work as in curl and Python, including networks in NO_PROXY; loopback never uses a proxy."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(url)

    assert (proxy and proxy.url) == through


@pytest.mark.parametrize("address", [
    "socks5://u:secret@p:1", "http://u:secret@", "http://u:sec#ret@p:1", "http://u:se/cret@p:1", "http://u:s@ecret@p:1",
    "http://u:secret@p:port", "http://u:secret@p:1/path",
])  # fmt: skip
@pytest.mark.parametrize("opened", [open_http, open_model_http, open_pool])
def test_a_proxy_that_cannot_be_used_stops_the_start(
    address: str, opened: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unusable proxy address stops the start with the variable's name, and without its value."""
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(SettingsError, match=r"^HTTPS_PROXY is not .* percent-encode") as refused:
        opened()

    assert "secret" not in everything_in(refused.value)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE"])
@pytest.mark.parametrize("opened", [open_http, open_model_http, open_pool])
def test_an_authority_that_cannot_be_read_stops_the_start(
    variable: str, opened: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing certificate file, or one without a certificate, stops the start with its name."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path in (tmp_path / "missing.pem", empty):
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(SettingsError, match=f"^{variable}={path} "):
            opened()


def test_a_proxys_password_is_in_no_repr() -> None:
    """A proxy's `repr` and `str` do not contain its user or password."""
    proxy = Proxy("https://deputy:p%40ss-word@proxy.example:3128")

    assert str(proxy) == "https://proxy.example:3128"
    assert repr(proxy) == "Proxy()"
    assert proxy.credentials == "deputy:p@ss-word"
