"""The container: every provider of Deputy, in the order of the graph. `containers/build.py` fills it in."""

from __future__ import annotations

from typing import Any

from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer
from pydantic_ai.models import Model

from app.agents.agent import Agent, AgentShell
from app.agents.writes import Writes
from app.api_tokens import ApiTokens
from app.approvals.approvals import Approvals
from app.approvals.commands import ApprovalCommand
from app.audit.audit import Audit
from app.audit.trail import Trail
from app.caretaker import Caretaker
from app.conversations.history import Conversations
from app.credentials.accounts import Accounts
from app.credentials.commands import AccountsCommand, ConfirmCommand
from app.credentials.confirmation import Confirmation
from app.credentials.confirmed import ConfirmedCodes
from app.credentials.consent import Consent
from app.credentials.consented import ConsentedTokens
from app.credentials.credentials import Credentials
from app.credentials.disconnect import DisconnectCommand
from app.credentials.dropping import Dropping
from app.credentials.grants import Grants
from app.credentials.key_ring import open_key_ring
from app.credentials.leases import Leases
from app.credentials.links import ConsentLinks
from app.credentials.proofs import Proofs
from app.credentials.quarantine import Quarantine
from app.credentials.refresh import Refresher
from app.credentials.revocation import Revocation
from app.database.database import Database
from app.deadline import Deadline
from app.delivery.answering import Answering
from app.delivery.backlog import Backlog
from app.delivery.backoff import Backoff
from app.delivery.door import Door
from app.delivery.engine import open_engine
from app.delivery.inbox import Inbox
from app.delivery.lease import Lease, new_holder
from app.delivery.outbox import Outbox
from app.delivery.parking import Parking
from app.delivery.replicas import Replicas
from app.delivery.retention import Retention
from app.delivery.sender import Sender
from app.delivery.status import Statuses
from app.delivery.streams import Streams
from app.delivery.supervisor import Supervisor
from app.delivery.turns import Turns
from app.delivery.upkeep import Upkeep
from app.delivery.withdrawal import Withdrawal
from app.delivery.worker import Worker
from app.google.apis import GoogleApis
from app.google.auth import GoogleAuth
from app.google.client import GoogleClient
from app.google.connections import open_http, open_pool
from app.google.endpoints import GoogleEndpoints
from app.llm.endpoints import open_model_http
from app.offboarding import Offboarding
from app.principal import Principal
from app.settings import Settings
from app.spellings import Spellings
from app.toolkits.gmail import GmailToolkit
from app.users import Users
from containers.scope import Scope, Scoped, Seed
from containers.scopes import RequestScopes
from interfaces.http.client import HttpChannel
from interfaces.slack.installations import Installations
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
    api_tokens = Once(ApiTokens, database, key_ring)
    slack_installations = Once(Installations, database, key_ring)
    conversations = Once(Conversations, database)
    approvals = Once(Approvals, database)
    writes = Once(Writes, database)
    users = Once(Users, database)
    audit = Once(Audit, database)
    lease = Once(Lease, Once(new_holder), settings.provided.delivery.lease_seconds)
    inbox = Once(Inbox, database, lease=lease)
    outbox = Once(Outbox, database, lease)
    supervisor = Once(Supervisor)
    engine = Once(
        open_engine,
        settings.provided.delivery.engine,
        supervisor,
        database,
        concurrency=settings.provided.delivery.concurrency,
        lease_seconds=settings.provided.delivery.lease_seconds,
    )
    backlog = Once(Backlog, inbox, settings.provided.delivery.backlog)
    door = Once(Door, inbox, engine, backlog, users)
    withdrawal = Once(Withdrawal, database, outbox)
    streams = Once(Streams)
    parking = Once(
        Parking,
        database,
        approvals,
        outbox,
        engine.provided.wake,
        parked_seconds=settings.provided.delivery.parked_seconds,
    )
    replicas = Once(
        Replicas,
        database,
        lease,
        engine=settings.provided.delivery.engine,
        address=providers.Callable("{}:{}".format, settings.provided.server.host, settings.provided.server.port),
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
        client_id=settings.provided.google.client.call()[0],
        client_secret=settings.provided.google.client.call()[1],
        redirect_uri=providers.Callable(callback_url, settings.provided.server.public_url),
        http=http,
        pool=pool,
    )
    google_apis = Once(GoogleApis, settings.provided.google.api_root)
    grants = Once(Grants, database, key_ring)
    accounts = Once(Accounts, database)
    leases = Once(Leases, database)
    refresher = Once(Refresher, grants, leases, google_auth)
    tokens = Once(ConsentedTokens, refresher)  # in workspace mode, `build` puts WorkspaceTokens in its place
    links = Once(ConsentLinks, database, key_ring, lifetime_seconds=settings.provided.consent.link_seconds)
    quarantine = Once(Quarantine, database, key_ring, code_tries=settings.provided.consent.code_tries)
    dropping = Once(Dropping, database, links, quarantine, google_auth)
    directories = providers.Dict()  # the channels that know addresses, and those at which people can sign in
    logins = providers.Dict()
    people = providers.Dict()  # the channels that know who somebody is
    spellings = Once(Spellings, people)
    proofs = Once(Proofs, settings.provided.google.linking, directories, logins)
    confirmation = Once(
        Confirmation,
        database,
        links,
        grants,
        quarantine,
        dropping,
        Once(ConfirmedCodes, key_ring),
        parking,
        proofs=proofs,
        code_seconds=settings.provided.consent.code_seconds,
    )
    consent = Once(
        Consent,
        database,
        links,
        grants,
        accounts,
        quarantine,
        confirmation,
        google_auth,
        parking,
        public_url=settings.provided.server.public_url,
    )
    revocation = Once(Revocation, database, grants, leases, dropping, google_auth, withdrawal)
    offboarding = Once(Offboarding, users, api_tokens, withdrawal, revocation)
    statuses = Once(Statuses, parking, approvals, consent, accounts, google_apis.provided.permission)

    # Process: the models by their names, and of each agent what all people share.
    model_http = Once(open_model_http)
    models: providers.Aggregate[Model] = providers.Aggregate()
    shells: providers.Aggregate[AgentShell] = providers.Aggregate()

    # One request: everything that is a person's.
    principal = Seed(Principal)
    deadline = Seed(Deadline)
    threads = Seed(Scope)
    credentials = Scoped(Credentials, principal, tokens, deadline)
    trail = Scoped(Trail, principal, credentials, audit)
    google = Scoped(
        GoogleClient,
        credentials,
        google_apis,
        pool,
        threads,
        deadline,
        trail,
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
    approval_command = Once(ApprovalCommand, approvals, parking)
    commands = providers.List(
        approval_command,
        Once(ConfirmCommand, confirmation, google_apis.provided.permission),
        Once(AccountsCommand, consent, accounts, channels, google_apis.provided.permission),
        Once(DisconnectCommand, revocation),
    )
    sender = Once(
        Sender,
        outbox,
        statuses,
        channels,
        Once(
            Backoff,
            tries=settings.provided.delivery.reply_tries,
            first_seconds=settings.provided.delivery.backoff_seconds,
            most_seconds=settings.provided.delivery.backoff_most_seconds,
            at_least_seconds=settings.provided.delivery.reply_seconds,
        ),
        lease_seconds=settings.provided.delivery.lease_seconds,
    )
    answering = Once(
        Answering,
        inbox,
        parking,
        approvals,
        writes,
        consent,
        conversations,
        sender,
        channels,
        streams,
        commands,
        Once(
            Backoff,
            tries=settings.provided.delivery.tries,
            first_seconds=settings.provided.delivery.backoff_seconds,
            most_seconds=settings.provided.delivery.backoff_most_seconds,
        ),
        request_scopes.provided.open_agent,
        deadline_seconds=settings.provided.delivery.deadline_seconds,
    )
    retention = Once(
        Retention,
        database,
        retention_days=settings.provided.delivery.retention_days,
        history_days=settings.provided.delivery.history_days,
    )
    upkeep = Once(Upkeep, inbox, parking, engine, sender, retention, chores=providers.List(dropping.provided.sweep))
    turns = Once(
        Turns,
        settings.provided.delivery.concurrency,
        settings.provided.delivery.person_concurrency,
    )
    worker = Once(
        Worker,
        engine,
        inbox,
        answering,
        upkeep,
        turns,
        supervisor,
        attempts=settings.provided.delivery.attempts,
        scan_seconds=settings.provided.delivery.scan_seconds,
        lease_seconds=settings.provided.delivery.lease_seconds,
        grace_seconds=settings.provided.delivery.grace_seconds,
    )
    caretaker = Once(Caretaker, worker, users, withdrawal, offboarding, revocation, supervisor)
