"""The trial of a toolkit: each tool runs in two requests at once, and nothing may pass from one to the other.

The proof of lifetimes finds a toolkit that keeps something when it is built; the trial finds one that keeps something
when a tool runs. Nothing is sent during the trial (`dry_run`), and a tool that fails for that reason is not reported.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from traceback import clear_frames
from typing import Any, Protocol, runtime_checkable
from weakref import ref

from dependency_injector import providers
from pydantic_ai import RunContext
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from app.deadline import Deadline
from app.principal import Principal
from app.run import new_run
from app.toolkits.reach import HIDDEN_TO_FIX, HiddenError, is_within, kept_of_request, mentions, package_of, shared
from app.toolkits.toolkit import Toolkit, ToolSpec
from containers.application import Application
from containers.dry_connection import DryConnection
from containers.dry_google import DryGoogle, DryZone
from containers.dry_run import run_dry
from containers.proof import Finding, Watch, collector_off, explain
from containers.sample_arguments import sample
from containers.scopes import Scope, Scoped

Dry = DryGoogle | DryConnection


@runtime_checkable
class Wrapping(Protocol):
    """A toolkit around an object of somebody else's library, all of which belongs to its request."""

    @property
    def wrapped(self) -> object | None:
        """Return the object, or None if there is none yet."""


_TOOL_SECONDS = 2.0  # a tool that takes longer is abandoned
_ROUNDS = 2  # the requests alternate, so that each one finds what the other has left
_LOOP_TURNS = 5
_IN_PARTS = ("agno.tools", "app.toolkits")  # of a package that is larger, only the toolkits are looked into
_TO_FIX = "keep what a tool remembers in the toolkit's instance; it is built for each request"


async def try_toolkit(container: Application, name: str) -> list[Finding]:
    """Run each tool of a toolkit in two interleaved requests, and return a finding for each thing that passed between.

    Args:
        container: The container with the toolkit.
        name: The toolkit's name.
    """
    provider = container.toolkits.providers[name]
    while provider.last_overriding is not None:
        provider = provider.last_overriding
    toolkit = getattr(provider, "provides", None)
    if not (isinstance(provider, Scoped) and isinstance(toolkit, type) and issubclass(toolkit, Toolkit)):
        return []
    if not toolkit.tools():  # its tools come from a server
        return []
    trial = _Trial(f"toolkits.{name}", toolkit, _on_dry_clients(container, provider))
    with collector_off():
        return await run_dry(trial.run)


def _on_dry_clients(container: Application, toolkit: Scoped[Any]) -> tuple[Scoped[Any], list[Scoped[Dry]]]:
    """Return a provider of the same toolkit whose clients send nothing, and the providers of those clients."""
    dry: dict[int, Scoped[Dry]] = {id(container.google): Scoped(DryGoogle, container.principal, container.google_apis)}
    for name, connection in container.connections.providers.items():
        dry[id(connection)] = Scoped(DryConnection, container.principal, name)

    used: dict[int, Scoped[Dry]] = {}
    zone = Scoped(DryZone)

    def swapped(value: object) -> object:
        if value is container.person_zone:
            return zone
        if isinstance(value, providers.Dict):  # of the connections of a toolkit of agno's
            return providers.Dict({name: swapped(each) for name, each in value.kwargs.items()})
        if (client := dry.get(id(value))) is None:
            return value
        used[id(value)] = client
        return client

    args = [swapped(value) for value in toolkit.args]
    kwargs = {name: swapped(value) for name, value in toolkit.kwargs.items()}
    return Scoped(toolkit.provides, *args, **kwargs), [*used.values()]


@dataclass
class _Request:
    """One of the two requests, in a separate context. Lives for one trial."""

    scope: Scope
    person: str
    toolkit: Any
    clients: list[Dry]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    results: list[object] = field(default_factory=list)

    async def call(self, spec: ToolSpec) -> None:
        """Call one tool as the model would; errors in it are ignored."""
        task = asyncio.get_running_loop().create_task(self._call(spec), context=self.context)
        await asyncio.wait([task])
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            clear_frames(error.__traceback__)  # they hold the toolkit
        else:
            self.results.append(task.result())

    async def _call(self, spec: ToolSpec) -> object:
        arguments = spec.validator.validate_python(sample(spec.definition.parameters_json_schema))
        context = RunContext(deps=None, model=TestModel(), usage=RunUsage())
        async with asyncio.timeout(_TOOL_SECONDS):
            return await self.toolkit.run_tool(spec, arguments, context)


