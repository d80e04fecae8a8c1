"""The container: every provider of Deputy, in the order of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer
from pydantic_ai.models import Model

from app.agents.agent import Agent, AgentShell
from app.api_tokens import ApiTokens
from app.approvals.approvals import Approvals
from app.conversations.history import Conversations
from app.credentials.consent import Consent
from app.credentials.credentials import Credentials
from app.credentials.grants import Grants
from app.credentials.key_ring import open_key_ring
from app.credentials.links import ConsentLinks
from app.credentials.refresh import Refresher
from app.database.database import Database
from app.deadline import Deadline
from app.delivery.answering import Answering
from app.delivery.channel import Channel
from app.delivery.door import Door
from app.delivery.inbox import Inbox
from app.delivery.parking import Parking
from app.delivery.status import Statuses
from app.delivery.streams import Streams
from app.delivery.wakeups import Wakeups
from app.delivery.worker import Worker
from app.errors import SettingsError
from app.google.apis import GoogleApis
from app.google.auth import GoogleAuth
from app.google.client import GoogleClient
from app.google.connections import open_http, open_pool
from app.google.endpoints import GoogleEndpoints
from app.llm.endpoints import build_endpoint, open_model_http
from app.llm.fallback import with_fallbacks
from app.llm.models import build_model
from app.principal import Principal
from app.settings import AgentSettings, ModelSettings, Settings, SlackSettings
from app.toolkits.gmail import GmailToolkit
from containers.scope import Scope, Scoped, Seed
from containers.scopes import RequestScopes
from containers.toolkits import outside_toolkit
from interfaces.http.client import HttpChannel
from interfaces.web.interface import callback_url

Once = providers.ThreadSafeSingleton  # a plain Singleton is built twice when two threads ask for it at once


class Application(DeclarativeContainer):
    """Process-lived providers first, then those of one request, then what runs requests.

    `build` adds what only the settings know: the toolkits, models and agents by their names.
    """

    settings = providers.Dependency(instance_of=Settings)

    # Process: what is kept, and where.
    database = Once(Database, settings.provided.database.url.get_secret_value.call())
    key_ring = Once(open_key_ring, settings.provided.key_ring.encoded.call(), settings.provided.key_ring.file)
    api_tokens = Once(ApiTokens, database)
    conversations = Once(Conversations, database)
    approvals = Once(Approvals, database)
    inbox = Once(Inbox, database)
    wakeups = Once(Wakeups)
    door = Once(Door, inbox, wakeups)
    streams = Once(Streams)
    parking = Once(
        Parking,
        database,
        approvals,
        wakeups.provided.wake,
        parked_seconds=settings.provided.delivery.parked_seconds,
    )

    # Process: Google, without anybody's credentials.
    http = Once(open_http)
    pool = Once(open_pool)
    endpoints = Once(
        GoogleEndpoints,
        authorize=settings.provided.google.endpoints.authorize,
        token=settings.provided.google.endpoints.token,
        revoke=settings.provided.google.endpoints.revoke,
        certs=settings.provided.google.endpoints.certs,
        issuer=settings.provided.google.endpoints.issuer,
    )
    google_auth = Once(
        GoogleAuth,
        endpoints,
        client_id=settings.provided.google.client_id,
        client_secret=settings.provided.google.client_secret.get_secret_value.call(),
        redirect_uri=providers.Callable(callback_url, settings.provided.server.public_url),
        http=http,
        pool=pool,
    )
    google_apis = Once(GoogleApis, settings.provided.google.api_root)
    grants = Once(Grants, database, key_ring)
    refresher = Once(Refresher, grants, google_auth)
    links = Once(ConsentLinks, database, key_ring, lifetime_seconds=settings.provided.consent.link_seconds)
    consent = Once(
        Consent, database, links, grants, google_auth, parking, public_url=settings.provided.server.public_url
    )
    statuses = Once(Statuses, parking, approvals, consent)

    # Process: the models by their names, and of each agent what all people share.
    model_http = Once(open_model_http)
    models: providers.Aggregate[Model] = providers.Aggregate()
    shells: providers.Aggregate[AgentShell] = providers.Aggregate()

    # One request: everything that is a person's.
    principal = Seed(Principal)
    deadline = Seed(Deadline)
    threads = Seed(Scope)
    credentials = Scoped(Credentials, principal, refresher, deadline)
    google = Scoped(
        GoogleClient,
        credentials,
        google_apis,
        pool,
        threads,
        deadline,
        timeout_seconds=settings.provided.google.timeout_seconds,
    )
    gmail = Scoped(GmailToolkit, google)
    toolkits: providers.Aggregate[Any] = providers.Aggregate()  # of Toolkit; a provider of a subclass is none of it
    agents: providers.Aggregate[Agent] = providers.Aggregate()

    # Process: what opens requests, and answers.
    request_scopes = Once(
        RequestScopes,
        agents.provider,
        settings.provided.agent_of_channel.call(),
        settings.provided.delivery.deadline_seconds,
    )
    http_channel = Once(HttpChannel)
    channels = providers.Dict()
    answering = Once(
        Answering,
        inbox,
        parking,
        approvals,
        consent,
        conversations,
        statuses,
        channels,
        streams,
        request_scopes.provided.open_agent,
        deadline_seconds=settings.provided.delivery.deadline_seconds,
    )
    worker = Once(
        Worker,
        wakeups,
        inbox,
        parking,
        answering,
        concurrency=settings.provided.delivery.concurrency,
        attempts=settings.provided.delivery.attempts,
        scan_seconds=settings.provided.delivery.scan_seconds,
    )


def build(settings: Settings) -> Application:
    """The container of a configuration, complete; nothing in it is open yet.

    Raises:
        SettingsError: An agent names a toolkit that there is none of, or a toolkit from outside is refused.
    """
    container = Application(settings=settings)
    container.toolkits.set_providers(_toolkits(container, settings.toolkits))
    used = {model for agent in settings.agents.values() for model in agent.model}
    models = {name: _model(container, name, settings.models.get(name)) for name in sorted(used)}
    shells = {
        name: _shell(name, agent, [models[model] for model in agent.model]) for name, agent in settings.agents.items()
    }
    container.models.set_providers(models)
    container.shells.set_providers(shells)
    container.agents.set_providers(
        {name: _agent(container, name, shells[name], agent.toolkits) for name, agent in settings.agents.items()}
    )
    if settings.interfaces.http is not None:
        container.channels.add_kwargs(http=container.http_channel)
    if settings.interfaces.slack is not None:
        container.channels.add_kwargs(slack=_slack_channel(settings.interfaces.slack))
    return container


def _toolkits(container: Application, outside: Mapping[str, str]) -> dict[str, providers.Provider[Any]]:
    built_in: dict[str, providers.Provider[Any]] = {"gmail": container.gmail}
    if taken := built_in.keys() & outside.keys():
        raise SettingsError(f"toolkits.{min(taken)}: a toolkit of this name is built in; take another one")
    available: dict[type, providers.Provider[Any]] = {
        Principal: container.principal,
        Deadline: container.deadline,
        GoogleClient: container.google,
    }
    return built_in | {name: outside_toolkit(name, path, available) for name, path in outside.items()}


def _model(container: Application, name: str, endpoint: ModelSettings | None) -> providers.Provider[Model]:
    if endpoint is None:
        return Once(build_model, name)
    return Once(
        build_endpoint,
        name,
        base_url=endpoint.base_url,
        model=endpoint.model,
        api_key=endpoint.api_key,
        http=container.model_http,
    )


def _shell(
    name: str, agent: AgentSettings, models: Sequence[providers.Provider[Model]]
) -> providers.Provider[AgentShell]:
    return Once(
        AgentShell,
        name,
        Once(with_fallbacks, *models) if len(models) > 1 else models[0],
        instructions=agent.instructions,
        history_turns=agent.history_turns,
        request_limit=agent.request_limit,
        tool_calls_limit=agent.tool_calls_limit,
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
        container.credentials,
        container.approvals,
        container.conversations,
    )


def _slack_channel(slack: SlackSettings) -> providers.Provider[Channel]:
    from interfaces.slack.client import open_channel  # the SDK is imported only where Slack is served

    return Once(open_channel, slack.bot_token.get_secret_value(), slack.api_base_url)
