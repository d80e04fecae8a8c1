"""Every error of Deputy, one tree.

DeputyError
├── SettingsError              config.yaml, or something it names, is wrong: the server does not start
├── PrincipalError             no complete principal: nothing runs
├── MessageError               a request cannot be accepted
│   ├── InvalidMessageError        it is malformed                                        (HTTP 400)
│   ├── UnauthenticatedError       its token or signature is missing or wrong             (HTTP 401)
│   ├── OffboardedError            the person was offboarded: their messages are refused  (HTTP 403)
│   │   └── NotAllowedError            the settings do not list the person or the chat     (HTTP 403)
│   ├── NotFoundError              this principal has no such thing                       (HTTP 404)
│   ├── TooLargeError              it exceeds the size limit                              (HTTP 413)
│   └── UnavailableError           not now: the platform should send it again             (HTTP 503)
│       ├── OverLimitError         this person has reached their own limit                (HTTP 429)
│       └── UnclearError           no answer: the platform may have accepted it           (HTTP 503)
├── UndeliverableError         a platform will never accept this answer: it is not retried
├── AttachmentError            an attachment cannot be read: the person or the model is given the reason
│   ├── AttachmentTooLargeError    it exceeds the size limit
│   └── AttachmentGoneError        the platform no longer has it, or does not give it
├── UnreadableMessageError     a message is nothing but files that cannot be read: the person is shown this text
├── ConsentError               a consent link or callback cannot be used
│   ├── LinkExpiredError           expired, used, superseded or never issued              (HTTP 410)
│   └── CallbackRefusedError       state, cookie, code or id_token does not match         (HTTP 400)
├── ForeignRunError            an account was about to be used in a request it does not belong to
├── CredentialsError           this principal has no usable credentials
│   ├── AccessRefusedError         nothing the person can grant would help: the model is given the reason
│   ├── ConsentRequiredError       a grant or an OAuth scope is missing: the run is parked
│   └── GrantRevokedError          the provider no longer honours the grant
├── SealError                  a sealed value does not open with this key ring and these bindings
├── ProviderError              a provider of accounts answered with an error, or not at all
│   ├── InvalidGrantError          it says that the refresh token or code is no longer valid
│   └── GoogleError                it was Google
│       └── TokenRefusedError          an API rejects an access token that was just renewed
├── AgentError                 a run cannot be finished: the person is shown this text
└── ToolError                  a tool cannot do what was asked: the model is given the reason

An error says what happened, to whom, and what to do next. None carries a token, a secret or the text of a mail.
Errors are raised inside and translated once at the edge, into an HTTP status, a chat reply or a text for the model.
`LifetimeError` (containers/proof) and `ScopeError` (containers/scopes) are separate roots, because those two packages
know nothing of Deputy. A `LifetimeError` means that the proof failed and the server does not start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.sizes import in_units

if TYPE_CHECKING:
    from app.principal import Principal


# https://developers.google.com/workspace/gmail/api/guides/handle-errors; a daily limit does not pass soon.
_RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
_USED_UP_REASONS = frozenset({"dailyLimitExceeded", "dailyLimitExceededUnreg", "quotaExceeded"})


class DeputyError(Exception):
    """The root of the tree; `except DeputyError` catches everything that Deputy raises on purpose."""


class SettingsError(DeputyError):
    """The configuration is wrong; the message names the place in the file and what to do."""


class PrincipalError(DeputyError):
    """There is no complete principal, so nothing may run."""


class MessageError(DeputyError):
    """A request cannot be accepted; `status` is the HTTP status of the answer."""

    status = 400


class InvalidMessageError(MessageError):
    """The request is malformed."""


class UnauthenticatedError(MessageError):
    """The request carries no valid token or signature."""

    status = 401


class OffboardedError(MessageError):
    """The person was offboarded; nothing is stored or run for them until they are restored."""

    status = 403


class NotAllowedError(OffboardedError):
    """The settings do not list the person, or the chat that they wrote in; nothing is stored, as for a leaver."""


class NotFoundError(MessageError):
    """The thing does not exist or belongs to somebody else; the answer is the same for both."""

    status = 404


class TooLargeError(MessageError):
    """The request exceeds the size limit."""

    status = 413


class UnavailableError(MessageError):
    """The server or a platform cannot accept the message now; nothing was stored, and the sender should retry.

    Attributes:
        reason: The platform's error code, such as ``ratelimited``, if it gave one.
        retry_after: The seconds that the platform asks us to wait.
    """

    status = 503

    def __init__(self, message: str, *, reason: str | None = None, retry_after: float = 0.0) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(message)


class OverLimitError(UnavailableError):
    """One person has reached their own limit; the text is for them and says which limit and what to do."""

    status = 429


class UnclearError(UnavailableError):
    """A platform gave no answer, so it is unknown whether it accepted the request; a later look may show it."""


class UndeliverableError(DeputyError):
    """A platform will never accept this answer, so it is not retried.

    Attributes:
        reason: The platform's error code, such as ``is_archived``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(message)


