"""Tests that an approval applies to the Google account that its question showed, even if another is chosen later."""

from __future__ import annotations

import pytest

from app.database.database import Database
from app.keys.ring import KeyRing
from app.messages import StoredMessage
from app.oauth.provider import GOOGLE
from app.principal import Principal
from interfaces.http.formatting import as_json
from tests.fakes.core_server import CoreServer
from tests.fakes.credentials import connect, google_tokens
from tests.fakes.sandbox import SEND

WRITE = "/letters_send to=bob text=hi"


class PostingServer(CoreServer):
    """A server that records which account each letter was sent from.

    Attributes:
        sent_from: The addresses, oldest first.
    """

    def __init__(self, database: Database, key_ring: KeyRing) -> None:
        super().__init__(database, key_ring)
        self.sent_from: list[str] = []
        self.post.before = self._note

    async def _note(self, user: str, tool: str) -> None:
        agent = next(agent for reference in self.agents if (agent := reference()) and agent.principal.user == user)
        grant = await self.grants.get(agent.principal, str(agent._connections.credential_id(GOOGLE)))
        assert grant is not None
        self.sent_from.append(grant.email)

    async def connect(self, person: Principal, *names: str) -> None:
        """Connect these accounts for a person; the first becomes the default."""
        for name in names:
            tokens = google_tokens(f"{name}-1", scopes=frozenset({SEND}))
            await connect(self.database, self.grants, person, tokens)

    async def approve(self, message: StoredMessage) -> str:
        """Have its sender approve what a message waits for, and return the final answer."""
        (code,) = await self.codes(message)
        await self.ask(message.principal, f"approve {code}", f"{message.principal.user}-elsewhere")
        return str((await self.answer_next(message)).answer)


@pytest.fixture
def server(database: Database, key_ring: KeyRing) -> PostingServer:
    """Return a process to which nobody has written yet."""
    return PostingServer(database, key_ring)


async def test_what_was_approved_goes_out_from_the_account_that_was_shown(
    server: PostingServer, ada: Principal, grace: Principal
) -> None:
    """Choosing another account between the question and the approval affects only later calls."""
    for person in (ada, grace):
        await server.connect(person, f"{person.user}work", f"{person.user}home")
    mine, hers = [await server.ask(person, WRITE, person.user) for person in (ada, grace)]
    await server.ask(ada, "use adahome", "elsewhere")
    told = [await server.approve(message) for message in (mine, hers)]
    later = await server.ask(ada, WRITE, "ada")
    told.append(await server.approve(later))

    assert told == ["sent to bob"] * 3
    assert server.sent_from == ["adawork@example.com", "gracework@example.com", "adahome@example.com"]


async def test_what_was_approved_for_an_account_that_is_gone_is_not_done(
    server: PostingServer, ada: Principal, grace: Principal
) -> None:
    """An approved call whose account has ended does not run under the new default account, and its answer says so."""
    await server.connect(ada, "work")
    await server.connect(grace, "gracework", "gracehome")
    mine, hers = [await server.ask(person, WRITE, person.user) for person in (ada, grace)]
    work = await server.grants.find(ada)
    assert work is not None
    await server.grants.mark_revoked(work)
    await server.connect(ada, "home")
    told = [await server.approve(message) for message in (mine, hers)]

    default = await server.grants.find(ada)
    assert default is not None
    assert default.email == "home@example.com"
    assert "no longer connected, so it was not done" in told[0]
    assert told[1] == "sent to bob"
    assert server.sent_from == ["gracework@example.com"]


async def test_an_account_that_was_connected_again_is_the_one_that_was_shown(
    server: PostingServer, ada: Principal
) -> None:
    """Connecting the same account again between the question and the approval leaves the approval valid."""
    await server.connect(ada, "work", "home")
    message = await server.ask(ada, WRITE)
    work = await server.grants.find(ada)
    assert work is not None
    await server.grants.mark_revoked(work)
    await server.connect(ada, "work")

    assert await server.approve(message) == "sent to bob"
    assert server.sent_from == ["work@example.com"]


async def test_the_question_names_one_of_several_accounts(
    server: PostingServer, ada: Principal, grace: Principal
) -> None:
    """Of two accounts, the question and the JSON name the one that a call would use; a single account is not named."""
    await server.connect(ada, "work", "home")
    await server.connect(grace, "grace")
    mine, hers, aloud = [
        await server.ask(person, text, conversation)
        for person, text, conversation in ((ada, WRITE, "a"), (grace, WRITE, "g"), (ada, "/letters_shout text=hi", "s"))
    ]
    of_ada, of_grace, without = [
        as_json("id", await server.status(message))["approval"].get("account") for message in (mine, hers, aloud)
    ]

    assert "Shall I run letters_send with your account work: work@example.com?" in server.channel.texts(ada)[0]
    assert "Shall I run letters_send?" in server.channel.texts(grace)[0]
    assert "Shall I run letters_shout?" in server.channel.texts(ada)[1]
    assert (of_ada, of_grace, without) == ("work@example.com", None, None)
