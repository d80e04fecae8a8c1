"""Tests that `deputy doctor` finds what is wrong with an installation, and says what to do."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.commands.doctor import diagnose, in_words
from app.database.database import Database
from app.database.tables import grants
from app.diagnosis import Diagnosis, Verdict
from app.keys.check import check_or_begin
from app.keys.file import make_key
from app.keys.ring import open_key_ring
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.server import serve_loopback
from app.sandbox.slack.declaration import EVERYTHING
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.telegram.sandbox import TelegramSandbox
from app.sandbox.whatsapp.sandbox import WhatsAppSandbox
from app.settings import Settings
from tests.fakes.databases import SqliteDatabases
from tests.fakes.ports import free_port
from tests.fakes.sandbox import CLIENT_ID, CLIENT_SECRET

BOT_TOKEN, MODEL_KEY, META_TOKEN = "xoxb-1-secret", "sk-secret", "EAAsecret"
TELEGRAM_TOKEN = "1234:" + "A" * 35
DAY = 86_400.0


async def answer(request: Request) -> JSONResponse:
    """Answer as a model with one key and one name, which speaks OpenAI's protocol."""
    asked = await request.json()
    if request.headers["authorization"] != f"Bearer {MODEL_KEY}":
        return JSONResponse({"error": {"code": "invalid_api_key", "message": MODEL_KEY}}, 401)
    if asked["model"] != "small":
        return JSONResponse({"error": {"code": "model_not_found", "message": "no"}}, 404)
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}
    return JSONResponse({"id": "1", "object": "chat.completion", "created": 1, "model": "small", "choices": [choice]})


async def healthz(_request: Request) -> JSONResponse:
    """Answer as a running Deputy server."""
    return JSONResponse({"ok": True})


@dataclass
class Patient:
    """An installation that works, until a test changes something.

    Attributes:
        tree: Its settings.
        now: This machine's clock.
    """

    tree: dict[str, Any]
    database: Database
    now: Callable[[], float] = time.time
    secrets: tuple[str, ...] = field(default=(BOT_TOKEN, MODEL_KEY, META_TOKEN, CLIENT_SECRET))

    def change(self, path: str, value: object) -> None:
        """Set one key of the settings."""
        *sections, key = path.split(".")
        section = self.tree
        for name in sections:
            section = section[name]
        section[key] = value

    async def examine(self) -> list[Diagnosis]:
        """Return all diagnoses."""
        return [each async for each in diagnose(Settings.model_validate(self.tree), self.now)]


@asynccontextmanager
async def slack_with(scopes: frozenset[str]) -> AsyncIterator[str]:
    """Yield the address of the Web API of a Slack that grants these scopes."""
    declaration = EVERYTHING.__class__(**{**_fields(EVERYTHING), "scopes": scopes})
    slack = SlackSandbox(
        signing_secret="8f742231b10e8888abcd99fff00085a5", bot_token=BOT_TOKEN, declaration=declaration
    )
    async with serve_loopback(slack.app) as base_url:
        yield f"{base_url}/api/"


@asynccontextmanager
async def telegram() -> AsyncIterator[str]:
    """Yield the base URL of a Telegram sandbox."""
    async with serve_loopback(TelegramSandbox(token=TELEGRAM_TOKEN, secret="s").app) as base_url:
        yield base_url


@asynccontextmanager
async def whatsapp() -> AsyncIterator[str]:
    """Yield the base URL of a WhatsApp sandbox."""
    sandbox = WhatsAppSandbox(app_secret="s", access_token=META_TOKEN)
    async with serve_loopback(sandbox.app) as base_url:
        yield f"{base_url}/v26.0/"


