"""Caches of results that are the same for every server that a test starts."""

from __future__ import annotations

import inspect
import os
import time
import typing
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, cached_property
from types import FunctionType, MethodType
from typing import Any

import fastapi._compat.v2 as fields
import pytest
import sqlalchemy as sa
from fastapi import routing
from fastapi.dependencies import utils as dependencies
from fastapi.dependencies.models import Dependant
from googleapiclient import discovery
from pydantic import TypeAdapter

from app.database import new_file, revision
from app.sandbox.google.gmail.mailbox import Mailbox
from app.sandbox.google.gmail.post import PostOffice
from containers.proof import signatures
from containers.scopes import compiled

_FRESH_SECONDS = 900.0  # the youngest letter is an hour old when it is written


def remember(patch: pytest.MonkeyPatch) -> None:
    """Cache signatures, annotations, scopes' code, FastAPI's parameters, Google's parameter names, mail, schemas.

    Signatures are cached only for functions and classes of modules, because others are freed.
    """
    patch.setattr(inspect, "signature", _signatures())
    patch.setattr(signatures, "_annotated", _annotations())
    patch.setattr(typing, "get_type_hints", _type_hints())
    patch.setattr(compiled, "compile", cache(compile), raising=False)
    patch.setattr(fields, "TypeAdapter", _type_adapters())
    patch.setattr(dependencies, "get_dependant", found := _dependants())
    patch.setattr(routing, "get_dependant", found)
    for name in ("get_typed_return_annotation", "_extract_endpoint_context"):
        patch.setattr(routing, name, _of_endpoint(getattr(routing, name)))
    patch.setattr(PostOffice, "mailboxes", _mailboxes(), raising=False)
    patch.setattr(revision, "create", _create())
    patch.setattr(discovery, "key2param", cache(discovery.key2param))


def _signatures() -> Callable[..., inspect.Signature]:
    find, known = inspect.signature, dict[Hashable, inspect.Signature]()

    def signature(called: Any, **how: Any) -> inspect.Signature:
        key = _lasting(called)
        if key is None or how.keys() - {"eval_str"}:
            return find(called, **how)
        key = (key, how.get("eval_str", False))
        if key not in known:
            known[key] = find(called, **how)
        return known[key]

    return signature


def _annotations() -> Callable[..., tuple[type, ...]]:
    find, known = signatures._annotated, dict[Hashable, tuple[type, ...]]()

    def annotated(makes: Any, parameter: inspect.Parameter) -> tuple[type, ...]:
        key = _lasting(makes)
        if key is None:
            return find(makes, parameter)
        key = (key, parameter.name)
        if key not in known:
            known[key] = find(makes, parameter)
        return known[key]

    return annotated


def _type_hints() -> Callable[..., dict[str, Any]]:
    find, known = typing.get_type_hints, dict[Hashable, dict[str, Any]]()

    def type_hints(annotated: Any, *where: Any, **how: Any) -> dict[str, Any]:
        key = _lasting(annotated) if isinstance(annotated, FunctionType) else None
        if key is None or where or how:
            return find(annotated, *where, **how)
        if key not in known:
            known[key] = find(annotated)
        return {**known[key]}

    return type_hints


def _dependants() -> Callable[..., Dependant]:
    """Return FastAPI's search for a function's dependencies, with a cache; it takes a third of an app's making."""
    find, known = dependencies.get_dependant, dict[Hashable, Dependant]()

    def dependant(*, path: str, call: Callable[..., Any], **how: Any) -> Dependant:
        lasting = _lasting(call)
        key = (path, lasting, repr(how))
        if lasting is None:
            return find(path=path, call=call, **how)
        if key not in known:
            known[key] = replace(find(path=path, call=call, **how), call=None)  # keeps no app alive
        copied = replace(known[key], call=call)
        copied.dependencies = [*copied.dependencies]  # FastAPI adds those of a router
        return copied

    return dependant


