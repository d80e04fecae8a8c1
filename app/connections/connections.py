"""All of one person's connections, as the guard between the model and the tools uses them."""

from __future__ import annotations

from collections.abc import Mapping

from app.credentials.credentials import Credentials, use_no_connection
from app.errors import AccessRefusedError


class PersonConnections:
    """One person's credentials at every provider of the settings. Lives for one request.

    Args:
        credentials: By the connection's name; Google's is ``google``.
    """

    def __init__(self, credentials: Mapping[str, Credentials]) -> None:
        self._credentials = credentials

    def use_in(self, conversation: str, credential_ids: Mapping[str, str] | None = None) -> None:
        """Take the accounts that the principal uses in this conversation; call it before the first `ensure`.

        Args:
            conversation: The conversation's id.
            credential_ids: The access to use instead of the conversation's own, by the connection's name.
        """
        for name, credentials in self._credentials.items():
            credentials.use_in(conversation, (credential_ids or {}).get(name))

    async def ensure(self, connection: str | None, oauth_scopes: frozenset[str]) -> None:
        """Return once the tool that is about to run may use this connection, and no other one.

        Args:
            connection: The connection that the tool declares; None if it needs none.
            oauth_scopes: The OAuth scopes that it needs.

        Raises:
            ConsentRequiredError, GrantRevokedError, AccessRefusedError, ProviderError, ForeignRunError: As for
                `Credentials.ensure`.
        """
        use_no_connection()
        if connection is not None:
            await self._of(connection).ensure(oauth_scopes)

    def credential_id(self, connection: str | None) -> str | None:
        """Return the name in the audit trail of the access that `ensure` found; None if the tool needs none."""
        return None if connection is None else self._of(connection).credential_id

    def _of(self, connection: str) -> Credentials:
        if connection not in self._credentials:
            raise AccessRefusedError(
                f"This assistant has no connection {connection}, so this tool cannot run. An administrator adds it "
                "under `connections` in config.yaml."
            )
        return self._credentials[connection]
