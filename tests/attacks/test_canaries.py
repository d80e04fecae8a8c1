"""Secrets and mails appear only where they belong: people use everything at debug level, and each place is searched."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

import app.main
from app.api_tokens import ApiTokens
from app.database.database import Database
from app.errors import GoogleError
from app.keys.ring import KeyRing
from app.principal import Principal
from tests.contract.channels import Sender
from tests.fakes.canaries import Records, Tap, columns, living, logging_as_served, seen_in
from tests.fakes.databases import Databases
from tests.fakes.environment import open_environment
from tests.fakes.journey import Traveller, all_travel, prying
from tests.fakes.server import ADA, GRACE, Server, direct, own_markers
from tests.fakes.slack_proxy import SlackProxy

# The columns that keep people's texts for them: histories, answers, parked runs, and calls waiting for approval.
TEXT_COLUMNS = {"messages.body", "messages.answer", "turns.messages", "parked_runs.run", "approvals.arguments"}
PEOPLE = (Sender("ada", ADA), Sender("grace", GRACE))


@dataclass
class Run:
    """Everything that a run left behind in each place.

    Attributes:
        secrets: Every token, key and secret of the run.
        texts: The words of each person's mails and messages, by address.
        links: The tokens of the consent links, each sent to its own person only.
        meanwhile: The objects alive during the run, looked up repeatedly, and whenever a person's tool held a mail.
        afterwards: The objects alive when the run had ended.
    """

    records: Records
    server: Server
    tap: Tap
    slack_proxy: SlackProxy
    travellers: list[Traveller] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    texts: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    links: set[str] = field(default_factory=set)
    meanwhile: set[tuple[str, str]] = field(default_factory=set)
    afterwards: set[tuple[str, str]] = field(default_factory=set)
    columns: list[tuple[str, str]] = field(default_factory=list)

    @property
    def all_texts(self) -> set[str]:
        """Return everybody's words."""
        return set().union(*self.texts.values())

    @property
    def everything(self) -> set[str]:
        """Return everything that no log and no `repr` may show."""
        return self.secrets | self.all_texts | self.links


def collect(run: Run, key_file: Path) -> None:
    """Collect what must not be shown: Google's tokens and codes, Deputy's own secrets, and everybody's words."""
    server = run.server
    google = server.google._grants
    run.secrets |= {*google._access, *google._refresh, *google._codes, *server._tokens.values()}
    run.secrets |= set(yaml.safe_load(key_file.read_text()).values())
    slack, client_secret = server.settings.interfaces.slack, server.settings.google.client_secret
    assert slack is not None
    assert slack.bot_token is not None
    assert slack.signing_secret is not None
    assert client_secret is not None
    run.secrets |= {each.get_secret_value() for each in (slack.signing_secret, slack.bot_token, client_secret)}
    for email, markers in own_markers(server.google, (ADA, GRACE)).items():
        run.texts[email] |= markers
    for traveller in run.travellers:
        run.texts[traveller.sender.email].add(traveller.word)
    answers = "".join(
        [exchange.answer for exchange in run.tap.exchanges] + [str(asked) for asked in run.slack_proxy.asked]
    )
    run.links = {piece[:43] for piece in answers.split("/connect/google/")[1:] if not piece.startswith("callback")}


