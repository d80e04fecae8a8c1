"""Which request is running: an object that can reach an account refuses to be used in any run but its own.

A toolkit that keeps its Google client where the next request finds it would otherwise act as the wrong person for as
long as the first request is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from app.errors import ForeignRunError


class Run:
    """The identity of one request, and nothing else: it refers to nobody and may outlive the request."""

    __slots__ = ()

    @property
    def is_current(self) -> bool:
        """Whether this task or thread belongs to the run."""
        return _current.get() is self

    def check(self, used: str) -> None:
        """Return if this run is the current one.

        Args:
            used: The object that is about to be used, for the message.

        Raises:
            ForeignRunError: Another run is current, or none.
        """
        if not self.is_current:
            raise ForeignRunError(used)


_NO_RUN = Run()

# Child tasks and the threads of `Scope.to_thread` inherit it. A thread that a library starts on its own has no run.
_current: ContextVar[Run] = ContextVar("current_run", default=_NO_RUN)


def current_run() -> Run:
    """Return the run that this task or thread belongs to; what is made outside every run shares one identity."""
    return _current.get()


@contextmanager
def new_run() -> Iterator[Run]:
    """Begin a run; objects that are made inside the block are good in the block, and in tasks begun in it."""
    before, run = _current.get(), Run()
    _current.set(run)
    try:
        yield run
    finally:
        _current.set(before)  # not reset(): a generator may be closed in another context than the one it began in
