"""Lies in the metadata of MCP servers and authorization servers: nobody is sent to the addresses in it."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.connections import discovery_network
from app.connections.discovery_clients import DiscoveredClients, OAuthClient
from app.connections.discovery_network import (
    MAX_BODY,
    DiscoveryTransport,
    RefusedAddressError,
    open_discovery_client,
)
from app.connections.discovery_provider import DiscoveredProvider
from app.connections.discovery_registration import register
from app.database.tables import discovered_clients, grants, quarantined_grants
from app.errors import CallbackRefusedError, ProviderError
from app.oauth.authorization import AuthorizationRequest
from app.oauth.description import ClientAuthentication, Endpoints
from app.oauth.id_token import account_of_id_token
from app.oauth.metadata import fetch_document
from app.principal import Principal
from app.sandbox.server import serve_loopback
from tests.fakes.discovered import FoundApp, GuardedOffice, connect, open_found
from tests.fakes.open_provider import Openness


def provider_of(found: FoundApp) -> DiscoveredProvider:
    """Return the provider of the deployment's server, as if nothing had been discovered yet."""
    provider = found.container.account_providers()["office"]
    assert isinstance(provider, DiscoveredProvider)
    provider._known = None
    return provider


async def nothing_is_kept(found: FoundApp) -> bool:
    """Return whether there is neither a grant, nor one in quarantine, nor a client."""
    async with found.container.database().reading() as connection:
        tables = (grants, quarantined_grants, discovered_clients)
        return [(await connection.execute(sa.select(table))).first() for table in tables] == [None] * 3


class Recording:
    """A server that records each request and answers with prepared answers."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.asked: list[str] = []
        self.answers = answers

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve it, and yield its address."""
        everything = Route("/{path:path}", self._answer, methods=["GET", "POST"])
        async with serve_loopback(Starlette(routes=[everything])) as root:
            yield root

    async def _answer(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.url.path}")
        answer = self.answers.get(request.url.path)
        if isinstance(answer, str):
            return RedirectResponse(answer, 302)
        return JSONResponse(answer) if answer is not None else Response(status_code=404)


@pytest.mark.parametrize(
    "resource",
    ["https://honest.example/mcp", "http://127.0.0.1:1/mcp", "{url}/deeper", "{url}?as=other", "", None],
    ids=["host", "port", "below", "query", "empty", "missing"],
)
async def test_metadata_that_is_about_another_server_is_refused(resource: str | None, tmp_path: Path) -> None:
    """Metadata about another server is refused (RFC 9728 section 3.3), because its tokens could be used there."""
    async with open_found(tmp_path) as found:
        named = None if resource is None else resource.format(url=found.office.url)
        found.office.metadata = {"resource": named, "authorization_servers": [found.hub.root]}

        with pytest.raises(ProviderError, match="about another server"):
            await provider_of(found).get_ready()
        assert await nothing_is_kept(found)


async def test_metadata_of_another_issuer_is_refused(tmp_path: Path) -> None:
    """An authorization server whose metadata names another issuer is not used (RFC 8414 section 3.3)."""
    liar = Recording({"/.well-known/oauth-authorization-server": {"issuer": "https://honest.example"}})
    async with open_found(tmp_path) as found, liar.serve() as root:
        found.office.metadata = {"resource": found.office.url, "authorization_servers": [root]}

        with pytest.raises(ProviderError, match="is another issuer's"):
            await provider_of(found).get_ready()
        assert await nothing_is_kept(found)


@pytest.mark.parametrize("methods", [("plain",), None], ids=["plain", "none"])
async def test_a_downgrade_of_pkce_is_refused(methods: tuple[str, ...] | None, tmp_path: Path) -> None:
    """An authorization server that does not list S256 is not used, and no client is registered there."""
    async with open_found(tmp_path, Openness(registers=True, challenges=methods)) as found:
        with pytest.raises(ProviderError, match="PKCE with S256"):
            await provider_of(found).get_ready()

        assert found.office.sandbox.registered == []
        assert await nothing_is_kept(found)


ITS_METADATA = (  # the addresses of one issuer's, in the order in which they are asked
    "/.well-known/oauth-authorization-server/tenant",
    "/.well-known/openid-configuration/tenant",
    "/tenant/.well-known/openid-configuration",
)


