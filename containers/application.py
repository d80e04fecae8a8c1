"""The container: every provider of Deputy, in the order of the graph. `containers/build.py` fills it in.

It has more than 300 lines because it is one list.
"""

from __future__ import annotations

from typing import Any

from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer
from pydantic_ai.models import Model

from app.agents.agent import Agent
from app.agents.shell import AgentShell
from app.agents.writes import Writes
from app.api_tokens import ApiTokens
from app.approvals.approvals import Approvals
from app.attachments.reading import AttachmentReader
from app.audit.audit import Audit
from app.audit.recorder import AuditRecorder
from app.chat.accounts import AccountsCommand, ConfirmCommand
from app.chat.approvals import ApprovalCommand
from app.chat.disconnect import DisconnectCommand
from app.chat.help import HelpCommand
from app.chat.new_conversation import NewConversationCommand
from app.chat.status import StatusCommand
from app.chat.stop import StopCommand
from app.connections.connection import Connection
from app.connections.connections import PersonConnections
from app.consent.browser import BrowserSignIn
from app.consent.code_tries import CodeTries
from app.consent.confirmation import Confirmation
from app.consent.flow import Consent
from app.consent.linking import Linking
from app.consent.links import ConsentLinks
from app.consent.quarantine import Quarantine
from app.consent.revocation import Revocation
from app.consent.unconfirmed import UnconfirmedConsents
from app.consent.used_codes import UsedCodes
from app.conversations.history import Conversations
from app.credentials.consented import ConsentedTokens
from app.credentials.credentials import Credentials
from app.database.database import Database
from app.deadline import Deadline
from app.delivery.backoff import Backoff
from app.delivery.engines.engine import open_engine
from app.delivery.replies.files import ReplyFiles
from app.delivery.replies.sender import Sender
from app.delivery.replies.status import Statuses
from app.delivery.replies.streams import Streams
from app.delivery.replies.waiters import Waiters
from app.delivery.store.cancellation import Cancellation
from app.delivery.store.inbox import Inbox
from app.delivery.store.lease import MessageLease, new_holder
from app.delivery.store.outbox import Outbox
from app.delivery.store.parking import Parking
from app.delivery.store.received import SentFiles
from app.delivery.store.replicas import Replicas
from app.delivery.store.retention import Retention
from app.delivery.store.stops import Stops
from app.delivery.store.transcript import Transcript
from app.delivery.store.unfinished import Unfinished
from app.delivery.work.admission import Admission
from app.delivery.work.answering import Answering
from app.delivery.work.backlog import Backlog
from app.delivery.work.fairness import Fairness
from app.delivery.work.intake import Intake
from app.delivery.work.maintenance import Maintenance
from app.delivery.work.rates import PersonRates
from app.delivery.work.runs import Runs
from app.delivery.work.signs import SignsOfLife
from app.delivery.work.stopping import Stopping
from app.delivery.work.worker import Worker
from app.google.apis import GoogleApis
from app.google.auth import GoogleAuth
from app.google.client import GoogleClient
from app.google.connections import open_http
from app.google.endpoints import GoogleEndpoints
from app.google.faults import cause_for_administrators
from app.grants.accounts import Accounts
from app.grants.grants import Grants
from app.grants.refresh import Refresher
from app.grants.refresh_leases import RefreshLeases
from app.identities import Identities
from app.janitor import Janitor
from app.keys.ring import open_key_ring
from app.llm.endpoints import open_model_http
from app.llm.transcription import Transcriber
from app.network import open_pool, open_transport
from app.oauth.faults import FaultLog
from app.oauth.provider import Providers
from app.oauth.token_endpoint import TokenEndpoint
from app.offboarding import Offboarding
from app.principal import Principal
from app.settings import Settings
from app.supervisor import Supervisor
from app.toolkits.input_files import InputFiles
from app.toolkits.zones import KnownZones, PersonZone
from app.users import Users
from containers.requests import RequestScopes
from containers.scopes import Scope, Scoped, Seed
from interfaces.channel import directories_of, logins_of, people_of, senders_of
from interfaces.playground.feed import Feed
from interfaces.slack.installations import Installations
from interfaces.web.cookies import Cookies
from interfaces.web.interface import ConsentPages, callback_url

Once = providers.ThreadSafeSingleton  # a plain Singleton is built twice when two threads ask for it at once


