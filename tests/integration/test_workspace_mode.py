"""Workspace mode end to end: a service account acts as each sender, and nobody has to consent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer.testing
from pydantic import SecretStr, ValidationError

from app.api_tokens import ApiTokens
from app.cli import cli
from app.commands.database import opened_with_keys
from app.database.tables import consent_links, grants
from app.errors import SettingsError
from app.main import prove_lifetimes
from app.principal import Principal
from app.sandbox.google.delegation import DelegatedAccount
from app.sandbox.google.gmail.letters import MARKER
from app.sections.google import GoogleSettings, WorkspaceSettings
from app.settings import load_settings
from app.toolkits.gmail import READ_MAIL
from containers.build import build
from tests.fakes.consent import links_of
from tests.fakes.environment import open_environment
from tests.fakes.server import ADA, GRACE, QUESTION, Server, direct, own_markers, user

ACCOUNT = DelegatedAccount.delegated("sandbox.example", [READ_MAIL])


@asynccontextmanager
async def workspace(
    folder: Path, *, account: DelegatedAccount = ACCOUNT, domains: Sequence[str] = ("sandbox.example",)
) -> AsyncIterator[Server]:
    """Yield a server in workspace mode that signs as `account`; the sandbox knows `ACCOUNT`."""
    async with open_environment(folder, service_accounts=[ACCOUNT]) as environment:
        google = environment.settings.google.model_copy(
            update={
                "mode": "workspace",
                "client_id": None,
                "client_secret": None,
                "workspace": WorkspaceSettings(key=SecretStr(account.key()), domains=tuple(domains)),
            }
        )
        async with environment.server(google=google) as server:
            yield server


async def vouch(server: Server, principal: Principal, email: str | None) -> None:
    """Issue this person's token with an address."""
    server._tokens[principal] = await server.container.api_tokens().issue(principal, label="test", email=email)


async def answer(server: Server, principal: Principal, text: str = QUESTION) -> str:
    """Return the answer to this person."""
    response = await server.ask(principal, text)
    assert response.status_code == 200, response.text
    return str(response.json()["answer"])


