"""Tests of several Google accounts per person: connecting, naming, choosing in the chat, and widening one at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.chat.accounts import AccountsCommand
from app.consent.outcome import Connected
from app.credentials.credentials import Access, Credentials
from app.database.database import Database
from app.deadline import Deadline
from app.delivery.store.inbox import Inbox
from app.grants.accounts import Accounts, is_alias
from app.keys.ring import KeyRing
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from app.reply import LinkReply
from app.sandbox.people import PEOPLE
from app.sandbox.visitor import code_on
from containers.testing import RecordingChannel
from tests.fakes.consent import Browser, ConsentServer, comes_back, query
from tests.fakes.core_server import CoreServer, inbound
from tests.fakes.credentials import connect, google_tokens
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import ADA, GRACE, MODIFY, READ, SEND

ADAS_SUBJECT = PEOPLE[0].subject


@pytest.fixture
def core(database: Database, key_ring: KeyRing) -> CoreServer:
    """Return a process to which nobody has written yet."""
    return CoreServer(database, key_ring)


async def has(server: CoreServer, person: Principal, *names: str, scopes: frozenset[str] = frozenset({READ})) -> None:
    """Connect these accounts for a person; the first becomes the default."""
    for name in names:
        await connect(server.database, server.grants, person, google_tokens(f"{name}-1", scopes=scopes))


async def reply(server: CoreServer, person: Principal, text: str, conversation: str = "c") -> str:
    """Return the reply to a person's message."""
    return str((await server.status(await server.ask(person, text, conversation))).answer)


async def used(server: CoreServer, person: Principal, conversation: str) -> str | None:
    """Return the address of the account that a message in this conversation would use."""
    grant = await server.grants.find(person, conversation)
    return grant.email if grant else None


# --- widening


