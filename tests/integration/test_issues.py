"""Issues on GitHub: two people connect, get their answers, and act, each with their own account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.principal import Principal
from app.sandbox.log import fingerprint
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.visitor import code_on, visit
from tests.fakes.environment import open_environment
from tests.fakes.server import APPROVAL_CODE, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = "which issues are assigned to me?"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Server, OAuthSandbox]]:
    """Yield a server with a GitHub."""
    folder = Path(tmp_path_factory.mktemp("issues"))
    async with open_environment(folder, with_github=True) as environment, environment.server() as server:
        yield server, environment.github.provider


@pytest.fixture
def server(served: tuple[Server, OAuthSandbox]) -> Server:
    """Return the server."""
    return served[0]


@pytest.fixture
def github(served: tuple[Server, OAuthSandbox]) -> OAuthSandbox:
    """Return the server's GitHub."""
    return served[1]


def people(tenant: str) -> tuple[Principal, Principal]:
    """Return two new people, with the accounts of their names."""
    return Principal("http", tenant, "ada"), Principal("http", tenant, "grace")


async def said(server: Server, who: Principal, text: str) -> dict[str, Any]:
    """Return the body of the answer to a message."""
    body: dict[str, Any] = (await server.ask(who, text)).json()
    return body


async def connect(server: Server, who: Principal) -> dict[str, Any]:
    """Ask, consent and confirm, and return the answer that follows automatically."""
    asked = await said(server, who, ASKED)
    assert "/connect/github/" in asked["consent_url"]
    page = await visit(asked["consent_url"], who.user, field="account")
    confirmed = await said(server, who, f"confirm {code_on(page)}")
    assert confirmed["answer"] == f"Connected: {who.user}."
    answered: dict[str, Any] = await server.told(who, asked["message"])
    return answered


async def approved(server: Server, who: Principal, text: str) -> str:
    """Write something that needs an approval, approve it, and return the answer."""
    asked = await said(server, who, text)
    code = APPROVAL_CODE.search(asked["question"])
    assert code is not None
    await said(server, who, f"approve {code[1]}")
    answered: str = (await server.told(who, asked["message"]))["answer"]
    return answered


async def test_two_people_are_answered_from_their_own_accounts(server: Server, github: OAuthSandbox) -> None:
    """Two people connect and are each answered from their own account, with calls under their own bearer only."""
    ada, grace = people("asking")
    before = len(github.calls)
    first, second = await asyncio.gather(connect(server, ada), connect(server, grace))
    again = await asyncio.gather(*(said(server, who, "show my issues") for who in (ada, grace)))
    titles = {who: {each.title for each in github.issues.assigned(who, "open")} for who in ("ada", "grace")}
    bearers = {
        (account, bearer)
        for (account, _, target), bearer in zip(github.calls[before:], github.bearers[before:], strict=True)
        if target.startswith("/issues")
    }
    grants = [await server.container.grants().find(who, provider="github") for who in (ada, grace)]

    for answers, own, other in (((first, again[0]), "ada", "grace"), ((second, again[1]), "grace", "ada")):
        for answer in answers:
            plain = answer["answer"].replace("**", "")
            assert all(title.partition(" [")[0] in plain for title in titles[own])
            assert f"{other}/notes" not in plain
    assert bearers == {
        (who.user, fingerprint(grant.access_token)) for who, grant in zip((ada, grace), grants, strict=True) if grant
    }


async def test_one_account_ends_and_the_others_stay(server: Server, github: OAuthSandbox) -> None:
    """`connections` lists both providers' accounts, and `disconnect github` ends only that person's GitHub account."""
    ada, grace = people("leaving")
    for who in (ada, grace):
        await server.connect(who, f"{who.user}@sandbox.example")
    await asyncio.gather(connect(server, ada), connect(server, grace))
    listed = (await said(server, ada, "connections"))["answer"]
    asked = (await said(server, ada, "close ada/notes#1"))["question"]
    ended = (await said(server, ada, "disconnect github"))["answer"]
    after = (await said(server, ada, "connections"))["answer"]

    assert asked.startswith("Close this issue on GitHub?\n")  # the card need not name the only GitHub account
    assert "Your Google accounts:" in listed
    assert "Your GitHub accounts:\n- " in listed
    assert ended.startswith("Disconnected ada: I ")  # other tests connect the same account, so it may stay at GitHub
    assert await server.container.grants().find(ada, provider="github") is None
    assert "Your Google accounts:" in after
    assert "You have no GitHub account connected" in after
    assert (await said(server, ada, ASKED))["state"] == "parked"
    assert "Your GitHub accounts:" in (await said(server, grace, "connections"))["answer"]


async def test_writing_is_asked_about_and_done_as_the_person(server: Server, github: OAuthSandbox) -> None:
    """A comment, a new issue and a closed issue are each made as their person, after that person's approval."""
    ada, grace = people("writing")
    await asyncio.gather(connect(server, ada), connect(server, grace))
    name = next(each for each in github.issues.assigned("ada", "open") if each.repository == "sandbox/website")
    issue = f"{name.repository}#{name.number}"
    told = [
        await approved(server, ada, f"comment on {issue}: I will look at it"),
        await approved(server, grace, "open an issue in sandbox/website: The map is upside down"),
        await approved(server, ada, f"close {issue}"),
    ]
    read = (await said(server, grace, f"read issue {issue}"))["answer"]
    opened = github.issues.find("grace", "sandbox/website", int(told[1].rstrip(".").rpartition("#")[2]))

    assert told[0] == f"I wrote the comment on {issue}."
    assert (opened.title, opened.author) == ("The map is upside down", "grace")
    assert (name.state, name.comments[0]["user"]) == ("closed", {"login": "ada"})
    assert "I will look at it" in read
    assert "closed" in read


async def test_nobody_reads_what_their_own_account_cannot_see(server: Server, github: OAuthSandbox) -> None:
    """An issue in Ada's private repository is not found for Grace, whose own bearer is used."""
    ada, grace = people("peeking")
    await asyncio.gather(connect(server, ada), connect(server, grace))
    tried = (await said(server, grace, "read issue ada/notes#1"))["answer"]

    assert "GitHub answered 404" in tried
    assert ("grace", "GET", "/repos/ada/notes/issues/1") in github.calls


@pytest.mark.parametrize("status", [403, 502])
async def test_a_fault_is_told_in_words(server: Server, github: OAuthSandbox, status: int) -> None:
    """A refusal or an outage of GitHub is reported by GitHub's name and status."""
    (ada, _) = people(f"failing-{status}")
    await connect(server, ada)
    github.failure = status
    try:
        told = await approved(server, ada, "close ada/notes#1")
    finally:
        github.failure = None

    assert f"GitHub answered {status}" in told
