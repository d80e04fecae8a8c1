"""In what one provider differs from another, as switches of the sandbox's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the provider's endpoints are."""

    authorize: str = "/login/oauth/authorize"
    token: str = "/login/oauth/access_token"  # noqa: S105  # a path
    revoke: str = "/revoke"
    certs: str = "/certs"
    whoami: str = "/user"


@dataclass(frozen=True, slots=True)
class Differences:
    """The switches; the defaults are those of a GitHub OAuth app.

    Attributes:
        paths: Where its endpoints are.
        refreshes: Whether there is a refresh token, and the access token ends.
        rotates: Whether each refresh replaces the refresh token and ends the access token before; using an old refresh
            token again ends the whole grant.
        expires_in: How the lifetime is written: as a number, as text, or not at all.
        scopes: How the granted OAuth scopes are written: parted by spaces, by commas, as a list, or not at all.
        scope_parameter: The parameter of the consent page that lists them.
        separator: The character that has to part them there.
        drops_implied: Whether an answer leaves out the scopes that another one of it permits.
        unsaid: The OAuth scopes that an answer never names.
        unscoped: Whether what a token may do is a matter of the client's own settings, and answers name no scope.
        needs: The OAuth scope without which there is no refresh token.
        revocation: How grants are ended: not at all, by RFC 7009, by GitHub's `DELETE` under a living access token,
            which ends all of them, or by Slack's `auth.revoke` with a living access token as the bearer.
        revokes_refresh_tokens: Whether RFC 7009's endpoint knows refresh tokens.
        has_repositories: Whether the repositories of the account API ask for GitHub's OAuth scopes.
        names: Where the account is named: at an endpoint, in an id_token, in the token answer, by Slack's `auth.test`
            or by GraphQL.
        tenant: The directory of all accounts; its issuer and its id_tokens name it as Microsoft's do.
        parameters: The parameters that the consent page has to be asked with.
        headers: The headers of every request to the token and revocation endpoints, in lower case.
        issuer: Whether callbacks have an `iss` (RFC 9207), and the metadata says so.
        client_authentication: The only way in which the client may say who it is.
        pkce: Whether a code challenge is needed.
        as_json: Whether requests for tokens are JSON.
        as_form: Whether answers for tokens are a form unless JSON is accepted by its name.
        nested: The field of the first answer that holds the person's tokens; a refresh is answered without it.
        errors_with_200: Whether errors of the token endpoint have the status 200, as GitHub's do.
        refusals: The errors for a wrong code and for a wrong refresh token.
        lifetime_seconds: Of an access token that ends.
        prefixes: How access tokens and refresh tokens begin.
    """

    paths: Paths = Paths()
    refreshes: bool = False
    rotates: bool = False
    expires_in: Literal["number", "text", "missing"] = "number"
    scopes: Literal["spaces", "commas", "list", "missing"] = "commas"
    scope_parameter: str = "scope"
    separator: str | None = None
    drops_implied: bool = False
    unsaid: frozenset[str] = frozenset()
    unscoped: bool = False
    needs: str = ""
    revocation: Literal["none", "rfc7009", "github", "slack"] = "github"
    revokes_refresh_tokens: bool = True
    has_repositories: bool = True
    names: Literal["endpoint", "id_token", "answer", "auth.test", "graphql"] = "endpoint"
    tenant: str = ""
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    headers: tuple[str, ...] = ()
    issuer: bool = False
    client_authentication: Literal["basic", "post", "none"] = "post"
    pkce: bool = True
    as_json: bool = False
    as_form: bool = True
    nested: str = ""
    errors_with_200: bool = True
    refusals: tuple[str, str] = ("invalid_grant", "invalid_grant")
    lifetime_seconds: float = 3600.0
    prefixes: tuple[str, str] = ("gho_", "ghr_")


GITHUB = Differences(refusals=("bad_verification_code", "bad_refresh_token"))

# https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
GITHUB_APP = replace(
    GITHUB,
    refreshes=True,
    rotates=True,
    unscoped=True,
    has_repositories=False,
    lifetime_seconds=28_800.0,
    prefixes=("ghu_", "ghr_"),
)

# https://docs.slack.dev/authentication/installing-with-oauth and https://docs.slack.dev/authentication/using-token-rotation
SLACK = Differences(
    paths=Paths("/oauth/v2/authorize", "/api/oauth.v2.access", "/api/auth.revoke", whoami="/api/auth.test"),
    refreshes=True,
    rotates=True,
    scope_parameter="user_scope",
    separator=",",
    revocation="slack",
    names="auth.test",
    has_repositories=False,
    client_authentication="basic",
    pkce=False,
    as_form=False,
    nested="authed_user",
    refusals=("invalid_code", "invalid_refresh_token"),
    lifetime_seconds=43_200.0,
    prefixes=("xoxe.xoxp-1-", "xoxe-1-"),
)
SLACK_UNROTATED = replace(SLACK, refreshes=False, rotates=False, prefixes=("xoxp-", ""))

# https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow
MICROSOFT = Differences(
    paths=Paths(
        "/common/oauth2/v2.0/authorize",
        "/common/oauth2/v2.0/token",
        certs="/common/discovery/v2.0/keys",
        whoami="/v1.0/me",
    ),
    refreshes=True,
    scopes="spaces",
    separator=" ",
    unsaid=frozenset({"offline_access"}),
    needs="offline_access",
    revocation="none",
    has_repositories=False,
    names="id_token",
    tenant="9d2c1f00-5a1b-4c1e-8f39-3f2b1a7c6d5e",
    as_form=False,
    errors_with_200=False,
    lifetime_seconds=4_500.0,
    prefixes=("EwB", "M.C5"),
)

# https://developers.notion.com/docs/authorization and https://developers.notion.com/reference/revoke-token
NOTION = Differences(
    paths=Paths("/v1/oauth/authorize", "/v1/oauth/token", "/v1/oauth/revoke"),
    refreshes=True,
    rotates=True,
    expires_in="missing",
    scopes="missing",
    revocation="rfc7009",
    revokes_refresh_tokens=False,
    has_repositories=False,
    names="answer",
    parameters=MappingProxyType({"owner": "user"}),
    headers=("notion-version",),
    client_authentication="basic",
    pkce=False,
    as_json=True,
    as_form=False,
    errors_with_200=False,
    prefixes=("ntn_", "nrt_"),
)

# https://linear.app/developers/oauth-2-0-authentication
LINEAR = Differences(
    paths=Paths("/oauth/authorize", "/oauth/token", "/oauth/revoke", whoami="/graphql"),
    refreshes=True,
    rotates=True,
    scopes="spaces",
    separator=",",
    revocation="rfc7009",
    has_repositories=False,
    names="graphql",
    as_form=False,
    errors_with_200=False,
    lifetime_seconds=86_399.0,
    prefixes=("lin_oauth_", "lin_refresh_"),
)
