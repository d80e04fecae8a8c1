"""What was really sent to Google, attempt by attempt: the calls by their methods, and how each was answered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import httplib2
from googleapiclient.http import BatchHttpRequest

from app.google.transport import PooledHttp


class SentRequest:
    """The calls of one `execute`. Lives as long as that, and holds no argument, no answer and no token.

    A thread cannot be interrupted: it may want to send once more, under a new token, when nobody waits any more and
    what was sent is written down. Such an attempt is refused.

    Attributes:
        credential_id: What names the credential that signed them.
        calls: Each method that was called, with the HTTP status of its answer, or None where none was seen. A call
            that was refused and sent once more, under a new token, is in it twice.
    """

    __slots__ = ("_is_closed", "_lock", "calls", "credential_id")

    def __init__(self, credential_id: str) -> None:
        self.credential_id = credential_id
        self.calls: list[tuple[str, int | None]] = []
        self._is_closed = False
        self._lock = threading.Lock()

    def leave(self, method_ids: Sequence[str]) -> int:
        """These calls are on their way; returns where they stand in `calls`.

        Raises:
            RuntimeError: It is closed.
        """
        with self._lock:
            if self._is_closed:
                raise RuntimeError("nobody waits for this call any more, so it is not sent")
            place = len(self.calls)
            self.calls += [(method_id, None) for method_id in method_ids]
        return place

    def answered(self, place: int, statuses: Sequence[int]) -> None:
        """The calls from this place on were answered so."""
        for number, status in enumerate(statuses, place):
            self.calls[number] = (self.calls[number][0], status)

    def close(self) -> None:
        """Nothing is sent from now on, and `calls` has all that was; answers to it may still come in."""
        with self._lock:
            self._is_closed = True


class RecordingHttp:
    """Writes down each attempt of a `PooledHttp` before it is made. Lives for one `execute`."""

    def __init__(self, http: PooledHttp) -> None:
        self._http = http
        self._sent: SentRequest | None = None
        self._method_ids: Sequence[str] = ()

    def carry(self, sent: SentRequest, method_ids: Sequence[str]) -> None:
        """The attempts that follow carry these calls, and are written down there."""
        self._sent, self._method_ids = sent, method_ids

    def request(self, uri: str, method: str = "GET", **options: Any) -> tuple[httplib2.Response, bytes]:
        """Send as the inner one does.

        Raises:
            RuntimeError: Nobody has said what is sent.
        """
        if self._sent is None:
            raise RuntimeError("something was about to be sent that is not written down; use GoogleClient")
        sent, method_ids = self._sent, self._method_ids
        place = sent.leave(method_ids)
        response, content = self._http.request(uri, method, **options)
        sent.answered(place, [int(response.status)] * len(method_ids))
        return response, content

    def attempt(self, method_ids: Sequence[str]) -> SentRequest:
        """The next attempt carries only these of the calls."""
        assert self._sent is not None
        self._method_ids = method_ids
        return self._sent

    def close(self) -> None:
        """Do nothing: the connections are everybody's."""


class RecordingBatch(BatchHttpRequest):  # type: ignore[misc]  # the library is untyped
    """A batch that says of each attempt which calls it carried, and how each was answered.

    googleapiclient sends those that were answered 401 once more; `_execute` is one attempt. Its `http` is google-auth's
    AuthorizedHttp around a `RecordingHttp`.
    """

    def _execute(self, http: Any, order: Sequence[str], requests: Any) -> None:
        sent = http.http.attempt([requests[number].methodId for number in order])
        super()._execute(http, order, requests)
        statuses = [int(self._responses[number][0]["status"]) for number in order]
        sent.answered(len(sent.calls) - len(order), statuses)
