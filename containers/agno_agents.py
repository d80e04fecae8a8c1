"""How a factory of agno agents becomes a scoped provider; agno is imported only where the settings name one."""

from __future__ import annotations

from dependency_injector import providers

from app.agents.agent import Agent
from app.agents.shell import AgentShell
from app.errors import DeputyError, SettingsError
from app.sections.agents import AgentSettings
from containers.application import Application
from containers.offers import NotOfferedError
from containers.scopes import Scoped
from containers.toolkits import offers_of


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
    declared = AgentDeclaration(name, settings.agno, factory, settings.reads)
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
        permission=container.google_apis.provided.permission,
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
    )
