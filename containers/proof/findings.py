"""The findings of the proof of lifetimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from ..scopes import Scoped, ScopeError
from .graph import AnyProvider, Edge, Graph

# Modules that are on the way to a constructor, and are not what raised.
_PROOF = f"{__package__}."
_LIBRARY = ("dependency_injector.", f"{Scoped.__module__.rpartition('.')[0]}.", _PROOF)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a container.

    Attributes:
        fault: The fault, in one sentence that names the provider.
        drawn: The path of providers, or the chain of holders, that shows it; several lines.
        remedy: How to fix it.
        provider: The provider at fault, or None when the fault is not one provider's.
        blocks: Whether the provider cannot be tried, nor its users, until this is fixed.
    """

    fault: str
    drawn: str
    remedy: str
    provider: AnyProvider | None = field(default=None, repr=False)
    blocks: bool = True

    def __str__(self) -> str:
        return "\n".join(part for part in (self.fault, self.drawn, f"   To fix it: {self.remedy}") if part)


class LifetimeError(Exception):
    """A container could mix up two requests, or cannot be built; the start is refused.

    Attributes:
        findings: Everything that was found, in the order of the checks. The users of a faulty provider were not tried,
            so fixing one fault can reveal the next.
    """

    def __init__(self, container: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        listed = "\n\n".join(f"{number}. {finding}" for number, finding in enumerate(self.findings, 1))
        super().__init__(f"{container} fails the proof of lifetimes, {len(self.findings)} finding(s):\n\n{listed}")


def failure(graph: Graph, provider: AnyProvider | None, error: Exception, action: str) -> Finding:
    """Return a finding for a raised error, with its place in the code and any scoped provider it asked for."""
    place, asked = _traced(graph, error.__traceback__)
    path = [Edge(provider, "", called=True)] if provider else []
    if asked and asked is not provider:
        path.append(Edge(asked, place, called=True))
    remedy = "make sure that this cannot fail"
    if isinstance(error, ScopeError):
        remedy = "let its constructor take what it needs as arguments, and ask for nothing scoped"
    raised = f"{action} raised {type(error).__name__}: {error}" + (f" ({place})" if place else "")
    return Finding(raised, graph.draw(tuple(path)) if path else "", remedy, provider)


def _traced(graph: Graph, traceback: TracebackType | None) -> tuple[str, AnyProvider | None]:
    """Return the innermost place outside the library and the containers, and the provider that was asked last."""
    place, asked = "", None
    while traceback is not None:
        frame = traceback.tb_frame
        module = frame.f_globals.get("__name__", "")  # compiled code has none
        if module and not module.startswith(_LIBRARY):
            place = f"{module}:{traceback.tb_lineno}, in {frame.f_code.co_qualname}"
        # A frame of the proof is running: a snapshot of its locals would keep the error, and the error the frame.
        called = None if module.startswith(_PROOF) else frame.f_locals.get("self")
        if isinstance(called, Scoped) and called in graph.edges:
            asked = called
        traceback = traceback.tb_next
    return place, asked
