"""Reads a server's question in the middle of a call (`input_required`) as a form: a stranger's words, with limits."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import mcp_types

from app.approvals.form import MARKS, FieldKind, Form, FormField
from app.characters import seen
from app.errors import ToolError
from app.hosts import is_loopback
from app.toolkits.asides import with_aside
from app.toolkits.questions import AnswerNeededError, Resumption

MAX_STATE = 64_000  # characters that a server is given back
_MAX_SCHEMA = 10_000  # characters of JSON
_MAX_MESSAGE = 1_500
_MAX_LABEL = 80
_MAX_NAME = 200
_MAX_URL = 2_000
_MAX_FIELDS = 8
_MAX_CHOICES = 20
_MAX_REQUESTS = 4

# Servers must not ask for these in a form (elicitation, "Servers MUST NOT use form mode"); what is typed is stored.
_SECRET = re.compile(
    r"pass[ _-]?(?:words?|phrases?|codes?)|passwd|\bpwd\b|secret|credential|\bapi[ _-]?keys?|private[ _-]?key|"
    r"access[ _-]?key|\btokens?\b|_token|token_|\botp\b|\b2fa\b|\bmfa\b|\bpins?\b|\bcvv\b|\bcvc\b|card[ _-]?number|"
    r"credit[ _-]?card|\biban\b|seed[ _-]?phrase|(?:verification|recovery|security|one[ _-]time)[ _-]?codes?|"
    r"passwort|kennwort|contrase\u00f1a|mot de passe",
    re.IGNORECASE,
)


def question_in(
    server: str, result: mcp_types.InputRequiredResult, *, url: str | None, knows_people: bool
) -> AnswerNeededError:
    """Return the question that a server asks.

    Args:
        server: The server's name in the settings.
        result: Its answer to a call.
        url: The server's address, if it has one.
        knows_people: Each person's calls carry their own token, so a page that it names is for this person.

    Raises:
        ToolError: It asks for something that nobody is asked.
    """
    requests = result.input_requests or {}
    if len(requests) > _MAX_REQUESTS or len(result.request_state or "") > MAX_STATE or any(map(_is_long, requests)):
        raise _refused(server, "more than I ask anybody at once")
    asked: dict[str, mcp_types.ElicitRequestFormParams] = {}
    for key, request in requests.items():
        match request:
            case mcp_types.ElicitRequest(params=mcp_types.ElicitRequestURLParams() as page) if len(requests) == 1:
                if not knows_people:
                    raise _refused(server, "you to open a web page, and nobody could tell whose page it is")
                form = _page(server, key, page, url)
                return AnswerNeededError(form, result.request_state)
            case mcp_types.ElicitRequest(params=mcp_types.ElicitRequestFormParams() as params):
                asked[key] = params
            case _:
                raise _refused(server, "something that I do not give to servers")
    fields = [each for key, params in asked.items() for each in _fields(server, key, params.requested_schema)]
    if len(fields) > _MAX_FIELDS:
        raise _refused(server, "more than I ask anybody at once")
    labels = [each.label.lower() for each in fields]
    if len(set(labels)) < len(labels):
        raise _refused(server, "for two things of the same name")
    message = "\n".join(params.message for params in asked.values())
    if len(message) > _MAX_MESSAGE:
        raise _refused(server, "more than I ask anybody at once")
    typed = [each for each in fields if each.kind not in (FieldKind.BOOLEAN, FieldKind.CHOICE, FieldKind.CHOICES)]
    words = [message, *(text for each in typed for text in (each.name, each.label))] if typed else []
    if any(_SECRET.search(_folded(text)) for text in words):
        raise _refused(server, "for a password or another secret, which nobody should write into a chat")
    form = Form(server, message, tuple(asked), tuple(fields), home=_host(url))
    return AnswerNeededError(form, result.request_state)


def responses(given: Resumption) -> dict[str, mcp_types.InputResponse]:
    """Return a person's answers as a server is sent them."""
    return {
        request: mcp_types.ElicitResult(action="accept", content=None if given.is_page else {**values})
        for request, values in given.answers.items()
    }


