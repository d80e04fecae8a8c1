"""A container's declared graph as a Mermaid flowchart, for `deputy graph` and docs/architecture.md."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .graph import (
    NAMESPACES,
    SETTINGS,
    AnyContainer,
    AnyProvider,
    Graph,
    Lifetime,
    effective,
    lifetime,
    product,
)

_TITLES = {
    Lifetime.PROCESS: "process: built once, shared by all",
    Lifetime.REQUEST: "request: built for one message, dead after it",
    Lifetime.CONTEXT: "context: one for each thread or context",
    Lifetime.OTHER: "other: made anew at each call",
}


def mermaid(container: AnyContainer) -> str:
    """Return the graph as a Mermaid flowchart, grouped by lifetime; equal graphs give equal text.

    Providers without a name are folded into the arrows; a dotted arrow hands over a factory. Settings are left out.
    """
    graph = Graph(container)
    drawn = {
        provider: name
        for provider, name in sorted(graph.names.items(), key=lambda item: item[1])
        if not isinstance(provider, (*NAMESPACES, *SETTINGS))
    }
    nodes = {provider: f"{lifetime(provider).value}_{_identifier(name)}" for provider, name in drawn.items()}
    lines = ["flowchart LR"]
    for group in Lifetime:
        members = [provider for provider in drawn if lifetime(provider) is group]
        if members:
            lines.append(f'  subgraph {group.value}["{_TITLES[group]}"]')
            lines += [
                f'    {nodes[provider]}["{_escaped(drawn[provider])}{_product_line(provider)}"]' for provider in members
            ]
            lines.append("  end")
    for provider in drawn:
        targets = _named_targets(graph, provider, drawn)
        for target in sorted(targets, key=lambda target: drawn[target]):
            lines.append(f"  {nodes[provider]} {'-->' if targets[target] else '-.->'} {nodes[target]}")
    return "\n".join(lines) + "\n"


def _identifier(name: str) -> str:
    """Return a unique node identifier for a name, in letters that Mermaid accepts."""
    return re.sub(r"[^0-9A-Za-z_]", lambda found: "__" if found[0] == "." else f"_{ord(found[0]):x}_", name)


def _escaped(name: str) -> str:
    # https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters
    return name.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")


def _product_line(provider: AnyProvider) -> str:
    name = getattr(product(effective(provider)), "__name__", "")
    return f"<br/><small>{name}</small>" if name.isidentifier() else ""


def _named_targets(graph: Graph, provider: AnyProvider, drawn: Mapping[AnyProvider, str]) -> dict[AnyProvider, bool]:
    """Return the named providers that this one uses, through any unnamed ones, and whether it calls them."""
    targets: dict[AnyProvider, bool] = {}
    todo = [(edge.target, edge.called) for edge in graph.edges[provider]]
    seen = set(todo)
    for target, called in todo:
        if target in drawn:
            targets[target] = called or targets.get(target, False)
            continue
        following = [(edge.target, called and edge.called) for edge in graph.edges[target]]
        todo += [step for step in following if step not in seen]
        seen.update(following)
    return targets
