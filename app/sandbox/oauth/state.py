"""The sandbox provider's memory: codes, grants and their tokens."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import secrets
from dataclasses import dataclass, field

from app.sandbox.oauth.differences import Differences

CODE_SECONDS = 60.0


class RefusedError(Exception):
    """The provider refuses a request; `code` is RFC 6749's."""

    def __init__(self, code: str, status: int = 400) -> None:
        self.code = code
        self.status = status
        super().__init__(code)


@dataclass
class AppGrant:
    """One account's grant to the client.

    Attributes:
        number: Of this grant, in the order of the consents.
        personal: Whether it is the account's alone, and not its whole workspace's.
        access: The living access tokens, and when each ends.
        refresh: The living refresh token, if there is one.
        used: The refresh tokens that were replaced.
    """

    account: str
    scopes: frozenset[str]
    nonce: str = ""
    number: int = 0
    personal: bool = True
    access: dict[str, float] = field(default_factory=dict)
    refresh: str | None = None
    used: set[str] = field(default_factory=set)
    ended: bool = False


@dataclass
class IssuedCode:
    """A code that a person's consent gave, for one exchange."""

    grant: AppGrant
    redirect_uri: str
    challenge: str
    ends_at: float


class ProviderState:
    """Codes and grants. Lives with the sandbox."""

    def __init__(self, differences: Differences) -> None:
        self._differences = differences
        self.codes: dict[str, IssuedCode] = {}
        self._numbers = itertools.count(1)
        self.grants: list[AppGrant] = []

    def consent(
        self,
        account: str,
        scopes: frozenset[str],
        *,
        redirect_uri: str,
        challenge: str,
        nonce: str,
        personal: bool,
        now: float,
    ) -> str:
        """Return a code for this account's consent."""
        code = secrets.token_urlsafe(20)
        grant = AppGrant(account, scopes, nonce, next(self._numbers), personal)
        self.codes[code] = IssuedCode(grant, redirect_uri, challenge, now + CODE_SECONDS)
        return code

    def exchange(self, code: str, redirect_uri: str, verifier: str, now: float) -> AppGrant:
        """Return the grant of a code, which cannot be used again.

        Raises:
            RefusedError: The code is unknown, used or over, or the redirect URI or verifier is another one.
        """
        issued = self.codes.pop(code, None)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        proven = not issued or secrets.compare_digest(hashed if issued.challenge else verifier, issued.challenge)
        if issued is None or issued.ends_at < now or issued.redirect_uri != redirect_uri or not proven:
            raise RefusedError(self._differences.refusals[0])
        self.grants.append(issued.grant)
        return self._renewed(issued.grant, now)

    def refresh(self, token: str, now: float) -> AppGrant:
        """Return the grant of a refresh token, with new tokens; a token that was replaced ends the grant.

        Raises:
            RefusedError: The token is unknown, was replaced, or its grant has ended.
        """
        for grant in self.grants:
            if token in grant.used:
                self.end(grant)
            if grant.refresh == token and not grant.ended:
                return self._renewed(grant, now)
        raise RefusedError(self._differences.refusals[1])

    def find(self, token: str, now: float) -> AppGrant | None:
        """Return the grant that an access token stands for, while it is good."""
        found = (grant for grant in self.grants if not grant.ended and grant.access.get(token, 0.0) > now)
        return next(found, None)

    def owner(self, token: str, *, refresh: bool) -> AppGrant | None:
        """Return the grant that an access token, or a refresh token too, belongs to, while the grant has not ended."""
        living = (each for each in self.grants if not each.ended)
        return next((each for each in living if token in each.access or (refresh and token == each.refresh)), None)

    def end(self, grant: AppGrant) -> None:
        """End a grant and all of its tokens."""
        grant.ended, grant.refresh = True, None
        grant.access.clear()

    def _renewed(self, grant: AppGrant, now: float) -> AppGrant:
        differs = self._differences
        refreshes = differs.refreshes and (not differs.needs or differs.needs in grant.scopes)
        if differs.rotates and grant.refresh is not None:
            grant.access.clear()
        access, refresh = differs.prefixes
        grant.access[f"{access}{secrets.token_urlsafe(24)}"] = now + differs.lifetime_seconds if refreshes else math.inf
        if refreshes and (grant.refresh is None or differs.rotates):
            if grant.refresh is not None:
                grant.used.add(grant.refresh)
            grant.refresh = f"{refresh}{secrets.token_urlsafe(24)}"
        return grant
