"""Faults of Google that only an administrator can fix: what is wrong, and where to fix it.

https://developers.google.com/identity/protocols/oauth2/web-server#exchange-errors-invalid-grant,
https://developers.google.com/workspace/gmail/api/guides/handle-errors,
https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from app.errors import ProviderError
from app.log_once import LogOnce

CLOCK_SKEW_SECONDS = 30.0  # a clock that is off by so much is put up with where the standards allow it, and reported
_NOTICED_SKEW_SECONDS = 10.0

_CLIENT = "the OAuth client is wrong: compare google.client_id and google.client_secret with the Google Cloud console"
_API = "an API is not enabled: enable it under APIs & Services of your project in the Google Cloud console"
_QUOTA = "a quota of your Google Cloud project is used up: look at Quotas in the Google Cloud console"
_POLICY = "a policy of this Workspace forbids it: its administrator can allow Deputy under Security, API controls"
_BILLING = "billing is not set up for your Google Cloud project"

_CAUSES: Mapping[str, str] = {
    "accessNotConfigured": _API,
    "SERVICE_DISABLED": _API,
    "API_KEY_SERVICE_BLOCKED": _API,
    "invalid_client": _CLIENT,
    "unauthorized_client": _CLIENT,
    "deleted_client": _CLIENT,
    "disabled_client": _CLIENT,
    "redirect_uri_mismatch": "the OAuth client does not list the redirect URI of server.public_url",
    "invalid_scope": "the OAuth client may not ask for a scope: look at the consent screen's data access",
    "org_internal": "the OAuth client is for one organisation only: its consent screen's audience is Internal",
    "admin_policy_enforced": _POLICY,
    "domainPolicy": _POLICY,
    "dailyLimitExceeded": _QUOTA,
    "dailyLimitExceededUnreg": _QUOTA,
    "quotaExceeded": _QUOTA,
    "BILLING_DISABLED": _BILLING,
    "billingNotEnabled": _BILLING,
    "failedPrecondition": "the account cannot use this service, such as Gmail without a mailbox: look at its licence",
    "FAILED_PRECONDITION": "the account cannot use this service, such as Gmail without a mailbox: look at its licence",
}


def cause_for_administrators(error: ProviderError) -> str | None:
    """Return what an administrator has to fix about this error; None where they cannot do anything about it."""
    return _CAUSES.get(error.reason or "")


class FaultLog:
    """Tells operators, once a minute at most, what only they can fix; lives as long as the process.

    It is given reasons and numbers, never a person, a token or a text.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._log = LogOnce(logging.getLogger(__name__))
        self._now = now

    def notice(self, error: ProviderError, what: str) -> None:
        """Log an error that an administrator has to fix; all others are left to whoever meets them.

        Args:
            error: What Google answered.
            what: To what: a method, or "a token request".
        """
        cause = cause_for_administrators(error)
        if cause is not None:
            self._log.error(
                (error.reason, what), "Google answered %s %s to %s: %s", error.status, error.reason, what, cause
            )

    def notice_clock(self, date: str | None) -> None:
        """Log that this machine's clock is off, by the Date of an answer of Google's."""
        try:
            theirs = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        ahead = self._now() - theirs
        if abs(ahead) >= _NOTICED_SKEW_SECONDS:
            self._log.warning(
                "clock",
                "this machine's clock is %.0f s %s of Google's; sign-ins fail when it is more than %.0f s off. "
                "Set it by NTP",
                abs(ahead),
                "ahead" if ahead > 0 else "behind",
                CLOCK_SKEW_SECONDS,
            )
