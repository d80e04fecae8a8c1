"""Ending grants: Google is notified unless somebody else uses the account, and any process can finish the ending."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from app.chat.disconnect import DisconnectCommand
from app.consent.ended import EndedGrant, WaitingGrant
from app.consent.link import LinkState, Purpose
from app.consent.quarantine import Quarantine
from app.consent.revocation import DISCONNECTED, Revocation
from app.consent.unconfirmed import UnconfirmedConsents
from app.database.database import Database
from app.database.tables import account_choices, quarantined_grants
from app.database.tables import consent_links as links_table
from app.database.tables import grants as grants_table
from app.database.transition import changed
from app.delivery.store.cancellation import Cancellation
from app.errors import GrantRevokedError, SealError
from app.grants.grant import GrantState
from app.grants.listing import connected
from app.grants.refresh import Refresher
from app.grants.refresh_leases import RefreshLeases
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState
from app.principal import Principal
from tests.fakes.consent import links_of
from tests.fakes.core_server import CoreServer, inbound
from tests.fakes.credentials import HOUR, TokenEndpoint, connect, google_tokens, unavailable
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import READ


class RevokingServer(CoreServer):
    """A server that ends grants."""

    def __init__(self, database: Database, key_ring: KeyRing) -> None:
        super().__init__(database, key_ring)
        self.google = TokenEndpoint(now=self.clock)
        self.refresh_leases = RefreshLeases(database, lease_seconds=60)
        self.refresher = Refresher(self.grants, self.refresh_leases, google_alone(self.google), now=self.clock)
        self.quarantine = Quarantine(database, key_ring, self.clock)
        self.unproven = UnconfirmedConsents(database, self.links, self.quarantine, google_alone(self.google))
        self.revocation = Revocation(
            database,
            self.grants,
            self.refresh_leases,
            self.unproven,
            google_alone(self.google),
            Cancellation(database, self.outbox, self.clock),
            self.clock,
        )

    async def connect(self, principal: Principal, name: str = "", account: str = "") -> str:
        """Connect an account for this person and return the id of its grant."""
        tokens = google_tokens(name or f"{principal.user}-1", account=account)
        return await connect(self.database, self.grants, principal, tokens)

    async def sign_in(self, principal: Principal, name: str, account: str = "") -> None:
        """Put what Google granted through a link of this person into quarantine."""
        link, _ = await self.links.issue(principal, frozenset({READ}))
        async with self.database.writing() as connection:
            for before, after in ((LinkState.ISSUED, LinkState.OPENED), (LinkState.OPENED, LinkState.CONSENTED)):
                mine = links_table.c.id == link.link_id
                assert await changed(connection, links_table, mine, before, after)
            tokens = google_tokens(name, account=account)
            await self.quarantine.hold(connection, link, tokens, {}, expires_at=self.clock.now + 600)

    async def states(self) -> dict[str, str]:
        """Return every grant's state by person and account."""
        return {f"{grant.principal.user} {grant.email}": grant.state for grant in await connected(self.database)}


@pytest.fixture
def server(database: Database, key_ring: KeyRing) -> RevokingServer:
    """Return a server on which nothing has ended yet."""
    return RevokingServer(database, key_ring)


