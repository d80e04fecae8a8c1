"""The declared graph of a container: names, uses, order, and its drawing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from containers.proof import mermaid
from containers.proof.graph import Graph, Lifetime, lifetime, made
from containers.scopes import Scoped
from tests.unit.sample_container import Credentials, Database, Gmail, Holder, Sample


class Core(DeclarativeContainer):
    config = providers.Configuration()
    database = providers.Dependency(instance_of=Database)
    store = providers.ThreadSafeSingleton(Holder, database, config.path)


class Team(Sample):
    core = providers.Container(Core, database=Sample.database)
    extra: providers.Aggregate[Any] = providers.Aggregate(gmail=Sample.gmail, notes=Scoped(Holder, Sample.credentials))
    opener = providers.ThreadSafeSingleton(Holder, Sample.agent.provider, providers.List(core.store, extra))
    now = providers.Callable(int)
    lender = providers.ThreadSafeSingleton(Holder, providers.Aggregate[Any](gmail=Sample.gmail))


def _named(graph: Graph) -> dict[str, providers.Provider[Any]]:
    return {name: provider for provider, name in graph.names.items()}


def test_providers_are_named_as_they_are_reached() -> None:
    """Nested containers and members of aggregates have dotted names, and the shortest name wins."""
    graph = Graph(Team())
    named = _named(graph)

    assert graph.name == "Team"
    assert {"database", "core", "core.store", "core.database", "extra.notes", "gmail"} <= named.keys()
    assert "extra.gmail" not in named


def test_a_provider_without_a_name_is_told_by_its_place() -> None:
    """A provider written in place of an argument is named by the provider that takes it and by its place there."""
    container = Team()
    graph = Graph(container)
    agent = _named(graph)["agent"]
    listed = graph.edges[agent][1].target

    assert graph.label(listed) == "agent, argument 2"
    assert made(listed) == "List"


def test_every_use_says_where_and_whether_it_is_called() -> None:
    """An edge says where a provider is used; a factory and an aggregate are handed over without being called."""
    graph = Graph(Team())
    opener = _named(graph)["opener"]
    factory, listed = graph.edges[opener]

    assert [(edge.place, made(edge.target), edge.called) for edge in graph.edges[opener]] == [
        ("argument 1", "Delegate", True),
        ("argument 2", "List", True),
    ]
    assert [edge.called for edge in graph.edges[factory.target]] == [False]
    assert [(edge.place, edge.called) for edge in graph.edges[listed.target]] == [
        ("element 0", True),
        ("element 1", False),
    ]


def test_what_is_used_comes_before_its_user() -> None:
    """In the order every provider comes after those that it needs."""
    graph = Graph(Team())
    place = {provider: number for number, provider in enumerate(graph.order)}

    assert len(place) == len(graph.edges)
    assert all(place[edge.target] < place[user] for user, edges in graph.edges.items() for edge in edges)


def test_an_override_decides_the_lifetime_and_the_uses() -> None:
    """An overridden provider has one use, of what overrides it, and the lifetime of that."""
    container = Sample()
    container.gmail.override(providers.Object("mail"))
    graph = Graph(container)

    assert lifetime(container.gmail) is Lifetime.PROCESS
    assert [(edge.place, made(edge.target)) for edge in graph.edges[container.gmail]] == [("override", "Object(str)")]


def test_the_callers_of_a_provider_are_all_who_reach_it() -> None:
    """A provider's callers are all that call it, directly or over others, but not those that get it as a factory."""
    graph = Graph(Team())
    named = _named(graph)
    callers = {graph.names[provider] for provider in graph.callers([named["credentials"]]) if provider in graph.names}

    assert callers == {"credentials", "gmail", "calendar", "agent", "extra", "extra.notes"}


def test_the_drawing_is_grouped_and_folds_what_has_no_name() -> None:
    """The flowchart has a group for each lifetime, names from the container, and dotted arrows for factories."""
    drawn = mermaid(Team()).splitlines()

    assert [line.split()[1].split("[")[0] for line in drawn if "subgraph" in line] == ["process", "request", "other"]
    assert '    process_core__store["core.store<br/><small>Holder</small>"]' in drawn
    assert '    request_gmail["gmail<br/><small>Gmail</small>"]' in drawn
    assert "  request_agent --> request_gmail" in drawn
    assert "  process_opener --> process_core__store" in drawn
    assert "  process_opener -.-> request_agent" in drawn
    assert "  process_opener -.-> other_extra" in drawn
    assert "  process_lender -.-> request_gmail" in drawn
    assert not any("config" in line or "List" in line for line in drawn)


def test_the_drawing_follows_an_override_without_a_name() -> None:
    """An overridden provider is drawn with what its override uses, at the override's lifetime."""
    container = Sample()
    container.google_auth.override(Scoped(Gmail, container.credentials.provider))
    drawn = mermaid(container)

    assert 'request_google_auth["google_auth<br/><small>Gmail</small>"]' in drawn
    assert "request_google_auth -.-> request_credentials" in drawn


@pytest.mark.system
def test_the_drawing_is_the_same_in_every_process() -> None:
    """The drawing is identical for every hash seed and in every process."""
    program = "from tests.unit.test_graph import Team, mermaid; print(mermaid(Team()), end='')"
    drawings = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }

    assert drawings == {mermaid(Team())}


def test_any_name_can_be_drawn() -> None:
    """Names from the settings, such as a model's, stay distinct and break no line of the drawing."""
    container = Sample()
    names = ["openai:gpt-4.1", "openai:gpt-4-1", 'a "b"']
    container.models = providers.Aggregate[Any]({name: providers.ThreadSafeSingleton(Holder) for name in names})
    lines = [line.strip() for line in mermaid(container).splitlines() if "models." in line]

    assert len({line.split("[")[0] for line in lines}) == 3
    assert 'process_models__a_20__22_b_22_["models.a #quot;b#quot;<br/><small>Holder</small>"]' in lines


def test_values_are_never_drawn() -> None:
    """Only the type of a value is drawn, because the value may be a secret."""
    token = providers.Object("ya29.secret")
    container = Sample()
    container.token = token
    container.credentials.set_kwargs(google_auth="ya29.secret")

    assert made(token) == "Object(str)"
    assert "ya29" not in mermaid(container)
    assert Credentials.__name__ in mermaid(container)
