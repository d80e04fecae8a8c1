"""The transport of API calls: one connection pool for everybody, without anybody's credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, NoReturn

import httplib2
import urllib3

from app.errors import GoogleError

CHUNK_BYTES = 65_536
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # when decoded; everybody shares the process's memory


class PooledHttp:
    """Stands in for `httplib2.Http` over a `urllib3.PoolManager` that all people share. Lives for one request.

    It holds no credentials: Authorization is an argument of each call. It follows no redirects and sends nothing twice.
    Never share an `httplib2.Http` instead: between threads, it gives one person another's response.

    Args:
        pool: The process's thread-safe pool.
        timeout: Returns the seconds that a call may still take; called before sending and while the answer is read.
    """

    def __init__(self, pool: urllib3.PoolManager, timeout: Callable[[], float]) -> None:
        self._pool = pool
        self._timeout = timeout

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: bytes | str | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        redirections: int = 0,  # httplib2's signature
        connection_type: object = None,
    ) -> tuple[httplib2.Response, bytes]:
        """Send once and read the whole answer; header names are returned in lower case.

        Raises:
            TimeoutError: There was no time left, or it ran out while the answer was being read.
            urllib3.exceptions.HTTPError: There was no answer.
            GoogleError: The answer is larger than `MAX_ANSWER_BYTES`.
        """
        response = self._pool.request(
            method,
            uri,
            body=body,
            headers=dict(headers or {}),
            retries=False,  # and no redirects
            timeout=self._seconds_left(),
            preload_content=False,
        )
        content = self._read(response)
        fields = {name.lower(): value for name, value in response.headers.items()}
        if fields.pop("content-encoding", None):  # the content is decoded, so its length has changed
            fields["content-length"] = str(len(content))
        answer = httplib2.Response({**fields, "status": str(response.status)})
        answer.reason = response.reason or ""
        return answer, content

    def close(self) -> None:
        """Do nothing: everybody shares the pool."""

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Read to the end while checking the time: a socket's time-out alone would never end a slow drip."""
        chunks, size = [], 0
        try:
            while chunk := response.read1(CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    raise GoogleError(
                        f"Google's answer is over {MAX_ANSWER_BYTES} bytes; ask for less",
                        status=response.status,
                        reason="answerTooLarge",
                    )
                self._seconds_left()
        except BaseException:
            response.close()
            raise
        finally:
            response.release_conn()
        return b"".join(chunks)

    def _seconds_left(self) -> float:
        seconds = self._timeout()
        if seconds <= 0:
            raise TimeoutError("no time is left for this call")
        return seconds


class NoHttp:
    """The transport of the shared templates: it raises, so that a call without a person's transport fails closed."""

    def request(self, *_: object, **__: object) -> NoReturn:
        """Refuse to send.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("a template of a Google API was called without a person's transport; use GoogleClient")

    def close(self) -> None:
        """Do nothing: nothing is open."""
