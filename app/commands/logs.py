"""The log on standard error: one line for each event, with its time and the message and person that it concerns.

An exception's text could contain personal data, so only its class and frames are logged. The texts of Deputy's own
errors are logged too, because they contain no secret and nobody's words.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator

from app.errors import DeputyError
from app.log_context import log_context
from app.sections.server import LoggingSettings

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_OURS = ("app", "containers", "interfaces")
_FRAMES = 12  # the innermost of an exception


def set_up_logging(settings: LoggingSettings) -> None:
    """Write the log to standard error as the settings say, replacing any earlier setup."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    # Libraries write bodies and parameters at their debug level, so only our own level can be lowered.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in _OURS:
        logging.getLogger(package).setLevel(settings.level.upper())


class TextFormatter(logging.Formatter):
    """``2026-11-28T09:12:25Z WARNING app.delivery.work.worker message=… principal=… what happened``, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for an event."""
        words = [_time(record), record.levelname, record.name]
        if (about := log_context()) is not None:
            words += [f"message={about.message_id}", f"principal={about.principal}"]
        words.append(_message(record))
        if error := _error(record):
            words.append(f"[{error}; {', '.join(_frames(record))}]")
        return _on_one_line(" ".join(words))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message; if known, message_id, principal, error and frames."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for an event."""
        event: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if (about := log_context()) is not None:
            event |= about._asdict()
        if error := _error(record):
            event |= {"error": error, "frames": list(_frames(record))}
        return json.dumps(event)


def _time(record: logging.LogRecord) -> str:
    return time.strftime(TIME_FORMAT, time.gmtime(record.created))


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    # asyncio adds lines with the repr of a task, which includes the exception's text.
    return text.partition("\n")[0] if record.name == "asyncio" else text


def _error(record: logging.LogRecord) -> str | None:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return None
    return f"{type(error).__name__}: {error}" if isinstance(error, DeputyError) else type(error).__name__


def _frames(record: logging.LogRecord) -> Iterator[str]:
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        for frame, line in list(traceback.walk_tb(error.__traceback__))[-_FRAMES:]:
            yield f"{frame.f_globals.get('__name__', frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"


def _on_one_line(text: str) -> str:
    """Return the text with every line break and control character escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