class _Trial:
    def __init__(self, label: str, toolkit: type[Toolkit], made: tuple[Scoped[Any], list[Scoped[Dry]]]) -> None:
        self._label = label
        self._toolkit = toolkit
        self._provider, self._clients = made
        self._watches: list[Watch] = []

    async def run(self) -> list[Finding]:
        before = _class_attributes(self._toolkit)
        findings = [*await self._in_two_requests()]
        for attribute in sorted(_changed(before, _class_attributes(self._toolkit))):
            fault = f"a tool of `{self._label}` changed {attribute}, which all people share"
            findings.append(Finding(fault, "", _TO_FIX))
        for _ in range(_LOOP_TURNS):
            await asyncio.sleep(0)
        if any(watch.ref() is not None for watch in self._watches):
            gc.collect()  # a tool may make cycles; only objects that are still referenced count here
            findings += [
                Finding(
                    f"`{held.name}` is alive after a request in which its tools ran",
                    "\n".join(f"   {step}" for step in held.chain),
                    _TO_FIX,
                )
                for held in explain(self._watches, {})
            ]
        return findings

    async def _in_two_requests(self) -> list[Finding]:
        people = [f"trial-{secrets.token_hex(4)}" for _ in range(2)]
        seeds = [(Principal("probe", "trial", person), Deadline.after(60)) for person in people]
        async with Scope(*seeds[0]) as one, Scope(*seeds[1]) as other:
            with ExitStack() as stack:
                first, second = (
                    self._request(stack, scope, person) for scope, person in zip((one, other), people, strict=True)
                )
                for spec in self._toolkit.tools().values():
                    for _ in range(_ROUNDS):
                        await first.call(spec)
                        await second.call(spec)
                    await asyncio.gather(first.call(spec), second.call(spec))
                try:
                    return [*self._judge(first, second), *self._judge(second, first)]
                except HiddenError as error:
                    return [Finding(f"`{self._label}`: {error}", "", HIDDEN_TO_FIX)]

    def _request(self, stack: ExitStack, scope: Scope, person: str) -> _Request:
        context = contextvars.copy_context()
        run = new_run()
        context.run(run.__enter__)
        stack.callback(context.run, run.__exit__, None, None, None)
        toolkit, *clients = (context.run(scope.get, provider) for provider in (self._provider, *self._clients))
        self._watches += [
            Watch(self._label, ref(toolkit)),
            *(Watch("a person's client", ref(each)) for each in clients),
        ]
        return _Request(scope, person, toolkit, clients, context)

    def _judge(self, one: _Request, other: _Request) -> Iterator[Finding]:
        """Yield a finding for each thing that passed from this request to the other."""
        if calls := {call for client in one.clients for call in client.foreign}:
            methods = ", ".join(sorted(calls))
            yield Finding(f"a tool of `{self._label}` called {methods} with the client of another request", "", _TO_FIX)
        if one.person in repr(other.results):
            yield Finding(f"a tool of `{self._label}` returned what belongs to another request", "", _TO_FIX)
        places = [place for place, _ in shared(one.toolkit, other.toolkit, (one.results, other.results), ())]
        inner = one.toolkit
        if isinstance(one.toolkit, Wrapping) and isinstance(other.toolkit, Wrapping):
            inner = one.toolkit.wrapped
            places += [
                place
                for place, value in shared(inner, other.toolkit.wrapped)
                # A library's own are harmless, unless something of a person is in them.
                if not place.is_of_library or any(mentions(value, each.person) for each in (one, other))
            ]
        for found in places:
            yield Finding(f"`{self._label}` has one object in two requests: {found}", "", _TO_FIX)
        code = type(inner)
        packages = [next((part for part in _IN_PARTS if is_within(code.__module__, [part])), package_of(code))]
        for found in kept_of_request(code, (one.toolkit, inner, one.results), one.person, packages):
            yield Finding(f"`{self._label}` keeps something of a request for all people: {found}", "", _TO_FIX)


def _class_attributes(cls: type) -> dict[str, object]:
    """Return the attributes of a class and its bases by name, with the objects that they are bound to."""
    return {f"{base.__qualname__}.{name}": value for base in cls.__mro__[:-1] for name, value in vars(base).items()}


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """Return the names that are bound to something else, or not at all, afterwards."""
    missing = object()
    return {name for name in {*before, *after} if before.get(name, missing) is not after.get(name, missing)}
