"""Every error of Deputy, one tree.

DeputyError
├── SettingsError              config.yaml, or what it names, is wrong: the start is refused
├── PrincipalError             no complete principal: nothing runs
├── MessageError               what somebody sent cannot be taken
│   ├── InvalidMessageError        it is malformed                                        (HTTP 400)
│   ├── UnauthenticatedError       no token or signature, or a wrong one                  (HTTP 401)
│   ├── OffboardedError            the person was offboarded: nothing is taken from them  (HTTP 403)
│   ├── NotFoundError              there is no such thing for this principal              (HTTP 404)
│   ├── TooLargeError              it is over the size limit                              (HTTP 413)
│   └── UnavailableError           not now: the platform should send it again             (HTTP 503)
│       ├── OverLimitError         this person has reached a limit of their own           (HTTP 429)
│       └── UnclearError           no answer: the platform may have taken it              (HTTP 503)
├── UndeliverableError         a platform will never take this answer: it is not tried again
├── ConsentError               a consent link or callback cannot be used
│   ├── LinkExpiredError           expired, used, superseded or never issued              (HTTP 410)
│   └── CallbackRefusedError       state, cookie, code or id_token does not fit           (HTTP 400)
├── ForeignRunError            an account was about to be used in another request than its own
├── CredentialsError           no usable credentials of this principal
│   ├── AccessRefusedError         nothing that the person can grant would help: the model is told why
│   ├── ConsentRequiredError       a grant or an OAuth scope is missing: the run is parked
│   └── GrantRevokedError          Google no longer honours the grant
├── SealError                  a sealed value does not open with this key ring and these bindings
├── GoogleError                Google answered with an error, or not at all
│   ├── InvalidGrantError          the refresh token or code is over, by Google's own word
│   └── TokenRefusedError          an API refuses an access token that was renewed just before
├── AgentError                 a run cannot be finished: the person is told this text
└── ToolError                  a tool cannot do what was asked: the model is told why

An error says what happened, to whom, and what to do next. None carries a token, a secret or the text of a mail.
Errors are raised inside and translated once at the edge: an HTTP status, a chat reply, or what the model is told.
`LifetimeError` (containers/proof) and `ScopeError` (containers/scopes) have roots of their own: those two packages know
nothing of Deputy. The first says that the proof failed, and the start is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.principal import Principal


# https://developers.google.com/workspace/gmail/api/guides/handle-errors; a daily limit does not pass soon.
_RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
_USED_UP_REASONS = frozenset({"dailyLimitExceeded", "dailyLimitExceededUnreg", "quotaExceeded"})


class DeputyError(Exception):
    """The root of the tree; `except DeputyError` catches all that Deputy raises on purpose."""


class SettingsError(DeputyError):
    """The configuration is wrong; the message names the place in the file and what to do."""


class PrincipalError(DeputyError):
    """There is no complete principal, so nothing may run."""


class MessageError(DeputyError):
    """What somebody sent cannot be taken; `status` is the HTTP status that says so."""

    status = 400


class InvalidMessageError(MessageError):
    """The request is malformed."""


class UnauthenticatedError(MessageError):
    """The request carries no valid token or signature."""

    status = 401


class OffboardedError(MessageError):
    """The person was offboarded; nothing of theirs is stored or run until they are restored."""

    status = 403


class NotFoundError(MessageError):
    """There is no such thing, or it is somebody else's: the answer is the same for both."""

    status = 404


class TooLargeError(MessageError):
    """The request is over the size limit."""

    status = 413


class UnavailableError(MessageError):
    """The server, or a platform, cannot take the message now; nothing was stored and the sender should try again.

    Attributes:
        reason: The platform's own word, such as ``ratelimited``, if it gave one.
        retry_after: How many seconds the platform asks to wait.
    """

    status = 503

    def __init__(self, message: str, *, reason: str | None = None, retry_after: float = 0.0) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(message)


class OverLimitError(UnavailableError):
    """One person has reached a limit of their own; the text says which and what to do, and is meant for them."""

    status = 429


class UnclearError(UnavailableError):
    """A platform gave no answer: whether it took what it was given is not known, and may show a while later."""


class UndeliverableError(DeputyError):
    """A platform will never take this answer, however often it is tried.

    Attributes:
        reason: The platform's own word, such as ``is_archived``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(message)


class ConsentError(DeputyError):
    """A consent link or Google's callback cannot be used; `status` is the HTTP status that says so."""

    status = 400


class LinkExpiredError(ConsentError):
    """The consent link is expired, used, superseded, or was never issued."""

    status = 410


class CallbackRefusedError(ConsentError):
    """The callback does not belong to a consent that this browser started."""


class ForeignRunError(DeputyError):
    """One request was about to use what belongs to another; nothing was sent."""

    def __init__(self, used: str) -> None:
        super().__init__(
            f"{used} belongs to another request and was not used. Keep what a toolkit is given in the toolkit itself, "
            "and start threads with the scope's to_thread"
        )


class CredentialsError(DeputyError):
    """The principal has no usable credentials."""


class AccessRefusedError(CredentialsError):
    """The principal has no access and cannot grant it; the text says who has to do what, and the model is given it."""


class ConsentRequiredError(CredentialsError):
    """The principal has not granted what a tool needs.

    Attributes:
        principal: Who has to consent.
        oauth_scopes: What is missing, as full OAuth scope URLs.
    """

    def __init__(self, principal: Principal, oauth_scopes: frozenset[str]) -> None:
        self.principal = principal
        self.oauth_scopes = oauth_scopes
        super().__init__(f"{principal} has not granted {', '.join(sorted(oauth_scopes))}; send a consent link")


class GrantRevokedError(CredentialsError):
    """Google no longer honours the principal's grant; they have to consent again."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        super().__init__(f"Google no longer honours the grant of {principal}; ask for consent again")


class SealError(DeputyError):
    """A sealed value does not open: another key, another row or another person."""


class GoogleError(DeputyError):
    """Google answered with an error, or not at all.

    Attributes:
        status: The HTTP status, or None when there was no answer.
        reason: Google's machine-readable reason, such as ``notFound``; never a response body.
        retry_after: For how many seconds Google wants to be left alone; None when it does not say.
        unsent: Nothing reached Google, as there was no connection.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
        unsent: bool = False,
    ) -> None:
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.unsent = unsent
        super().__init__(message)

    @property
    def is_busy(self) -> bool:
        """Whether a rate limit says no: nothing was done, and the same call will be taken later."""
        if self.reason in _USED_UP_REASONS:
            return False
        return self.status == 429 or self.reason in _RATE_REASONS

    @property
    def passes(self) -> bool:
        """Whether it is a fault that passes: a rate limit, a fault of Google's own, or no answer."""
        return self.is_busy or self.status is None or self.status >= 500


class InvalidGrantError(GoogleError):
    """Google says ``invalid_grant`` (RFC 6749 section 5.2): the code or refresh token is used, revoked or expired."""


class TokenRefusedError(GoogleError):
    """An API answers 401 to an access token that was renewed right before: Google does not honour the grant."""


class ToolError(DeputyError):
    """A tool cannot do what was asked; the model is given this text."""


class AgentError(DeputyError):
    """An agent's run cannot be finished; the person is told this text."""
