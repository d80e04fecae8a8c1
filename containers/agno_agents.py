"""How a factory of agno agents becomes a scoped provider; agno is imported only where the settings name one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dependency_injector import providers

from app.agents.agent import Agent
from app.agents.shell import AgentShell
from app.errors import DeputyError, SettingsError
from app.sections.agents import AgentSettings
from app.toolkits.reach import HIDDEN_TO_FIX, HiddenError, shared
from containers.application import Application
from containers.offers import NotOfferedError
from containers.proof import Finding
from containers.scopes import Scope, Scoped
from containers.toolkits import offers_of

if TYPE_CHECKING:
    from app.agno_bridge.agents import PersonsAgent


def agno_agent(container: Application, name: str, settings: AgentSettings) -> Scoped[Agent]:
    """Return a scoped provider of an agent that a factory builds for each request.

    Raises:
        SettingsError: agno is not installed, or the factory cannot be used.
    """
    assert settings.agno is not None
    place = f"agents.{name}: {settings.agno}"
    try:
        from app.agno_bridge.agent_toolkit import AgentsToolkit
        from app.agno_bridge.agents import AgentDeclaration, PersonsAgent, load_factory, model_of
    except ImportError as error:
        raise SettingsError(
            f"{place} needs agno, which is not installed: pip install 'deputy-assistant[agno]'"
        ) from error
    try:
        factory = load_factory(settings.agno)
        given = offers_of(container).arguments(factory)
    except NotOfferedError as error:
        raise SettingsError(f"{place}: it {error}") from error
    except DeputyError as error:
        raise SettingsError(f"{place} {error}") from error
    declared = AgentDeclaration(name, settings.agno, factory, settings.reads, settings.allow_environment)
    persons = Scoped(PersonsAgent, providers.Object(declared), container.principal, providers.Dict(given))
    shell = Scoped(
        AgentShell,
        name,
        Scoped(model_of, persons),
        instructions="",
        history_turns=settings.history_turns,
        history_characters=settings.history_characters,
        request_limit=settings.request_limit,
        tool_calls_limit=settings.tool_calls_limit,
        permission=container.account_providers.provided.permission,
    )
    return Scoped(
        Agent,
        container.principal,
        shell,
        providers.List(Scoped(AgentsToolkit, persons, container.threads, container.deadline)),
        container.all_connections,
        container.approvals,
        container.conversations,
        container.writes,
        container.audit_recorder,
        container.input_files,
    )


async def try_agno_agent(
    container: Application, name: str, one: Sequence[object], other: Sequence[object]
) -> list[Finding]:
    """Build an agent of a factory's in two requests at once, and return a finding for each thing that both reach.

    Args:
        container: The container with the agent.
        name: The agent's name in the settings.
        one: The seeds of a request of one principal.
        other: The seeds of a request of another.
    """
    persons = _persons(container.agents.providers[name])
    if persons is None:  # something else overrides it
        return []
    async with Scope(*one) as first, Scope(*other) as second:
        mine, yours = first.get(persons), second.get(persons)
        try:
            places = sorted({str(place) for place, _ in shared(mine, yours, packages=mine.packages())})
        except HiddenError as error:
            return [Finding(f"`agents.{name}`: {error}", "", HIDDEN_TO_FIX)]
        return [
            Finding(
                f"`agents.{name}` has one object in two requests: {place}",
                "",
                "build it in the factory; what all may share, such as an HTTP client, needs no attribute of the agent",
            )
            for place in places
        ]


def _persons(agent: providers.Provider[Agent]) -> Scoped[PersonsAgent] | None:
    from app.agno_bridge.agents import PersonsAgent

    return next((found for found in agent.traverse([Scoped]) if found.provides is PersonsAgent), None)
