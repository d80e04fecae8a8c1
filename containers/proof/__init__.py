"""The proof of lifetimes: nothing of a request outlives it.

It stands beside `scopes` and imports nothing else but dependency-injector::

    await prove(container, [Principal("ada")], [Principal("grace")])  # the seeds of two requests; raises LifetimeError
"""

from .findings import Finding, LifetimeError
from .graph import Graph, Lifetime, lifetime, made
from .holders import Held, Watch, explain
from .lifetimes import Proof, collector_off, prove
from .mermaid import mermaid

__all__ = [
    "Finding",
    "Graph",
    "Held",
    "Lifetime",
    "LifetimeError",
    "Proof",
    "Watch",
    "collector_off",
    "explain",
    "lifetime",
    "made",
    "mermaid",
    "prove",
]
