"""Faults of providers that only an administrator can fix, with the place to fix them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from app.errors import ProviderError
from app.log_once import LogOnce

CLOCK_SKEW_SECONDS = 30.0  # a clock that is off by so much is put up with where the standards allow it, and reported
_NOTICED_SKEW_SECONDS = 10.0

# RFC 6749 section 5.2 (`invalid_client`, `unauthorized_client`, `invalid_scope`), and the words of GitHub
# (https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors)
# and Slack (https://docs.slack.dev/reference/methods/oauth.v2.access) for the same.
_CLIENT = frozenset(
    {
        *("invalid_client", "unauthorized_client"),
        *("incorrect_client_credentials", "not_found", "application_suspended"),
        *("invalid_client_id", "bad_client_secret", "oauth_authorization_url_mismatch"),
    }
)
_REDIRECT = frozenset({"redirect_uri_mismatch", "bad_redirect_uri"})
_SCOPE = frozenset({"invalid_scope", "no_scopes", "scope_not_allowed_on_enterprise"})


def cause_at_provider(error: ProviderError) -> str | None:
    """Return what an administrator has to fix about an error of a sign-in; None where they cannot do anything."""
    if error.reason in _CLIENT:
        return f"the OAuth client is wrong: compare the connection's client_id and client_secret with {error.provider}"
    if error.reason in _REDIRECT:
        return f"the OAuth client at {error.provider} does not list the redirect URI that `deputy doctor` prints"
    if error.reason in _SCOPE:
        return f"the OAuth client at {error.provider} may not ask for one of the OAuth scopes"
    return None


class FaultLog:
    """Tells operators, once a minute at most, what only they can fix; lives as long as the process.

    It is given reasons and numbers, never a person, a token or a text.

    Args:
        cause: Returns what an administrator has to fix about an error, or None.
        title: The provider's name for people.
        now: The time, POSIX seconds.
    """

    def __init__(
        self, cause: Callable[[ProviderError], str | None], title: str, now: Callable[[], float] = time.time
    ) -> None:
        self._cause = cause
        self._title = title
        self._log = LogOnce(logging.getLogger(__name__))
        self._now = now

    def notice(self, error: ProviderError, what: str) -> None:
        """Log an error that an administrator has to fix; all others are left to whoever meets them.

        Args:
            error: The provider's answer.
            what: To what: a method, or "a token request".
        """
        cause = self._cause(error)
        if cause is not None:
            answered = f"{self._title} answered {error.status} {error.reason}"
            self._log.error((error.reason, what), "%s to %s: %s", answered, what, cause)

    def notice_clock(self, date: str | None) -> None:
        """Log that this machine's clock is off, by the Date of a provider's answer."""
        try:
            theirs = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return
        ahead = self._now() - theirs
        if abs(ahead) >= _NOTICED_SKEW_SECONDS:
            self._log.warning(
                "clock",
                "this machine's clock is %.0f s %s of %s's; sign-ins fail when it is more than %.0f s off. Set it by "
                "NTP",
                abs(ahead),
                "ahead" if ahead > 0 else "behind",
                self._title,
                CLOCK_SKEW_SECONDS,
            )
