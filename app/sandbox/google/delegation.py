"""Domain-wide delegation at the sandbox: service accounts, and the assertions with which they act as people.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.sandbox.google.grants import Issued, OAuthError, SandboxGrants, scopes_of
from app.sandbox.people import SandboxPeople

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLES_AUDIENCE = "https://oauth2.googleapis.com/token"  # google-auth signs for this one, no matter where it posts
MAX_ASSERTION_SECONDS = 3600
CLOCK_SKEW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class DelegatedAccount:
    """A service account, and the scopes that a Workspace administrator has delegated to it.

    Attributes:
        email: Its own address, the issuer of its assertions.
        client_id: The id that an administrator enters at admin.google.com, 21 digits.
        private_key: Signs its assertions; Google itself keeps only the public half.
        key_id: The key's id, 40 hexadecimal digits.
        domain: The Workspace's domain; the account cannot act as anybody outside it.
        scopes: The OAuth scopes that are delegated.
    """

    email: str
    client_id: str
    private_key: RSAPrivateKey = field(repr=False)
    key_id: str
    domain: str
    scopes: frozenset[str]

    @classmethod
    def delegated(cls, domain: str, scopes: Sequence[str]) -> DelegatedAccount:
        """Return a new service account with a new key, which takes a tenth of a second to make."""
        return cls(
            email="deputy@sandbox.iam.gserviceaccount.example",
            client_id="1" + f"{uuid.uuid4().int % 10**20:020d}",
            private_key=generate_private_key(public_exponent=65537, key_size=2048),
            key_id=uuid.uuid4().hex + "00000000",
            domain=domain,
            scopes=frozenset(scopes),
        )

    def key(self) -> str:
        """Return the JSON key in the form of Google's console."""
        pem = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "sandbox",
                "private_key_id": self.key_id,
                "private_key": pem.decode(),
                "client_email": self.email,
                "client_id": self.client_id,
                "token_uri": GOOGLES_AUDIENCE,
                "universe_domain": "googleapis.com",
            }
        )

    def public_key(self) -> bytes:
        """Return the key that verifies its assertions, PEM."""
        return self.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Delegation:
    """Exchanges assertions for access tokens. Lives with the sandbox."""

    def __init__(
        self,
        accounts: Sequence[DelegatedAccount],
        people: SandboxPeople,
        grants: SandboxGrants,
        now: Callable[[], float],
    ) -> None:
        self._accounts = {account.email: account for account in accounts}
        self._people = people
        self._grants = grants
        self._now = now

    def exchange(self, assertion: str, audience: str) -> Issued:
        """Return an access token that acts as the assertion's subject, for exactly the scopes in it.

        Raises:
            OAuthError: The assertion is not signed by a service account for this endpoint and this time, its subject
                has no account in the delegated domain, or a scope is not delegated.
        """
        account = self._accounts.get(str(self._claims_unverified(assertion).get("iss")))
        if account is None:
            raise OAuthError("invalid_grant", "Invalid grant: account not found")
        claims = self._verified(assertion, account, audience)
        subject, scopes = str(claims.get("sub", "")), scopes_of(str(claims.get("scope", "")))
        if not scopes or not set(scopes) <= account.scopes:
            raise OAuthError(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any "
                "of the scopes requested.",
                401,
            )
        if subject not in self._people or subject.rpartition("@")[2] != account.domain:
            raise OAuthError("invalid_grant", "Invalid email or User ID")
        return self._grants.delegate(subject, scopes)

    def _claims_unverified(self, assertion: str) -> dict[str, Any]:
        """Return the assertion's unverified claims, which are only used to find the key."""
        try:
            claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise OAuthError("invalid_grant", "Invalid JWT: Failed to decode") from None
        return claims

    def _verified(self, assertion: str, account: DelegatedAccount, audience: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion,
                account.public_key(),
                ["RS256"],
                audience=[audience, GOOGLES_AUDIENCE],
                options={  # the times are checked below, on the sandbox's clock and not the system's
                    "require": ["iat", "exp", "aud"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            issued_at, ends_at = int(claims["iat"]), int(claims["exp"])
        except jwt.InvalidSignatureError:
            raise OAuthError("invalid_grant", "Invalid JWT Signature.") from None
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise OAuthError("invalid_grant", "Invalid JWT: check your iat, exp and aud.") from None
        at = self._now()
        if not (issued_at <= at + CLOCK_SKEW_SECONDS and at < ends_at + CLOCK_SKEW_SECONDS):
            raise OAuthError("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)")
        if ends_at - issued_at > MAX_ASSERTION_SECONDS:
            raise OAuthError("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)")
        return claims
