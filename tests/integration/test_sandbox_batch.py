"""Batches, as googleapiclient's BatchHttpRequest sends them."""

from __future__ import annotations

import asyncio
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.parser import BytesParser
from typing import Any

import httpx2
from google.oauth2.credentials import Credentials

from app.sandbox.google.sandbox import GoogleSandbox
from tests.fakes.sandbox import ADA, GRACE, READ, SandboxClient, gmail_service, in_memory, on_loopback, sandbox


async def post_batch(client: SandboxClient, path: str, *requests: str, **headers: str) -> httpx2.Response:
    """Send these HTTP requests as one batch."""
    batch = MIMEMultipart("mixed")
    for number, request in enumerate(requests):
        part = MIMEApplication(request.encode(), "http", lambda _: None)
        part["Content-ID"] = f"<base + {number}>"
        batch.attach(part)
    body = batch.as_bytes().partition(b"\n\n")[2]
    content_type = f'multipart/mixed; boundary="{batch.get_boundary()}"'
    return await client.http.post(path, content=body, headers={"Content-Type": content_type, **headers})


def answers(response: httpx2.Response) -> list[tuple[str, str]]:
    """Return the Content-ID and the status line of each part."""
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + response.content).get_payload()
    assert isinstance(parts, list)
    found = [part for part in parts if isinstance(part, Message)]
    return [(part["Content-ID"], str(part.get_payload()).splitlines()[0]) for part in found]


async def authorized(client: SandboxClient, email: str) -> tuple[str, str]:
    """Return a bearer, and the header that carries it."""
    token = (await client.sign_in(email, READ))["access_token"]
    return token, f"Authorization: Bearer {token}\n"


def run_batch(base_url: str, token: str, ids: list[str]) -> list[Any]:
    """Fetch these messages with the unmodified client library; an error takes the place of a missing message."""
    service, http = gmail_service(base_url, Credentials(token))
    got: dict[str, Any] = {}
    batch = service.new_batch_http_request(lambda name, answer, error: got.update({name: error or answer}))
    for number, message_id in enumerate(ids):
        batch.add(service.users().messages().get(userId="me", id=message_id, format="minimal"), request_id=str(number))
    batch.execute()
    http.close()
    return [got[str(number)] for number in range(len(ids))]


async def test_the_client_library_reads_every_answer_of_a_batch() -> None:
    """In a batch of a hundred calls, the last of which fails, each has its own answer and its own entry in the log."""
    google = sandbox()
    people = (ADA, GRACE)
    names = {email: ([message.id for message in google.mailbox(email)] * 100)[:99] for email in people}
    async with on_loopback(google) as (base_url, client):
        bearers = [(await authorized(client, email))[0] for email in people]
        got = await asyncio.gather(
            *(
                asyncio.to_thread(run_batch, base_url, bearer, [*names[email], "0" * 16])
                for email, bearer in zip(people, bearers, strict=True)
            )
        )

    for email, found in zip(people, got, strict=True):
        assert [answer["id"] for answer in found[:-1]] == names[email]
        assert found[-1].status_code == 404
        logged = [each for each in google.calls if (each.method_id, each.email) == ("gmail.users.messages.get", email)]
        assert [call.status for call in logged] == [200] * 99 + [404]


async def test_each_call_has_its_own_bearer() -> None:
    """A call uses its own Authorization header, or the batch's if it has none, and a wrong one gets a 401."""
    google = sandbox()
    async with in_memory(google) as client:
        (ada, _), (_, grace) = await authorized(client, ADA), await authorized(client, GRACE)
        get = "GET /gmail/v1/users/me/profile HTTP/1.1\n"
        calls = [f"{get}{grace}\n", f"{get}\n", f"{get}Authorization: Bearer wrong\n\n"]
        response = await post_batch(client, "/batch/gmail/v1", *calls, Authorization=f"Bearer {ada}")

    assert [call.email for call in google.calls[-3:]] == [GRACE, ADA, None]
    assert answers(response) == [
        ("<response-base + 0>", "HTTP/1.1 200 OK"),
        ("<response-base + 1>", "HTTP/1.1 200 OK"),
        ("<response-base + 2>", "HTTP/1.1 401 Unauthorized"),
    ]


async def test_more_than_a_hundred_calls_are_refused() -> None:
    """A batch of more than a hundred calls is refused, and none of them is made."""
    google = sandbox()
    async with in_memory(google) as client:
        _, header = await authorized(client, ADA)
        calls = [f"GET /gmail/v1/users/me/profile HTTP/1.1\n{header}\n"] * 101
        response = await post_batch(client, "/batch/gmail/v1", *calls)
        fits = await post_batch(client, "/batch/gmail/v1", *calls[:100])

    assert (response.status_code, fits.status_code) == (400, 200)
    assert sum(call.method_id == "gmail.users.getProfile" for call in google.calls) == 100


async def test_a_batch_is_for_one_api() -> None:
    """A call of another API than the path names gets a 404, and /batch accepts every API."""
    google = sandbox()
    async with in_memory(google) as client:
        _, header = await authorized(client, ADA)
        call = f"GET /gmail/v1/users/me/profile HTTP/1.1\n{header}\n"
        other = await post_batch(client, "/batch/drive/v3", call)
        every = await post_batch(client, "/batch", call)

    assert answers(other)[0][1] == "HTTP/1.1 404 Not Found"
    assert answers(every)[0][1] == "HTTP/1.1 200 OK"


async def test_what_is_no_batch_is_refused() -> None:
    """A body that is not multipart, or a part that is not a valid request, gets a 400."""
    google: GoogleSandbox = sandbox()
    async with in_memory(google) as client:
        plain = await client.http.post("/batch/gmail/v1", json={})
        garbled = await post_batch(client, "/batch/gmail/v1", "hello\n\n")
        absolute = await post_batch(client, "/batch/gmail/v1", "GET http://evil.example/ HTTP/1.1\n\n")

    assert [each.status_code for each in (plain, garbled, absolute)] == [400, 400, 400]
