"""A grant as a value: what one person's consent yielded for one account, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.oauth.provider import GOOGLE
from app.principal import Principal


class GrantState(StrEnum):
    """Where a grant stands."""

    ACTIVE = "active"  # proven and usable
    ENDING = "ending"  # given out no more; its tokens are kept until it has been ended at Google
    REVOKED = "revoked"  # over; its tokens are erased


@dataclass(frozen=True, slots=True)
class Grant:
    """One person's grant, opened. Lives within one request; its tokens show in no `repr`.

    Attributes:
        grant_id: 32 hexadecimal digits.
        subject: The account's stable id at its provider.
        granted_scopes: The scopes that the provider granted, which may be less than was asked for.
        refresh_token: None where the provider gives none.
        expires_at: When the access token ends, POSIX seconds.
        version: Counts every change of the tokens; a change says which version it saw.
    """

    grant_id: str
    principal: Principal
    subject: str
    email: str
    granted_scopes: frozenset[str]
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float
    version: int
    provider: str = GOOGLE

    @property
    def credential_id(self) -> str:
        """The grant's name in the audit trail."""
        return self.grant_id
