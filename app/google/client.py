"""Google's APIs as one person, for one message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import google.oauth2.credentials
import urllib3
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.http import HttpRequest

from app.deadline import Deadline
from app.errors import ForeignRunError, GoogleError, TokenRefusedError
from app.google.apis import GoogleApis
from app.google.blocking import BlockingLine, on_line
from app.google.request_recorder import RecordingHttp, SentRequest
from app.google.sending import send, send_batch
from app.google.transport import PooledHttp
from app.oauth.faults import FaultLog
from app.oauth.retrying import Patience
from app.run import current_run

# Gmail takes 100 and asks for at most 50, Calendar takes 50:
# https://developers.google.com/workspace/gmail/api/guides/batch
# https://developers.google.com/workspace/calendar/api/guides/batch
BATCH_SIZE = 50

T = TypeVar("T")


class UserCredentials(Protocol):
    """The credentials of the person whom the client acts for."""

    def for_google(self) -> google.oauth2.credentials.Credentials:
        """Return the credentials that google-auth signs with: an access token, a refresh handler, no refresh token."""

    async def refused(self, access_token: str) -> None:
        """Note that an API refuses this token, which has just been renewed."""


class Recorder(Protocol):
    """Records what is sent in the person's name."""

    def sending(self) -> SentRequest:
        """Begin the record of a call that is about to be sent."""

    async def sent(self, sent: SentRequest) -> None:
        """Complete the record of a call that was sent or abandoned."""

    async def refused(self, method_ids: Sequence[str]) -> None:
        """Record that another request tried to make these calls and was refused."""


