"""Which message and which person a log line is about: set at the edge of a task, read by the log's formatter."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from app.principal import Principal


class LogContext(NamedTuple):
    """Two names, as they are printed; no object of a person's."""

    message_id: str
    principal: str


_ABOUT: ContextVar[LogContext | None] = ContextVar("log_context", default=None)


def log_about(message_id: str, principal: Principal) -> None:
    """Have each line that this task, and those it starts, log from now on name the message and its sender.

    Call it at the outermost edge of a task of its own: a task has a context of its own, which ends with it.
    """
    _ABOUT.set(LogContext(message_id, str(principal)))


def log_context() -> LogContext | None:
    """Return what the running task's lines are about, or None outside of a message."""
    return _ABOUT.get()