async def test_a_grant_is_ended_at_provider_and_erased(
    server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """An ended grant is revoked and erased, another person's is untouched, and ending it again does nothing."""
    ids = [await server.connect(person) for person in (ada, grace)]
    ended = await server.revocation.end(ada)
    again = await server.revocation.end(ada)

    assert ended.erased == (EndedGrant(ids[0], "ada@example.com", at_provider=True),)
    assert (again.erased, again.waiting) == ((), ())
    assert server.google.revoked == ["refresh-ada-1"]
    assert await server.states() == {"grace grace@example.com": GrantState.ACTIVE}
    assert await server.refresher.fresh(ada) is None
    assert await server.refresher.fresh(grace) is not None


async def test_no_link_that_is_over_names_an_account(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """When a person's last grant ends, the account's name and id go from their links, and from nobody else's."""
    for person in (ada, grace):
        await server.connect(person)
        purpose = Purpose(widens=f"subject-{person.user}", alias="work")
        await server.links.issue(person, frozenset({READ}), purpose)
    await server.revocation.end(ada)
    columns = (links_table.c.user_id, links_table.c.widens, links_table.c.alias)
    async with server.database.reading() as connection:
        rows = (await connection.execute(sa.select(*columns).order_by(links_table.c.user_id))).all()

    assert [tuple(row) for row in rows] == [("ada", None, None), ("grace", "subject-grace", "work")]


async def test_an_account_that_somebody_else_needs_stays_at_provider(
    server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """Google, which would end both grants at once, is notified only when the last grant of a shared account ends."""
    for person in (ada, grace):
        await server.connect(person, f"{person.user}-1", account="shared")
    first = await server.revocation.end(ada)
    assert [grant.at_provider for grant in first.erased] == [False]
    assert server.google.revoked == []
    assert await server.refresher.fresh(grace) is not None
    second = await server.revocation.end(grace)

    assert [grant.at_provider for grant in second.erased] == [True]
    assert server.google.revoked == ["refresh-grace-1"]
    assert await server.states() == {}


async def test_an_account_that_waits_for_its_proof_stays_at_provider(
    server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """Google is not notified while somebody else connects the same account, because that would end their access too."""
    await server.connect(ada, "ada-1", account="shared")
    await server.sign_in(grace, "grace-1", account="shared")
    ended = await server.revocation.end(ada)

    assert [grant.at_provider for grant in ended.erased] == [False]
    assert server.google.revoked == []


async def test_what_waits_for_its_proof_ends_too(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """A person's own unconfirmed consent is revoked and erased with their grants; another person's stays."""
    for person in (ada, grace):
        await server.connect(person)
        await server.sign_in(person, f"{person.user}2-1")
    ended = await server.revocation.end(ada)
    async with server.database.reading() as connection:
        waiting = (await connection.execute(sa.select(quarantined_grants.c.user_id))).scalars().all()

    assert (ended.links, ended.waiting) == (1, ())
    assert sorted(server.google.revoked) == ["refresh-ada-1", "refresh-ada2-1"]
    assert waiting == ["grace"]


async def test_an_unproven_sign_in_that_provider_was_not_told_of_is_said(
    server: RevokingServer, ada: Principal
) -> None:
    """An unconfirmed consent is reported as pending until Google answers, and the next attempt finishes it."""
    await server.sign_in(ada, "ada-1")
    server.google.failure = unavailable
    ended = await server.revocation.end(ada)
    server.google.failure = None
    finished = await server.revocation.finish(ada)

    assert ended.waiting == (WaitingGrant("ada@example.com"),)
    assert finished.waiting == ()
    assert server.google.revoked == ["refresh-ada-1"]


async def test_two_who_share_an_account_end_at_once(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """When two people who share an account disconnect together, it is ended at Google and both grants are erased."""
    for person in (ada, grace):
        await server.connect(person, f"{person.user}-1", account="shared")
    ended = await asyncio.gather(server.revocation.end(ada), server.revocation.end(grace))

    assert any(grant.at_provider for outcome in ended for grant in outcome.erased)
    assert await server.states() == {}


async def test_a_google_that_is_away_is_told_later(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """While Google is unavailable, an ending grant is neither used nor refreshed; a later attempt finishes it."""
    for person in (ada, grace):
        await server.connect(person)
    server.google.failure = unavailable
    ended = await server.revocation.end(ada)
    server.google.failure = None

    assert (ended.erased, ended.waiting) == ((), (WaitingGrant("ada@example.com"),))
    assert await server.refresher.fresh(ada) is None
    assert await server.states() == {
        "ada ada@example.com": GrantState.ENDING,
        "grace grace@example.com": GrantState.ACTIVE,
    }
    server.clock.now += 60
    assert await server.revocation.unfinished(older_than_seconds=61) == []
    assert await server.revocation.unfinished(older_than_seconds=60) == [ada]
    finished = await server.revocation.finish(ada)
    assert [grant.at_provider for grant in finished.erased] == [True]
    assert await server.states() == {"grace grace@example.com": GrantState.ACTIVE}


async def test_a_refresh_under_way_is_waited_for(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """An ending waits for a refresh in progress and then revokes the rotated token, which nobody is given."""
    for person in (ada, grace):
        await server.connect(person)
    server.clock.now += HOUR
    server.google.gate.clear()
    refresh = asyncio.create_task(server.refresher.fresh(ada))
    await server.google.asked.wait()
    end = asyncio.create_task(server.revocation.end(ada))
    await asyncio.sleep(0.3)
    assert not end.done()
    server.google.gate.set()
    with pytest.raises(GrantRevokedError):
        await refresh
    await end

    assert server.google.revoked == ["refresh-ada-2"]
    assert await server.states() == {"grace grace@example.com": GrantState.ACTIVE}


async def test_a_consent_during_the_end_survives(server: RevokingServer, ada: Principal) -> None:
    """A grant that was given again while Google was unavailable stays in use and survives the unfinished ending."""
    await server.connect(ada)
    server.google.failure = unavailable
    await server.revocation.end(ada)
    server.google.failure = None
    await server.connect(ada, "ada-2")
    finished = await server.revocation.finish(ada)

    assert finished.erased == ()
    assert server.google.revoked == []
    assert await server.states() == {"ada ada@example.com": GrantState.ACTIVE}


async def test_a_consent_while_google_is_told_survives(server: RevokingServer, ada: Principal) -> None:
    """A consent given while Google is being notified is not erased with the grant that it replaces."""
    await server.connect(ada)
    server.google.gate.clear()
    end = asyncio.create_task(server.revocation.end(ada))
    await server.google.asked.wait()
    await server.connect(ada, "ada-2")
    server.google.gate.set()
    await end

    assert await server.states() == {"ada ada@example.com": GrantState.ACTIVE}


async def test_a_grant_whose_token_an_api_refused_ends_at_provider_too(
    server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """A grant whose token an API refused is kept until Google has been notified; another person's stays in use."""
    of_ada, _ = [await server.connect(person) for person in (ada, grace)]
    with pytest.raises(GrantRevokedError):
        await server.refresher.refused(ada, of_ada, "access-ada-1")

    assert await server.refresher.fresh(ada) is None
    assert await server.states() == {
        "ada ada@example.com": GrantState.ENDING,
        "grace grace@example.com": GrantState.ACTIVE,
    }
    server.clock.now += 60
    assert await server.revocation.unfinished(older_than_seconds=60) == [ada]
    await server.revocation.finish(ada)
    assert server.google.revoked == ["refresh-ada-1"]
    assert await server.states() == {"grace grace@example.com": GrantState.ACTIVE}


async def test_one_grant_ends_alone(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """A grant's id ends it for its own person only, and leaves their links as they are."""
    of_ada, of_grace = await server.connect(ada), await server.connect(grace)
    link, _ = await server.links.issue(ada, frozenset({READ}))
    nothing = await server.revocation.end(ada, grant_id=of_grace)
    one = await server.revocation.end(ada, grant_id=of_ada)

    assert nothing.erased == ()
    assert [grant.grant_id for grant in one.erased] == [of_ada]
    assert await links_of(server.links, ada) == [link]
    assert await server.states() == {"grace grace@example.com": GrantState.ACTIVE}


async def test_an_account_that_ended_is_not_replaced_by_another(
    server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """No other account replaces the one in use when it ends; when it is connected again, it is in use again."""
    first = await server.connect(ada, "ada-1")
    await server.connect(ada, "work-1")
    await server.connect(grace)
    await server.revocation.end(ada, grant_id=first)

    assert await server.refresher.fresh(ada) is None
    assert await server.states() == {
        "ada ada@example.com": GrantState.REVOKED,
        "ada work@example.com": GrantState.ACTIVE,
        "grace grace@example.com": GrantState.ACTIVE,
    }
    assert await server.connect(ada, "ada-2") == first
    again = await server.refresher.fresh(ada)
    assert again is not None
    assert again.email == "ada@example.com"


async def test_a_grant_that_does_not_open_is_kept(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """A grant that cannot be opened is not erased and no longer used, and ending it raises an error."""
    for person in (ada, grace):
        await server.connect(person)
    broken = grants_table.update().where(grants_table.c.user_id == "ada").values(sealed_tokens="v1.k9.AAAA")
    async with server.database.writing() as connection:
        await connection.execute(broken)
    with pytest.raises(SealError):
        await server.revocation.end(ada)

    assert await server.states() == {
        "ada ada@example.com": GrantState.ENDING,
        "grace grace@example.com": GrantState.ACTIVE,
    }
    assert await server.grants.find(ada) is None


async def test_who_disconnects_what_does_not_open_is_told(
    server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """A person whose grant cannot be opened is shown where to end it at Google; another person's ends as usual."""
    for person in (ada, grace):
        await server.connect(person)
    broken = grants_table.update().where(grants_table.c.user_id == "ada").values(sealed_tokens="v1.k9.AAAA")
    async with server.database.writing() as connection:
        await connection.execute(broken)
    command = DisconnectCommand(server.revocation, google_alone())
    told = [str(await command.reply(await server.say(person, "disconnect google"))) for person in (ada, grace)]

    assert "myaccount.google.com/connections" in told[0]
    assert "Disconnected grace@example.com" in told[1]


async def test_links_and_what_waits_for_consent_end_too(
    server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """Ending a person's access closes their links and fails their parked messages; another person's still wait."""
    parked = {}
    for person in (ada, grace):
        message = await server.say(person, "hello", conversation=person.user)
        begun = await server.inbox.begin_next(ConversationKey.of(message))
        assert begun is not None
        link, _ = await server.links.issue(person, frozenset({READ}))
        assert await server.parking.park_for_consent(begun, "{}", link.link_id)
        parked[person] = begun
    ended = await server.revocation.end(ada)
    of_ada, of_grace = [await server.inbox.get(person, parked[person].message_id) for person in (ada, grace)]

    assert (ended.links, ended.runs) == (1, 1)
    assert (of_ada.state, of_ada.answer) == (MessageState.FAILED, DISCONNECTED.format("your accounts"))
    assert of_grace.state is MessageState.PARKED
    assert await links_of(server.links, ada) == []
    assert len(await links_of(server.links, grace)) == 1
    assert await server.parking.find(parked[ada]) is None


@pytest.mark.parametrize("words", ["disconnect google", " Disconnect  Google. ", "DISCONNECT GOOGLE!"])
async def test_saying_so_in_the_chat_is_enough(
    words: str, server: RevokingServer, ada: Principal, grace: Principal
) -> None:
    """The command works in any case and spacing and reports what ended; sent again, it reports that nothing is left."""
    for person in (ada, grace):
        await server.connect(person)
    command = DisconnectCommand(server.revocation, google_alone())
    message = await server.say(ada, words)
    told, again = await command.reply(message), await command.reply(message)

    assert told is not None
    assert "Disconnected ada@example.com" in told
    assert "refresh" not in told
    assert again == "You have no Google account connected, and no open link."
    assert await server.states() == {"grace grace@example.com": GrantState.ACTIVE}


async def test_disconnect_alone_ends_nothing(server: RevokingServer, ada: Principal) -> None:
    """`disconnect` alone ends nothing and is answered with the full command."""
    await server.connect(ada)
    told = await DisconnectCommand(server.revocation, google_alone()).reply(await server.say(ada, "`Disconnect`."))

    assert told == "To end my access to all your Google accounts, send me `disconnect google`."
    assert await server.states() == {"ada ada@example.com": GrantState.ACTIVE}


@pytest.mark.parametrize("words", ["please disconnect google", "disconnect google now", "disconnect slack"])
async def test_other_words_are_no_command(words: str, server: RevokingServer, ada: Principal) -> None:
    """Only the exact command ends anything; other words around it, or another name in it, do not."""
    await server.connect(ada)
    message = await server.intake.accept(inbound(ada, words))

    assert await DisconnectCommand(server.revocation, google_alone()).reply(message) is None
    assert await server.states() == {"ada ada@example.com": GrantState.ACTIVE}


async def test_an_erased_grant_leaves_no_token(server: RevokingServer, ada: Principal, grace: Principal) -> None:
    """After an ending, no row holds the tokens, address or choice of any of the person's accounts."""
    old = await server.connect(ada, "ada-1", account="old")
    await server.connect(ada, "ada-2")
    await server.revocation.end(ada, grant_id=old)
    await server.connect(grace)
    async with server.database.reading() as connection:
        sealed = (await connection.execute(sa.select(grants_table.c.sealed_tokens, grants_table.c.user_id))).all()
    await server.revocation.end(ada)
    async with server.database.reading() as connection:
        left = repr((await connection.execute(sa.select(grants_table))).all())
        choices = (await connection.execute(sa.select(account_choices.c.user_id))).scalars().all()

    assert not any(row.sealed_tokens in left for row in sealed if row.user_id == "ada" and row.sealed_tokens)
    assert choices == ["grace"]
    assert "old@example.com" not in left
    assert "ada@example.com" not in left
    assert "grace@example.com" in left