def _fields(value: object) -> Mapping[str, Any]:
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}  # type: ignore[attr-defined]


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Patient]:
    """Yield an installation in which everything works: Google, the channels, a model and the server on loopback."""
    url = await SqliteDatabases(tmp_path).migrated("deputy")
    keys = tmp_path / "keys.yaml"
    database = Database(url)
    await check_or_begin(database, open_key_ring(None, keys))
    server = Starlette(routes=[Route("/healthz", healthz), Route("/v1/chat/completions", answer, methods=["POST"])])
    async with (
        serve_loopback(server) as own,
        slack_with(EVERYTHING.scopes) as slack,
        whatsapp() as meta,
        telegram() as bots,
    ):
        google = GoogleSandbox(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, redirect_uris=frozenset({f"{own}/oauth/google/callback"})
        )
        async with serve_loopback(google.app) as at_google:
            tree = {
                "server": {"public_url": own},
                "database": {"url": url},
                "key_ring": {"file": str(keys)},
                "google": {
                    "mode": "google",
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "endpoints": {
                        "authorize": f"{at_google}/o/oauth2/v2/auth",
                        "token": f"{at_google}/token",
                        "certs": f"{at_google}/oauth2/v1/certs",
                    },
                },
                "models": {"own": {"base_url": f"{own}/v1", "model": "small", "api_key": MODEL_KEY}},
                "agents": {"assistant": {"model": "own", "toolkits": ["gmail"]}},
                "default_agent": "assistant",
                "interfaces": {
                    "http": {},
                    "slack": {
                        "signing_secret": "8f742231b10e8888abcd99fff00085a5",
                        "bot_token": BOT_TOKEN,
                        "api_base_url": slack,
                    },
                    "telegram": {"mode": "polling", "bot_token": TELEGRAM_TOKEN, "api_base_url": bots},
                    "whatsapp": {
                        "portfolio_id": "506914307656634",
                        "phone_number_id": "106540352242922",
                        "access_token": META_TOKEN,
                        "app_secret": "hunter2" * 4,
                        "verify_token": "hunter2",
                        "number_key": "hunter2" * 5,
                        "api_base_url": meta,
                    },
                },
            }
            yield Patient(tree, database)
    await database.close()


async def test_a_healthy_installation_has_no_fault(patient: Patient) -> None:
    """Every part of a healthy installation is fine; what cannot be checked from here is a note with what to look at."""
    found = await patient.examine()

    assert [each for each in found if each.verdict is Verdict.FAULT] == []
    assert {each.title for each in found if each.verdict is Verdict.OK} == {
        "Database", "Clock", "Keys", "Google", "Model own", "Slack", "Telegram", "WhatsApp",
        "Address",
    }  # fmt: skip
    assert {each.title for each in found if each.verdict is Verdict.NOTE} == {"Google", "Slack", "WhatsApp"}
    assert all(each.remedy for each in found if each.verdict is Verdict.NOTE)


async def no_sign_in(patient: Patient) -> None:
    """Make Google's sign-in unreachable."""
    patient.change("google.endpoints.certs", f"http://127.0.0.1:{free_port()}/certs")


async def wrong_client_secret(patient: Patient) -> None:
    """Configure a wrong secret of the OAuth client."""
    patient.change("google.client_secret", "GOCSPX-hunter2")


async def unknown_redirect_uri(patient: Patient) -> None:
    """Use a redirect URI that the client does not list."""
    patient.change("server.public_url", patient.tree["server"]["public_url"].replace("127.0.0.1", "localhost"))


async def connections_of_a_week(patient: Patient) -> None:
    """Store a grant that ended a week after it was made."""
    row = {"id": "1" * 32, "platform": "slack", "tenant": "T1", "user_id": "U1", "subject": "1", "email": "a@b.example",
           "granted_scopes": "", "sealed_tokens": "", "version": 2, "state": "revoked", "alias": None,
           "created_at": 0.0, "changed_at": 7 * DAY + 60}  # fmt: skip
    async with patient.database.writing() as connection:
        await connection.execute(grants.insert().values(row))


async def revoked_slack_token(patient: Patient) -> None:
    """Configure a bot token that Slack does not know."""
    patient.change("interfaces.slack.bot_token", "xoxb-hunter2")


async def expired_meta_token(patient: Patient) -> None:
    """Configure an access token that Meta refuses."""
    patient.change("interfaces.whatsapp.access_token", "EAAhunter2")


async def foreign_number(patient: Patient) -> None:
    """Configure a number that belongs to somebody else."""
    patient.change("interfaces.whatsapp.phone_number_id", "999999999")


async def wrong_telegram_token(patient: Patient) -> None:
    """Configure a wrong bot token."""
    patient.change("interfaces.telegram.bot_token", "1234:" + "hunter2" * 5)


