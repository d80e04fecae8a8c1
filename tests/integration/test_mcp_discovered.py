"""MCP servers that declare where people sign in: found, connected and used by several people at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from app.commands.mcp_checkup import look_at_mcp
from app.connections.discovery_provider import FRESH_SECONDS, DiscoveredProvider
from app.database.tables import discovered_clients, grants
from app.diagnosis import Verdict
from app.errors import InvalidGrantError, ProviderError
from app.keys.rotation import Rotation
from app.oauth.challenge import Challenge, read_challenge
from app.principal import Principal
from app.sections.mcp import McpSettings
from app.settings_checks import misfits
from tests.fakes.databases import Databases
from tests.fakes.discovered import STRANGER, FoundApp, connect, open_found
from tests.fakes.hub import path_of
from tests.fakes.mcp_server import ACCOUNTS, settings_with
from tests.fakes.open_provider import Openness

DOCUMENTS = Openness(documents=True)
PUBLIC = replace(STRANGER, client_authentication="none")


async def expire(found: FoundApp, *people: Principal) -> None:
    """Let the access tokens of these people expire."""
    for grant in found.office.sandbox.state.grants:
        if grant.account in [person.user for person in people]:
            grant.access = dict.fromkeys(grant.access, 0.0)
    async with found.container.database().writing() as connection:
        await connection.execute(sa.select(1))


async def test_the_whole_life_of_accounts_at_a_server_nobody_has_described(
    databases: Databases, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Two people connect by a link, are answered as themselves, refresh, rotate keys, disconnect and are offboarded."""
    async with open_found(tmp_path, database=await databases.migrated("found")) as found:
        await connect(found, ada, grace)
        assert sorted(found.office.calls) == [("ada", "who am I"), ("grace", "who am I")]
        assert {found.office.sandbox.resource_of(each) for each in found.office.sandbox.state.grants} == {
            found.office.url
        }
        assert len(found.office.sandbox.registered) == 1

        async for _ in Rotation(found.container.database(), found.container.key_ring()).run():
            pass
        await expire(found, ada, grace)
        answers = await asyncio.gather(found.ask(ada, "who now"), found.ask(grace, "who now"))
        assert ["ada called" in answers[0]["answer"], "grace called" in answers[1]["answer"]] == [True, True]
        assert found.office.sandbox.token_calls.count("refresh_token") == 2

        said = await found.ask(ada, "disconnect office")
        assert "Office" in said["answer"]
        await found.container.offboarding().offboard(grace)

        assert all(grant.ended for grant in found.office.sandbox.state.grants)
        async with found.container.database().reading() as connection:
            assert (await connection.execute(sa.select(grants))).all() == []


