"""Records what was really sent to Google, attempt by attempt: each call's method, and the status of its answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import httplib2
from googleapiclient.http import BatchHttpRequest

from app.google.transport import PooledHttp


class SentRequest:
    """The calls of one `execute`. Lives as long as that, and holds no arguments, answers or tokens.

    A thread cannot be interrupted: it may try to send again, with a new token, when nobody is waiting any more and the
    record has been written. Such an attempt is refused.

    Attributes:
        credential_id: Names the credential that signed the calls.
        calls: The method of each call and the HTTP status of its answer, or None if no answer was seen. A call that was
            refused and sent again, with a new token, is listed twice.
    """

    __slots__ = ("_is_closed", "_lock", "calls", "credential_id")

    def __init__(self, credential_id: str) -> None:
        self.credential_id = credential_id
        self.calls: list[tuple[str, int | None]] = []
        self._is_closed = False
        self._lock = threading.Lock()

    def leave(self, method_ids: Sequence[str]) -> int:
        """Record that these calls are being sent, and return the index of the first one in `calls`.

        Raises:
            RuntimeError: The record is closed.
        """
        with self._lock:
            if self._is_closed:
                raise RuntimeError("nobody waits for this call any more, so it is not sent")
            place = len(self.calls)
            self.calls += [(method_id, None) for method_id in method_ids]
        return place

    def answered(self, place: int, statuses: Sequence[int]) -> None:
        """Record the statuses of the calls from this index on."""
        for number, status in enumerate(statuses, place):
            self.calls[number] = (self.calls[number][0], status)

    def close(self) -> None:
        """Refuse all further calls: `calls` is complete, though answers may still arrive."""
        with self._lock:
            self._is_closed = True


class RecordingHttp:
    """Records each attempt of a `PooledHttp` before it is made. Lives for one `execute`."""

    def __init__(self, http: PooledHttp) -> None:
        self._http = http
        self._sent: SentRequest | None = None
        self._method_ids: Sequence[str] = ()

    def carry(self, sent: SentRequest, method_ids: Sequence[str]) -> None:
        """Record the attempts that follow in `sent`, with these calls."""
        self._sent, self._method_ids = sent, method_ids

    def request(self, uri: str, method: str = "GET", **options: Any) -> tuple[httplib2.Response, bytes]:
        """Send a request with the inner `PooledHttp`.

        Raises:
            RuntimeError: `carry` has not been called.
        """
        if self._sent is None:
            raise RuntimeError("a request was about to be sent without being recorded; use GoogleClient")
        sent, method_ids = self._sent, self._method_ids
        place = sent.leave(method_ids)
        response, content = self._http.request(uri, method, **options)
        sent.answered(place, [int(response.status)] * len(method_ids))
        return response, content

    def attempt(self, method_ids: Sequence[str]) -> SentRequest:
        """Restrict the next attempt to these calls."""
        assert self._sent is not None
        self._method_ids = method_ids
        return self._sent

    def close(self) -> None:
        """Do nothing: everybody shares the connections."""


class RecordingBatch(BatchHttpRequest):  # type: ignore[misc]  # the library is untyped
    """A batch that records, for each attempt, its calls and the statuses of their answers. Lives for one `execute`.

    googleapiclient sends calls again that were answered with 401; `_execute` is one attempt. Its `http` is
    google-auth's AuthorizedHttp around a `RecordingHttp`.
    """

    def _execute(self, http: Any, order: Sequence[str], requests: Any) -> None:
        sent = http.http.attempt([requests[number].methodId for number in order])
        super()._execute(http, order, requests)
        statuses = [int(self._responses[number][0]["status"]) for number in order]
        sent.answered(len(sent.calls) - len(order), statuses)
