"""What `deputy doctor` asks of Google, the models, the database, the keys and the public address."""

from __future__ import annotations

import base64
import stat
import time
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx2
import sqlalchemy as sa

from app.database.clock import DATABASE_TIME
from app.database.database import Database
from app.database.reach import is_database_failure, reason
from app.database.tables import grants, users
from app.diagnosis import Diagnosis, fault, ok, remark
from app.errors import GoogleError, InvalidGrantError, SettingsError
from app.google.faults import cause_for_administrators
from app.grants.grant import GrantState
from app.keys.check import check_key_ring
from app.sections.agents import OFFLINE
from app.settings import Settings

if TYPE_CHECKING:
    from app.llm.faults import ModelFault
    from containers.application import Application

Clock = Callable[[], float]

SKEW_SECONDS = 30.0  # Slack allows five minutes, Google's sign-in less than one
_SECONDS = 10.0  # for each answer
_WEEK = 7 * 86_400.0
_GIVEN_UP_AFTER = 86_400.0  # how long it may take until a grant that Google has ended is used again
_DATABASE, _KEYS, _GOOGLE, _ADDRESS, _CLOCK = "Database", "Keys", "Google", "Address", "Clock"
_NETWORK = "look at this machine's network, its DNS and HTTPS_PROXY"
_PUBLISH = "in the Google Cloud console, Google Auth Platform, Audience: publish the app, or make it Internal"


async def look_at_database(container: Application, settings: Settings) -> AsyncIterator[Diagnosis]:
    """Yield whether the database answers, has this version's schema and takes changes, and whether the keys fit it."""
    database = container.database()
    if not database.exists():
        yield remark(_DATABASE, "there is none yet", "the first start of `deputy serve` creates it")
        return
    try:
        present, needed = await database.revisions()
        if present != needed:
            yield remark(_DATABASE, f"its schema is at {present}, and this version needs {needed}",
                         "the next start migrates it, or `deputy db upgrade` does")  # fmt: skip
            return
        version, clock = await _ask(database)
    except SettingsError as error:
        yield fault(_DATABASE, str(error), "look at database.url, and at whether the database runs")
    except sa.exc.SQLAlchemyError as error:
        if not is_database_failure(error):
            raise
        yield fault(_DATABASE, "it does not take changes", reason(error))
    else:
        yield ok(_DATABASE, f"{version} answers, takes changes and has the schema of this version")
        yield _skew("the database", time.time() - clock)
        yield await _keys(container, settings)


async def _ask(database: Database) -> tuple[str, float]:
    """Return the database's version and the time on its clock, once it has taken an update of no row."""
    is_server = database.dialect.name == "postgresql"
    version = sa.text("SHOW server_version") if is_server else sa.select(sa.func.sqlite_version())
    nothing = sa.update(users).where(sa.false()).values(last_seen_at=None)
    async with database.writing() as connection:
        await connection.execute(nothing)
        told = (await connection.execute(version)).scalar_one()
        at = (await connection.execute(sa.select(DATABASE_TIME))).scalar_one()
    return f"{'PostgreSQL' if is_server else 'SQLite'} {told}", float(at)


async def _keys(container: Application, settings: Settings) -> Diagnosis:
    try:
        await check_key_ring(container.database(), container.key_ring())
    except SettingsError as error:
        return fault(_KEYS, str(error), "put the keys back that this database was sealed with; no others open it")
    file = settings.key_ring.file
    if file is not None and file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
        return fault(_KEYS, f"others on this machine can read {file}", f"chmod 600 {file}")
    return ok(_KEYS, "they open what this database holds")


async def look_at_google(container: Application, settings: Settings, now: Clock) -> AsyncIterator[Diagnosis]:
    """Yield whether Google answers and accepts the client with its redirect URI, and how long grants may live."""
    google = settings.google
    if google.mode == "sandbox":
        yield remark(_GOOGLE, "the sandbox stands in for Google, with mail that is made up",
                     "set google.mode: google for people's own accounts")  # fmt: skip
        return
    try:
        answer = await container.http().get(google.endpoints.certs, timeout=_SECONDS)
    except httpx2.HTTPError as error:
        yield fault(
            _GOOGLE, f"{urlsplit(google.endpoints.certs).netloc} gives no answer ({type(error).__name__})", _NETWORK
        )
        return
    yield ok(_GOOGLE, "its sign-in answers")
    if (date := answer.headers.get("date")) is not None:
        yield _skew("Google", now() - parsedate_to_datetime(date).timestamp())
    if google.mode == "workspace":
        container.tokens()
        yield ok(_GOOGLE, "the service account's key can be read; which scopes are delegated, only a call can tell")
        return
    yield await _client(container, settings)
    yield await _redirect_uri(container, settings)
    yield await _audience(container.database())


async def _client(container: Application, settings: Settings) -> Diagnosis:
    """Redeem a code that does not exist: Google checks the client first."""
    client_id, client_secret = settings.google.client()
    form = {"grant_type": "authorization_code", "code": "deputy-doctor", "client_id": client_id,
            "client_secret": client_secret, "redirect_uri": _callback(settings)}  # fmt: skip
    try:
        await container.token_endpoint().post(settings.google.endpoints.token, form, "a check of the client")
    except InvalidGrantError:
        return ok(_GOOGLE, "the OAuth client is accepted")
    except GoogleError as error:
        return fault(_GOOGLE, str(error), cause_for_administrators(error) or "look at the OAuth client in the console")
    return fault(_GOOGLE, "it gave tokens for a code that nobody has", "google.endpoints.token does not lead to Google")


