"""How the sandbox's provider recognises its client."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from starlette.requests import Request

from app.sandbox.oauth.differences import Differences
from app.sandbox.oauth.state import RefusedError


@dataclass(frozen=True)
class RegisteredClient:
    """The one client, which may say who it is in one way only: RFC 6749 section 2.3. Lives with the sandbox."""

    client_id: str
    client_secret: str = field(repr=False)
    differs: Differences

    async def fields(self, request: Request) -> dict[str, str]:
        """Return the fields of a request to the token or the revocation endpoint.

        Raises:
            RefusedError: The client does not prove who it is, or writes the request in another way than is asked for.
        """
        differs = self.differs
        is_json = request.headers.get("content-type", "").startswith("application/json")
        if is_json != differs.as_json or not all(name in request.headers for name in differs.headers):
            raise RefusedError("invalid_request")
        if is_json:
            fields = {key: str(value) for key, value in json.loads(await request.body()).items()}
        else:
            async with request.form() as form:
                fields = {key: str(value) for key, value in form.items()}
        self._authenticate(request, fields)
        return fields

    def is_basic(self, request: Request) -> bool:
        """Return whether the request has the client's id and secret in its Authorization header."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            return False
        client_id, _, secret = (unquote(part) for part in pair.partition(":"))
        return scheme == "Basic" and secrets.compare_digest(
            f"{client_id}:{secret}".encode(), f"{self.client_id}:{self.client_secret}".encode()
        )

    def _authenticate(self, request: Request, fields: Mapping[str, str]) -> None:
        in_form = secrets.compare_digest(fields.get("client_secret", "").encode(), self.client_secret.encode())
        named = fields.get("client_id") == self.client_id
        proven = {
            "basic": self.is_basic(request) and "client_secret" not in fields,
            "post": named and in_form and "authorization" not in request.headers,
            "none": named and "client_secret" not in fields and "authorization" not in request.headers,
        }
        if not proven[self.differs.client_authentication]:
            raise RefusedError("invalid_client", 401)
