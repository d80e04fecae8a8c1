"""The request that leads to a consent page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One sign-in at a consent page, as every provider is asked for it (RFC 6749 section 4.1.1).

    Attributes:
        oauth_scopes: The OAuth scopes to ask for; the provider adds those that it asks for with every sign-in.
        state: Returned to the redirect URI.
        nonce: Returned in the id_token, where there is one.
        code_challenge: The S256 challenge, from `app.oauth.pkce.code_challenge`.
        login_hint: The address or subject of the account that should be chosen.
        include_granted_scopes: Whether the grant includes everything that the account granted before, where the
            provider adds that only if it is asked. Only to widen a connected account: on a first link, a forwarded link
            would get what its victim once granted.
    """

    oauth_scopes: frozenset[str]
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_challenge: str
    login_hint: str | None = None
    include_granted_scopes: bool = False