class Application(DeclarativeContainer):
    """Process-lived providers first, then those of one request, then the objects that run requests.

    `build` adds what only the settings know: the toolkits, models and agents by their names.
    """

    settings = providers.Dependency(instance_of=Settings)

    # Process: storage.
    database = Once(Database, settings.provided.database.url.get_secret_value.call())
    key_ring = Once(open_key_ring, settings.provided.key_ring.encoded.call(), settings.provided.key_ring.file)
    api_tokens = Once(ApiTokens, database, key_ring)
    slack_installations = Once(Installations, database, key_ring)
    conversations = Once(Conversations, database)
    approvals = Once(Approvals, database)
    writes = Once(Writes, database)
    users = Once(Users, database)
    audit = Once(Audit, database)
    message_lease = Once(MessageLease, Once(new_holder), settings.provided.delivery.lease_seconds)
    inbox = Once(Inbox, database, lease=message_lease)
    outbox = Once(Outbox, database, message_lease)
    supervisor = Once(Supervisor)
    engine = Once(
        open_engine,
        settings.provided.delivery.engine,
        supervisor,
        database,
        concurrency=settings.provided.delivery.concurrency,
        lease_seconds=settings.provided.delivery.lease_seconds,
    )
    backlog = Once(Backlog, inbox, settings.provided.delivery.backlog, settings.provided.delivery.person_backlog)
    transcript = Once(Transcript, database)
    cancellation = Once(Cancellation, database, outbox)
    runs = Once(Runs)
    streams = Once(Streams)
    waiters = Once(Waiters, inbox)
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
        message_lease,
        engine=settings.provided.delivery.engine,
        address=providers.Callable("{}:{}".format, settings.provided.server.host, settings.provided.server.port),
    )

    # Process: the served channels and their parts, by platform; `containers/channels.py` adds them.
    channels = providers.Dict()
    channel_parts: providers.Aggregate[Any] = providers.Aggregate()
    senders = providers.Callable(senders_of, channels)

    # Process: Google, without anybody's credentials.
    http = Once(open_http)
    pool = Once(open_pool)
    google_apis = Once(GoogleApis, settings.provided.google.api_root)
    google_faults = Once(FaultLog, providers.Object(cause_for_administrators), "Google")
    known_zones = Once(KnownZones)
    token_endpoint = Once(TokenEndpoint, http, google_faults)
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
        token_endpoint=token_endpoint,
        pool=pool,
        permission=google_apis.provided.permission,
    )
    oauth_providers = providers.Dict(google=google_auth)  # `containers/connections.py` adds the others
    account_providers = Once(Providers, oauth_providers)
    discovery_http = providers.List()  # of MCP servers that say themselves where people sign in
    grants = Once(Grants, database, key_ring)
    accounts = Once(Accounts, database)
    refresh_leases = Once(RefreshLeases, database)
    refresher = Once(Refresher, grants, refresh_leases, account_providers)
    tokens = Once(ConsentedTokens, refresher)  # in workspace mode, `build` puts WorkspaceTokens in its place
    connection_tokens: providers.Aggregate[Any] = providers.Aggregate()  # of the other connections, by name
    persons_http = Once(open_transport)
    links = Once(ConsentLinks, database, key_ring, lifetime_seconds=settings.provided.consent.link_seconds)
    quarantine = Once(Quarantine, database, key_ring)
    code_tries = Once(CodeTries, quarantine, code_tries=settings.provided.consent.code_tries)
    unconfirmed = Once(UnconfirmedConsents, database, links, quarantine, account_providers)
    identities = Once(Identities, providers.Callable(people_of, channels))
    directories = providers.Callable(directories_of, channels)
    linking = Once(Linking, settings.provided.google.linking, directories, providers.Callable(logins_of, channels))
    confirmation = Once(
        Confirmation,
        database,
        links,
        grants,
        quarantine,
        code_tries,
        unconfirmed,
        Once(UsedCodes, key_ring),
        parking,
        linking=linking,
        code_seconds=settings.provided.consent.code_seconds,
    )
    consent = Once(
        Consent, links, grants, accounts, quarantine, account_providers, public_url=settings.provided.server.public_url
    )
    browser_sign_in = Once(
        BrowserSignIn, database, links, grants, quarantine, unconfirmed, confirmation, account_providers, parking
    )
    revocation = Once(Revocation, database, grants, refresh_leases, unconfirmed, account_providers, cancellation)
    offboarding = Once(Offboarding, users, api_tokens, cancellation, revocation)
    statuses = Once(Statuses, inbox, parking, approvals, consent, accounts, account_providers.provided.permission)

    # Process: the models by name, and the parts of each agent that all people share.
    model_http = Once(open_model_http)
    models: providers.Aggregate[Model] = providers.Aggregate()
    transcriber: providers.Provider[Transcriber | None] = providers.Object(None)  # `build` overrides it
    attachments = Once(AttachmentReader, senders, transcriber, max_bytes=settings.provided.attachments.max_bytes)
    sent_files = Once(SentFiles, database, senders)
    shells: providers.Aggregate[AgentShell] = providers.Aggregate()

    # One request: everything personal.
    principal = Seed(Principal)
    deadline = Seed(Deadline)
    threads = Seed(Scope)
    credentials = Scoped(Credentials, principal, tokens, deadline)
    audit_recorder = Scoped(AuditRecorder, principal, credentials, audit)
    google = Scoped(
        GoogleClient,
        credentials,
        google_apis,
        pool,
        threads,
        deadline,
        audit_recorder,
        google_faults,
        timeout_seconds=settings.provided.google.timeout_seconds,
    )
    person_zone = Scoped(
        PersonZone, principal, credentials, google, known_zones, looks=settings.provided.looks_up_zones.call()
    )
    input_files = Scoped(
        InputFiles, principal, sent_files, google, max_bytes=settings.provided.attachments.max_tool_bytes
    )
    connection_credentials: providers.Aggregate[Credentials] = providers.Aggregate()  # besides Google's
    credentials_by_connection = providers.Dict(google=credentials)
    all_connections = Scoped(PersonConnections, credentials_by_connection)
    connections: providers.Aggregate[Connection[Any]] = providers.Aggregate()
    toolkits: providers.Aggregate[Any] = providers.Aggregate()  # of Toolkit; a provider of a subclass is none of it
    agents: providers.Aggregate[Agent] = providers.Aggregate()

    # Process: the parts of the MCP servers; `containers/mcp.py` adds them.
    mcp: providers.Aggregate[Any] = providers.Aggregate()
    mcp_sessions = providers.List()

    # Process: opening requests and answering them.
    request_scopes = Once(
        RequestScopes,
        agents.provider,
        settings.provided.agent_of_channel.call(),
        settings.provided.delivery.deadline_seconds,
    )
    reply_files = Once(
        ReplyFiles,
        request_scopes.provided.open_agent,
        read_seconds=settings.provided.delivery.deadline_seconds,
    )
    sender = Once(
        Sender,
        outbox,
        statuses,
        senders,
        Once(
            Backoff,
            tries=settings.provided.delivery.reply_tries,
            first_seconds=settings.provided.delivery.backoff_seconds,
            most_seconds=settings.provided.delivery.backoff_most_seconds,
            at_least_seconds=settings.provided.delivery.reply_seconds,
        ),
        lease_seconds=settings.provided.delivery.lease_seconds,
        files=reply_files,
    )
    stopping = Once(Stopping, Once(Stops, database, outbox), inbox, runs, engine, sender)
    stop_command = Once(StopCommand, stopping)
    admission = Once(Admission, settings.provided.allowed.call())
    intake = Once(Intake, inbox, engine, backlog, users, providers.List(stop_command), admission)
    person_rates = Once(
        PersonRates,
        database,
        settings.provided.delivery.person_messages,
        settings.provided.delivery.person_messages_seconds,
    )
    approval_command = Once(ApprovalCommand, approvals, parking)
    new_conversation = Once(NewConversationCommand, conversations)
    status_command = Once(StatusCommand, Once(Unfinished, database), approvals)
    commands = providers.List(
        approval_command,
        new_conversation,
        stop_command,
        status_command,
        Once(ConfirmCommand, confirmation, account_providers),
        Once(AccountsCommand, consent, accounts, senders, account_providers),
        Once(DisconnectCommand, revocation, account_providers),
        Once(
            HelpCommand,
            request_scopes.provided.open_agent,
            account_providers,
            deadline_seconds=settings.provided.delivery.deadline_seconds,
        ),
    )
    signs = Once(SignsOfLife, senders)
    answering = Once(
        Answering,
        inbox,
        parking,
        approvals,
        writes,
        consent,
        conversations,
        sender,
        senders,
        streams,
        signs,
        commands,
        Once(
            Backoff,
            tries=settings.provided.delivery.tries,
            first_seconds=settings.provided.delivery.backoff_seconds,
            most_seconds=settings.provided.delivery.backoff_most_seconds,
        ),
        attachments,
        person_rates,
        request_scopes.provided.open_agent,
        deadline_seconds=settings.provided.delivery.deadline_seconds,
        person_parked=settings.provided.delivery.person_parked,
        group_rules=settings.provided.group_rules.call(),
    )
    retention = Once(
        Retention,
        database,
        retention_days=settings.provided.delivery.retention_days,
        history_days=settings.provided.delivery.history_days,
        account_days=settings.provided.delivery.account_days,
    )
    maintenance = Once(
        Maintenance, inbox, parking, engine, sender, retention, chores=providers.List(unconfirmed.provided.sweep)
    )
    fairness = Once(
        Fairness,
        settings.provided.delivery.concurrency,
        settings.provided.delivery.person_concurrency,
    )
    worker = Once(
        Worker,
        engine,
        inbox,
        answering,
        maintenance,
        fairness,
        supervisor,
        runs,
        attempts=settings.provided.delivery.attempts,
        scan_seconds=settings.provided.delivery.scan_seconds,
        lease_seconds=settings.provided.delivery.lease_seconds,
        grace_seconds=settings.provided.delivery.grace_seconds,
    )
    janitor = Once(Janitor, worker, users, cancellation, offboarding, revocation, supervisor)

    # Process: the parts of the playground; `containers/playground.py` adds them where it is served.
    feed = Once(Feed)
    playground: providers.Aggregate[Any] = providers.Aggregate()

    # Process: answering HTTP requests; `containers/channels.py` adds the routes of the channels.
    cookies = Once(Cookies, secure=settings.provided.server.public_url.startswith.call("https://"))
    consent_pages = Once(
        ConsentPages,
        sign_in=browser_sign_in,
        confirmation=confirmation,
        providers=account_providers,
        channels=channels,
        cookies=cookies,
        cookie_seconds=settings.provided.consent.sign_in_seconds.call(),
    )
    routes = providers.List(consent_pages)
    receivers = providers.List()  # of channels whose messages do not come as requests
