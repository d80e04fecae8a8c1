"""A GitHub on loopback with the accounts of the sandbox's people, for demonstrations."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from app.sandbox.oauth.sandbox import OAuthSandbox

ACCOUNTS = ("ada", "grace")


class GitHubSandbox:
    """An ASGI application that makes the provider with the first request, so that a start does not wait for it.

    Lives as long as it is served.

    Args:
        client_id: The OAuth client's id.
        client_secret: The OAuth client's secret.
        redirect_uri: The exact URL to which answers about consents may be sent.
        marked: Whether each issue has a marker in its title.
    """

    def __init__(self, *, client_id: str, client_secret: str, redirect_uri: str, marked: bool = False) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._marked = marked

    @cached_property
    def provider(self) -> OAuthSandbox:
        """Return the provider, with its grants, its issues and the calls that it has answered."""
        from app.sandbox.oauth.sandbox import OAuthSandbox

        return OAuthSandbox(
            client_id=self._client_id,
            client_secret=self._client_secret,
            redirect_uris=(self._redirect_uri,),
            accounts=ACCOUNTS,
            title="GitHub",
            marked=self._marked,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the provider answer."""
        await self.provider.app(scope, receive, send)