@pytest.mark.parametrize("address", ITS_METADATA)
async def test_redirects_of_an_authorization_servers_metadata_are_not_followed(address: str, tmp_path: Path) -> None:
    """A redirect at any address of an authorization server's metadata is not followed, and ends the search."""
    inside = Recording({})
    async with open_found(tmp_path) as found, inside.serve() as target:
        redirecting = Recording({address: f"{target}/secrets"})
        async with redirecting.serve() as root:
            found.office.metadata = {"resource": found.office.url, "authorization_servers": [f"{root}/tenant"]}
            with pytest.raises(ProviderError, match="redirects, which I do not follow"):
                await provider_of(found).get_ready()

        assert await nothing_is_kept(found)
    assert inside.asked == []
    assert redirecting.asked == [f"GET {each}" for each in ITS_METADATA[: ITS_METADATA.index(address) + 1]]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_of_an_mcp_servers_metadata_are_not_followed(status: int, tmp_path: Path) -> None:
    """A redirect of an MCP server's own metadata is not followed, although its target would be valid metadata."""
    inside = Recording({})
    async with open_found(tmp_path) as found, inside.serve() as target:
        inside.answers = {"/secrets": {"resource": found.office.url, "authorization_servers": [found.hub.root]}}
        found.office.metadata = RedirectResponse(f"{target}/secrets", status)
        with pytest.raises(ProviderError, match="redirects, which I do not follow"):
            await provider_of(found).get_ready()

        assert await nothing_is_kept(found)
    assert inside.asked == []


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """A compressed answer is refused, because a few kilobytes could expand to any number of megabytes."""

    async def bomb(request: Request) -> Response:
        return Response(gzip.compress(bytes(4 * MAX_BODY)), headers={"Content-Encoding": "gzip"})

    async with serve_loopback(Starlette(routes=[Route("/bomb", bomb)])) as root:
        transport = DiscoveryTransport(root)
        async with open_discovery_client(transport) as http:
            with pytest.raises(ProviderError, match="gave no answer"):
                await fetch_document(http, f"{root}/bomb", "Office")


def metadata_of(root: str, **changes: Any) -> dict[str, Any]:
    """Return an authorization server's valid metadata, with these changes."""
    return {
        "issuer": root,
        "authorization_endpoint": f"{root}/authorize",
        "token_endpoint": f"{root}/token",
        "registration_endpoint": f"{root}/register",
        "code_challenge_methods_supported": ["S256"],
        **changes,
    }


INSIDE = "http://169.254.169.254/latest/meta-data"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token_endpoint": INSIDE}, "is not an https address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "is not an https address"),
        ({"registration_endpoint": INSIDE}, "I do not ask"),
        ({"registration_endpoint": "https://169.254.169.254/"}, "I do not ask"),
        ({"revocation_endpoint": "https://10.0.0.1/"}, "I do not ask"),
        ({"jwks_uri": "https://[::ffff:192.168.0.1]/"}, "I do not ask"),
        ({"token_endpoint": "https://[64:ff9b::a9fe:a9fe]/"}, "I do not ask"),
    ],
)
async def test_metadata_that_points_into_the_network_is_refused(
    changes: dict[str, str], words: str, tmp_path: Path
) -> None:
    """An address inside the network that metadata names is never requested."""
    async with open_found(tmp_path) as found:
        liar = Recording({})
        async with liar.serve() as root:
            liar.answers = {"/.well-known/oauth-authorization-server": metadata_of(root, **changes)}
            found.office.metadata = {"resource": found.office.url, "authorization_servers": [root]}
            with pytest.raises(ProviderError, match=words):
                await provider_of(found).get_ready()

        assert liar.asked == ["GET /.well-known/oauth-authorization-server"]
        assert await nothing_is_kept(found)


