"""Decides where tests run, and what they may not do; their fixtures are in `tests/fixtures.py`."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from tests.fakes.memory import folder_in_memory
from tests.fakes.workers import import_from_the_end, is_worker, send_less
from tests.guards import own_logging, processes

# Tests of processes, kills, restarts, outages, browsers and crowds of people. Elsewhere, a single test has the
# marker itself.
SYSTEM = (
    "browser",
    "delivery",
    "integration/test_docs.py",
    "integration/test_google_outages.py",
    "integration/test_key_rotation.py",
    "integration/test_killed.py",
    "integration/test_mcp_kills.py",
    "integration/test_mcp_real.py",
    "integration/test_model_faults.py",
    "integration/test_other_projects.py",
    "integration/test_processes.py",
    "integration/test_restart.py",
    "integration/test_silent_database.py",
    "integration/test_sqlite_refusals.py",
    "integration/test_start.py",
    "integration/test_team_restart.py",
    "integration/test_walked_pages.py",
    "isolation/test_discovered_crowd.py",
    "isolation/test_five_hundred.py",
    "isolation/test_team_crowd.py",
)
# The parameters of a fixture that runs on both. PostgreSQL is a process, so `make test` runs the tests on SQLite only.
DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.system))
# Tests that load Telegram's SDK, or let Hypothesis read all of the code, either of which takes seconds per process.
# They run first, so that one process runs them all.
TOGETHER = (
    "attacks/test_routes.py",
    "contract",
    "integration/test_demo.py",
    "integration/test_doctor.py",
    "integration/test_slack_mutations.py",
    "integration/test_telegram",
    "isolation/test_five_hundred.py",
)
_TESTS = Path(__file__).parent
_COLLECTING = (10_000, 10, 50)  # thresholds: the default ones cost a fifteenth of the time of all tests


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures, and keep the files of tests in memory.

    The process that distributes tests runs none, and the others begin seconds earlier if it does not import the app.
    Tests whose messages take a commit or three need half the time in memory.
    """
    if config.getoption("dist", "no") == "no" or config.option.collectonly:
        gc.disable()  # until everything is collected: objects of modules are made, and stay
        config.pluginmanager.import_plugin("tests.fixtures")
    if is_worker(config):
        send_less(config)
    if (folder := folder_in_memory()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))  # pytest's own name for it


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Keep the cyclic collector from searching objects that are being made and will stay."""
    gc.disable()
    try:
        if is_worker(session.config):
            import_from_the_end(session.config, _TESTS, _left_out(session.config))
        return (yield)
    finally:
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the import of a module whose tests are all deselected, which would take two seconds in each process."""
    if not collection_path.is_relative_to(_TESTS):
        return None
    return collection_path.relative_to(_TESTS).as_posix().startswith(_left_out(config)) or None


def _left_out(config: pytest.Config) -> tuple[str, ...]:
    return SYSTEM if "not system" in config.option.markexpr else ()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put `TOGETHER` first, and mark the tests for `make test-system`: `SYSTEM`, and those that start PostgreSQL."""
    items.sort(key=lambda item: not _name(item).startswith(TOGETHER))
    for item in items:
        if _name(item).startswith(SYSTEM) or (isinstance(item, pytest.Function) and "cluster" in item.fixturenames):
            item.add_marker(pytest.mark.system)


def _name(item: pytest.Item) -> str:
    return item.nodeid.removeprefix("tests/")


def pytest_collection_finish() -> None:
    """Exclude the objects of modules and tests, some 400 000, from the cyclic collector's searches."""
    gc.collect()
    _frozen.freeze()
    gc.set_threshold(*_COLLECTING)


class _Frozen:
    """Knows whether objects are frozen, because counting them takes 15 ms. Lives as long as the process."""

    def __init__(self) -> None:
        self.is_whole = False
        self._unfreeze = gc.unfreeze
        vars(gc)["unfreeze"] = self._thaw

    def freeze(self) -> None:
        """Freeze every object."""
        gc.freeze()
        self.is_whole = True

    def _thaw(self) -> None:
        self.is_whole = False
        self._unfreeze()


_frozen = _Frozen()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse to start processes unless the test has the marker `system`, and undo what it changes about logging."""
    with processes(allowed=item.get_closest_marker("system") is not None), own_logging():
        outcome = yield
    if not _frozen.is_whole:  # a search for an object's referrers has thawed everything
        gc.collect(1)  # newer garbage is young; a full search takes half a second
        _frozen.freeze()
    return outcome


def lacking(tool: str, *, package: str, by: str = "apt-get install") -> NoReturn:
    """Skip a test by the name of the tool that it lacks, or fail it in CI, which must have every tool."""
    message = f"NEEDS {tool}: {by} {package}"
    if os.environ.get("DEPUTY_REQUIRE_TOOLS"):
        pytest.fail(message)
    pytest.skip(message)


def needs_agno() -> None:
    """Skip the test if agno is not installed, or fail it in CI; modules that import agno have been skipped already."""
    if find_spec("agno") is None:
        lacking("agno", package="'deputy-assistant[agno]'", by="pip install")
