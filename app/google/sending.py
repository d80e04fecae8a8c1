"""Sends googleapiclient's requests, and translates its errors. These functions block: run them in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import google.auth.exceptions
import googleapiclient.errors
import urllib3
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.http import HttpRequest

from app.errors import DeputyError, GoogleError, TokenRefusedError
from app.google.request_recorder import RecordingBatch
from app.oauth.reasons import api_reason
from app.oauth.retrying import retry_after

_FAILURES = (
    googleapiclient.errors.Error,
    google.auth.exceptions.GoogleAuthError,
    urllib3.exceptions.HTTPError,
    OSError,  # TimeoutError and ssl.SSLError among them
    UnicodeDecodeError,
)
_BATCH_FAILURES = (*_FAILURES, LookupError, TypeError, ValueError)  # googleapiclient reads a batch's answer unchecked
_UNSENT = (  # there was no connection
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)

T = TypeVar("T")


def send(http: AuthorizedHttp, request: HttpRequest) -> Any:
    """Send one request once, and return Google's answer.

    Raises:
        GoogleError: Google answered with an error, or not at all.
    """
    answer = translated(lambda: request.execute(http=http, num_retries=0), request.methodId)
    if _is_text(answer):
        raise _unreadable(request.methodId)
    return answer


def send_batch(http: AuthorizedHttp, requests: Sequence[HttpRequest], url: str) -> list[Any]:
    """Send requests once, in one HTTP request, and return the answers; a failed one's answer is a `GoogleError`.

    Raises:
        GoogleError: All of it failed.
    """
    answers: dict[str, Any] = {}

    def collect(number: str, answer: Any, error: googleapiclient.errors.HttpError | None) -> None:
        method_id = requests[int(number)].methodId
        if error:
            answers[number] = _as_deputy_error(error, method_id)
        else:
            answers[number] = _unreadable(method_id) if _is_text(answer) else answer

    batch = RecordingBatch(callback=collect, batch_uri=url)
    for number, request in enumerate(requests):
        batch.add(request, request_id=str(number))
    translated(lambda: batch.execute(http=http), "a batch", _BATCH_FAILURES)
    return [answers[str(number)] for number in range(len(requests))]


def _is_text(answer: object) -> bool:
    """Return whether googleapiclient returned JSON that it could not parse as a string; media is bytes."""
    return isinstance(answer, str) and answer != ""  # "" is an answer without content


def translated(call: Callable[[], T], what: str, failures: tuple[type[Exception], ...] = _FAILURES) -> T:
    """Return what a call to Google returns.

    Raises:
        GoogleError: One of these failures, without the library's text.
    """
    try:
        return call()
    except failures as error:
        failure = _as_deputy_error(error, what)
    try:
        raise failure  # outside the except clause: as its context, the library's error would carry the body along
    finally:
        del failure  # its traceback holds this frame, and so the person's credentials until the collector runs


def _as_deputy_error(error: Exception, what: str) -> DeputyError:
    """Return our error for the library's; its text is dropped, because it quotes URLs and bodies."""
    if isinstance(error, googleapiclient.errors.HttpError):
        status, reason = int(error.resp.status), api_reason(error.content)
        answered = f"{status} {reason}" if reason else f"{status}"
        kind = TokenRefusedError if status == 401 else GoogleError  # google-auth renews the token before it gives up
        wait = retry_after(error.resp.get("retry-after"))
        return kind(f"Google answered {answered} to {what}", status=status, reason=reason, retry_after=wait)
    if isinstance(error, google.auth.exceptions.RefreshError):
        for cause in (error.__cause__, *error.args):
            if isinstance(cause, DeputyError):
                return cause
        return GoogleError(f"the access token could not be renewed for {what}")
    unsent = isinstance(error, _UNSENT)
    return GoogleError(f"Google gave no answer to {what} ({type(error).__name__})", unsent=unsent)


def _unreadable(what: str) -> GoogleError:
    return GoogleError(f"Google's answer to {what} is not JSON", status=200)
