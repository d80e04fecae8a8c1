"""A toolkit class: its tools, and whose instance runs them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from pydantic_ai import RunContext, RunUsage, ToolFailed
from pydantic_ai.models.test import TestModel

from app.errors import ConsentRequiredError, DeputyError, GoogleError, ToolError
from app.principal import Principal
from app.toolkits.toolkit import Effect, Toolkit, tool
from tests.fakes.bare_loop import run

SCOPE = "https://www.googleapis.com/auth/tasks"
ADA = Principal("http", "demo", "ada")


class Notes(Toolkit):
    """A toolkit without Google."""

    name = "notes"

    def __init__(self, owner: str, error: DeputyError | None = None) -> None:
        self.owner = owner
        self.error = error

    @tool(oauth_scopes=())
    async def list(self, limit: int = 3) -> dict[str, Any]:
        """List the notes.

        Args:
            limit: How many.
        """
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return {"owner": self.owner, "limit": limit}

    @tool(effect=Effect.ACT, oauth_scopes=(SCOPE,), phrases=(r"share (?P<note>.+)",))
    async def share(self, ctx: RunContext[None], note: str) -> str:
        """Share a note."""
        return f"{self.owner} shared {note} in run {ctx.run_step}"


def context() -> RunContext[Any]:
    """Return a run's context."""
    return RunContext(deps=None, model=TestModel(), usage=RunUsage(), max_retries=2)


async def call(toolkit: Toolkit, name: str, **arguments: Any) -> Any:
    """Call a tool as the loop does after it has checked the arguments."""
    return await toolkit.call_tool(name, arguments, context())


async def test_each_persons_agent_calls_their_own_instance() -> None:
    """Concurrent runs of two people with one class each get their own toolkit's answer."""
    answers = await asyncio.gather(*(run(TestModel(), Notes(owner), "go") for owner in ["ada", "grace"] * 10))

    assert all('"owner":"ada"' in answer and "grace" not in answer for answer in answers[::2])
    assert all('"owner":"grace"' in answer and "ada" not in answer for answer in answers[1::2])


def test_a_spec_says_what_the_tool_is() -> None:
    """Name, effect, scopes and phrases are in the spec and in the definition that the model layer sees."""
    spec = Notes.tools()["notes_share"]

    assert (spec.method, spec.effect, spec.oauth_scopes) == ("share", Effect.ACT, (SCOPE,))
    assert spec.definition.metadata == {
        "effect": "act",
        "oauth_scopes": (SCOPE,),
        "phrases": (r"share (?P<note>.+)",),
    }
    assert list(spec.definition.parameters_json_schema["properties"]) == ["note"]


def test_schemas_are_made_once_a_class() -> None:
    """Two people's instances share their specs, which are made once per class."""
    assert Notes("ada").tools() is Notes("grace").tools()


def test_a_subclass_takes_over_what_it_does_not_change() -> None:
    """A subclass uses its base's specs, except for a method that it overrides."""

    class Same(Notes):
        pass

    class Other(Notes):
        @tool(effect=Effect.ORGANISE, oauth_scopes=())
        async def list(self, limit: int = 5) -> dict[str, Any]:
            """List otherwise."""
            return {}

    assert dict(Same.tools()) == dict(Notes.tools())
    assert Other.tools()["notes_share"] is Notes.tools()["notes_share"]
    assert Other.tools()["notes_list"].effect is Effect.ORGANISE
    assert Notes.tools()["notes_list"].effect is Effect.READ


async def test_a_subclass_with_another_name_renames_its_tools() -> None:
    """A subclass with another name renames its tools, so two toolkits of one kind can be used together."""

    class Journal(Notes):
        name = "journal"

    assert list(Journal.tools()) == ["journal_list", "journal_share"]
    assert await call(Journal("ada"), "journal_list", limit=1) == {"owner": "ada", "limit": 1}


async def test_a_tool_may_take_the_run_context() -> None:
    """A tool may take the run context first, which is not a parameter for the model."""
    assert await call(Notes("ada"), "notes_share", note="n") == "ada shared n in run 0"


async def test_a_tool_error_is_told_to_the_model() -> None:
    """The model reads a tool error's text, as a failure that costs no retry."""
    with pytest.raises(ToolFailed, match="there is no such note"):
        await call(Notes("ada", ToolError("there is no such note")), "notes_list")


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        (404, "notFound", r"404 \(notFound\).*Check the id"),
        (403, None, "answered 403 and did not do it"),
        (429, "rateLimitExceeded", "busy"),
        (503, None, "busy"),
        (429, "dailyLimitExceeded", "quota.*Only the administrator"),
        (403, "accessNotConfigured", "not enabled.*Only the administrator"),
        (None, None, "did not answer"),
    ],
)
async def test_a_google_error_is_told_without_its_text(status: int | None, reason: str | None, told: str) -> None:
    """The model reads the status, the reason and what to do, but not the message, which may quote a body."""
    with pytest.raises(ToolFailed, match=told) as failed:
        await call(Notes("ada", GoogleError("quoted body", status=status, reason=reason)), "notes_list")

    assert "quoted" not in str(failed.value)


async def test_other_errors_pass() -> None:
    """A consent error passes through the toolkit, because whoever wraps the toolkit handles it."""
    with pytest.raises(ConsentRequiredError):
        await call(Notes("ada", ConsentRequiredError(ADA, frozenset({SCOPE}))), "notes_list")


async def test_nothing_keeps_a_toolkit_alive() -> None:
    """A toolkit whose tools were called is freed when it is dropped, without the cyclic collector."""
    toolkit = Notes("ada")
    await call(toolkit, "notes_list")
    gone = weakref.ref(toolkit)
    gc.disable()
    try:
        del toolkit

        assert gone() is None
    finally:
        gc.enable()
