"""A provider of accounts as data: everything in which one authorization server differs from another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

TENANT = "{tenantid}"


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
        issuer: The `iss` of its callbacks (RFC 9207) and id_tokens; None if it names none. ``{tenantid}`` in it stands
            for the directory of the account, which an id_token names as its `tid`.
        certs: The JWK set (RFC 7517) of its id_tokens.
        says_issuer: Whether every callback has to have an `iss`.
    """

    authorize: str
    token: str
    revoke: str | None = None
    issuer: str | None = None
    certs: str | None = None
    says_issuer: bool = False

    def is_issuer(self, issuer: str) -> bool:
        """Return whether this is the issuer, of whatever directory; True if it names none."""
        if self.issuer is None:
            return True
        before, template, after = self.issuer.partition(TENANT)
        if not template:
            return issuer == self.issuer
        tenant = issuer.removeprefix(before).removesuffix(after)
        return bool(re.fullmatch(r"[0-9a-f-]{1,64}", tenant)) and issuer == f"{before}{tenant}{after}"


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
        subject_claims: The claims of an id_token that together are the account's stable id.
        pkce: Whether it takes a code challenge.
        revocation: How a grant is ended.
        revokes_access_tokens: Whether a revocation takes a living access token alone, and no refresh token.
        ends_all: Whether that ends everything that the account granted to this client.
        asks_json: Whether its token endpoint takes JSON in the place of a form.
        scope_parameter: The parameter of the consent page that lists the OAuth scopes.
        scope_separator: The text between them there; in answers spaces and commas do.
        scope_prefix: The text that its answers put before some of the scopes.
        unscoped_prefix: How access tokens begin that no OAuth scope limits, because the client's own settings say what
            they may do: with one, everything that was asked for counts as granted. "" if it has no such tokens.
        sign_in_scopes: The scopes asked for with every sign-in.
        permits: Each OAuth scope that permits others, and those.
        words: What OAuth scopes permit, in words.
        parameters: Further parameters of the consent page.
        answer: The field of a token answer that holds the person's tokens; "" for the answer itself.
        headers: Further headers of every request to it.
        manage_url: The page on which people remove access themselves.
        resource: The only API that its tokens are for (RFC 8707); "" where the provider has just one.
    """

    title: str
    endpoints: Endpoints | None
    whoami: WhoAmI | None
    api: tuple[str, ...]
    discover: str | None = None
    client_authentication: ClientAuthentication = ClientAuthentication.POST
    subject_claims: tuple[str, ...] = ("sub",)
    pkce: bool = True
    revocation: RevocationWay = RevocationWay.NONE
    revokes_access_tokens: bool = False
    ends_all: bool = False
    asks_json: bool = False
    scope_parameter: str = "scope"
    scope_separator: str = " "
    scope_prefix: str = ""
    unscoped_prefix: str = ""
    sign_in_scopes: tuple[str, ...] = ()
    permits: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    words: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    answer: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    manage_url: str | None = None
    resource: str = ""
