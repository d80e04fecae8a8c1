"""In what one provider differs from another, as switches of the sandbox's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Differences:
    """The switches; the defaults are those of a GitHub OAuth app.

    Attributes:
        refreshes: Whether there is a refresh token, and the access token ends.
        rotates: Whether each refresh replaces the refresh token; using an old one again ends the whole grant.
        expires_in: How the lifetime is written: as a number, as text, or not at all.
        scopes: How the granted OAuth scopes are written: parted by spaces, by commas, as a list, or not at all.
        drops_implied: Whether an answer leaves out the scopes that another one of it permits.
        revocation: How grants are ended: not at all, by RFC 7009, or by GitHub's `DELETE`, which ends all of them.
        names: Where the account is named: at an endpoint, in an id_token, or in the token answer.
        issuer: Whether callbacks have an `iss` (RFC 9207), and the metadata says so.
        client_authentication: The only way in which the client may say who it is.
        as_json: Whether requests for tokens are JSON.
        errors_with_200: Whether errors of the token endpoint have the status 200, as GitHub's do.
        lifetime_seconds: Of an access token that ends.
    """

    refreshes: bool = False
    rotates: bool = False
    expires_in: Literal["number", "text", "missing"] = "number"
    scopes: Literal["spaces", "commas", "list", "missing"] = "commas"
    drops_implied: bool = False
    revocation: Literal["none", "rfc7009", "github"] = "github"
    names: Literal["endpoint", "id_token", "answer"] = "endpoint"
    issuer: bool = False
    client_authentication: Literal["basic", "post", "none"] = "post"
    as_json: bool = False
    errors_with_200: bool = True
    lifetime_seconds: float = 3600.0


GITHUB = Differences()
