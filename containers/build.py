"""Builds the container of a configuration: adds the toolkits, models, agents and channels that the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dependency_injector import providers
from pydantic_ai.models import Model

from app.agents.agent import Agent
from app.agents.asking import ask_tool
from app.agents.shell import AgentShell
from app.credentials.workspace import WorkspaceTokens
from app.errors import SettingsError
from app.google.service_account import open_service_account
from app.llm.endpoints import build_endpoint
from app.llm.fallback import with_fallbacks
from app.llm.models import build_model
from app.llm.transcription import Transcriber
from app.oauth.provider import Permission
from app.sections.agents import AgentSettings, ModelSettings
from app.sections.google import WorkspaceSettings
from app.settings import Settings
from containers.agno_agents import agno_agent
from containers.application import Application, Once
from containers.channels import add_channels
from containers.connections import add_connections
from containers.discovery import add_discovered
from containers.mcp import add_mcp
from containers.playground import add_front_page
from containers.scopes import Scoped
from containers.toolkits import BUILT_IN, refuse_tools_of_one_name, toolkits, usable


def build(settings: Settings, *, only_used: bool = False) -> Application:
    """Return the complete container of a configuration; nothing in it is open yet.

    Args:
        settings: The configuration.
        only_used: Leave out the built-in toolkits that no agent has: importing one takes some 50 ms of a start.

    Raises:
        SettingsError: An agent names an unknown toolkit, a toolkit cannot be used, or a channel lacks a part.
    """
    container = Application(settings=settings)
    add_connections(container, settings)
    add_discovered(container, settings)
    agents = settings.led_agents()
    of_agents = {toolkit for agent in agents.values() for toolkit in agent.toolkits}
    built_in = BUILT_IN.keys() & (of_agents if only_used else of_agents | usable(settings.connections.keys()))
    container.toolkits.set_providers(toolkits(container, settings.toolkits, built_in))
    add_mcp(container, settings)
    used = {model for agent in agents.values() for model in agent.model}
    models = {name: _model(container, name, settings.models.get(name)) for name in sorted(used)}
    permission = container.account_providers.provided.permission
    shells = {
        name: _shell(name, agents, [models[model] for model in agent.model], permission)
        for name, agent in agents.items()
    }
    container.models.set_providers(models)
    container.shells.set_providers(shells)
    container.agents.set_providers(_agents(container, agents, shells))
    if settings.attachments.transcription is not None:
        container.transcriber.override(_transcriber(container, settings.attachments.transcription, settings))
    add_channels(container, settings)
    add_front_page(container, settings)
    if settings.google.workspace is not None:
        container.tokens.override(_workspace_tokens(container, settings.google.workspace))
        container.commands.set_args(
            container.approval_command, container.new_conversation, container.status_command
        )  # the others are about consent, which nobody gives here
    return container


def _workspace_tokens(container: Application, workspace: WorkspaceSettings) -> providers.Provider[WorkspaceTokens]:
    service_account = Once(
        open_service_account,
        workspace.key_text(),
        workspace.key_file,
        token_url=container.endpoints.provided.token,
        token_endpoint=container.token_endpoint,
    )
    return Once(WorkspaceTokens, container.directories, service_account, domains=workspace.domains)


def _model(container: Application, name: str, endpoint: ModelSettings | None) -> providers.Provider[Model]:
    if endpoint is None:
        return Once(build_model, name, container.model_http)
    return Once(
        build_endpoint,
        name,
        base_url=endpoint.base_url,
        model=endpoint.model,
        api_key=endpoint.api_key,
        http=container.model_http,
        reads=endpoint.reads,
    )


def _transcriber(container: Application, name: str, settings: Settings) -> providers.Provider[Transcriber]:
    endpoint = settings.models[name]
    return Once(
        Transcriber,
        name,
        base_url=endpoint.base_url,
        model=endpoint.model,
        api_key=endpoint.api_key,
        http=container.model_http,
    )


def _shell(
    name: str,
    agents: Mapping[str, AgentSettings],
    models: Sequence[providers.Provider[Model]],
    permission: providers.Provider[Permission],
) -> providers.Provider[AgentShell]:
    agent = agents[name]
    asks = [ask_tool(member, _about(agents[member]), shares_history=agent.shares_history) for member in agent.members]
    return Once(
        AgentShell,
        name,
        Once(with_fallbacks, *models) if len(models) > 1 else models[0],
        instructions=agent.instructions,
        history_turns=agent.history_turns,
        history_characters=agent.history_characters,
        request_limit=agent.request_limit,
        tool_calls_limit=agent.tool_calls_limit,
        permission=permission,
        asks=providers.Object(asks),
        shares_history=agent.shares_history,
    )


def _about(member: AgentSettings) -> str:
    """Return what a member is for, in a sentence for its leader's model."""
    if member.description:
        return f"{member.description.rstrip('.')}."
    return f"It works with {', '.join((*member.toolkits, *member.members)) or 'words alone'}."


def _agents(
    container: Application, agents: Mapping[str, AgentSettings], shells: Mapping[str, providers.Provider[AgentShell]]
) -> dict[str, Scoped[Agent]]:
    """Return a scoped provider for each agent, by name; a team's depends on those of its members."""
    made: dict[str, Scoped[Agent]] = {}

    def make(name: str) -> Scoped[Agent]:
        if name not in made and agents[name].agno is not None:
            made[name] = agno_agent(container, name, agents[name])
        if name not in made:
            members = [make(member) for member in agents[name].members]
            made[name] = _agent(container, name, shells[name], agents[name], members)
        return made[name]

    return {name: make(name) for name in agents}


def _agent(
    container: Application,
    name: str,
    shell: providers.Provider[AgentShell],
    agent: AgentSettings,
    members: Sequence[Scoped[Agent]],
) -> Scoped[Agent]:
    known = container.toolkits.providers
    for toolkit in agent.toolkits:
        if toolkit not in known:
            there_are = ", ".join(sorted(known.keys() | BUILT_IN.keys()))
            raise SettingsError(f"agents.{name}.toolkits: there is no toolkit {toolkit!r}; there are {there_are}")
    refuse_tools_of_one_name(name, {toolkit: known[toolkit] for toolkit in agent.toolkits}, agent.members)
    return Scoped(
        Agent,
        container.principal,
        shell,
        providers.List(*(known[toolkit] for toolkit in agent.toolkits)),
        container.all_connections,
        container.approvals,
        container.conversations,
        container.writes,
        container.audit_recorder,
        container.input_files,
        **({"members": providers.List(*members)} if members else {}),
    )
