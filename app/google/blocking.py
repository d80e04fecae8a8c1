"""Sends the requests of blocking code, written by others, as one person: in the thread where that code runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.http import BatchHttpRequest, HttpRequest

from app.errors import CredentialsError, DeputyError
from app.google.apis import GoogleApis
from app.google.request_recorder import SentRequest
from app.google.sending import translated

_line: ContextVar[BlockingLine | None] = ContextVar("blocking_line", default=None)


class Sending(Protocol):
    """Begins to send a call, in the thread that asks."""

    def __call__(self, method_ids: Sequence[str]) -> tuple[AuthorizedHttp, SentRequest]:
        """Return a person's transport that records these calls, and their record."""


class BlockingLine:
    """One call of foreign code to Google, which may send many requests. Lives as long as that call.

    The code may keep it; once it is cut nothing is sent any more.
    """

    def __init__(self, sending: Sending, apis: GoogleApis) -> None:
        self._sending: Sending | None = sending
        self._apis = apis
        self.sent: list[SentRequest] = []
        self.failure: DeputyError | None = None
        self.refused_token: str | None = None

    def service(self, api: str, version: str) -> BlockingResource:
        """Return what stands in for googleapiclient's service of an API."""
        return BlockingResource(self._apis.resource(api, version), self._apis.batch_url_of(api, version))

    def http(self, method_id: str) -> BlockingHttp:
        """Return the transport for one request of this method."""
        return BlockingHttp(self, [method_id])

    def send(self, method_ids: Sequence[str], uri: str, method: str, **options: Any) -> tuple[Any, bytes]:
        """Send a request, and return httplib2's response and the body.

        Raises:
            DeputyError: It was not sent, or not answered.
        """
        if self._sending is None:
            raise CredentialsError("this request has ended")
        http, sent = self._sending(method_ids)
        self.sent.append(sent)
        try:
            response, content = translated(lambda: http.request(uri, method=method, **options), method_ids[0])
        except DeputyError as error:
            if isinstance(error, CredentialsError):
                self.failure = error.with_traceback(None)
            raise
        finally:
            sent.close()
        if int(response.status) == 401:
            self.refused_token = http.credentials.token
        return response, content

    def take_failure(self) -> DeputyError:
        """Return the failure, and keep it no longer: its traceback will lead to whoever holds this line."""
        failure, self.failure = self.failure, None
        assert failure is not None
        return failure

    def cut(self) -> None:
        """Send nothing any more."""
        self._sending = None


class BlockingHttp:
    """Stands in for `httplib2.Http` in foreign code. Holds nothing but its line."""

    def __init__(self, line: BlockingLine, method_ids: Sequence[str]) -> None:
        self._line = line
        self.method_ids = method_ids

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any
    ) -> tuple[Any, bytes]:
        """Send; raises as `BlockingLine.send`."""
        return self._line.send(self.method_ids, uri, method, body=body, headers=headers)

    def close(self) -> None:
        """Do nothing: everybody shares the connections."""


class BlockingBatch(BatchHttpRequest):  # type: ignore[misc]  # the library is untyped
    """A batch that names its calls to the record. Lives for one `execute`."""

    def _execute(self, http: Any, order: Sequence[str], requests: Any) -> None:
        http.method_ids = [requests[number].methodId for number in order]
        super()._execute(http, order, requests)


class BlockingResource:
    """A shared template whose requests go out on the line of the thread that makes them. It is nobody's.

    It looks like googleapiclient's Resource: methods return requests that can be executed, or further resources.
    """

    def __init__(self, template: Any, batch_url: str) -> None:
        self._template = template
        self._batch_url = batch_url

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a method of the template whose result is on the line."""
        method = getattr(self._template, name)

        def call(*arguments: Any, **options: Any) -> Any:
            made = method(*arguments, **options)
            if isinstance(made, HttpRequest):
                made.http = current_line().http(made.methodId)
                return made
            return BlockingResource(made, self._batch_url) if made is not None else None

        return call

    def new_batch_http_request(self, callback: Any = None) -> BlockingBatch:
        """Return an empty batch."""
        return BlockingBatch(callback=callback, batch_uri=self._batch_url)


@contextmanager
def on_line(line: BlockingLine) -> Iterator[None]:
    """Send the requests of the block on this line."""
    before = _line.get()
    _line.set(line)
    try:
        yield
    finally:
        _line.set(before)


def current_line() -> BlockingLine:
    """Return the line of the tool that runs in this thread.

    Raises:
        CredentialsError: None does.
    """
    line = _line.get()
    if line is None:
        raise CredentialsError("a request to Google was made outside of any tool's call")
    return line
