"""Each tool of an external toolkit is run in two requests at once, to find what it shares between them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from app.main import prove_lifetimes
from containers.dry_run import DryRunError, run_dry
from containers.proof import LifetimeError
from containers.sample_arguments import sample
from containers.testing import IsolationError, assert_isolated, open_test_container, settings_in
from containers.toolkit_trial import try_toolkit
from tests.outside import forgetful, keeping_client
from tests.outside.forgetful import SendingToolkit

LEAVING = {
    "globally": ("tests.outside.keeping_client:GlobalToolkit", "with the client of another request"),
    "classwide": ("tests.outside.keeping_client:ClassToolkit", "with the client of another request"),
    "weakly": ("tests.outside.keeping_client:WeakToolkit", "with the client of another request"),
    "text": ("tests.outside.forgetful:TextToolkit", "returned what belongs to another request"),
    "letters": ("tests.outside.forgetful:LettersToolkit", "returned what belongs to another request"),
    "counting": ("tests.outside.forgetful:CountingToolkit", "changed CountingToolkit.last, which all people share"),
    "lazy": ("tests.outside.forgetful:LazyToolkit", "LazyToolkit._client._client, a DryGoogle"),
    "sealed": ("tests.outside.forgetful:SealedToolkit", "SealedToolkit._clients, a Sealed, cannot be looked into"),
    "notebook": ("tests.outside.forgetful:NotebookToolkit", "NotebookToolkit._notebook, a Notebook"),
}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    for module in (keeping_client, forgetful):
        module.forget()
    yield
    for module in (keeping_client, forgetful):
        module.forget()


@pytest.mark.parametrize("name", LEAVING)
async def test_a_tool_that_leaves_something_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    """A toolkit that keeps something between requests stops the start, and the error names both."""
    path, told = LEAVING[name]
    settings = settings_in(tmp_path, toolkits={name: path})
    async with open_test_container(settings) as container:
        with pytest.raises(LifetimeError) as refused:
            await prove_lifetimes(container, settings)

    assert f"`toolkits.{name}`" in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize("name", LEAVING)
async def test_a_tool_that_leaves_something_fails_the_isolation_check(tmp_path: Path, name: str) -> None:
    """The isolation check finds what a toolkit keeps between requests."""
    path, told = LEAVING[name]
    async with open_test_container(settings_in(tmp_path, toolkits={name: path})) as container:
        with pytest.raises(IsolationError) as refused:
            await assert_isolated(container, container.toolkits.providers[name])

    assert told in str(refused.value)


async def test_a_tool_that_keeps_to_its_instance_passes(tmp_path: Path) -> None:
    """A toolkit that keeps only constants, cycles and its instance's own data passes, even if a tool fails."""
    settings = settings_in(tmp_path, toolkits={"own": "tests.outside.forgetful:OwnToolkit"})
    async with open_test_container(settings) as container:
        assert await try_toolkit(container, "own") == []
        assert await prove_lifetimes(container, settings)


async def test_nothing_leaves_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """During the trial a tool cannot connect, make a folder or write a file; in the server it can."""
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        forgetful.PLACES.append(server.getsockname())
        settings = settings_in(tmp_path, toolkits={"sending": "tests.outside.forgetful:SendingToolkit"})
        async with open_test_container(settings) as container:
            assert await try_toolkit(container, "sending") == []
        with pytest.raises(BlockingIOError):
            server.accept()
        toolkit = SendingToolkit()
        for use in (toolkit.publish, toolkit.file, toolkit.write):
            with pytest.raises(DryRunError):
                await run_dry(lambda use=use: use("text"))  # type: ignore[misc]
        assert [path.name for path in tmp_path.iterdir() if path.name in ("written", "printed")] == []
        assert await toolkit.publish("text") == "published"
        assert await toolkit.write("text") == "written"
        server.accept()[0].close()


async def test_a_wrong_setting_is_told_as_such(tmp_path: Path) -> None:
    """A SettingsError that a singleton raises during the proof is passed on unchanged."""
    settings = settings_in(tmp_path)
    async with open_test_container(settings) as container:

        def fail() -> Any:
            raise SettingsError("agents.assistant: wrong")

        container.streams.set_provides(fail)
        with pytest.raises(SettingsError, match=r"agents\.assistant: wrong"):
            await prove_lifetimes(container, settings)


SCHEMAS: dict[str, tuple[dict[str, Any], object]] = {
    "a number": ({"type": "integer", "minimum": 3}, 3),
    "at most": ({"type": "integer", "maximum": 0}, 0),
    "a choice": ({"enum": ["red", "blue"]}, "red"),
    "a date": ({"type": "string", "format": "date"}, "2026-01-02"),
    "a long text": ({"type": "string", "minLength": 8}, "samplexx"),
    "one of several": ({"anyOf": [{"type": "array", "items": {"type": "boolean"}}, {"type": "null"}]}, [False]),
    "an object": (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"], "$defs": {"A": {"const": 1}}},
        {"a": 1},
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_arguments_fit_the_schema(name: str) -> None:
    """A sample argument fits its schema."""
    schema, value = SCHEMAS[name]

    assert sample(schema) == value
