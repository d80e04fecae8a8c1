"""Mistakes in a toolkit class stop its creation, with a message that names the place and how to fix it."""

from __future__ import annotations

from collections import defaultdict
from functools import update_wrapper
from types import FunctionType
from typing import Any

import pytest
from pydantic import BaseModel

from app.errors import SettingsError
from app.toolkits.toolkit import Toolkit, tool


class Target(BaseModel):
    """A parameter with nested fields."""

    credentials: str


async def fine(self: Any, text: str) -> str:
    """Do it."""
    return text


async def silent(self: Any, text: str) -> str:  # noqa: D103 - that is the mistake
    return text


async def loose(self: Any, **rest: str) -> str:
    """Do it."""
    return str(rest)


async def for_whom(self: Any, principal: str) -> str:
    """Do it."""
    return principal


async def for_whom_inside(self: Any, first: Target, second: int) -> str:
    """Do it."""
    return str(first)


def blocking(self: Any, text: str) -> str:
    """Do it."""
    return text


def marked(function: Any, **options: Any) -> Any:
    """Return a copy of the function, marked as a tool without scopes."""
    return tool(oauth_scopes=(), **options)(update_wrapper(FunctionType(function.__code__, globals()), function))


def make(name: str | None = "kit", **attributes: Any) -> type[Toolkit]:
    """Return a toolkit class with these attributes."""
    named = {} if name is None else {"name": name}
    return type("Kit", (Toolkit,), named | attributes)


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"cache": {}}, r"Kit\.cache is a dict that all people would share; make it in the constructor"),
        ({"_seen": set()}, r"Kit\._seen is a set"),
        ({"found": defaultdict(list)}, r"Kit\.found is a defaultdict"),
        ({"go": marked(silent)}, r"Kit\.go has no docstring"),
        ({"go": marked(loose)}, r"Kit\.go takes rest; a tool names each"),
        ({"go": marked(for_whom)}, r"Kit\.go takes principal from the model.*constructor"),
        ({"go": marked(for_whom_inside)}, r"Kit\.go takes credentials from the model"),
        ({"approval_details": marked(fine)}, r"Kit\.approval_details hides what every toolkit has"),
        ({"name": "My Kit", "go": marked(fine)}, r"'My Kit_go': set `name` on Kit"),
        ({"name": "k" * 64, "go": marked(fine)}, r"set `name` on Kit to a short word"),
        ({"go": marked(fine, phrases=("do (",))}, r"Kit\.go has a phrase that is no regular"),
        ({"go": marked(fine, phrases=("(?P<txt>.)",))}, r"Kit\.go has no parameter txt"),
        ({"go": marked(fine, phrases=("do it",))}, r"Kit\.go needs text, which 'do it' does not"),
    ],
)
def test_a_mistake_is_named(attributes: dict[str, Any], complaint: str) -> None:
    """A class with a mistake is not created, and the message says where it is and what to do."""
    with pytest.raises(SettingsError, match=complaint):
        make(**attributes)


def test_tools_need_a_toolkit_name() -> None:
    """A class with tools and without a name is refused; one without tools is a base for others."""
    with pytest.raises(SettingsError, match="set `name` on Kit"):
        make(name=None, go=marked(fine))

    assert not make(name=None).tools()


def test_what_cannot_change_may_stand_on_the_class() -> None:
    """Tuples, frozen sets and methods may stand on a toolkit class, because they are not shared state."""
    assert make(sizes=(1, 2), kinds=frozenset({"a"}), go=marked(fine)).tools()


def test_shared_state_of_a_mixin_is_found() -> None:
    """Shared state in a base that is not a toolkit is found too."""
    mixin = type("Mixin", (), {"cache": []})

    with pytest.raises(SettingsError, match=r"Mixin\.cache"):
        type("Kit", (mixin, Toolkit), {"name": "kit"})


def test_scopes_have_to_be_said() -> None:
    """A tool must declare its OAuth scopes, even if it needs no scope, or name a connection."""
    with pytest.raises(SettingsError, match="oauth_scopes"):
        tool()


@pytest.mark.parametrize("options", [{"oauth_scopes": "openid"}, {"oauth_scopes": (), "phrases": "do it"}])
def test_a_bare_string_is_no_tuple(options: dict[str, Any]) -> None:
    """A string where a tuple is needed, as after a forgotten comma, is refused."""
    with pytest.raises(SettingsError, match="takes a tuple of strings; got str"):
        tool(**options)


@pytest.mark.parametrize("method", [blocking, staticmethod(fine), classmethod(fine)])
def test_a_tool_is_an_async_method(method: Any) -> None:
    """A tool must be an asynchronous method, because others would block the loop or belong to no instance."""
    with pytest.raises(SettingsError, match="has to be `async def`"):
        tool(oauth_scopes=())(method)


def test_a_tool_is_not_hidden_by_accident() -> None:
    """A subclass that overrides a tool's method has to mark it again, because its effect would be unclear otherwise."""
    base = make(go=marked(fine))

    with pytest.raises(SettingsError, match=r"Kit\.go hides a tool of its base class; mark it with @tool too"):
        type("Kit", (base,), {"go": silent})