@pytest.mark.parametrize("inside", ["http://127.0.0.1:1/", "https://localhost/", "https://192.168.1.1/"])
async def test_a_public_server_does_not_lead_to_this_machine(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public server cannot make Deputy request an address of this machine or its network, by any name."""

    async def public(url: str) -> list[str]:
        return ["93.184.216.34"] if "mcp.example" in url else [httpx2.URL(url).host.replace("localhost", "127.0.0.1")]

    monkeypatch.setattr(discovery_network, "_look_up", public)
    transport = DiscoveryTransport("https://mcp.example/mcp")

    with pytest.raises(RefusedAddressError):
        await transport.handle_async_request(httpx2.Request("GET", inside))
    assert await transport.addresses("https://mcp.example/") == ["93.184.216.34"]


@pytest.mark.parametrize("then", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1", "10.0.0.1"]], ids=["later", "beside"])
@pytest.mark.parametrize("inside", ["http://127.0.0.1:1/", "https://10.0.0.1/"])
async def test_a_public_server_does_not_move_into_the_network(
    inside: str, then: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public server that was asked before cannot move its own name to an address inside the network."""
    answers = [["93.184.216.34"]]

    async def moving(url: str) -> list[str]:
        if "mcp.example" in url:
            return answers.pop(0) if answers else then
        return [httpx2.URL(url).host]

    monkeypatch.setattr(discovery_network, "_look_up", moving)
    transport = DiscoveryTransport("https://mcp.example/mcp")
    await transport.addresses("https://mcp.example/mcp")

    with pytest.raises(RefusedAddressError, match="may not point to"):
        await transport.addresses(inside)


_NESTED = "[" * 100_000


@pytest.mark.parametrize(
    "answer",
    [
        _NESTED,
        {"resource": "https://["},
        {"authorization_servers": ["https://["]},
        {"authorization_servers": ["https://a:b/"]},
        {"authorization_servers": ["https://a.example/\x01"]},
        {"authorization_servers": ["https://a\0b/"]},
        {"authorization_servers": [f"https://a.example/{'a' * 70_000}"]},
    ],
)
async def test_metadata_that_makes_no_sense_is_a_fault_of_the_server(answer: Any, tmp_path: Path) -> None:
    """Malformed metadata of a server raises the usual error and no other."""
    async with open_found(tmp_path) as found:
        root = found.hub.root
        whole = {"resource": found.office.url, "authorization_servers": [root]}
        found.office.metadata = answer if isinstance(answer, str) else {**whole, **answer}

        with pytest.raises(ProviderError):
            await provider_of(found).get_ready()
        assert await nothing_is_kept(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ["{root}"]},
        {"issuer": {}},
        {"authorization_endpoint": "https://["},
        {"token_endpoint": "https://a:b/"},
        {"registration_endpoint": "https://a.example/\x01"},
        {"jwks_uri": "https://a:99999/"},
    ],
)
async def test_an_authorization_server_that_makes_no_sense_is_not_used(changes: dict[str, Any], tmp_path: Path) -> None:
    """An authorization server with malformed metadata is not used."""
    async with open_found(tmp_path) as found:
        liar = Recording({})
        async with liar.serve() as root:
            liar.answers = {"/.well-known/oauth-authorization-server": metadata_of(root, **changes)}
            found.office.metadata = {"resource": found.office.url, "authorization_servers": [root]}
            with pytest.raises(ProviderError):
                await provider_of(found).get_ready()

        assert await nothing_is_kept(found)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"client_id": "a", "token_endpoint_auth_method": []}',
        b'{"client_id": []}',
        _NESTED.encode(),
        b'{"client_id": "a", "redirect_uris": {}}',
    ],
)
async def test_a_registration_that_makes_no_sense_is_refused(answer: bytes) -> None:
    """A malformed answer to a registration raises the usual error and no other."""
    async with httpx2.AsyncClient(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(201, content=answer))
    ) as http:
        with pytest.raises(ProviderError, match="another client"):
            await register(
                http,
                "https://a.example/register",
                "Office",
                redirect_uri="https://deputy.example/callback",
                public_url="https://deputy.example",
                authentications=(ClientAuthentication.NONE,),
            )


@pytest.mark.parametrize("number", ["1e999", "-1", "1" + "0" * 400, '"soon"', "true", "null", "0"])
async def test_a_secret_that_ends_at_no_time_does_not_end(number: str) -> None:
    """A client secret does not expire if its expiry is 0 (RFC 7591) or malformed."""
    answer = f'{{"client_id": "a", "client_secret_expires_at": {number}}}'.encode()
    async with httpx2.AsyncClient(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(201, content=answer))
    ) as http:
        client = await register(
            http,
            "https://a.example/register",
            "Office",
            redirect_uri="https://deputy.example/callback",
            public_url="https://deputy.example",
            authentications=(ClientAuthentication.NONE,),
        )

    assert client == OAuthClient("a", ClientAuthentication.NONE)


@pytest.mark.parametrize("keys", [b"[]", b'{"keys": "abc"}', b'{"keys": [1]}', _NESTED.encode(), b"\xff"])
async def test_keys_that_make_no_sense_prove_nothing(keys: bytes) -> None:
    """An id_token that cannot be checked, because the keys are malformed, is refused like any other wrong one."""
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=keys))) as http:
        with pytest.raises(CallbackRefusedError, match="is not signed by Office"):
            await account_of_id_token(
                http,
                "e30.e30.aa",
                Endpoints(
                    "https://a.example/authorize", "", issuer="https://a.example", certs="https://a.example/keys"
                ),
                "Office",
                client_id="deputy",
                nonce="nonce",
                subject_claims=("sub",),
            )