async def no_telegram_webhook(patient: Patient) -> None:
    """Configure a webhook that was never registered."""
    patient.change("interfaces.telegram.mode", "webhook")
    patient.change("interfaces.telegram.webhook_secret", "hunter2hunter2hunter2")


async def wrong_model_key(patient: Patient) -> None:
    """Configure a wrong key of the model."""
    patient.change("models.own.api_key", "sk-hunter2")


async def unknown_model(patient: Patient) -> None:
    """Configure a model that the endpoint does not have."""
    patient.change("models.own.model", "huge")


async def other_keys(patient: Patient) -> None:
    """Configure keys that did not seal the database."""
    patient.tree["key_ring"] = {"keys": {"k1": make_key()}}


async def open_key_file(patient: Patient) -> None:
    """Make the key file readable for others."""
    Path(patient.tree["key_ring"]["file"]).chmod(0o644)


async def nobody_at_the_address(patient: Patient) -> None:
    """Configure a public address at which another program answers."""
    patient.change("server.public_url", patient.tree["interfaces"]["slack"]["api_base_url"].removesuffix("/api/"))


async def fast_clock(patient: Patient) -> None:
    """Set this machine's clock five minutes fast."""
    patient.now = lambda: time.time() + 300


async def no_database(patient: Patient) -> None:
    """Configure a database server that does not run."""
    patient.change("database.url", f"postgresql+asyncpg://deputy:secret@127.0.0.1:{free_port()}/deputy")


@pytest.mark.parametrize(
    ("plant", "title", "remedy"),
    [
        (no_sign_in, "Google", "HTTPS_PROXY"),
        (wrong_client_secret, "Google", "compare google.client_id and google.client_secret"),
        (unknown_redirect_uri, "Google", "redirect URIs"),
        (connections_of_a_week, "Google", "publish the app"),
        (revoked_slack_token, "Slack", "install the app again"),
        (expired_meta_token, "WhatsApp", "make one of a system user"),
        (foreign_number, "WhatsApp", "phone_number_id"),
        (wrong_telegram_token, "Telegram", "@BotFather"),
        (no_telegram_webhook, "Telegram", "deputy telegram set-webhook"),
        (wrong_model_key, "Model own", "compare the key"),
        (unknown_model, "Model own", "the model's name"),
        (other_keys, "Keys", "put the keys back"),
        (open_key_file, "Keys", "chmod 600"),
        (nobody_at_the_address, "Address", "server.public_url"),
        (fast_clock, "Clock", "NTP"),
        (no_database, "Database", "database.url"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_planted_fault_is_found(
    patient: Patient, plant: Callable[[Patient], Any], title: str, remedy: str
) -> None:
    """A planted fault is found with its remedy, and nothing printed holds a secret."""
    await plant(patient)
    found = await patient.examine()
    faults = [each for each in found if each.verdict is Verdict.FAULT]
    printed = "\n".join(map(in_words, found))

    assert any(each.title == title and remedy in each.remedy for each in faults), printed
    assert not any(secret in printed for secret in (*patient.secrets, "secret@", "hunter2"))


async def test_scopes_that_slack_has_not_granted_are_named(patient: Patient) -> None:
    """Each Slack scope that is missing is named, with where to add it."""
    async with slack_with(EVERYTHING.scopes - {"im:write", "chat:write"}) as slack:
        patient.change("interfaces.slack.api_base_url", slack)
        found = await patient.examine()

    (fault,) = [each for each in found if each.verdict is Verdict.FAULT]
    assert fault.found == "the bot token lacks the scopes chat:write, im:write"
    assert "OAuth & Permissions" in fault.remedy


async def test_a_locked_database_is_found(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database file that another process has locked is a fault, and the remedy says why."""
    monkeypatch.setattr("app.database.sqlite._START_BUSY_SECONDS", 0.1)
    url = sa.make_url(patient.tree["database"]["url"])
    locking = sa.create_engine(f"sqlite:///{url.database}")
    with locking.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        found = await patient.examine()
        connection.exec_driver_sql("ROLLBACK")
    locking.dispose()

    assert any(each.title == "Database" and "locked" in each.remedy for each in found if each.verdict is Verdict.FAULT)