def _of_endpoint(find: Callable[[Callable[..., Any]], Any]) -> Callable[[Callable[..., Any]], Any]:
    """Return a function of FastAPI's that inspects an endpoint, with a cache."""
    known: dict[Hashable, Any] = {}

    def found(endpoint: Callable[..., Any]) -> Any:
        key = _lasting(endpoint)
        if key is None:
            return find(endpoint)
        if key not in known:
            known[key] = find(endpoint)
        return copy(known[key])

    return found


def _type_adapters() -> Callable[..., TypeAdapter[Any]]:
    known: dict[str, TypeAdapter[Any]] = {}

    def type_adapter(annotated: Any, config: Any = None) -> TypeAdapter[Any]:
        shown = repr(annotated)
        if config is not None or " at 0x" in shown or "<locals>" in shown:
            return TypeAdapter(annotated, config=config)
        if shown not in known:
            known[shown] = TypeAdapter(annotated)
        return known[shown]

    return type_adapter


@dataclass
class _Mail:
    """The initial mail of a sandbox's people.

    Attributes:
        at: The time at which it was written, in seconds since the epoch.
        mailboxes: The mailboxes, never changed; each sandbox has copies.
        test: The test that used it last. Two sandboxes that are opened by one test share no letter.
    """

    at: float
    mailboxes: Mapping[str, Mailbox]
    test: str


def _mailboxes() -> cached_property[Mapping[str, Mailbox]]:
    write: Callable[[PostOffice], Mapping[str, Mailbox]] = vars(PostOffice)["mailboxes"].func
    known = defaultdict[Hashable, list[_Mail]](list)

    def mailboxes(office: PostOffice) -> Mapping[str, Mailbox]:
        if office.now is not time.time:
            return write(office)
        kind, now = (tuple(office._people.values()), office._marked), time.time()
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]  # without "(setup)" or "(call)"
        free = (mail for mail in known[kind] if mail.test != test and now - mail.at < _FRESH_SECONDS)
        if (mail := next(free, None)) is None:
            mail = _Mail(now, write(office), test)
            known[kind].append(mail)
        mail.test = test
        return {email: _copied(mailbox) for email, mailbox in mail.mailboxes.items()}

    patched = cached_property(mailboxes)
    patched.__set_name__(PostOffice, "mailboxes")
    return patched


def _copied(mailbox: Mailbox) -> Mailbox:
    """Return an independent mailbox with the same messages, which are immutable."""
    copied = copy(mailbox)
    for name, value in vars(mailbox).items():
        setattr(copied, name, copy(value))
    return copied


def _create() -> Callable[[sa.Connection, str], None]:
    """Return a function that makes a new SQLite file's schema by executing the statements that made the first one."""
    make, known = new_file.create, list[str]()

    def create(connection: sa.Connection, newest: str) -> None:
        if not known:
            make(connection, newest)
            created = connection.execute(sa.text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"))
            known[:] = [*created.scalars(), f"INSERT INTO alembic_version VALUES ('{newest}')"]
            return
        for statement in known:
            connection.exec_driver_sql(statement)

    return create


def _lasting(called: Any) -> Hashable:
    """Return the cache key of a class or function, or None if it is not defined by a module."""
    if isinstance(called, MethodType):
        key = _lasting(called.__func__)
        return key and ("bound", key)
    if isinstance(called, type):
        made_by = (called.__init__, called.__new__)  # type: ignore[misc]  # compared, not called
        return None if "<locals>" in called.__qualname__ else (called, *made_by)
    if not isinstance(called, FunctionType) or hasattr(called, "__wrapped__") or hasattr(called, "__signature__"):
        return None
    if "<locals>" not in called.__qualname__:
        return called
    plain = all(isinstance(each, str) for each in called.__annotations__.values())
    return called.__code__ if plain and not called.__defaults__ and not called.__kwdefaults__ else None
