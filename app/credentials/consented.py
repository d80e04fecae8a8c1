"""Access that each person granted by their consent."""

from __future__ import annotations

from app.errors import ConsentRequiredError, GrantRevokedError
from app.google.scopes import missing_scopes
from app.grants.grant import Grant
from app.grants.refresh import Refresher
from app.oauth.provider import GOOGLE
from app.principal import Principal


class ConsentedTokens:
    """Gives access from a person's own grants; lives as long as the process and holds no personal data.

    Args:
        refresher: Keeps the grants' tokens fresh.
        connection: The name of the connection whose grants these are.
    """

    def __init__(self, refresher: Refresher, connection: str = GOOGLE) -> None:
        self._refresher = refresher
        self._connection = connection

    async def fresh(
        self,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        credential_id: str | None = None,
        rejected: str | None = None,
    ) -> Grant:
        """Return the grant of the account that the person uses there, which covers these OAuth scopes, its token fresh.

        Raises:
            ConsentRequiredError: There is no grant, or it lacks one of the scopes.
            GrantRevokedError: Google no longer honours the grant.
            ProviderError: The token could not be refreshed.
        """
        grant = await self._refresher.fresh(
            principal, provider=self._connection, conversation=conversation, grant_id=credential_id, rejected=rejected
        )
        if grant is None and (rejected is not None or credential_id is not None):
            raise GrantRevokedError(principal, connection=self._connection)  # it was there a moment ago
        missing = missing_scopes(oauth_scopes, grant.granted_scopes if grant else frozenset())
        if grant is None or missing:
            raise ConsentRequiredError(principal, missing, connection=self._connection)
        return grant

    async def refused(self, principal: Principal, credential_id: str, access_token: str) -> None:
        """Take note that an API refuses this token although it was renewed just before.

        Raises:
            GrantRevokedError: It is the grant's, which counts as over from now on; the person has to consent again.
        """
        await self._refresher.refused(principal, credential_id, access_token)
