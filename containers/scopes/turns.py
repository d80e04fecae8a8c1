"""Taking turns in a scope: one thread builds at a time, and another one waits, though not for ever."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from .providers import name_of
from .tombstone import ScopeError

if TYPE_CHECKING:
    from .resolve import Provider
    from .scope import Scope

_POLL = 0.0005  # seconds between two looks whether another thread has built what it is building
WAIT_SECONDS = 5.0  # at most: whoever waits may be the event loop, and constructors do no I/O

builders: set[CodeType] = set()  # the functions of a Scope that have the turn while they run


def wait_for_turn(scope: Scope, provider: Provider, seconds: float) -> None:
    """Return when no other thread builds in the scope, and this one has the turn.

    Args:
        scope: Whose turn.
        provider: The provider that is asked for, for messages.
        seconds: How long to wait for a thread that is building.

    Raises:
        ScopeError: This thread is building already, the other one takes too long, or the scope is not open.
    """
    if _builder(scope, sys._getframe(2).f_back) is not None:  # past the call that now asks for the turn
        raise ScopeError(
            f"a constructor asks its scope for {name_of(provider)}: declare it as an argument in the container, "
            "or ask for it later, in a method"
        )
    deadline = time.monotonic() + seconds
    while scope.is_open:
        time.sleep(_POLL)
        try:
            del scope._turn
        except AttributeError:
            if time.monotonic() < deadline:
                continue
        else:
            return
        raise ScopeError(
            f"{name_of(provider)} was asked for while another thread built {_built_by_another(scope)}, which took more "
            f"than {seconds:g} s: a constructor waits neither for the event loop nor for a thread that asks its scope"
        )
    raise ScopeError(f"{name_of(provider)} is asked of a scope that is {scope._state}: use it in its `async with`")


def _built_by_another(scope: Scope) -> str:
    """Return what another thread is building in the scope, with the constructor and the thread."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, innermost in sys._current_frames().items():
        if (builder := _builder(scope, innermost)) is not None:
            place = _constructor(innermost, builder)
            return f"{name_of(builder.f_locals['provider'])} ({place}in thread {names.get(ident, ident)})"
    return "something"  # it has ended by now


def _builder(scope: Scope, innermost: FrameType | None) -> FrameType | None:
    """Return the frame of the call that has the scope's turn, if it is among these frames."""
    for frame in _frames(innermost):
        if frame.f_code in builders and frame.f_locals.get("self") is scope:
            return frame
    return None


def _constructor(innermost: FrameType, builder: FrameType) -> str:
    """Return the name of the outermost function that the builder called and that is not ours."""
    found = ""
    for frame in _frames(innermost):
        if frame is builder:
            break
        if frame.f_globals.get("__package__", __package__) != __package__:  # a compiled plan has none
            found = f"{frame.f_code.co_qualname}, "
    return found


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
