"""How the sandbox's provider writes its answers: tokens, and whose account they are of."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from app.sandbox.oauth.differences import Differences
from app.sandbox.oauth.state import AppGrant

IMPLIED = {"repo": {"public_repo", "repo:status"}, "user": {"read:user", "user:email"}}
TEAM = {"id": "T0HUB", "name": "Hub Inc"}
_KEY_ID = "sandbox"


class Answers:
    """Writes answers as the differences say; lives with the sandbox."""

    def __init__(self, differences: Differences, client_id: str) -> None:
        self._differs = differences
        self._client_id = client_id

    def tokens(self, grant: AppGrant, root: str, now: float, *, first: bool) -> dict[str, Any]:
        """Return the answer of the token endpoint for a grant that has just been given new tokens.

        Args:
            grant: The grant.
            root: The provider's address.
            now: The time, POSIX seconds.
            first: Whether a code was redeemed.
        """
        differs = self._differs
        answer: dict[str, Any] = {"access_token": next(reversed(grant.access)), "token_type": "bearer"}
        if (told := self._scopes(grant.scopes)) is not None:
            answer["scope"] = told
        if grant.refresh is not None:
            answer["refresh_token"] = grant.refresh
            lifetime = int(differs.lifetime_seconds)
            if differs.expires_in != "missing":
                answer["expires_in"] = str(lifetime) if differs.expires_in == "text" else lifetime
        if differs.names == "answer":
            person = {"email": f"{grant.account}@hub.example"}
            user = {"object": "user", "id": f"id-{grant.account}", "name": grant.account, "person": person}
            answer["owner"] = {"type": "user", "user": user} if grant.personal else {"workspace": True}
            answer |= {"workspace_id": "workspace-1", "workspace_name": "Hub Inc", "bot_id": f"bot-{grant.number}"}
        if differs.names == "id_token" and first:
            answer["id_token"] = self._id_token(grant, root, int(now))
        if differs.nested and first:
            user_tokens = {"id": f"U{grant.account}", **answer, "token_type": "user"}
            return {"ok": True, "app_id": "A1", differs.nested: user_tokens, "team": TEAM, "enterprise": None}
        return {"ok": True, **answer, "token_type": "user", "team": TEAM} if differs.nested else answer

    def certs(self) -> dict[str, Any]:
        """Return the JWK set of the id_tokens."""
        public = RSAAlgorithm.to_jwk(_signing_key().public_key(), as_dict=True)
        return {"keys": [{**public, "kid": _KEY_ID, "use": "sig", "alg": "RS256"}]}

    def issuer(self, root: str) -> str:
        """Return the issuer of the id_tokens."""
        return f"{root}/{self._differs.tenant}/v2.0" if self._differs.tenant else root

    def _scopes(self, granted: Collection[str]) -> str | list[str] | None:
        """Return how the answer names the granted OAuth scopes; None if it does not."""
        told = sorted(set(granted) - self._differs.unsaid)
        if self._differs.drops_implied:
            told = [each for each in told if not any(each in IMPLIED.get(other, ()) for other in told)]
        if self._differs.unscoped:
            return ""
        match self._differs.scopes:
            case "spaces":
                return " ".join(told)
            case "commas":
                return ",".join(told)
            case "list":
                return told
        return None

    def _id_token(self, grant: AppGrant, root: str, now: int) -> str:
        claims: dict[str, Any] = {"iss": self.issuer(root), "aud": self._client_id, "iat": now, "exp": now + 300}
        claims |= {"nonce": grant.nonce, "sub": f"id-{grant.account}"}
        if self._differs.tenant:
            oid = f"0000-{grant.account}"
            claims |= {"tid": self._differs.tenant, "oid": oid, "preferred_username": f"{grant.account}@hub.example"}
            claims |= {"sub": f"pairwise-{grant.account}", "email": "somebody@else.example"}  # anybody can set that
        else:
            claims |= {"email": f"{grant.account}@hub.example", "email_verified": True}
        return jwt.encode(claims, _signing_key(), algorithm="RS256", headers={"kid": _KEY_ID})


@cache
def _signing_key() -> RSAPrivateKey:
    """Return the key that signs every id_token: one per process, because making one takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)
