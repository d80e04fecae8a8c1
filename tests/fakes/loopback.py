"""A small HTTP server on loopback whose answers a test writes, and which records its requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from tests.fakes.delays import delay


@dataclass(frozen=True)
class Received:
    """A request that came in."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Reply:
    """An answer; `drip` writes the body one byte at a time, with that many seconds between."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0


Answer = Callable[[Received], Reply]


@dataclass
class Loopback:
    """The running server."""

    url: str
    stopping: threading.Event = field(default_factory=threading.Event)
    received: list[Received] = field(default_factory=list)


@contextmanager
def serve(answer: Answer) -> Iterator[Loopback]:
    """Answer every request with `answer` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the client hung up
                self.close_connection = True

        def parse_request(self) -> bool:
            parsed = super().parse_request()
            if parsed:
                self._answer()
            return False

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.command, self.path, headers, body)
            delay()
            loopback.received.append(request)
            reply = answer(request)
            delay()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            step = 1 if reply.drip else len(reply.body)
            for start in range(0, len(reply.body), step or 1):
                self.wfile.write(reply.body[start : start + step])
                if loopback.stopping.wait(reply.drip):
                    return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    loopback = Loopback(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        loopback.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