def _page(server: str, key: str, page: mcp_types.ElicitRequestURLParams, url: str | None) -> Form:
    """Return the question whether its person will open a page."""
    try:
        parts = urlsplit(page.url)
        host = parts.hostname or ""
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
        is_plain = page.url.isascii() and page.url.isprintable() and " " not in page.url
        if not host or not is_safe or not is_plain or parts.username is not None or len(page.url) > _MAX_URL:
            raise ValueError
    except ValueError:
        raise _refused(server, "you to open an address that is not safe") from None
    return Form(server, page.message[:_MAX_MESSAGE], (key,), url=page.url, home=_host(url))


def _fields(server: str, request: str, schema: Mapping[str, Any]) -> Iterator[FormField]:
    """Read a flat schema of simple values; nothing in it is run as a program, as a pattern or a reference would be."""
    properties = schema.get("properties", {})
    if not isinstance(properties, dict) or len(properties) > _MAX_FIELDS or len(json.dumps(schema)) > _MAX_SCHEMA:
        raise _refused(server, "more than I ask anybody at once")
    required = schema.get("required") or []
    for name, described in properties.items():
        found = _field(request, name, described) if isinstance(described, dict) else None
        if found is None or not isinstance(required, list):
            raise _refused(server, "for something that cannot be asked in a chat")
        yield FormField(**{**found, "required": name in required})


def _field(request: str, name: str, described: Mapping[str, Any]) -> dict[str, Any] | None:
    words = next(
        (each for each in (described.get("title"), described.get("description")) if isinstance(each, str)), name
    )
    label = _label(words) or _label(name) or "answer"
    found: dict[str, Any] = {"request": request, "name": name, "label": label}
    if len(name) > _MAX_NAME:
        return None
    match described.get("type"):
        case "boolean":
            return {**found, "kind": FieldKind.BOOLEAN}
        case "number" | "integer" as kind:
            bounds = {"lowest": _number(described.get("minimum")), "highest": _number(described.get("maximum"))}
            return {**found, **bounds, "kind": FieldKind(kind)}
        case "string" if "enum" in described or "oneOf" in described:
            choices = _choices(described)
            return {**found, "kind": FieldKind.CHOICE, "choices": choices} if choices else None
        case "array" if isinstance(items := described.get("items"), dict):
            choices = _choices({"oneOf": items["anyOf"]} if "anyOf" in items else items)
            bounds = {"lowest": _number(described.get("minItems")), "highest": _number(described.get("maxItems"))}
            return {**found, **bounds, "kind": FieldKind.CHOICES, "choices": choices} if choices else None
        case "string":
            wanted = described.get("format")
            bounds = {"lowest": _number(described.get("minLength")), "highest": _number(described.get("maxLength"))}
            known = wanted if wanted in ("email", "uri", "date", "date-time") else ""
            return {**found, **bounds, "kind": FieldKind.TEXT, "format": known}
    return None


def _label(words: str) -> str:
    """Return the name by which a person answers: without a colon, and without marks around it such as ``*``."""
    return " ".join(seen(words).replace(":", " ").split())[:_MAX_LABEL].strip(MARKS)


def _choices(described: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the value and the words of each choice, which are never empty; none if one of them cannot be shown."""
    if "oneOf" in described:
        listed = described["oneOf"] if isinstance(described["oneOf"], list) else []
        named = [(each.get("const"), each.get("title")) for each in listed if isinstance(each, dict)]
    else:
        values = described.get("enum")
        names = described.get("enumNames", values)
        named = list(zip(values, names, strict=False)) if isinstance(values, list) and isinstance(names, list) else []
    texts = [(value, words) for value, words in named if isinstance(value, str) and isinstance(words, str)]
    if not 0 < len(named) == len(texts) <= _MAX_CHOICES:
        return ()
    choices = tuple((value, _in_one_line(words) or _in_one_line(value)) for value, words in texts)
    return choices if all(words for _, words in choices) else ()


def _in_one_line(words: str) -> str:
    return " ".join(seen(words).split())[:_MAX_LABEL]


def _number(value: object) -> float | None:
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 else None
    )


def _host(url: str | None) -> str:
    return urlsplit(url).hostname or "" if url else ""


def _is_long(key: str) -> bool:
    return len(key) > _MAX_NAME


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", seen(text))


def _refused(server: str, wants: str) -> ToolError:
    return ToolError(
        with_aside(
            f"The server {server} asks {wants}, so I did not pass its question on and went no further with this.",
            "Tell the person; do not try it again.",
        )
    )
