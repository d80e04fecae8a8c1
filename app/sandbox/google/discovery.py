"""Google's APIs as their discovery documents describe them: routes, parameters, scopes and schemas.

The documents ship inside google-api-python-client. Their format:
https://developers.google.com/discovery/v1/reference/apis
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from app.sandbox.google.schemas import Schemas

APIS = ("gmail.v1", "calendar.v3", "drive.v3", "docs.v1", "sheets.v4", "tasks.v1", "people.v1")

# The prefixes of each API's paths, so that a document is read only when its API is called.
_PREFIXES = {
    "gmail.v1": "/gmail/v1/",
    "calendar.v3": "/calendar/v3/",
    "drive.v3": "/drive/v3/",
    "docs.v1": "/v1/documents",
    "sheets.v4": "/v4/spreadsheets",
    "tasks.v1": "/tasks/v1/",
    "people.v1": "/v1/",
}


@dataclass(frozen=True)
class Route:
    """One way to call one method.

    Attributes:
        api: The API's name and version, such as ``gmail.v1``.
        method: The method's description in the document.
        pattern: Matches the percent-encoded path; its groups are the path parameters.
        upload: Whether this is the path for uploading media.
    """

    api: Api
    method: Mapping[str, Any]
    pattern: re.Pattern[str]
    upload: bool

    @property
    def method_id(self) -> str:
        """The method's id, such as ``gmail.users.messages.list``."""
        return str(self.method["id"])

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that allow the method; the caller needs one of them."""
        return frozenset(self.method["scopes"])

    @cached_property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The document's descriptions of the method's parameters, including those that every method takes."""
        return {**self.api.parameters, **self.method.get("parameters", {})}

    @cached_property
    def parameter_schema(self) -> Schemas:
        """The schema ``Parameters``: an object of all parameters."""
        described = {
            name: {"type": "array", "items": about} if about.get("repeated") else about
            for name, about in self.parameters.items()
        }
        required = [name for name, about in self.parameters.items() if about.get("required")]
        return Schemas({"Parameters": {"type": "object", "properties": described, "required": required}})

    def schema_of(self, side: str) -> str | None:
        """Return the name of the schema of the ``request`` or the ``response``, or None if it has no body."""
        reference: str | None = self.method.get(side, {}).get("$ref")
        return reference


class Api:
    """One API. Lives for the process and never changes; it is read from its document once."""

    def __init__(self, name: str) -> None:
        self.name = name
        path = files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
        self._document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def schemas(self) -> Schemas:
        """The API's schemas."""
        return Schemas(self._document["schemas"])

    @property
    def scopes(self) -> Mapping[str, str]:
        """The description of each scope of the API, in the words of the consent page."""
        scopes = self._document["auth"]["oauth2"]["scopes"]
        return {scope: str(about["description"]) for scope, about in scopes.items()}

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters that every method of the API takes."""
        found: Mapping[str, Mapping[str, Any]] = self._document["parameters"]
        return found

    @cached_property
    def routes(self) -> Mapping[str, list[Route]]:
        """The API's routes by HTTP method; the most literal path comes first and wins."""
        routes: dict[str, list[Route]] = {}
        for method in _methods(self._document):
            own = routes.setdefault(method["httpMethod"], [])
            own.append(self._route(method, "/" + self._document["servicePath"] + method["path"]))
            if method.get("supportsMediaUpload"):
                own.append(self._route(method, method["mediaUpload"]["protocols"]["simple"]["path"], upload=True))
        for own in routes.values():
            own.sort(key=lambda route: (route.pattern.groups, -len(route.pattern.pattern)))
        return routes

    def _route(self, method: Mapping[str, Any], path: str, *, upload: bool = False) -> Route:
        return Route(self, method, _path_pattern(path, method.get("parameters", {})), upload)


@cache
def api_named(name: str) -> Api:
    """Return the API of this name and version, such as ``gmail.v1``; its document is read at the first call."""
    return Api(name)


def find_route(verb: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the route of a percent-encoded path, and its decoded path parameters; None if no document has it."""
    bare = path.removeprefix("/resumable").removeprefix("/upload")
    for name in APIS:
        if not bare.startswith(_PREFIXES[name]):
            continue
        for route in api_named(name).routes.get(verb, ()):
            if match := route.pattern.fullmatch(path):
                return route, {key: unquote(value) for key, value in match.groupdict().items()}
    return None


def scope_descriptions() -> Mapping[str, str]:
    """Return the description of every scope of every API; reads all documents at the first call (40 ms)."""
    return {scope: text for name in APIS for scope, text in api_named(name).scopes.items()}


def _methods(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from resource.get("methods", {}).values()
    for child in resource.get("resources", {}).values():
        yield from _methods(child)


def _path_pattern(template: str, parameters: Mapping[str, Mapping[str, Any]]) -> re.Pattern[str]:
    """Return a pattern for a path template; a parameter's own pattern tells ``v1/{+resourceName}`` and others apart."""

    def group(variable: str) -> str:
        name = variable.strip("{+}")
        # {+name} may contain slashes: https://datatracker.ietf.org/doc/html/rfc6570#section-3.2.3
        anything = ".+" if "+" in variable else "[^/]+"
        return f"(?P<{name}>{parameters[name].get('pattern', anything).removeprefix('^').removesuffix('$')})"

    parts = re.split(r"(\{\+?\w+\})", template)
    return re.compile("".join(group(part) if part.startswith("{") else re.escape(part) for part in parts))
