"""The `WWW-Authenticate` header of an API that takes bearer tokens: RFC 6750 section 3, RFC 9728 section 5.1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.request import parse_http_list

_SCHEME = re.compile(r"([A-Za-z][\w.-]*)(?:\s+(.*))?", re.DOTALL)
_PARAMETER = re.compile(r"([\w*-]+)\s*=\s*(.*)", re.DOTALL)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")  # RFC 6749 section 3.3
_MAX_SCOPES = 50


@dataclass(frozen=True, slots=True)
class Challenge:
    """A refusal of an API: a stranger's word.

    Attributes:
        error: RFC 6750's code, such as ``insufficient_scope``, or "".
        scopes: The OAuth scopes that a token would need.
        resource_metadata: The address that says who issues tokens; "" if it is not named.
    """

    error: str = ""
    scopes: tuple[str, ...] = ()
    resource_metadata: str = ""

    @property
    def wants_scopes(self) -> bool:
        """Return whether the token was good and permits too little."""
        return self.error == "insufficient_scope" and bool(self.scopes)


def read_challenge(headers: Sequence[str]) -> Challenge:
    """Return the challenge to send a bearer token in the `WWW-Authenticate` headers of an answer; an empty one if none.

    Args:
        headers: The headers' values, each with one challenge or several.
    """
    found: dict[str, str] = {}
    scheme = ""
    for header in headers:
        for item in parse_http_list(header):
            parameter = _PARAMETER.fullmatch(item)
            if parameter is None:
                begins = _SCHEME.fullmatch(item)
                scheme = begins[1].lower() if begins else ""
                parameter = _PARAMETER.fullmatch(begins[2] or "") if begins else None
            if scheme == "bearer" and parameter is not None:
                found.setdefault(parameter[1].lower(), _unquoted(parameter[2].strip()))
    return Challenge(found.get("error", ""), scopes_in(found.get("scope", "")), found.get("resource_metadata", ""))


def scopes_in(text: str) -> tuple[str, ...]:
    """Return the OAuth scopes in a text that parts them by spaces; none if it is not written as RFC 6749 has it."""
    scopes = tuple(dict.fromkeys(text.split()))
    return scopes if len(scopes) <= _MAX_SCOPES and all(map(_SCOPE.fullmatch, scopes)) else ()


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