async def test_a_link_asks_for_what_is_lacking_only(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A widening link asks only for the new scope and hints at the account; its grant covers the old scopes as well."""
    await server.connect(browser, ada, ADA, READ)
    google_url = await browser.open(await server.link(ada, READ, SEND))
    asked = query(google_url)
    first = query(await browser.open(await server.link(grace, READ, SEND)))
    await server.confirm(ada, await browser.http.get(await browser.decide(google_url, ADA)))

    assert asked["scope"].split() == ["openid", "email", SEND]
    assert (asked["login_hint"], asked["include_granted_scopes"]) == (ADAS_SUBJECT, "true")
    assert set(first["scope"].split()) == {"openid", "email", READ, SEND}
    assert not {"login_hint", "include_granted_scopes"} & first.keys()
    assert await server.covers(ada, READ, SEND)


async def test_a_widening_takes_no_other_account(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """When Ada's widening link is finished with Grace's account, the page refuses it and Ada's grant is unchanged."""
    await server.connect(browser, ada, ADA, READ)
    page = await browser.allow(await server.link(ada, SEND), GRACE)
    grant = await server.grants.find(ada)

    assert page.status_code == 400
    assert "connect google" in page.text
    assert code_on(page) is None
    assert server.calls("oauth.revoke") == 1
    assert await server.quarantined() == []
    assert grant is not None
    assert (grant.email, SEND in grant.granted_scopes) == (ADA, False)
    assert await server.grants.find(grace) is None


async def test_a_widening_waits_for_its_code_as_well(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A widening stays in quarantine until its code is confirmed; until then only the old grant counts."""
    await server.connect(browser, ada, ADA, READ)
    page = await browser.allow(await server.link(ada, SEND), ADA)
    before = await server.covers(ada, SEND)
    await server.confirm(ada, page)

    assert not before
    assert await server.covers(ada, READ, SEND)
    assert await server.grants.find(grace) is None


async def test_the_end_of_a_widening_leaves_the_grant(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """Five wrong codes drop the added access; the account stays connected and valid at Google."""
    await server.connect(browser, ada, ADA, READ)
    await browser.allow(await server.link(ada, SEND), ADA)
    for _ in range(5):
        await server.confirmation.confirm(ada, "22222222")
    grant = await server.grants.find(ada)

    assert grant is not None
    assert server.google_knows(grant)
    assert server.calls("oauth.revoke") == 0


async def test_nothing_is_included_where_the_account_is_no_longer_connected(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A widening link that is opened after the grant ended asks without include_granted_scopes."""
    await server.connect(browser, ada, ADA, READ)
    await server.connect(browser, grace, ADA, MODIFY)
    link = await server.link(ada, SEND)
    grant = await server.grants.find(ada)
    assert grant is not None
    await server.grants.mark_revoked(grant)
    asked = query(await browser.open(link))

    assert "include_granted_scopes" not in asked
    assert asked["login_hint"] == ADAS_SUBJECT


# --- several accounts


async def test_a_second_account_is_added_by_its_persons_words(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """`connect google as work` leads to its person's own link, which accepts any account and gives it that name."""
    await server.connect(browser, ada, ADA, READ)
    accounts_command = AccountsCommand(
        server.consent, Accounts(server.database), {"http": RecordingChannel()}, google_alone(server.google_auth)
    )
    message, _ = await Inbox(server.database).accept(inbound(ada, "connect google as work"))
    said = await accounts_command.reply(message)
    assert isinstance(said, LinkReply)
    hidden = await server.consent.sign_in(grace, said.link_id)
    google_url = await browser.open(str((await server.consent.sign_in(ada, said.link_id)).url))
    page = await browser.http.get(await browser.decide(google_url, GRACE))
    connected = await server.confirm(ada, page)
    accounts = await Accounts(server.database).list(ada)

    assert isinstance(connected, Connected)
    assert query(google_url)["scope"].split() == ["openid", "email", READ]
    assert hidden.url is None
    assert [(each.alias, each.email, each.is_default) for each in accounts] == [
        ("ada", ADA, True), ("work", GRACE, False),
    ]  # fmt: skip
    assert await Accounts(server.database).list(grace) == []
    assert server.waiting.accounts == [{None, ADAS_SUBJECT}, {None, PEOPLE[1].subject}]


async def test_accounts_are_listed_with_what_they_may(core: CoreServer, ada: Principal, grace: Principal) -> None:
    """`google accounts` shows each person their own accounts, with name, address, default, choice and permissions."""
    await has(core, ada, "ada", "work")
    await core.accounts.use(ada, "work", conversation="c")
    await has(core, grace, "grace")
    told = await reply(core, ada, "google accounts")

    assert told.splitlines()[1:] == [
        f"- ada: ada@example.com (default). You allowed: {READ}",
        f"- work: work@example.com (used here). You allowed: {READ}",
    ]
    assert (await reply(core, grace, "Google accounts.", "g")).splitlines()[1:] == [
        f"- grace: grace@example.com (default, used here). You allowed: {READ}"
    ]


async def test_a_choice_counts_where_it_was_made(core: CoreServer, ada: Principal, grace: Principal) -> None:
    """`use work for this` applies to one conversation and `use work` to all; nobody else's choice changes."""
    for person in (ada, grace):
        await has(core, person, person.user, "work")
    here = await reply(core, ada, "use work for this", "project")
    after_one = [await used(core, ada, each) for each in ("project", "main")]
    everywhere = await reply(core, ada, "Use Work", "main")
    after_all = [await used(core, ada, each) for each in ("project", "main", "new")]

    assert "In this conversation I now use work" in here
    assert after_one == ["work@example.com", "ada@example.com"]
    assert "I now use work" in everywhere
    assert after_all == ["work@example.com"] * 3
    assert await used(core, grace, "project") == "grace@example.com"


async def test_a_default_counts_again_where_it_is_chosen(core: CoreServer, ada: Principal) -> None:
    """Choosing a default replaces an earlier choice for the conversation in which it is made."""
    await has(core, ada, "ada", "work")
    await reply(core, ada, "use work for this", "c")
    await reply(core, ada, "use ada", "c")

    assert await used(core, ada, "c") == "ada@example.com"


async def test_the_end_of_a_chosen_account_brings_no_other_one_in(core: CoreServer, ada: Principal) -> None:
    """When a conversation's chosen account is revoked, the next call asks for consent instead of using another one."""
    await has(core, ada, "home", "work")
    await reply(core, ada, "use work for this", "c")
    work = await core.grants.find(ada, "c")
    assert work is not None
    await core.grants.mark_revoked(work)
    asked = await core.ask(ada, "/letters_read", "c")

    assert asked.state is MessageState.PARKED
    assert await used(core, ada, "main") == "home@example.com"
    assert core.post.done == []


async def test_each_account_is_widened_by_itself(core: CoreServer, ada: Principal, grace: Principal) -> None:
    """When two conversations use two accounts, a consent for one account wakes only the message that waits for it."""
    await has(core, ada, "home", "work", scopes=frozenset())
    await has(core, grace, "grace", scopes=frozenset())
    await reply(core, ada, "use work for this", "office")
    at_home, at_work = (
        await core.ask(ada, "/letters_read", "main"),
        await core.ask(ada, "/letters_read", "office"),
    )
    hers = await core.ask(grace, "/letters_read", "g")
    await connect(core.database, core.grants, ada, google_tokens("work-2"))
    await core.parking.consent_ended(ada, granted=True, accounts={"subject-work"})
    states = [(await core.inbox.get(each.principal, each.message_id)).state for each in (at_home, at_work, hers)]

    assert states == [MessageState.PARKED, MessageState.NEW, MessageState.PARKED]
    assert (await core.answer_next(at_work)).answer == "a letter to ada"


@pytest.mark.parametrize(
    "text",
    ["use python for this", "rename it to that", "use work for dinner", "use grace for this", "rename grace to mine"],
)
async def test_other_words_go_to_the_assistant(core: CoreServer, ada: Principal, grace: Principal, text: str) -> None:
    """Text that names none of the sender's own accounts is not a command, even if it names somebody else's."""
    await has(core, ada, "ada", "work")
    await has(core, grace, "grace")

    assert "`help`" in await reply(core, ada, text)
    assert [await used(core, person, "c") for person in (ada, grace)] == ["ada@example.com", "grace@example.com"]
    assert [[each.alias for each in await core.accounts.list(person)] for person in (ada, grace)] == [
        ["ada", "work"], ["grace"],
    ]  # fmt: skip


async def test_a_name_that_is_none_is_answered_with_those_that_are(
    core: CoreServer, ada: Principal, grace: Principal
) -> None:
    """An unknown name is answered with the sender's own names; from a person without accounts it is not a command."""
    await has(core, ada, "ada", "work")

    assert (
        await reply(core, ada, "`use nosuch`.") == "You have no account called nosuch. Your accounts are `ada`, `work`."
    )
    assert "nosuch" not in await reply(core, grace, "use nosuch")
    assert await used(core, ada, "c") == "ada@example.com"


async def test_names_are_the_persons_and_unique(core: CoreServer, ada: Principal, grace: Principal) -> None:
    """An account can be renamed only to a free and valid name, and two people can use the same names."""
    for person in (ada, grace):
        await has(core, person, "home", "work")
    replies = [
        await reply(core, ada, text)
        for text in ("rename home to work", "rename home to this", "rename home to family", "use family")
    ]

    assert replies[0] == "You already call another account work."
    assert replies[1].startswith("An account's name is a short word")
    assert replies[2] == "I now call home family."
    assert "family (home@example.com)" in replies[3]
    assert [each.alias for each in await core.accounts.list(grace)] == ["home", "work"]


async def test_connect_google_sends_a_link_of_ones_own(core: CoreServer, ada: Principal, grace: Principal) -> None:
    """Each person gets their own private link; a name that is taken or invalid is refused before anybody consents."""
    await has(core, ada, "ada")
    links = [await reply(core, person, "connect google as work", person.user) for person in (ada, grace)]
    taken, wrong = (
        await reply(core, ada, "connect google as ada"),
        await reply(core, ada, "connect google as it"),
    )

    assert all("/connect/google/" in link for link in links)
    assert links[0].splitlines()[0] != links[1].splitlines()[0]
    assert READ in links[0]
    assert "already" in taken
    assert wrong.startswith("An account's name")
    assert all(sent.private for sent in core.channel.sent)


@pytest.mark.parametrize("before", [(), (SEND,)])
async def test_a_lost_link_is_replaced_and_the_message_goes_on(
    core: CoreServer, ada: Principal, before: tuple[str, ...]
) -> None:
    """`connect google` while a message waits asks for the scopes that it needs, and the message is then answered."""
    if before:
        await has(core, ada, "ada", scopes=frozenset(before))
    message = await core.ask(ada, "/letters_read", "m")
    core.clock.now += 601  # the first link has expired
    link = await reply(core, ada, "connect google", "d")
    opened = await core.links.open(link.splitlines()[0].rpartition("/")[2])
    assert await comes_back(core.links, opened)
    tokens = google_tokens("ada-1", now=core.clock.now, scopes=opened.link.oauth_scopes)
    await core.confirmation.begin(opened.link, tokens)
    waits = await core.confirmation.awaited(opened.link)
    await reply(core, ada, f"confirm {getattr(waits, 'code', '')}", "d")

    assert opened.link.oauth_scopes == {READ, *before}
    assert (await core.answer_next(message)).answer == "a letter to ada"


async def test_a_request_uses_one_account(core: CoreServer, ada: Principal) -> None:
    """Choosing another account while a message is being answered affects the next message, not this one."""
    await has(core, ada, "home", "work", scopes=frozenset({READ, SEND}))
    seen: list[str | None] = []

    async def choose(user: str, tool: str) -> None:
        seen.append(await used(core, ada, "c"))
        await core.accounts.use(ada, "work", conversation=None)

    core.post.before = choose
    answered: StoredMessage = await core.ask(ada, "/letters_read", "c")

    assert answered.answer == "a letter to ada"
    assert seen == ["home@example.com"]
    assert await used(core, ada, "c") == "work@example.com"


async def test_all_tools_of_a_request_use_one_account(core: CoreServer, ada: Principal, grace: Principal) -> None:
    """The first account that a request uses is used for the whole request, even if another is chosen meanwhile."""
    await has(core, ada, "home", "work", scopes=frozenset({READ, SEND}))
    await has(core, grace, "grace", scopes=frozenset({READ, SEND}))
    of_ada, of_grace = (Credentials(person, core.tokens, Deadline.after(10)) for person in (ada, grace))
    tokens = []
    for scope in (READ, SEND):
        for credentials in (of_ada, of_grace):
            credentials.use_in("c")
            await credentials.ensure(frozenset({scope}))
            tokens.append(credentials.for_google().token)
        await core.accounts.use(ada, "work", conversation="c")

    assert tokens == ["access-home-1", "access-grace-1"] * 2
    later = Credentials(ada, core.tokens, Deadline.after(10))
    later.use_in("c")
    await later.ensure(frozenset({READ}))
    assert later.for_google().token == "access-work-1"


class Slow:
    """Access to tokens whose first lookup waits until `go_on` is set."""

    def __init__(self, core: CoreServer) -> None:
        self.found, self.go_on = asyncio.Event(), asyncio.Event()
        self._tokens = core.tokens
        self.refused = core.tokens.refused

    async def fresh(self, principal: Principal, oauth_scopes: frozenset[str], **options: Any) -> Access:
        access = await self._tokens.fresh(principal, oauth_scopes, **options)
        if not self.found.is_set():
            self.found.set()
            await self.go_on.wait()
        return access


async def test_tools_that_run_together_use_one_account(core: CoreServer, ada: Principal, grace: Principal) -> None:
    """A choice made between the lookups of two tools of one request affects neither."""
    await has(core, ada, "home", "work", scopes=frozenset({READ, SEND}))
    await has(core, grace, "grace", scopes=frozenset({READ, SEND}))
    slow = Slow(core)
    of_ada, of_grace = (Credentials(person, slow, Deadline.after(10)) for person in (ada, grace))

    async def tool(credentials: Credentials, scope: str) -> str:
        await credentials.ensure(frozenset({scope}))
        return str(credentials.for_google().token)

    first = asyncio.create_task(tool(of_ada, READ))
    await slow.found.wait()
    await core.accounts.use(ada, "work", conversation=None)
    second = asyncio.create_task(tool(of_ada, SEND))
    hers = await tool(of_grace, READ)
    await asyncio.wait([second], timeout=0.1)
    slow.go_on.set()

    assert [await first, await second] == ["access-home-1"] * 2
    assert hers == "access-grace-1"


def test_what_an_account_may_be_called() -> None:
    """An account's name is one short lower-case word that no command uses."""
    assert all(map(is_alias, ("work", "home-2", "a", "x" * 31)))
    assert not any(map(is_alias, ("", "this", "google", "Work", "two words", "a/b", "-x", "é", "x" * 32, "work\n")))
