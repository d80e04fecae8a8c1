"""A Google on loopback over HTTPS, in its own process, which answers each call at once with the bearer it received.

Only the client's work is to be measured, so this server does as little as clients accept.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_END = b"\r\n\r\n"


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the server while the context lasts.

    Args:
        folder: The folder for its key and certificate.

    Yields:
        Its address, and a file with its own authority and all of certifi's: a client that reads the bundle for each
            connection would gain from a shorter one.
    """
    certificate, key = _self_signed(folder)
    bundle = folder / "authorities.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + certificate.read_bytes())
    command = [sys.executable, "-m", __name__, str(certificate), str(key)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"https://127.0.0.1:{int(process.stdout.readline())}", bundle
        finally:
            process.terminate()


def _self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


class _Connection(asyncio.Protocol):
    """Answers GET requests with a page of mail ids, and the bearer as the next page's token."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while _END in self._received:
            head, _, self._received = self._received.partition(_END)
            self._transport.write(_answer(_bearer(head)))


def _bearer(head: bytes) -> str:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"authorization":
            return value.strip().removeprefix(b"Bearer ").decode()
    return ""


def _answer(bearer: str) -> bytes:
    mails = [{"id": f"19a{number:013x}", "threadId": f"19a{number:013x}"} for number in range(10)]
    page = {"messages": mails, "nextPageToken": bearer, "resultSizeEstimate": 10}
    body = json.dumps(page).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nVary: Origin\r\nVary: X-Origin\r\n"
        "Vary: Referer\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nServer: ESF\r\nX-XSS-Protection: 0\r\n"
        f"X-Frame-Options: SAMEORIGIN\r\nX-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _main(certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # ends with the parent process


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
