"""Google's APIs as one person, for one message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import google.auth.exceptions
import google.oauth2.credentials
import googleapiclient.errors
import urllib3
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.http import HttpRequest

from app.deadline import Deadline
from app.errors import DeputyError, ForeignRunError, GoogleError, TokenRefusedError
from app.google.apis import GoogleApis
from app.google.reasons import api_reason
from app.google.request_recorder import RecordingBatch, RecordingHttp, SentRequest
from app.google.transport import PooledHttp
from app.run import current_run

# Gmail takes 100 and asks for at most 50, Calendar takes 50:
# https://developers.google.com/workspace/gmail/api/guides/batch
# https://developers.google.com/workspace/calendar/api/guides/batch
BATCH_SIZE = 50

_FAILURES = (
    googleapiclient.errors.Error,
    google.auth.exceptions.GoogleAuthError,
    urllib3.exceptions.HTTPError,
    OSError,  # TimeoutError and ssl.SSLError among them
    UnicodeDecodeError,
)
_BATCH_FAILURES = (*_FAILURES, LookupError, TypeError, ValueError)  # googleapiclient reads a batch's answer unchecked

T = TypeVar("T")


class UserCredentials(Protocol):
    """The credentials of the person whom the client acts for."""

    def for_google(self) -> google.oauth2.credentials.Credentials:
        """What google-auth signs calls with: an access token and a refresh handler, and no refresh token."""

    async def refused(self, access_token: str) -> None:
        """Take note that an API refuses this token, which was renewed just before."""


class Recorder(Protocol):
    """Writes down what is sent in the person's name."""

    def sending(self) -> SentRequest:
        """Something is about to be sent."""

    async def sent(self, sent: SentRequest) -> None:
        """It was sent, or given up."""

    async def refused(self, method_ids: Sequence[str]) -> None:
        """Another request tried to make these calls, and was refused."""


class Threads(Protocol):
    """Runs what blocks; waits for it before the request ends."""

    async def to_thread(self, function: Callable[..., T], /, *args: Any) -> T:
        """The function's result, computed in a thread."""


