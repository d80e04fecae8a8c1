"""The meaning of Slack's errors for an answer: wait, go elsewhere, or stop (https://docs.slack.dev/reference/methods)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slack_sdk.errors import SlackApiError

from app.errors import UnavailableError, UnclearError, UndeliverableError
from interfaces.slack.web_api import no_answer

_SERVER_ERROR = 500
_LONGEST_WAIT_SECONDS = 3600.0
_REASON_LENGTH = 64  # characters; the length of its column

IS_DELETED = "message_not_found"
MAY_NOT_DELETE = frozenset({"cant_delete_message", "compliance_exports_prevent_deletion"})

# Slack may have carried out the request, or part of it.
_UNCLEAR = frozenset({"fatal_error", "internal_error", "request_timeout"})
# The bot cannot write in this place or to this person, but perhaps elsewhere.
_CLOSED = frozenset(
    {
        "cannot_dm_bot",
        "cannot_reply_to_message",
        "channel_not_found",
        "channel_type_not_supported",
        "ekm_access_denied",
        "is_archived",
        "is_inactive",
        IS_DELETED,
        "messages_tab_disabled",
        "method_not_supported_for_channel_type",
        "not_in_channel",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
        "team_access_not_granted",
        "thread_not_found",
        "user_disabled",
        "user_not_found",
        "user_not_in_channel",
        "user_not_visible",
    }
)
# The bot's token, its scopes or the text itself is refused, so it would fail everywhere.
_FINAL = frozenset(
    {
        "access_denied",
        "account_inactive",
        *MAY_NOT_DELETE,
        "enterprise_is_restricted",
        "invalid_arguments",
        "invalid_auth",
        "invalid_blocks",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "method_deprecated",
        "metadata_too_large",
        "missing_scope",
        "msg_too_long",
        "no_permission",
        "no_text",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)


class ClosedPlaceError(UndeliverableError):
    """The bot cannot write in this channel, thread or direct chat; the person may be reached elsewhere."""


@contextmanager
def in_our_words() -> Iterator[None]:
    """Raise the errors of Slack's client as our own, because their texts may quote what was posted.

    An unknown error code is treated as temporary, so that no answer is lost because of it.

    Raises:
        UnclearError: Slack did not answer, or reported an internal error; it may have carried out the request.
        UnavailableError: Slack refuses it for now.
        ClosedPlaceError: Slack refuses it permanently in this place.
        UndeliverableError: Slack refuses it permanently everywhere.
    """
    try:
        yield
    except SlackApiError as error:
        raise translated(error) from None
    except no_answer() as error:
        raise UnclearError(f"Slack gave no answer ({type(error).__name__})", reason=type(error).__name__) from None


def reason_of(error: SlackApiError) -> str:
    """Return Slack's error code, such as ``is_archived``; it comes from a fixed list and is never private."""
    reason = error.response.get("error")
    return str(reason)[:_REASON_LENGTH] if reason else f"http_{error.response.status_code}"


def translated(error: SlackApiError) -> UnavailableError | UndeliverableError:
    """Return an error of Slack's client as our own."""
    reason = reason_of(error)
    message = f"Slack refused it: {reason}"
    if error.response.status_code >= _SERVER_ERROR or reason in _UNCLEAR:
        return UnclearError(message, reason=reason)
    if reason in _CLOSED:
        return ClosedPlaceError(message, reason=reason)
    if reason in _FINAL:
        return UndeliverableError(message, reason=reason)
    return UnavailableError(message, reason=reason, retry_after=_retry_after(error))


def _retry_after(error: SlackApiError) -> float:
    """Return the seconds that Slack asks to wait (https://docs.slack.dev/apis/web-api/rate-limits), or 0."""
    headers = {str(name).lower(): str(value) for name, value in (error.response.headers or {}).items()}
    value = headers.get("retry-after", "")
    return min(float(value), _LONGEST_WAIT_SECONDS) if value.isascii() and value.isdigit() else 0.0