class AttachmentError(DeputyError):
    """An attachment cannot be read; the text completes the sentence "I could not read it: …"."""


class AttachmentTooLargeError(AttachmentError):
    """The attachment exceeds the size limit; nothing of it is kept.

    Attributes:
        limit: The limit, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"it is larger than {in_units(limit)}")


class AttachmentGoneError(AttachmentError):
    """The platform no longer has the attachment, or does not give it to the assistant."""


class UnreadableMessageError(DeputyError):
    """A message is nothing but attachments that cannot be read; the person is shown this text."""


class ConsentError(DeputyError):
    """A consent link or Google's callback cannot be used; `status` is the HTTP status of the answer."""

    status = 400


class LinkExpiredError(ConsentError):
    """The consent link has expired, was used or superseded, or was never issued."""

    status = 410


class CallbackRefusedError(ConsentError):
    """The callback does not belong to a consent that this browser started."""


class ForeignRunError(DeputyError):
    """One request was about to use an object that belongs to another; nothing was sent."""

    def __init__(self, used: str) -> None:
        super().__init__(
            f"{used} belongs to another request and was not used. Keep what a toolkit is given in the toolkit itself, "
            "and start threads with the scope's to_thread"
        )


class CredentialsError(DeputyError):
    """The principal has no usable credentials."""


class AccessRefusedError(CredentialsError):
    """The principal has no access and cannot grant it; the text tells the model who has to do what."""


class ConsentRequiredError(CredentialsError):
    """The principal has not granted the access that a tool needs.

    Attributes:
        principal: The person who has to consent.
        oauth_scopes: The missing OAuth scopes, full URLs for Google; none if the tool needs no particular scope.
        connection: The name of the connection.
        is_undone: The provider's API has refused a call that was made, so it certainly changed nothing.
    """

    is_undone = False

    def __init__(self, principal: Principal, oauth_scopes: frozenset[str], *, connection: str = "google") -> None:
        self.principal = principal
        self.oauth_scopes = oauth_scopes
        self.connection = connection
        missing = ", ".join(sorted(oauth_scopes)) or f"access to {connection}"
        super().__init__(f"{principal} has not granted {missing}; send a consent link")


class GrantRevokedError(CredentialsError):
    """The provider no longer honours the principal's grant; they have to consent again.

    Attributes:
        principal: The person who has to consent.
        connection: The name of the connection.
    """

    def __init__(self, principal: Principal, *, connection: str = "google") -> None:
        self.principal = principal
        self.connection = connection
        super().__init__(f"the grant of {principal} at {connection} has ended; ask for consent again")


class SealError(DeputyError):
    """A sealed value does not open: it was sealed with another key, or for another row or person."""


class ProviderError(DeputyError):
    """A provider of accounts, such as Google or GitHub, answered with an error, or not at all.

    Attributes:
        status: The HTTP status, or None if there was no answer.
        reason: The provider's machine-readable reason, such as ``notFound``; never a response body.
        retry_after: The seconds that the provider asks us to wait; None if it does not say.
        unsent: Whether the connection failed, so that nothing reached the provider.
        provider: The provider's name for people.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
        unsent: bool = False,
        provider: str = "Google",
    ) -> None:
        self.provider = provider
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.unsent = unsent
        super().__init__(message)

    @property
    def is_busy(self) -> bool:
        """Return whether a rate limit rejected the call: nothing was done, and the same call will work later."""
        if self.reason in _USED_UP_REASONS:
            return False
        return self.status == 429 or self.reason in _RATE_REASONS

    @property
    def passes(self) -> bool:
        """Return whether the fault is temporary: a rate limit, a fault of the provider's own, or no answer."""
        return self.is_busy or self.status is None or self.status >= 500


class InvalidGrantError(ProviderError):
    """``invalid_grant`` (RFC 6749 section 5.2): the code or refresh token was used, revoked or expired."""


class GoogleError(ProviderError):
    """Google answered with an error, or not at all."""


class TokenRefusedError(GoogleError):
    """An API answers 401 to an access token that was just renewed: Google does not honour the grant."""


class ToolError(DeputyError):
    """A tool cannot do what was asked; the model is given this text."""


class AgentError(DeputyError):
    """An agent's run cannot be finished; the person is shown this text."""