class GoogleClient:
    """Calls Google's APIs as one person. Lives for one request, and costs next to nothing to make.

    What is a person's in it is only `credentials`; templates and connections are everybody's. It sends nothing in
    another run than the one that it was made in.

    Args:
        credentials: The person's.
        apis: The shared templates.
        pool: The shared connections.
        threads: Where calls block.
        deadline: The message's; no call waits longer.
        recorder: Told of every call.
        timeout_seconds: How long one call may wait for its connection, and for each piece of its answer.
    """

    def __init__(
        self,
        credentials: UserCredentials,
        apis: GoogleApis,
        pool: urllib3.PoolManager,
        threads: Threads,
        deadline: Deadline,
        recorder: Recorder,
        *,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._credentials = credentials
        self._apis = apis
        self._threads = threads
        self._run = current_run()
        self._recorder = recorder
        self._http = PooledHttp(pool, lambda: deadline.clip(timeout_seconds))

    def resource(self, api: str, version: str, *path: str) -> Any:
        """A resource that makes requests for `execute`: ``resource("gmail", "v1", "users", "messages")``.

        Raises:
            SettingsError: There is no such API, version or resource.
        """
        return self._apis.resource(api, version, *path)

    async def to_thread(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Return a function's result, computed in the request's threads: for answers that take long to read."""
        return await self._threads.to_thread(function, *arguments)

    async def execute(self, request: HttpRequest) -> Any:
        """Send one request as the person, once, and return Google's answer.

        Raises:
            GoogleError: Google answered with an error, or not in time.
            CredentialsError: The access token had to be renewed and could not be, for the reason that the error gives;
                or Google refuses the renewed one as well.
            ForeignRunError: Another request than its own made the call.
        """
        await self._check_run([request.methodId])
        http = self._authorized()
        try:
            return await self._recorded(http, [request.methodId], _execute, request)
        except TokenRefusedError as error:
            refusal = error
        try:
            await self._credentials.refused(http.credentials.token)
            raise refusal  # the token was renewed once more in the meantime: another try may work
        finally:
            del refusal  # its traceback holds this frame: no cycle

    async def execute_batch(self, requests: Sequence[HttpRequest]) -> list[Any]:
        """Send requests of one API as the person, up to 50 in one HTTP request; answers in the order of `requests`.

        Where one of them fails, a `GoogleError` stands in its place.

        Raises:
            GoogleError: A whole batch failed, or there was no answer in time.
            CredentialsError, ForeignRunError: As `execute`.
            ValueError: The requests are of more than one API.
        """
        urls = {self._apis.batch_url(request.methodId) for request in requests}
        if len(urls) > 1:
            raise ValueError("the requests of a batch are of one API")
        await self._check_run([request.methodId for request in requests])
        http = self._authorized()
        answers: list[Any] = []
        for start in range(0, len(requests), BATCH_SIZE):
            part = requests[start : start + BATCH_SIZE]
            methods = [request.methodId for request in part]
            answers += await self._recorded(http, methods, _execute_batch, part, *urls)
        if any(isinstance(answer, TokenRefusedError) for answer in answers):
            await self._credentials.refused(http.credentials.token)
        return answers

    async def _check_run(self, method_ids: Sequence[str]) -> None:
        try:
            self._run.check(f"The Google client that called {', '.join(sorted(set(method_ids)))}")
        except ForeignRunError:
            await self._recorder.refused(method_ids)
            raise

    def _authorized(self) -> AuthorizedHttp:
        # One renewal a call: a token that is refused right after it was renewed will not get better.
        return AuthorizedHttp(self._credentials.for_google(), http=RecordingHttp(self._http), max_refresh_attempts=1)

    async def _recorded(
        self, http: AuthorizedHttp, method_ids: Sequence[str], execute: Callable[..., T], *arguments: Any
    ) -> T:
        """Run it in a thread, and tell the recorder what really left."""
        sent = self._recorder.sending()
        http.http.carry(sent, method_ids)
        try:
            return await self._threads.to_thread(execute, http, *arguments)
        finally:
            sent.close()
            await self._recorder.sent(sent)


def _execute(http: AuthorizedHttp, request: HttpRequest) -> Any:
    answer = _translated(lambda: request.execute(http=http, num_retries=0), request.methodId, _FAILURES)
    if _is_text(answer):
        raise _unreadable(request.methodId)
    return answer


def _execute_batch(http: AuthorizedHttp, requests: Sequence[HttpRequest], url: str) -> list[Any]:
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
    _translated(lambda: batch.execute(http=http), "a batch", _BATCH_FAILURES)
    return [answers[str(number)] for number in range(len(requests))]


def _is_text(answer: object) -> bool:
    """Whether googleapiclient handed JSON that it could not parse through as a string; media is bytes."""
    return isinstance(answer, str) and answer != ""  # "" is an answer without content


def _translated(call: Callable[[], T], what: str, failures: tuple[type[Exception], ...]) -> T:
    try:
        return call()
    except failures as error:
        failure = _as_deputy_error(error, what)
    try:
        raise failure  # outside the except clause: as its context, the library's error would carry the body along
    finally:
        del failure  # its traceback holds this frame, and so the person's credentials until the collector runs


def _as_deputy_error(error: Exception, what: str) -> DeputyError:
    """Ours for the library's; of the library's texts none is kept, as they quote URLs and bodies."""
    if isinstance(error, googleapiclient.errors.HttpError):
        status, reason = int(error.resp.status), api_reason(error.content)
        answered = f"{status} {reason}" if reason else f"{status}"
        kind = TokenRefusedError if status == 401 else GoogleError  # google-auth renews the token before it gives up
        return kind(f"Google answered {answered} to {what}", status=status, reason=reason)
    if isinstance(error, google.auth.exceptions.RefreshError):
        for cause in (error.__cause__, *error.args):
            if isinstance(cause, DeputyError):
                return cause
        return GoogleError(f"the access token could not be renewed for {what}")
    return GoogleError(f"Google gave no answer to {what} ({type(error).__name__})")


def _unreadable(what: str) -> GoogleError:
    return GoogleError(f"Google's answer to {what} is not JSON", status=200)
