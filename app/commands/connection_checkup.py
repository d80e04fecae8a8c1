"""What `deputy doctor` asks of the providers besides Google at which people connect accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from app.diagnosis import Diagnosis, fault, ok, remark
from app.errors import CallbackRefusedError, ProviderError
from app.settings import Settings

if TYPE_CHECKING:
    from containers.application import Application

_NOBODYS_CODE = "deputy-doctor"
_ANY_VERIFIER = "-" * 43  # the shortest that RFC 7636 permits


async def look_at_connections(container: Application, settings: Settings) -> AsyncIterator[Diagnosis]:
    """Yield for each provider whether its sign-in answers and accepts the client, and the client's redirect URI.

    A code that does not exist is redeemed: a provider checks the client first, https://www.rfc-editor.org/rfc/rfc6749
    section 5.2.
    """
    from interfaces.web.interface import callback_url

    for name, section in settings.connections.items():
        provider = container.account_providers()[name]
        if section.sandbox_port is not None:
            yield remark(
                provider.title,
                f"a sandbox stands in for {provider.title}, with accounts that are made up",
                f"set connections.{name}.client_id instead of sandbox_port for people's own accounts",
            )
            continue
        uri = callback_url(settings.server.public_url, name)
        try:
            await provider.get_ready()
            await provider.redeem(code=_NOBODYS_CODE, code_verifier=_ANY_VERIFIER, oauth_scopes=frozenset())
        except CallbackRefusedError:
            yield ok(provider.title, f"the OAuth client is accepted; it has to list the redirect URI {uri}")
        except ProviderError as error:
            yield fault(provider.title, str(error), f"look at connections.{name}, and at the OAuth client there")
        else:
            yield fault(
                provider.title,
                "it gave tokens for a code that nobody has",
                f"connections.{name}.token_url does not lead to a token endpoint",
            )
