"""Google as the only provider of accounts, for tests of a single part."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from app.oauth.provider import GOOGLE, Providers


class GoogleInName:
    """A Google that is never called: it has the texts that people read, and passes requests on to an endpoint."""

    name, title = GOOGLE, "Google"
    manage_url = "https://myaccount.google.com/connections"
    ends_all = True
    identity_scopes: frozenset[str] = frozenset()
    permits: Mapping[str, frozenset[str]] = MappingProxyType({})

    def __init__(self, endpoint: object = None) -> None:
        self._endpoint = endpoint

    def permission(self, oauth_scope: str) -> str:
        """Return the scope unchanged."""
        return oauth_scope

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)


def google_alone(endpoint: Any = None) -> Providers:
    """Return the providers of a configuration without connections.

    Args:
        endpoint: Refreshes and revokes; a complete `GoogleAuth` is used as it is.
    """
    return Providers({GOOGLE: endpoint if hasattr(endpoint, "check_callback") else GoogleInName(endpoint)})