class RequestThreads(Protocol):
    """Runs blocking calls, and waits for them before the request ends."""

    async def to_thread(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a function in a thread, and return its result."""


class GoogleClient:
    """Calls Google's APIs as one person. Lives for one request, and costs next to nothing to make.

    Only its `credentials` are personal; everybody shares the templates and the connections. It refuses to send anything
    in another run than its own.

    Args:
        credentials: The person's credentials.
        apis: The shared templates.
        pool: The shared connections.
        threads: Runs the blocking calls.
        deadline: The message's deadline; no call waits longer.
        recorder: Records every call.
        faults: Logs faults that only an administrator can fix.
        timeout_seconds: How long one call may wait for its connection, and for each piece of its answer.
    """

    def __init__(
        self,
        credentials: UserCredentials,
        apis: GoogleApis,
        pool: urllib3.PoolManager,
        threads: RequestThreads,
        deadline: Deadline,
        recorder: Recorder,
        faults: FaultLog,
        *,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._credentials = credentials
        self._apis = apis
        self._threads = threads
        self._run = current_run()
        self._recorder = recorder
        self._faults = faults
        self._deadline = deadline
        self._http = PooledHttp(pool, lambda: deadline.clip(timeout_seconds))

    def resource(self, api: str, version: str, *path: str) -> Any:
        """Return a resource that makes requests for `execute`: ``resource("gmail", "v1", "users", "messages")``.

        Raises:
            SettingsError: There is no such API, version or resource.
        """
        return self._apis.resource(api, version, *path)

    async def to_thread(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Run a function in the request's threads, for answers that take long to parse, and return its result."""
        return await self._threads.to_thread(function, *arguments)

    async def in_thread(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Run blocking code of another library in the request's threads, and return its result.

        What it makes with a `BlockingResource` is sent as the person, in that thread, and nothing is sent twice.

        Raises:
            CredentialsError: Google refused the person's token, whatever the code made of that.
            ForeignRunError: The call came from another request.
        """
        await self._check_run([])
        line = BlockingLine(self._sending, self._apis)

        def run() -> T:
            with on_line(line):
                return function(*arguments)

        try:
            result = await self._threads.to_thread(run)
        finally:
            line.cut()
            for sent in line.sent:
                sent.close()
                await self._recorder.sent(sent)
        if line.failure is not None:
            raise line.take_failure()
        if line.refused_token is not None:
            await self._credentials.refused(line.refused_token)
        return result

    def _sending(self, method_ids: Sequence[str]) -> tuple[AuthorizedHttp, SentRequest]:
        self._run.check(f"The Google client that called {', '.join(sorted(set(method_ids)))}")
        http = self._authorized()
        sent = self._recorder.sending()
        http.http.carry(sent, method_ids)
        return http, sent

    async def execute(self, request: HttpRequest, *, repeatable: bool | None = None) -> Any:
        """Send one request as the person, and return Google's answer; retry after temporary faults.

        Args:
            request: The request to send.
            repeatable: Whether sending it twice does no more than sending it once; None is so of what only reads, and
                of uploads in pieces, which are resumed. Others are sent again only where it is certain that Google did
                nothing.

        Raises:
            GoogleError: Google answered with an error, or not in time.
            CredentialsError: The access token could not be renewed, for the reason in the error, or Google refuses the
                renewed one as well.
            ForeignRunError: The call came from another request.
        """
        await self._check_run([request.methodId])
        patience = Patience(self._deadline.remaining)
        while True:
            try:
                return await self._execute(request)
            except GoogleError as error:
                pause = patience.pause_after(error) if _may_repeat(request, repeatable, error) else None
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def execute_batch(self, requests: Sequence[HttpRequest], *, repeatable: bool | None = None) -> list[Any]:
        """Send requests of one API as the person, up to 50 in one HTTP request; answers in the order of `requests`.

        If a request fails, its answer is a `GoogleError`. After a temporary fault, of the batch or of some requests,
        only the failed requests are sent again.

        Args:
            requests: The requests to send.
            repeatable: As for `execute`, of each of them.

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
            answers += await self._whole_batch(http, part, *urls, repeatable=repeatable)
        return answers

    async def _execute(self, request: HttpRequest) -> Any:
        http = self._authorized()
        try:
            return await self._recorded(http, [request.methodId], send, request)
        except TokenRefusedError as error:
            refusal = error
        except GoogleError as error:
            self._faults.notice(error, request.methodId)
            raise
        try:
            await self._credentials.refused(http.credentials.token)
            raise refusal  # the token has been renewed since, so another attempt may succeed
        finally:
            del refusal  # its traceback holds this frame: avoid the cycle

    async def _whole_batch(
        self, http: AuthorizedHttp, requests: Sequence[HttpRequest], url: str, *, repeatable: bool | None
    ) -> list[Any]:
        """Send up to 50 requests, and send those again that failed with a temporary fault."""
        answers: list[Any] = [None] * len(requests)
        to_send: Sequence[int] = range(len(requests))
        patience = Patience(self._deadline.remaining)
        while True:
            try:
                answered = await self._one_batch(http, [requests[place] for place in to_send], url)
            except GoogleError as error:
                repeated = all(_may_repeat(requests[place], repeatable, error) for place in to_send)
                pause = patience.pause_after(error) if repeated else None
                if pause is None and answers[to_send[0]] is None:
                    raise  # nothing of it was ever answered
            else:
                for place, answer in zip(to_send, answered, strict=True):
                    answers[place] = answer
                to_send = [place for place in to_send if _failed(requests[place], repeatable, answers[place])]
                pause = patience.pause_after(*(answers[place] for place in to_send)) if to_send else None
            if pause is None:
                return answers
            await asyncio.sleep(pause)

    async def _one_batch(self, http: AuthorizedHttp, requests: Sequence[HttpRequest], url: str) -> list[Any]:
        methods = [request.methodId for request in requests]
        answers = await self._recorded(http, methods, send_batch, requests, url)
        for method_id, answer in zip(methods, answers, strict=True):
            if isinstance(answer, GoogleError):
                self._faults.notice(answer, method_id)
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
        # One renewal per call: a token that is refused right after its renewal stays refused.
        return AuthorizedHttp(self._credentials.for_google(), http=RecordingHttp(self._http), max_refresh_attempts=1)

    async def _recorded(
        self, http: AuthorizedHttp, method_ids: Sequence[str], execute: Callable[..., T], *arguments: Any
    ) -> T:
        """Run a call in a thread, and record what was really sent."""
        sent = self._recorder.sending()
        http.http.carry(sent, method_ids)
        try:
            return await self._threads.to_thread(execute, http, *arguments)
        finally:
            sent.close()
            await self._recorder.sent(sent)


def _may_repeat(request: HttpRequest, repeatable: bool | None, error: GoogleError) -> bool:
    """Return whether a request may be sent again after this error; a write must not be repeated."""
    resumed = request.resumable is not None
    harmless = request.method == "GET" or resumed if repeatable is None else repeatable
    return error.passes if harmless else error.is_busy or error.unsent


def _failed(request: HttpRequest, repeatable: bool | None, answer: object) -> bool:
    """Return whether a request failed with a temporary fault and may be sent again."""
    return isinstance(answer, GoogleError) and _may_repeat(request, repeatable, answer)
