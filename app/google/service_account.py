"""A service account with domain-wide delegation: gets a token for one person of a Workspace, without their consent.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest, RFC 7523 section 2.1
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import google.auth.crypt
import google.auth.jwt

from app.errors import AccessRefusedError, ProviderError, SettingsError
from app.oauth.faults import CLOCK_SKEW_SECONDS
from app.oauth.token_endpoint import TokenEndpoint, read_tokens
from app.oauth.tokens import ProviderTokens

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS = 600  # Google takes an hour at most; an answer comes within seconds
_PLACE = "google.workspace.key, or the file that google.workspace.key_file names,"


class ServiceAccount:
    """Gets tokens for the people of a Workspace that has delegated them. Lives as long as the process.

    It holds its own key and no personal data; its `repr` does not show the key.

    Args:
        info: The parsed JSON key. The addresses in it are ignored; the settings say where Google is.
        token_url: The token endpoint's URL; also the audience of assertions.
        token_endpoint: Posts to it.
        now: The time, POSIX seconds.

    Raises:
        SettingsError: The key is not a service account's.
    """

    def __init__(
        self,
        info: Mapping[str, Any],
        *,
        token_url: str,
        token_endpoint: TokenEndpoint,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(info.get("client_email"), str) or info.get("type") != "service_account":
            raise SettingsError(f"{_PLACE} is not a service account's key; make one in the Google Cloud console")
        try:
            self._signer = google.auth.crypt.RSASigner.from_service_account_info(info)
        except (ValueError, TypeError):
            failed = True  # the library's error may quote the key
        else:
            failed = False
        if failed:
            raise SettingsError(f"{_PLACE} has no readable private_key; make a new one")
        self.email: str = info["client_email"]
        self._client_id = str(info.get("client_id") or self.email)
        self._token_url = token_url
        self._token_endpoint = token_endpoint
        self._now = now

    def __repr__(self) -> str:
        return f"ServiceAccount({self.email!r})"

    async def token_for(self, subject: str, oauth_scopes: frozenset[str]) -> ProviderTokens:
        """Return a token that acts as one person, for exactly these OAuth scopes.

        Args:
            subject: The person's address; the caller vouches for it.
            oauth_scopes: The scopes of the token.

        Raises:
            AccessRefusedError: The Workspace does not delegate this person or these scopes; the error says what to do.
            GoogleError: Google answered with another error, or not at all.
        """
        asked_at = self._now()  # before the call, so that a token never counts as valid after it has expired
        form = {"grant_type": JWT_BEARER, "assertion": self._assertion(subject, oauth_scopes, asked_at)}
        try:
            body = await self._token_endpoint.post(self._token_url, form, "a token request")
        except ProviderError as error:
            words = self._in_words(error.reason, oauth_scopes)
            if words is None:
                raise
            raise AccessRefusedError(words) from None
        tokens, _ = read_tokens(body, asked_at, default_scope=" ".join(oauth_scopes))
        return tokens

    def _assertion(self, subject: str, oauth_scopes: frozenset[str], at: float) -> str:
        issued_at = int(at - CLOCK_SKEW_SECONDS)  # Google refuses an assertion from the future
        claims = {
            "iss": self.email,
            "sub": subject,
            "scope": " ".join(sorted(oauth_scopes)),
            "aud": self._token_url,
            "iat": issued_at,
            "exp": issued_at + ASSERTION_SECONDS,
        }
        return bytes(google.auth.jwt.encode(self._signer, claims)).decode()

    def _in_words(self, reason: str | None, oauth_scopes: frozenset[str]) -> str | None:
        """Return what an administrator has to do about a refusal; None if trying again may help."""
        match reason:
            case "unauthorized_client" | "access_denied" | "invalid_scope":
                return (
                    f"The Workspace does not delegate {', '.join(sorted(oauth_scopes))} to the service account "
                    f"{self._client_id}. An administrator adds it at admin.google.com under Security, API controls, "
                    "Domain-wide delegation."
                )
            case "invalid_grant" | "invalid_client":
                return (
                    f"Google does not let the service account {self._client_id} act for this person: their account is "
                    "missing or suspended, the key was deleted, or this server's clock is wrong. Ask an administrator."
                )
        return None


def open_service_account(
    key: str | None, file: Path | None, *, token_url: str, token_endpoint: TokenEndpoint
) -> ServiceAccount:
    """Return the service account of the settings.

    Args:
        key: The JSON key itself.
        file: The file with the key, if `key` is None.
        token_url: As for `ServiceAccount`.
        token_endpoint: As for `ServiceAccount`.

    Raises:
        SettingsError: There is no key, or it cannot be used.
    """
    return ServiceAccount(
        _parse(key if key is not None else _read(file)), token_url=token_url, token_endpoint=token_endpoint
    )


def _read(file: Path | None) -> str:
    if file is None:
        raise SettingsError(f"{_PLACE} is needed for mode: workspace")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        kind = type(error).__name__
    raise SettingsError(f"google.workspace.key_file: {file} cannot be read ({kind})")


def _parse(text: str) -> Mapping[str, Any]:
    try:
        info = json.loads(text)
    except ValueError:  # its error would contain the key
        info = None
    if not isinstance(info, dict):
        raise SettingsError(f"{_PLACE} is not JSON; use the key as Google gave it")
    return info