async def test_a_token_of_another_server_is_neither_sent_nor_taken(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Of two servers that share an authorization server, each is sent its own tokens only, and refuses the other's."""
    async with open_found(tmp_path, with_annex=True) as found:
        office, annex = found.office, found.annex
        assert annex is not None
        for text in ("who am I", "annex_who am I"):
            await connect(found, ada, grace, text=text)
        for person in (ada, grace):  # now that each holds a token for either
            await found.ask(person, "who again")
            await found.ask(person, "annex_who again")
        issued = {
            server.url: {
                token: grant.account
                for grant in office.sandbox.state.grants
                if office.sandbox.resource_of(grant) == server.url
                for token in grant.access
            }
            for server in (office, annex)
        }
        sent = [set(office.bearers), set(annex.bearers)]
        refused = [
            await _list_tools(server, token)
            for server, other in ((office, annex), (annex, office))
            for token in issued[other.url]
        ]

    assert [sorted(tokens.values()) for tokens in issued.values()] == [["ada", "grace"]] * 2
    assert sent == [set(tokens) for tokens in issued.values()]
    assert refused == [401] * 4
    assert len(office.calls) == len(annex.calls) == 4


async def _list_tools(server: GuardedOffice, token: str) -> int:
    """Ask a server for its tools with this token, bypassing Deputy, and return the answer's status."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient() as http:
        return (await http.post(server.url, json=call, headers=headers)).status_code


@pytest.mark.parametrize("issuer", ["https://evil.example", ""], ids=["another", "none"])
async def test_an_answer_of_another_issuer_is_refused(
    issuer: str, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """An answer with a wrong or missing issuer (RFC 9207) is not redeemed, even before the process has the metadata."""
    async with open_found(tmp_path) as found:
        for who in (ada, grace):
            async with found.hub.browser() as browser:
                page = await found.hub.authorize(browser, await found.hub.link(who, "connect office"))
                head, _, rest = (await found.hub.allow(page, who.user)).partition("&iss=")
                forged = f"{head}&{rest.partition('&')[2]}" + (f"&iss={issuer}" if issuer else "")
                provider_of(found)
                before = list(found.office.sandbox.token_calls)
                answer = await browser.get(forged)

            assert (answer.status_code, "his answer is not from Office" in answer.text) == (400, True)
            # Only the check of the client itself may have called the token endpoint, and no person's code was redeemed.
            assert len(found.office.sandbox.state.codes) == (1 if who is ada else 2)
            assert len(found.office.sandbox.token_calls) - len(before) <= 1


async def test_a_server_that_names_another_authorization_server_later_gets_nobodys_token(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A new authorization server gets no code or refresh token of anybody before an administrator has accepted it."""
    async with open_found(tmp_path) as found:
        await connect(found, ada, grace)
        evil = Recording({})
        async with evil.serve() as root:
            evil.answers = {"/.well-known/oauth-authorization-server": metadata_of(root)}
            found.office.metadata = {"resource": found.office.url, "authorization_servers": [root]}
            with pytest.raises(ProviderError, match="deputy mcp accept office"):
                await provider_of(found).refresh("anything")
            asked = list(evil.asked)
            accepted = await provider_of(found).accept()
            async with found.container.database().reading() as connection:
                left = (await connection.execute(sa.select(grants.c.state, grants.c.sealed_tokens))).all()

    assert asked == ["GET /.well-known/oauth-authorization-server"]
    assert accepted == (root, 2)
    assert [tuple(row) for row in left] == [("revoked", "")] * 2
    assert "POST /token" not in evil.asked


async def test_no_process_goes_on_with_the_former_authorization_server(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Once a command has accepted a new authorization server, other processes send people there as well."""
    async with open_found(tmp_path) as found:
        await connect(found, ada, grace)
        provider = found.container.account_providers()["office"]
        assert isinstance(provider, DiscoveredProvider)
        await provider.get_ready()
        other = Recording({})
        async with other.serve() as root:
            other.answers = {
                "/.well-known/oauth-authorization-server": metadata_of(root),
                "/register": {"client_id": "deputy-there", "client_secret": "secret"},
            }
            found.office.metadata = {"resource": found.office.url, "authorization_servers": [root]}
            await DiscoveredClients(found.container.database(), found.container.key_ring()).accept_issuer(
                "office", root
            )
            await provider.get_ready()
            asked = AuthorizationRequest(frozenset(), state="state", nonce="nonce", code_challenge="challenge")

            assert provider.authorization_url(asked).startswith(f"{root}/authorize?")
