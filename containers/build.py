"""Builds the container of a configuration: adds the toolkits, models, agents and channels that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dependency_injector import providers
from pydantic_ai.models import Model

from app.agents.agent import Agent, AgentShell
from app.credentials.workspace import WorkspaceTokens
from app.errors import SettingsError
from app.google.service_account import open_service_account
from app.llm.endpoints import build_endpoint
from app.llm.fallback import with_fallbacks
from app.llm.models import build_model
from app.llm.transcription import Transcriber
from app.sections.agents import AgentSettings, ModelSettings
from app.sections.google import WorkspaceSettings
from app.settings import Settings
from containers.application import Application, Once
from containers.channels import add_channels
from containers.connections import add_connections
from containers.playground import add_front_page
from containers.scopes import Scoped
from containers.toolkits import toolkits


def build(settings: Settings) -> Application:
    """Return the complete container of a configuration; nothing in it is open yet.

    Raises:
        SettingsError: An agent names an unknown toolkit, a toolkit cannot be used, or a channel lacks a part.
    """
    container = Application(settings=settings)
    add_connections(container, settings)
    container.toolkits.set_providers(toolkits(container, settings.toolkits))
    used = {model for agent in settings.agents.values() for model in agent.model}
    models = {name: _model(container, name, settings.models.get(name)) for name in sorted(used)}
    permission = container.google_apis.provided.permission
    shells = {
        name: _shell(name, agent, [models[model] for model in agent.model], permission)
        for name, agent in settings.agents.items()
    }
    container.models.set_providers(models)
    container.shells.set_providers(shells)
    container.agents.set_providers(
        {name: _agent(container, name, shells[name], agent.toolkits) for name, agent in settings.agents.items()}
    )
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
    agent: AgentSettings,
    models: Sequence[providers.Provider[Model]],
    permission: providers.Provider[Callable[[str], str]],
) -> providers.Provider[AgentShell]:
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
    )


def _agent(
    container: Application, name: str, shell: providers.Provider[AgentShell], toolkits: Iterable[str]
) -> Scoped[Agent]:
    known = container.toolkits.providers
    for toolkit in toolkits:
        if toolkit not in known:
            raise SettingsError(
                f"agents.{name}.toolkits: there is no toolkit {toolkit!r}; there are {', '.join(sorted(known))}"
            )
    return Scoped(
        Agent,
        container.principal,
        shell,
        providers.List(*(known[toolkit] for toolkit in toolkits)),
        container.all_connections,
        container.approvals,
        container.conversations,
        container.writes,
        container.audit_recorder,
    )
