"""The proof that no request can reach another's objects, run at every start and by `deputy check`.

1. The declaration: nothing that outlives a request holds what belongs to one (`containers/proof/declaration.py`).
2. Every singleton is built once outside any scope, where a scoped provider raises: this finds the constructor that asks
   the container behind its back.
3. Two requests of two people are run at once; no object may be in both, and when they are closed every object must be
   dead, without a run of the collector (`containers/proof/probe.py`); whoever holds a living one is named
   (`containers/proof/holders.py`).
4. The arguments of every provider fit what it makes (`containers/proof/signatures.py`).
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from dependency_injector import providers

from . import declaration, signatures
from .findings import Finding, LifetimeError, failure
from .graph import AnyContainer, AnyProvider, Graph, Lifetime, lifetime
from .holders import Watch, explain
from .probe import Probe

__all__ = ["Finding", "LifetimeError", "Proof", "collector_off", "prove"]

LOOP_TURNS = 5  # how many turns of the event loop a task or a callback that is ending may still hold an object


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of a proof: how much of a container was proved.

    Attributes:
        singletons: Providers whose one object was built outside any scope.
        scoped: Providers that were tried in two scopes at once.
        edges: Uses of one provider by another in the declared graph.
        watched: Objects that were seen dead after their scope had closed, the two scopes among them.
        unwatched: Scoped providers that gave something which takes no weak reference, such as a text or an instance of
            a class with slots: that these were released is not proved.
        shared: Scoped providers that hand on an object of one of the container's singletons, which is allowed.
        seconds: How long the proof took, constructors and finalizers included.
    """

    singletons: int
    scoped: int
    edges: int
    watched: int
    unwatched: tuple[str, ...]
    shared: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        text = (
            f"{self.singletons} singletons, {self.scoped} scoped providers, {self.edges} edges: nothing outlives its "
            f"request ({self.watched} objects seen dead, {self.seconds * 1000:.0f} ms)"
        )
        if self.shared:
            text += f"; handed on from a singleton: {', '.join(self.shared)}"
        return text + (f"; not watched: {', '.join(self.unwatched)}" if self.unwatched else "")


async def prove(
    container: AnyContainer,
    one: Sequence[object],
    other: Sequence[object],
    *,
    passes: tuple[type[Exception], ...] = (),
) -> Proof:
    """Prove the lifetimes of a container; to be run before its first request, while its singletons are unbuilt.

    The two requests run to their end, finalizers included. Objects inside a scoped object are not watched:
    a singleton may keep a bounded map by principal. Resources are not opened.

    Args:
        container: Any container of dependency-injector.
        one: The seeds of a request of one principal.
        other: The seeds of a request of another.
        passes: Errors of singletons that are raised as they are, such as those that name a wrong setting.

    Raises:
        LifetimeError: There are findings; it lists them all.
    """
    started = perf_counter()
    graph = Graph(container)
    findings = [*declaration.faults(graph), *signatures.faults(graph)]
    blocked = graph.callers({finding.provider for finding in findings if finding.provider and finding.blocks})
    long_lived: dict[int, str] = {}
    findings += _build_long_lived(graph, blocked, long_lived, passes)
    probe = Probe(graph, long_lived, blocked)
    known = long_lived | {id(provider): f"provider `{graph.label(provider)}`" for provider in graph.edges}
    with collector_off():
        # Dependencies come first, which shows who fails; then last, as in a request, which asks for one thing only.
        for order in (graph.order, graph.order[::-1]):
            trial = [*await probe.run(one, other, order), *await _held(probe.watches, known)]
            findings += trial
            if trial:
                break
    findings += declaration.turned_async(graph, blocked)
    if findings:
        raise LifetimeError(graph.name, findings)
    return Proof(
        singletons=sum(isinstance(provider, providers.BaseSingleton) for provider in graph.edges),
        scoped=probe.scoped,
        edges=sum(map(len, graph.edges.values())),
        watched=len(probe.watches),
        unwatched=tuple(probe.unwatched),
        shared=tuple(probe.shared),
        seconds=perf_counter() - started,
    )


def _build_long_lived(
    graph: Graph, blocked: set[AnyProvider], long_lived: dict[int, str], passes: tuple[type[Exception], ...]
) -> Iterator[Finding]:
    """Build every singleton outside any scope; `long_lived` then names each one's object, and each Object's, by id."""
    for provider in graph.order:
        is_object = type(provider) is providers.Object
        if lifetime(provider) is not Lifetime.PROCESS or provider.last_overriding is not None or provider in blocked:
            continue
        if is_object or isinstance(provider, providers.BaseSingleton):
            label = graph.label(provider)
            try:
                value = provider()
            except passes:
                raise
            except Exception as error:  # a constructor is anybody's code
                yield failure(graph, provider, error, f"building `{label}` outside any scope")
                blocked |= graph.callers({provider})
            else:
                long_lived[id(value)] = f"{'value' if is_object else 'singleton'} `{label}`"


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep the cyclic collector from running, so that only what nobody refers to dies."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


async def _held(watches: Sequence[Watch], known: Mapping[int, str]) -> list[Finding]:
    for _ in range(LOOP_TURNS):
        if all(watch.ref() is None for watch in watches):
            return []
        await asyncio.sleep(0)
    findings = []
    for held in explain(watches, known):
        also = f" (and with it {', '.join(held.also)})" if held.also else ""
        findings.append(
            Finding(
                f"`{held.name}` is alive after its request{also}",
                "\n".join(
                    f"   {'╰─> ' if step == len(held.chain) else '▼   '}{text}"
                    for step, text in enumerate(held.chain, 1)
                ),
                "break the cycle: let one side refer to the other by a weak reference, or not at all"
                if held.is_cycle
                else "let the holder keep a plain value instead, or forget the object when the request ends",
            )
        )
    return findings
