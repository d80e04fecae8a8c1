"""Shortcuts for the processes among which pytest-xdist distributes the tests."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

_SHOWN_ONLY_VERBOSELY = ("logstart", "logfinish")


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process runs tests that another process distributes."""
    return hasattr(config, "workerinput")


def send_less(config: pytest.Config) -> None:
    """Send the distributing process only what it will print of a test that passes, a report instead of five messages.

    Sending and receiving them took a tenth of the time of `tests/unit`. Everything is sent if an option asks for more
    than a dot: durations, a JUnit file, verbose output, or the output of tests that pass.
    """
    option = config.option
    if option.verbose > 0 or option.durations is not None or option.xmlpath or {*"pPA"} & {*option.reportchars}:
        return
    (interactor,) = (plugin for plugin in config.pluginmanager.get_plugins() if hasattr(plugin, "sendevent"))
    send = interactor.sendevent

    def send_what_is_printed(name: str, **given: Any) -> None:
        if name in _SHOWN_ONLY_VERBOSELY:
            return
        report = given.get("data", {})
        if name == "testreport" and report["outcome"] == "passed":
            if report["when"] != "call":
                return
            report["keywords"], report["sections"] = {}, []
        send(name, **given)

    interactor.sendevent = send_what_is_printed


def import_from_the_end(config: pytest.Config, root: Path, left_out: Collection[str]) -> None:
    """Import all test modules in reverse order in every second process, if all tests are to run.

    Each process imports all of them anyway. The first time, pytest compiles them with its assertions, which takes
    seconds; of two processes that begin at opposite ends, each compiles half of them and reads the others.

    Args:
        config: The configuration of this process.
        root: The folder of the tests.
        left_out: Beginnings of the paths, below the root, of modules that will not be imported.
    """
    number = int(config.workerinput["workerid"].removeprefix("gw"))  # type: ignore[attr-defined]
    if number % 2 == 0 or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    for path in sorted(root.rglob("test_*.py"), reverse=True):
        name = path.relative_to(root)
        if not name.as_posix().startswith(tuple(left_out)):
            with suppress(Exception):  # pytest reports it when it collects the module
                import_module(".".join((root.name, *name.with_suffix("").parts)))