@asynccontextmanager
async def ran(folder: Path, databases: Databases, patch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Let two people on two channels make their whole journeys at once and make bad requests; yield the traces."""
    taps: list[Tap] = []
    create_app = app.main.create_app

    def tapped(*arguments: Any) -> Tap:
        taps.append(Tap(create_app(*arguments)))
        return taps[-1]

    patch.setattr(app.main, "create_app", tapped)
    alive: set[tuple[str, str]] = set()

    async def look() -> None:
        alive.update(living())

    async def look_again_and_again() -> None:
        while True:
            began = time.monotonic()
            await look()
            await asyncio.sleep(9 * (time.monotonic() - began))  # so looking takes at most a tenth of the time

    with logging_as_served(folder) as records:
        async with (
            open_environment(folder, databases) as environment,
            environment.server(lambda container: prying(container, look)) as server,
        ):
            run = Run(records, server, taps[0], environment.slack_proxy, meanwhile=alive)
            looking = asyncio.create_task(look_again_and_again())
            run.travellers = await all_travel(server, *PEOPLE)
            looking.cancel()
            await knock(server, run.travellers[0])
            run.afterwards = set(living())
            run.columns = list(await columns(server.container.database()))
            collect(run, folder / "keys.yaml")
            yield run


async def knock(server: Server, who: Traveller) -> None:
    """Make requests that contain secrets and are refused, and assert that each gets an error status."""
    token = server._tokens[who.driver.principal(who.sender)]
    client, bearer = server.client, {"Authorization": f"Bearer {token}"}
    refused = [
        await client.post("/v1/messages", content=f"{{{who.word}", headers=bearer),
        await client.post("/v1/messages", json={"text": who.word, "extra": who.word}, headers=bearer),
        await client.get("/v1/me", headers={"Authorization": f"Basic {token}"}),
        await client.get("/v1/me", headers={"Authorization": f"Bearer {token}x"}),
        await client.get(f"/v1/messages/{who.word}", headers=bearer),
        await client.post("/slack/events", json={"event": {"text": who.word}}),
        await client.get("/oauth/google/callback", params={"state": "s", "code": who.word}),
    ]
    assert all(response.status_code >= 400 for response in refused)


async def test_nothing_is_shown_anywhere(
    tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No log, output, error, repr, answer, post, queue or column shows a secret, or words where they do not belong."""
    async with ran(tmp_path, databases, monkeypatch) as run:
        captured = capfd.readouterr()
        assert_shown_nowhere(run, captured.out + captured.err, tmp_path)
        assert_answers_hold_only_their_own(run)


def assert_shown_nowhere(run: Run, output: str, folder: Path) -> None:
    """Assert that no log, output, `repr` or column shows a secret, or a person's words where they do not belong."""
    logged = "".join(run.records.texts)
    shown = {kind: text for kind, text in run.meanwhile | run.afterwards if seen_in(text, run.everything)}
    for email, words in run.texts.items():
        assert len(words) > 5, email
    assert len(run.secrets) > 12
    assert run.links
    assert "gmail_crash failed: LookupError" in logged  # the crashing tool ran, and its error was logged
    assert {"app.google.client.GoogleClient", "app.principal.Principal"} <= {kind for kind, _ in run.meanwhile}

    assert seen_in(logged, run.everything) == set()
    assert seen_in(output, run.everything) == set()
    assert shown.keys() == set()
    for name, value in run.columns:
        assert seen_in(value, run.secrets | run.links) == set(), name
        assert name in TEXT_COLUMNS or seen_in(value, run.all_texts) == set(), name
    raw = b"".join(file.read_bytes() for file in folder.glob("*.db*"))
    assert [secret for secret in run.secrets if secret.encode() in raw] == []


def assert_answers_hold_only_their_own(run: Run) -> None:
    """Assert that each HTTP answer and Slack post shows only its own person's words, and nobody's secrets."""
    for exchange in run.tap.exchanges:
        owner = next((who for who in run.travellers if owns(run, who, exchange.authorization)), None)
        foreign = run.all_texts - (run.texts[owner.sender.email] if owner else set())
        assert seen_in(exchange.answer, run.secrets | foreign) == set(), exchange.path
    for asked in run.slack_proxy.asked:
        mine = {direct(each.sender.name): run.texts[each.sender.email] for each in run.travellers}
        foreign = run.all_texts - mine[asked["channel"]]
        assert seen_in(str(asked), run.secrets | foreign) == set()
    assert len(run.tap.exchanges) > 30
    assert len(run.slack_proxy.asked) > 15


def owns(run: Run, who: Traveller, authorization: str) -> bool:
    """Return whether a request came from this person."""
    token = run.server._tokens.get(who.driver.principal(who.sender))
    return token is not None and authorization == f"Bearer {token}"


async def test_libraries_are_not_heard(tmp_path: Path) -> None:
    """At Deputy's debug level, the libraries stay at `warning`, so that bodies and headers are not logged."""
    with logging_as_served(tmp_path) as records:
        for library in (
            "httpx2",
            "urllib3",
            "slack_sdk",
            "google.auth",
            "sqlalchemy.engine",
            "pydantic_ai",
            "aiosqlite",
        ):
            logging.getLogger(library).debug("canary of %s", library)
            logging.getLogger(library).info("canary of %s", library)
        logging.getLogger("app.delivery").debug("ours")

    assert seen_in("".join(records.texts), {"canary"}) == set()
    assert "ours" in "".join(records.texts)


# Checks of the search itself: a canary put in each place is found.


async def test_a_canary_in_a_log_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A canary is found in a log's text, in an argument that is cut off, in an extra, and in the cause of an error."""
    with logging_as_served(tmp_path) as records:
        log = logging.getLogger("app.planted")
        log.debug("canary-text")
        log.debug("%.3s", "canary-argument")
        log.debug("extra", extra={"planted": "canary-extra"})
        try:
            try:
                raise GoogleError("canary-cause")
            except GoogleError as error:
                raise LookupError("another") from error
        except LookupError:
            log.exception("failed")
    planted = {"canary-text", "canary-argument", "canary-extra", "canary-cause"}
    captured = capfd.readouterr()

    assert seen_in("".join(records.texts), planted) == planted
    assert "canary-text" in captured.err


@pytest.mark.system
async def test_a_canary_on_an_output_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    """A canary that a subprocess writes to the output is found."""
    process = await asyncio.create_subprocess_shell("echo canary-out; echo canary-err >&2")
    await process.wait()
    captured = capfd.readouterr()

    assert ("canary-out" in captured.out, "canary-err" in captured.err) == (True, True)


async def test_a_canary_in_a_repr_is_found() -> None:
    """A canary in the `repr` of a living object of Deputy's classes is found, even without a variable for it."""
    held = [Principal("http", "demo", f"canary-{time.time_ns()}")]

    assert seen_in("".join(text for _, text in living()), {held[0].user}) == {held[0].user}
    assert "canary" not in repr(SecretStr("canary"))


async def test_a_canary_in_a_column_is_found(database: Database, key_ring: KeyRing) -> None:
    """A canary in clear text in a column of any table is found."""
    await ApiTokens(database, key_ring).issue(Principal("http", "demo", "ada"), label="canary-label")

    assert ("api_tokens.label", "canary-label") in list(await columns(database))


async def test_a_canary_in_an_answer_is_found() -> None:
    """A canary is found in an answer's body and in its headers."""
    tap = Tap(PlainTextResponse("canary-body", headers={"X-Planted": "canary-header"}))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(tap), base_url="http://t") as client:
        await client.get("/")

    assert seen_in(tap.exchanges[0].answer, {"canary-body", "canary-header"}) == {"canary-body", "canary-header"}