async def test_the_client_is_a_document_where_the_server_takes_such(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A server that accepts client documents fetches ours, and no client is registered or stored."""
    async with open_found(tmp_path, DOCUMENTS, differences=PUBLIC) as found:
        clients = found.office.sandbox
        clients.open_http = lambda: httpx2.AsyncClient(transport=found.hub.app.client._transport)
        await connect(found, ada, grace)
        async with found.container.database().reading() as connection:
            kept = (await connection.execute(sa.select(discovered_clients.c.client_id))).scalars().all()

    assert set(clients.fetched) == {"http://127.0.0.1:8080/oauth/office/client.json"}
    assert (clients.registered, kept) == ([], [""])


async def test_a_client_that_the_server_has_forgotten_is_registered_again(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """If the server has forgotten its clients, the person consents once more and the client is registered again."""
    async with open_found(tmp_path) as found:
        await connect(found, ada)
        found.office.sandbox.forget()
        await expire(found, ada)
        waits = await found.ask(ada, "who am I")
        assert (waits["state"], waits["waits_for"]) == ("parked", "consent"), waits
        await found.hub.connect(ada, path_of(waits["consent_url"]))
        told = await found.told(ada, waits["message"])
        await connect(found, grace)

        assert "ada called with who am I" in told
        assert len(found.office.sandbox.registered) == 2


async def test_a_client_that_was_forgotten_unnoticed_is_registered_before_a_link_is_opened(
    tmp_path: Path, ada: Principal
) -> None:
    """A client that the server has meanwhile forgotten is registered again before a person gets the link."""
    async with open_found(tmp_path) as found:
        provider = found.container.account_providers()["office"]
        assert isinstance(provider, DiscoveredProvider)
        await provider.get_ready()
        found.office.sandbox.forget()
        provider._known = None
        await connect(found, ada)

        assert len(found.office.sandbox.registered) == 2


@pytest.mark.parametrize("tool", ["who", "write"])
async def test_a_tool_that_needs_more_asks_for_it_and_goes_on(
    tool: str, databases: Databases, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """RFC 6750's insufficient_scope asks for consent, and then the call is made once with the wider token."""
    async with open_found(tmp_path, database=await databases.migrated("steps")) as found:
        await connect(found, ada, grace)
        found.office.calls.clear()
        found.office.needs[tool] = "books:more"
        waiting = {person: await found.ask(person, f"{tool} something") for person in (ada, grace)}
        if tool == "write":
            for person, told in waiting.items():
                await found.ask(person, f"approve {told['approval']['code']}")
                async with asyncio.timeout(20):
                    while waiting[person].get("waits_for") != "consent":
                        waiting[person] = await found.hub.app.told(person, told["message"], wait=0.1)
        for person, told in waiting.items():
            assert told["waits_for"] == "consent", told
            await found.hub.connect(person, path_of(told["consent_url"]))
        answers = {person: await found.told(person, told["message"]) for person, told in waiting.items()}

    assert all(f"{person.user} called with {tool} something" in answer for person, answer in answers.items())
    assert sorted(found.office.refused) == [("ada", tool), ("grace", tool)]
    assert sorted(found.office.calls) == [("ada", f"{tool} something"), ("grace", f"{tool} something")]


async def test_a_refresh_asks_for_no_metadata(tmp_path: Path, ada: Principal) -> None:
    """A refresh does not fetch metadata, because its lease is made for one call; `get_ready` does so beforehand."""
    async with open_found(tmp_path) as found:
        await connect(found, ada)
        provider = found.container.account_providers()["office"]
        assert isinstance(provider, DiscoveredProvider)
        assert provider._known is not None
        provider._known = replace(provider._known, at=provider._known.at - FRESH_SECONDS)
        found.office.metadata = {"resource": "https://other.example/"}

        with pytest.raises(InvalidGrantError):
            await provider.refresh("nobody's")
        with pytest.raises(ProviderError, match="about another server"):
            await provider.get_ready()


async def test_the_checkup_says_where_people_sign_in(tmp_path: Path) -> None:
    """The check-up names where people sign in, how Deputy is registered and what it asks for, and reports a change."""
    async with open_found(tmp_path) as found:
        settings = found.container.settings()
        first = [each async for each in look_at_mcp(found.container, settings)]
        await found.container.account_providers()["office"].get_ready()
        async with found.container.database().writing() as connection:
            await connection.execute(discovered_clients.update().values(issuer="https://before.example"))
        moved = [each async for each in look_at_mcp(found.container, settings)]
        found.office.metadata = {"resource": "https://other.example/", "authorization_servers": [found.hub.root]}
        lying = [each async for each in look_at_mcp(found.container, settings)]

    root = found.hub.root
    assert [(each.verdict, each.found) for each in first] == [
        (Verdict.OK, f"people sign in at {root}, and this assistant registers itself there; people are asked for books")
    ]
    assert (moved[0].verdict, "deputy mcp accept office" in moved[0].remedy) == (Verdict.FAULT, True)
    assert "about another server" in lying[0].found


async def test_a_server_that_registers_nobody_is_refused_with_what_to_write(
    tmp_path: Path, ada: Principal, grace: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """If a server takes neither documents nor registrations, people are told, and check-up and log say what to do."""
    async with open_found(tmp_path, Openness()) as found:
        (checked,) = [each async for each in look_at_mcp(found.container, found.container.settings())]
        waits = await asyncio.gather(*(found.ask(person, "who am I") for person in (ada, grace)))
        pages = []
        for told in waits:
            async with found.hub.browser() as browser:
                await browser.get(link := path_of(told["consent_url"]))
                pages.append(await browser.post(link))

    for words in (checked.found, caplog.text):
        assert "describe it under `connections`" in words
        assert "http://127.0.0.1:8080/oauth/office/callback" in words
    assert [page.status_code for page in pages] == [502, 502]
    for page in pages:
        assert "I cannot sign you in at Office. Please tell an administrator of this assistant" in page.text


@pytest.mark.parametrize("name", ["accounts", "google", "login"])
def test_a_server_does_not_take_the_name_of_another_provider(name: str, tmp_path: Path) -> None:
    """A server cannot have the name of another provider, because people connect it by its name."""
    section = McpSettings(url="https://mcp.example/", oauth="discover")
    settings = settings_with(tmp_path, **{name: section}).model_copy(update={"connections": {"accounts": ACCOUNTS}})

    assert [place for place, _ in misfits(settings)] == [("mcp", name)]


def test_the_words_of_a_challenge_are_read_as_written() -> None:
    """A challenge is parsed across several headers and schemes, and malformed scopes are ignored."""
    asked = read_challenge(['Basic realm="a, Bearer error=x"', 'Bearer error="insufficient_scope", scope="a b", x=1'])

    assert (asked.error, asked.scopes, asked.wants_scopes) == ("insufficient_scope", ("a", "b"), True)
    assert read_challenge(['DPoP resource_metadata="https://no.example"', "Bearer"]) == Challenge()
    assert read_challenge(['Bearer scope="a\tb \x00"']).scopes == ()