async def _redirect_uri(container: Application, settings: Settings) -> Diagnosis:
    """Ask for the page to which people are sent, without a person."""
    uri = _callback(settings)
    asked = {"client_id": settings.google.client()[0], "redirect_uri": uri, "response_type": "code", "scope": "openid",
             "state": "deputy-doctor", "nonce": "deputy-doctor", "code_challenge": "0" * 43,
             "code_challenge_method": "S256"}  # fmt: skip
    try:
        page = await container.http().get(
            settings.google.endpoints.authorize, params=asked, timeout=_SECONDS, follow_redirects=False
        )
    except httpx2.HTTPError as error:
        return fault(_GOOGLE, f"its consent page gives no answer ({type(error).__name__})", _NETWORK)
    if "redirect_uri_mismatch" in page.text or "redirect_uri_mismatch" in _told(page.headers.get("location", "")):
        return fault(_GOOGLE, f"the OAuth client does not list the redirect URI {uri}",
                     "add it in the Google Cloud console, Credentials, your client, redirect URIs")  # fmt: skip
    return ok(_GOOGLE, f"people can come back to {uri}")


def _told(location: str) -> str:
    """Return what Google's error page was told: ``authError`` is base64 with the error's name in it."""
    told = parse_qs(urlsplit(location).query).get("authError", [""])[0]
    return base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)).decode(errors="replace") if told else location


async def _audience(database: Database) -> Diagnosis:
    """Look for grants that ended seven days after they were given, as those of an app in testing do.

    https://developers.google.com/identity/protocols/oauth2#expiration
    """
    lived = grants.c.changed_at - grants.c.created_at
    after_a_week = sa.select(sa.func.count()).where(
        grants.c.state == GrantState.REVOKED, lived >= _WEEK, lived < _WEEK + _GIVEN_UP_AFTER
    )
    ended = 0
    if database.exists():
        async with database.reading() as connection:
            ended = (await connection.execute(after_a_week)).scalar_one()
    if ended:
        return fault(_GOOGLE, f"{ended} connections ended seven days after they were made, as those of an app whose "
                     "audience is External and which is in testing", _PUBLISH)  # fmt: skip
    return remark(_GOOGLE, "if the audience is External and the app in testing, people have to connect again every "
                  "seven days; Google does not say from here", _PUBLISH)  # fmt: skip


async def look_at_models(container: Application, settings: Settings) -> AsyncIterator[Diagnosis]:
    """Yield whether each model that an agent uses answers the shortest request."""
    from pydantic_ai.direct import model_request
    from pydantic_ai.messages import ModelRequest

    from app.llm.faults import describe_fault, model_fault

    for name in container.models.providers:
        title = f"Model {name}"
        if name == OFFLINE:
            yield remark(title, "this is the demo model, which follows rules and is no AI",
                         "set agents.….model, such as openai:gpt-5-mini")  # fmt: skip
            continue
        try:
            await model_request(
                container.models.providers[name](),
                [ModelRequest.user_text_prompt("Reply with: ok")],
                model_settings={"max_tokens": 16, "timeout": _SECONDS},
            )
        except SettingsError as error:
            yield fault(title, str(error), "set the variable, or take another model")
        except Exception as error:
            found = model_fault(error)
            if found is None:
                raise
            yield _about_model(title, describe_fault(error, found), found)
        else:
            yield ok(title, "it answers")


def _about_model(title: str, found: str, kind: ModelFault) -> Diagnosis:
    from app.llm.faults import ModelFault

    remedies = {
        ModelFault.SET_UP: "compare the key, the model's name and base_url with what the provider shows",
        ModelFault.QUOTA: "the provider's quota is used up: raise it, or pay",
        ModelFault.NETWORK: _NETWORK,
        ModelFault.ODD: "base_url has to speak OpenAI's chat protocol, and usually ends in /v1",
    }
    if kind in (ModelFault.CUT, ModelFault.UNUSABLE):
        return ok(title, f"it answers ({found})")  # sixteen tokens are few for a model that thinks first
    return fault(title, found, remedies.get(kind, "try again later, and look at the provider's status page"))


async def look_at_address(container: Application, settings: Settings) -> AsyncIterator[Diagnosis]:
    """Yield whether the public address is https and leads to this server."""
    url = settings.server.public_url.rstrip("/")
    if not url.startswith("https://") and not settings.server.is_local():
        yield fault(_ADDRESS, f"{url} is not https", "put a proxy with TLS before it, and write https:// in public_url")
    try:
        answer = await container.http().get(f"{url}/healthz", timeout=_SECONDS, follow_redirects=False)
    except httpx2.HTTPError as error:
        kind = type(error).__name__
        if settings.server.is_local():
            yield remark(_ADDRESS, f"nothing answers at {url} ({kind})", "start `deputy serve`")
        else:
            yield fault(_ADDRESS, f"nothing answers at {url} ({kind})",
                        "start `deputy serve`, and look at the DNS entry, the proxy and its certificate")  # fmt: skip
        return
    if answer.status_code != 200 or answer.text.strip() != '{"ok":true}':
        yield fault(_ADDRESS, f"another program answers at {url} (HTTP {answer.status_code})",
                    "point server.public_url, or the proxy behind it, to Deputy's port")  # fmt: skip
        return
    yield ok(_ADDRESS, f"{url} leads to a running server")


def _skew(whose: str, seconds: float) -> Diagnosis:
    if abs(seconds) < SKEW_SECONDS:
        return ok(_CLOCK, f"it agrees with that of {whose}")
    way = "ahead of" if seconds > 0 else "behind"
    return fault(_CLOCK, f"this machine's clock is {abs(seconds):.0f} seconds {way} that of {whose}",
                 "let the machines' clocks follow NTP: timedatectl set-ntp true")  # fmt: skip


def _callback(settings: Settings) -> str:
    from interfaces.web.interface import callback_url

    return callback_url(settings.server.public_url)