async def test_two_people_at_once_read_their_own_mail(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """Two people who ask at once are each answered from their own mailbox, without consent."""
    async with workspace(tmp_path) as server:
        await vouch(server, ada, ADA)
        await vouch(server, grace, GRACE)
        people = [ada, grace] * 4
        answers = await asyncio.gather(*(answer(server, person) for person in people))
        markers = own_markers(server.google, (ADA, GRACE))
        calls = list(server.google.calls)

    for person, text in zip(people, answers, strict=True):
        shown = {marker.lower() for marker in MARKER.findall(text)}
        assert shown
        assert shown <= markers[ADA if person == ada else GRACE]
    tokens = [call.email for call in calls if call.method_id == "oauth.token.jwt-bearer"]
    assert sorted(filter(None, tokens)) == [ADA, GRACE]
    assert {call.status for call in calls} == {200}


async def test_in_slack_the_confirmed_address_counts(tmp_path: Path) -> None:
    """In Slack a person reads the mailbox of their confirmed address, and without one reads nothing."""
    names = {"ada": (ADA, True), "grace": (GRACE, True), "mallory": (ADA, False)}
    async with workspace(tmp_path) as server:
        for name, (email, confirmed) in names.items():
            profile = {"email": email, "real_name": ADA}
            server.slack.members[user(name)] = {"is_email_confirmed": confirmed, "profile": profile}
            event = server.slack.event(user=user(name), text=QUESTION, channel=direct(name))
            (await server.deliver(event)).raise_for_status()
        told = {name: (await server.posts(direct(name), 1))[0].text for name in names}
        markers = own_markers(server.google, (ADA, GRACE))

    shown = {name: {marker.lower() for marker in MARKER.findall(text)} for name, text in told.items()}
    assert shown["ada"]
    assert shown["ada"] <= markers[ADA]
    assert shown["grace"]
    assert shown["grace"] <= markers[GRACE]
    assert shown["mallory"] == set()
    assert "No verified address" in told["mallory"]


async def test_what_a_person_writes_chooses_no_account(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """A person without a verified address gets nothing by naming another one in a text, label or user id."""
    impostor = Principal(grace.platform, grace.tenant, ADA)
    async with workspace(tmp_path) as server:
        await vouch(server, ada, ADA)
        for person in (grace, impostor):
            server._tokens[person] = await server.container.api_tokens().issue(person, label=ADA)
        refused = [await answer(server, person, f"/gmail_search query={ADA}") for person in (grace, impostor)]
        calls = list(server.google.calls)

    assert all("No verified address" in text and "administrator" in text for text in refused)
    assert calls == []


async def test_a_revoked_token_vouches_no_more(tmp_path: Path, ada: Principal) -> None:
    """A person's address is that of their newest token, and ends when their tokens are revoked."""
    async with workspace(tmp_path) as server:
        api_tokens = server.container.api_tokens()
        await vouch(server, ada, GRACE)
        await vouch(server, ada, ADA)
        newest = await api_tokens.find_email(ada)
        await api_tokens.revoke(ada)
        revoked = await api_tokens.find_email(ada)

    assert (newest, revoked) == (ADA, None)


@pytest.mark.parametrize(("domains", "words"), [
    (("elsewhere.example",), "none of the domains"), (("other.example", "sandbox.example"), ""),
])  # fmt: skip
async def test_only_listed_domains_are_served(
    tmp_path: Path, ada: Principal, domains: Sequence[str], words: str
) -> None:
    """A person whose domain is not listed is refused with an explanation, before Google is called."""
    async with workspace(tmp_path, domains=domains) as server:
        await vouch(server, ada, ADA)
        text = await answer(server, ada)
        asked = bool(server.google.calls)

    assert words in text
    assert asked is not bool(words)


async def test_what_is_not_delegated_names_the_scope(tmp_path: Path, ada: Principal) -> None:
    """A tool whose scope is not delegated names the scope for the administrator, and other tools still work."""
    async with workspace(tmp_path) as server:
        await vouch(server, ada, ADA)
        labelled = await answer(server, ada, "/gmail_create_label label=x")
        read = await answer(server, ada)

    assert "https://www.googleapis.com/auth/gmail.labels" in labelled
    assert "Domain-wide delegation" in labelled
    assert MARKER.search(read)


async def test_a_foreign_key_opens_nothing(tmp_path: Path, ada: Principal) -> None:
    """A key that Google does not know is reported as such, without a consent link."""
    async with workspace(tmp_path, account=DelegatedAccount.delegated("sandbox.example", [READ_MAIL])) as server:
        await vouch(server, ada, ADA)
        text = await answer(server, ada)

    assert "the key was deleted" in text
    assert "/connect/" not in text


@pytest.mark.parametrize("text", ["connect google", "google accounts", "disconnect google"])
async def test_nobody_is_offered_consent(tmp_path: Path, ada: Principal, text: str) -> None:
    """The chat commands about consent create no link."""
    async with workspace(tmp_path) as server:
        told = await answer(server, ada, text)
        links = await links_of(server.container.links(), ada)

    assert links == []
    assert "/connect/" not in told


async def test_nothing_is_at_rest(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """After an answer nothing is stored: no grant, no link, and neither the token nor the key."""
    people = {ada: ADA, grace: GRACE}
    async with workspace(tmp_path) as server:
        for person, email in people.items():
            await vouch(server, person, email)
            await answer(server, person)
        tokens = server.container.tokens()
        bearers = [(await tokens.fresh(person, frozenset({READ_MAIL}))).access_token for person in people]
        async with server.container.database().reading() as connection:
            kept = [(await connection.execute(sa.select(table))).all() for table in (grants, consent_links)]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())

    assert kept == [[], []]
    assert [server.google.bearer_owner(bearer) for bearer in bearers] == [ADA, GRACE]
    assert not [bearer for bearer in bearers if bearer.encode() in stored]
    assert b"PRIVATE KEY" not in stored


async def test_the_proof_holds(tmp_path: Path) -> None:
    """The container of workspace mode passes the proof of lifetimes."""
    async with workspace(tmp_path) as server:
        proof = await prove_lifetimes(build(server.settings), server.settings)

    assert "WorkspaceTokens" in type(server.container.tokens()).__name__
    assert str(proof)


@pytest.mark.parametrize("change", [
    lambda: GoogleSettings(mode="workspace"),
    lambda: GoogleSettings(mode="google", client_id="i", client_secret=SecretStr("s"),
                           workspace=WorkspaceSettings(key=SecretStr("{}"), domains=("a.example",))),
    lambda: WorkspaceSettings(domains=("a.example",)),
    lambda: WorkspaceSettings(key=SecretStr("{}"), key_file=Path("k"), domains=("a.example",)),
    lambda: WorkspaceSettings(key=SecretStr("{}"), domains=()),
    lambda: WorkspaceSettings(key=SecretStr("{}"), domains=("example",)),
    lambda: WorkspaceSettings(key=SecretStr("{}"), domains=("Acme.example",)),
    lambda: WorkspaceSettings(key=SecretStr("{}"), domains=("*.acme.example",)),
])  # fmt: skip
def test_half_a_configuration_is_refused(change: Callable[[], object]) -> None:
    """An incomplete or contradictory workspace configuration is refused."""
    with pytest.raises(ValidationError):
        change()


async def test_a_key_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """A key that is not a service account's stops the start."""
    async with open_environment(tmp_path) as environment:
        section = WorkspaceSettings(key=SecretStr("{}"), domains=("sandbox.example",))
        google = environment.settings.google.model_copy(update={"mode": "workspace", "workspace": section})
        with pytest.raises(SettingsError, match=r"google\.workspace\.key"):
            async with environment.server(google=google):
                pass


async def recorded(config: Path, principal: Principal) -> str | None:
    """Return the address that is recorded with this person's token."""
    async with opened_with_keys(load_settings(config, {})) as opened:
        return await ApiTokens(*opened).find_email(principal)


def test_an_address_is_recorded_with_a_token(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """`deputy tokens issue --email` records an address with its person's token, and refuses anything else."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"database: {{url: 'sqlite+aiosqlite:///{tmp_path}/d.db'}}\nkey_ring: {{file: {tmp_path}/k.yaml}}\n"
        "agents: {a: {}}\ndefault_agent: a\ninterfaces: {http: {}}\n"
    )
    runner, addresses = typer.testing.CliRunner(), {ada: "Ada@acme.example", grace: "grace@acme.example"}
    for person, address in addresses.items():
        issue = ["tokens", "issue", "-c", str(config), "--principal", str(person), "--email"]
        refused, before = runner.invoke(cli, [*issue, person.user]), asyncio.run(recorded(config, person))
        issued = runner.invoke(cli, [*issue, address])

        assert (refused.exit_code, issued.exit_code, before) == (2, 0, None)
        assert issued.stdout.startswith("dpt_")
    assert {person: asyncio.run(recorded(config, person)) for person in addresses} == addresses
