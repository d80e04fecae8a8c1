"""Google's APIs, each made from its discovery document once."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from googleapiclient.discovery import build_from_document, fix_method_name
from googleapiclient.discovery_cache import get_static_doc

from app.errors import SettingsError
from app.google.transport import NoHttp

API_VERSIONS: Mapping[str, str] = MappingProxyType(
    {"calendar": "v3", "docs": "v1", "drive": "v3", "gmail": "v1", "people": "v1", "sheets": "v4", "tasks": "v1"}
)

# googleapiclient logs whole bodies of unusual 403 answers, and URLs with search terms.
logging.getLogger("googleapiclient").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class _Api:
    """One loaded API. Lives as long as the process and never changes."""

    version: str
    batch_url: str
    resources: Mapping[tuple[str, ...], Any]
    scopes: Mapping[str, frozenset[str]]  # by method id
    permissions: Mapping[str, str]  # by OAuth scope: what it permits, in Google's words


class GoogleApis:
    """Templates of Google's APIs that everybody shares. Lives as long as the process and holds no personal data.

    A template makes requests but cannot send them, because its transport raises. An API is loaded when it is first
    asked for, under a lock: googleapiclient modifies the document while it creates resources, but not afterwards.

    Args:
        api_root: The root of all APIs, replacing each API's own host; None means Google. Each API keeps its path below
            it, such as ``calendar/v3/``.
    """

    def __init__(self, api_root: str | None) -> None:
        self._api_root = f"{api_root.rstrip('/')}/" if api_root else None
        self._apis: dict[str, _Api] = {}
        self._loading = threading.Lock()

    def resource(self, api: str, version: str, *path: str) -> Any:
        """Return the resource at a path, always the same object: ``resource("gmail", "v1", "users", "messages")``.

        Raises:
            SettingsError: There is no such API, version or resource, or another version is in use already.
        """
        resources = self._api(api, version).resources
        try:
            return resources[path]
        except KeyError:
            known = ", ".join(sorted(".".join(path) for path in resources if path))
            raise SettingsError(f"{api} {version} has no resource {'.'.join(path)}; it has {known}") from None

    def batch_url(self, method_id: str) -> str:
        """Return the URL for batches of calls of this method."""
        return self._api_of(method_id).batch_url

    def batch_url_of(self, api: str, version: str) -> str:
        """Return the URL for batches of calls of an API; raises as `resource`."""
        return self._api(api, version).batch_url

    def method_scopes(self, method_id: str) -> frozenset[str]:
        """Return the OAuth scopes that allow a method, such as ``gmail.users.messages.list``; any one is enough.

        Raises:
            SettingsError: There is no such method, or its API is not in `API_VERSIONS` and not loaded yet.
        """
        try:
            return self._api_of(method_id).scopes[method_id]
        except KeyError:
            raise SettingsError(f"there is no method {method_id}") from None

    def permission(self, oauth_scope: str) -> str:
        """Return what an OAuth scope permits, in Google's words, or the scope itself if no loaded API describes it."""
        described = (api.permissions.get(oauth_scope) for api in tuple(self._apis.values()))
        return next(filter(None, described), oauth_scope)

    def load(self) -> None:
        """Load every API of `API_VERSIONS`, about 25 ms of work, so that the first person to use one need not wait."""
        for name, version in API_VERSIONS.items():
            self._api(name, version)

    def _api_of(self, method_id: str) -> _Api:
        name = method_id.partition(".")[0]
        loaded = self._apis.get(name)
        if loaded:
            return loaded
        if name not in API_VERSIONS:
            raise SettingsError(f"the API of {method_id} is not loaded; ask for its resource() first")
        return self._api(name, API_VERSIONS[name])

    def _api(self, name: str, version: str) -> _Api:
        api = self._apis.get(name)
        if api is None:
            with self._loading:
                if name not in self._apis:  # another thread may have loaded it meanwhile
                    self._apis[name] = self._load(name, version)
                api = self._apis[name]
        if api.version != version:
            raise SettingsError(f"{name} is already in use as {api.version}; {version} cannot be used beside it")
        return api

    def _load(self, name: str, version: str) -> _Api:
        text = get_static_doc(name, version)
        if text is None:
            raise SettingsError(f"google-api-python-client knows no API {name} {version}")
        document = json.loads(text)
        if self._api_root:
            # Not client_options.api_endpoint, which batches ignore and which drops the servicePath.
            document["rootUrl"] = self._api_root
        document["schemas"] = dict(_named_schemas(document))
        root = build_from_document(document, http=NoHttp())
        return _Api(
            version=version,
            batch_url=document["rootUrl"] + document["batchPath"],
            resources=MappingProxyType(dict(_resources(root, document))),
            scopes=MappingProxyType(dict(_scopes(document))),
            permissions=MappingProxyType(
                {scope: about["description"] for scope, about in document["auth"]["oauth2"]["scopes"].items()}
            ),
        )


def _named_schemas(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each body's schema reduced to its field names, which is all that googleapiclient needs to find list pages.

    It would write whole bodies, nested ones included, into docstrings: 100 MB for Docs and Sheets, in 0.25 s.
    """
    for name, schema in document["schemas"].items():
        yield name, {"id": name, "type": "object", "properties": {key: {} for key in schema.get("properties", ())}}


def _resources(resource: Any, description: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield a resource and all below it, by path; creating one costs up to a millisecond, so each is created once."""
    yield path, resource
    for name, below in description.get("resources", {}).items():
        yield from _resources(getattr(resource, fix_method_name(name))(), below, (*path, name))


def _scopes(description: dict[str, Any]) -> Iterator[tuple[str, frozenset[str]]]:
    for method in description.get("methods", {}).values():
        yield method["id"], frozenset(method.get("scopes", ()))
    for below in description.get("resources", {}).values():
        yield from _scopes(below)
