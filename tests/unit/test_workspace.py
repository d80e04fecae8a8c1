"""The address that Deputy acts as for a person in a Workspace: the one their channel has verified, and no other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from app.credentials.workspace import ADDRESS_SECONDS, WorkspaceTokens
from app.errors import AccessRefusedError
from app.oauth.tokens import ProviderTokens
from app.principal import Principal
from tests.fakes.sandbox import READ, SEND, Clock

READING, SENDING = frozenset({READ}), frozenset({SEND})


@dataclass
class Addresses:
    """A channel's directory; `asked` are the users that were looked up."""

    emails: dict[str, str | None]
    asked: list[str] = field(default_factory=list)

    async def find_email(self, principal: Principal) -> str | None:
        self.asked.append(principal.user)
        return self.emails.get(principal.user)


@dataclass
class Google:
    """A service account that may act as anybody; `asked` are the subjects and scopes, `lacking` is never granted."""

    clock: Clock
    asked: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    lacking: frozenset[str] = frozenset()

    async def token_for(self, subject: str, oauth_scopes: frozenset[str]) -> ProviderTokens:
        self.asked.append((subject, oauth_scopes))
        await asyncio.sleep(0)
        name = f"token-{subject}-{len(self.asked)}"
        return ProviderTokens(name, self.clock() + 3600, None, oauth_scopes - self.lacking)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def google(clock: Clock) -> Google:
    """Return a Google that delegates everything."""
    return Google(clock)


@pytest.fixture
def directory() -> Addresses:
    """Return a directory that knows Ada and Grace."""
    return Addresses({"ada": "ada@acme.example", "grace": "Grace@ACME.example"})


@pytest.fixture
def tokens(directory: Addresses, google: Google, clock: Clock) -> WorkspaceTokens:
    """Return the tokens of one served domain."""
    return WorkspaceTokens({"http": directory}, google, domains=("acme.example",), now=clock)


async def test_each_is_acted_for_as_their_own_address(
    tokens: WorkspaceTokens, google: Google, ada: Principal, grace: Principal
) -> None:
    """Many concurrent requests of two people each get a token for their own address, which is fetched once."""
    people = [ada, grace] * 8
    given = await asyncio.gather(*(tokens.fresh(person, READING) for person in people))

    assert [each.credential_id for each in given] == ["ada@acme.example", "grace@acme.example"] * 8
    assert all(each.credential_id in each.access_token for each in given)
    assert sorted(google.asked) == [("ada@acme.example", READING), ("grace@acme.example", READING)]


async def test_a_tool_has_a_token_for_its_own_scopes_only(tokens: WorkspaceTokens, ada: Principal) -> None:
    """A tool never gets another tool's token, even for the same person."""
    reading, sending = await tokens.fresh(ada, READING), await tokens.fresh(ada, SENDING)

    assert reading.access_token != sending.access_token
    assert (reading.granted_scopes, sending.granted_scopes) == (READING, SENDING)


@pytest.mark.parametrize("email", [
    None, "", "ada", "@acme.example", "ada@", "ada@acme.example.evil.example", "ada@evil-acme.example",
    "ada@sub.acme.example", "ada@evil.example", "ada@evil.example@acme.example", "ada@acme.example\n",
    " ada@acme.example", "ada@acme.example ", "ada\x00@acme.example", "ada@acme.example.", "\u00e4da@acme.example",
    "\u212aada@acme.example", "ada@acme\u3002example", "ada@acme.example,root@acme.example@x",
])  # fmt: skip
async def test_nobody_outside_and_nobody_unverified(
    email: str | None, tokens: WorkspaceTokens, directory: Addresses, google: Google, ada: Principal, grace: Principal
) -> None:
    """Google is not asked without an address in exactly an allowed domain, and another person is not affected."""
    directory.emails["ada"] = email
    with pytest.raises(AccessRefusedError, match=r"administrator"):
        await tokens.fresh(ada, READING)
    served = await tokens.fresh(grace, READING)

    assert served.credential_id == "grace@acme.example"
    assert [subject for subject, _ in google.asked] == ["grace@acme.example"]


async def test_a_channel_without_a_directory_is_refused(
    tokens: WorkspaceTokens, google: Google, ada: Principal
) -> None:
    """The same ids on another platform are a different person, whose address is unknown."""
    with pytest.raises(AccessRefusedError, match="telegram:demo:ada"):
        await tokens.fresh(Principal("telegram", ada.tenant, ada.user), READING)

    assert google.asked == []


async def test_a_changed_address_is_seen(
    tokens: WorkspaceTokens, directory: Addresses, clock: Clock, ada: Principal
) -> None:
    """After five minutes the channel is asked again, and a token for the former address is no longer given out."""
    before = await tokens.fresh(ada, READING)
    directory.emails["ada"] = "lovelace@acme.example"
    clock.now += ADDRESS_SECONDS
    after = await tokens.fresh(ada, READING)
    directory.emails["ada"] = None
    clock.now += ADDRESS_SECONDS
    with pytest.raises(AccessRefusedError):
        await tokens.fresh(ada, READING)

    assert (before.credential_id, after.credential_id) == ("ada@acme.example", "lovelace@acme.example")


async def test_a_token_is_got_anew_before_its_end(tokens: WorkspaceTokens, clock: Clock, ada: Principal) -> None:
    """A token is renewed when 300 seconds are left, because google-auth would consider it expired."""
    first = await tokens.fresh(ada, READING)
    clock.now += 3299
    still = await tokens.fresh(ada, READING)
    clock.now += 1
    second = await tokens.fresh(ada, READING)

    assert (still.access_token, second.access_token != first.access_token) == (first.access_token, True)
    assert second.expires_at - clock() > 300


async def test_a_rejected_token_is_not_given_again(tokens: WorkspaceTokens, ada: Principal, grace: Principal) -> None:
    """After a 401 its person gets a new token, and another person's token is kept."""
    refused, theirs = await tokens.fresh(ada, READING), await tokens.fresh(grace, READING)
    renewed = await tokens.fresh(ada, READING, rejected=refused.access_token)

    assert renewed.access_token != refused.access_token
    assert (await tokens.fresh(grace, READING)).access_token == theirs.access_token


async def test_a_token_with_less_is_no_access(tokens: WorkspaceTokens, google: Google, ada: Principal) -> None:
    """If Google grants less than was asked for, the error names what an administrator has to add."""
    google.lacking = SENDING
    with pytest.raises(AccessRefusedError, match=r"gmail\.send"):
        await tokens.fresh(ada, READING | SENDING)


async def test_tokens_show_nowhere(tokens: WorkspaceTokens, ada: Principal) -> None:
    """Neither the access nor its source shows a token in its repr."""
    access = await tokens.fresh(ada, READING)

    assert "token-ada" in access.access_token
    assert "token-ada" not in repr((access, tokens, vars(tokens)))
