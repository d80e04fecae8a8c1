"""Faults of Google that only an administrator can fix: what is wrong, and where to fix it.

https://developers.google.com/identity/protocols/oauth2/web-server#exchange-errors-invalid-grant,
https://developers.google.com/workspace/gmail/api/guides/handle-errors,
https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import ProviderError
from app.oauth.faults import cause_at_provider

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
    """Return what an administrator has to fix about this error; None where they cannot do anything about it.

    An error of another provider than Google may reach the same places, and says of its own what to fix.
    """
    return _CAUSES.get(error.reason or "") if error.provider == "Google" else cause_at_provider(error)
