"""A provider of accounts as data: everything in which one authorization server differs from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class ClientAuthentication(StrEnum):
    """How the client proves to the token endpoint who it is: RFC 6749 section 2.3.1."""

    BASIC = "basic"  # in the Authorization header
    POST = "post"  # in the form
    NONE = "none"  # a public client, by its id alone


class RevocationWay(StrEnum):
    """How a grant is ended at the provider."""

    NONE = "none"  # it cannot be
    RFC7009 = "rfc7009"  # the token is posted with the client's authentication
    GITHUB = "github"  # DELETE /applications/{client_id}/grant: everything that the account granted to this client
    SLACK = "slack"  # auth.revoke, under the token itself


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider's OAuth is.

    Attributes:
        authorize: The consent page.
        token: Where tokens are issued and renewed.
        revoke: Where grants are ended; None if nowhere.
        issuer: The `iss` of its callbacks (RFC 9207) and id_tokens; None if it names none.
        certs: The JWK set (RFC 7517) of its id_tokens.
        says_issuer: Whether every callback has to have an `iss`.
    """

    authorize: str
    token: str
    revoke: str | None = None
    issuer: str | None = None
    certs: str | None = None
    says_issuer: bool = False


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """Where a provider says whose account it is; if there is no `url`, in the token answer itself.

    Attributes:
        url: An endpoint that is asked under the access token.
        query: Posted there as a GraphQL query; None asks with GET.
        subject: The dotted paths of the fields that together are the account's stable id.
        shown: The dotted paths of the fields by which its person knows it; the first one that is there counts.
    """

    url: str | None
    subject: tuple[str, ...]
    shown: tuple[str, ...]
    query: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderDescription:
    """One provider. Lives as long as the process.

    Attributes:
        title: Its name for people.
        endpoints: Where its OAuth is; None if it says so itself at `discover`.
        discover: The issuer whose metadata says where (RFC 8414, or OpenID Connect Discovery).
        whoami: Where it says whose account it is; None: in an id_token.
        api: The only addresses that a person's token is sent to, such as ``https://api.github.com``.
        client_authentication: How the client proves who it is.
        pkce: Whether it takes a code challenge.
        revocation: How a grant is ended.
        ends_all: Whether that ends everything that the account granted to this client.
        asks_json: Whether its token endpoint takes JSON in the place of a form.
        scope_parameter: The parameter of the consent page that lists the OAuth scopes.
        scope_separator: What parts them there; in answers spaces and commas do.
        scope_prefix: What its answers write before some of the scopes.
        sign_in_scopes: What is asked for with every sign-in.
        permits: Each OAuth scope that permits others, and those.
        words: What OAuth scopes permit, in words.
        parameters: Further parameters of the consent page.
        answer: The field of a token answer that holds the person's tokens; "" for the answer itself.
        headers: Further headers for `whoami`.
        manage_url: The page on which people remove access themselves.
    """

    title: str
    endpoints: Endpoints | None
    whoami: WhoAmI | None
    api: tuple[str, ...]
    discover: str | None = None
    client_authentication: ClientAuthentication = ClientAuthentication.POST
    pkce: bool = True
    revocation: RevocationWay = RevocationWay.NONE
    ends_all: bool = False
    asks_json: bool = False
    scope_parameter: str = "scope"
    scope_separator: str = " "
    scope_prefix: str = ""
    sign_in_scopes: tuple[str, ...] = ()
    permits: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    words: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    answer: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    manage_url: str | None = None
