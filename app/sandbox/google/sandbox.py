"""The sandbox's Google: one ASGI application with the endpoints of Google's OAuth server and of its APIs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.google.api import ApiError, RestApi, WireRequest, WireResponse, error_response
from app.sandbox.google.authorize import Client, ConsentScreen
from app.sandbox.google.batch import answer_batch
from app.sandbox.google.calendar.api import GoogleCalendar
from app.sandbox.google.delegation import DelegatedAccount, Delegation
from app.sandbox.google.drive.api import GoogleDrive
from app.sandbox.google.gmail.api import Gmail
from app.sandbox.google.gmail.message import MailboxMessage
from app.sandbox.google.grants import SandboxGrants
from app.sandbox.google.media import MediaError
from app.sandbox.google.oauth import OAuth
from app.sandbox.google.outages import Outage, Outages
from app.sandbox.log import Call
from app.sandbox.people import PEOPLE, Person, SandboxPeople

_VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class GoogleSandbox:
    """A Google with one OAuth client and a few people, whose mail is created at each start. Lives for the process.

    Serve `app` with `app.sandbox.server.serve_loopback`. The issuer of its id_tokens is the base URL of the call to the
    token endpoint. All state is in memory and is lost with the sandbox.

    Args:
        client_id: The OAuth client's id.
        client_secret: The OAuth client's secret.
        redirect_uris: The exact URLs to which answers about consents may be sent.
        people: The people with an account; by default two fictitious ones.
        service_accounts: The accounts that may act as the people of a domain without their consent.
        rotate_refresh_tokens: Whether a refresh returns a new refresh token and invalidates the old one.
        access_token_seconds: The lifetime of an access token.
        marked: Whether each mail holds a marker, by which a proof finds out who has seen it; otherwise the mails read
            like anybody's.
        now: The clock, in seconds since the epoch.

    Attributes:
        app: The ASGI application.
        calls: The calls that it has answered, oldest first.
        people: The people with an account.
        calendar: Everybody's calendars.
        drive: Everybody's files.
        outages: How the next calls of the APIs and of the token endpoint are refused, in this order.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        redirect_uris: frozenset[str],
        people: Sequence[Person] | None = None,
        service_accounts: Sequence[DelegatedAccount] = (),
        rotate_refresh_tokens: bool = True,
        access_token_seconds: int = 3600,
        marked: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        accounts = SandboxPeople(PEOPLE if people is None else people)
        client = Client(client_id, client_secret, redirect_uris)
        self.calls: list[Call] = []
        self.outages: deque[Outage] = deque()
        self.people: tuple[Person, ...] = tuple(accounts.values())
        self._grants = SandboxGrants(
            rotate_refresh_tokens=rotate_refresh_tokens, access_token_seconds=access_token_seconds, now=now
        )
        self._gmail = Gmail(accounts, now, marked=marked)
        self.calendar = GoogleCalendar(accounts, now, marked=marked)
        self.drive = GoogleDrive(accounts, now, marked=marked)
        handlers = {
            **self._gmail.handlers,
            **self.calendar.handlers,
            **self.drive.handlers,
        }
        self._api = RestApi(handlers, accounts, self._grants, self.calls.append, now)
        consent = ConsentScreen(client, accounts, self._grants, self.calls.append, now)
        delegation = Delegation(service_accounts, accounts, self._grants, now)
        oauth = OAuth(client, accounts, self._grants, delegation, self.calls.append, now)
        app = Starlette(
            routes=[
                *consent.routes,
                *oauth.routes,
                Route("/batch", self._batch, methods=["POST"]),
                Route("/batch/{name}/{version}", self._batch, methods=["POST"]),
                Route("/{path:path}", self._method, methods=_VERBS),
            ]
        )
        self.app = Outages(app, self.outages)

    def mailbox(self, email: str) -> list[MailboxMessage]:
        """Return this person's current messages, trash and drafts included, newest first.

        Raises:
            KeyError: Nobody has this address.
        """
        return self._gmail.post.mailboxes[email].messages

    def bearer_owner(self, bearer: str) -> str | None:
        """Return the address of the person to whom an access token belongs, or None if it is not valid."""
        owner = self._grants.owner(bearer)
        return owner[0] if owner else None

    async def _method(self, request: Request) -> Response:
        call = WireRequest(request.method, _target(request), dict(request.headers), await request.body())
        return _response(self._api.answer(call))

    async def _batch(self, request: Request) -> Response:
        parameters = request.path_params
        api = f"{parameters['name']}.{parameters['version']}" if parameters else None
        try:
            answer = answer_batch(dict(request.headers), await request.body(), lambda call: self._api.answer(call, api))
        except (ApiError, MediaError) as error:
            answer = error_response(error if isinstance(error, ApiError) else ApiError(400, str(error), "badRequest"))
        return _response(answer)


def _target(request: Request) -> str:
    """Return the percent-encoded path below the application's root, with the query; ``%2F`` in an id is not a slash."""
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    path = raw.partition(b"?")[0].decode("ascii").removeprefix(quote(request.scope.get("root_path", "")))
    return f"{path}?{request.url.query}" if request.url.query else path


def _response(answer: WireResponse) -> Response:
    return Response(answer.body, answer.status, headers=dict(answer.headers))
