"""A server without its container and interfaces: everything that answers messages, on a real database.

Only Google, the model and the channel are fakes.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import sqlalchemy as sa
import urllib3
from pydantic_ai.models import Model

from app.agents.agent import Agent
from app.agents.rules import PlaceRules
from app.agents.shell import AgentShell
from app.agents.writes import Writes
from app.approvals.approvals import Approvals
from app.attachments.reading import AttachmentReader
from app.audit.audit import Audit
from app.audit.recorder import AuditRecorder
from app.chat.accounts import AccountsCommand, ConfirmCommand
from app.chat.approvals import ApprovalCommand
from app.chat.help import HelpCommand
from app.chat.new_conversation import NewConversationCommand
from app.chat.stop import StopCommand
from app.connections.connections import PersonConnections
from app.consent.browser import BrowserSignIn
from app.consent.code_tries import CodeTries
from app.consent.confirmation import Confirmation
from app.consent.flow import Consent
from app.consent.linking import Linking, LinkingMode
from app.consent.links import ConsentLinks
from app.consent.quarantine import Quarantine
from app.consent.unconfirmed import UnconfirmedConsents
from app.consent.used_codes import UsedCodes
from app.conversations.history import Conversations
from app.credentials.consented import ConsentedTokens
from app.credentials.credentials import Credentials
from app.database.database import Database
from app.database.tables import outbox
from app.deadline import Deadline
from app.delivery.backoff import Backoff
from app.delivery.engines.embedded import EmbeddedEngine
from app.delivery.engines.engine import Engine
from app.delivery.replies.sender import Sender
from app.delivery.replies.status import Status, Statuses
from app.delivery.replies.streams import Streams
from app.delivery.store.inbox import Inbox
from app.delivery.store.lease import MessageLease, new_holder
from app.delivery.store.outbox import Outbox
from app.delivery.store.owing import ReplyState
from app.delivery.store.parking import Parking
from app.delivery.store.retention import Retention
from app.delivery.store.stops import Stops
from app.delivery.work.answering import Answering
from app.delivery.work.backlog import Backlog
from app.delivery.work.command import ChatCommand
from app.delivery.work.fairness import Fairness
from app.delivery.work.intake import Intake
from app.delivery.work.maintenance import Maintenance
from app.delivery.work.rates import PersonRates
from app.delivery.work.runs import Runs
from app.delivery.work.signs import SignsOfLife
from app.delivery.work.stopping import Stopping
from app.delivery.work.worker import Worker
from app.google.auth import GoogleAuth
from app.google.endpoints import GoogleEndpoints
from app.grants.accounts import Accounts
from app.grants.grants import Grants
from app.grants.refresh import Refresher
from app.grants.refresh_leases import RefreshLeases
from app.keys.ring import KeyRing
from app.llm.offline_model import OfflineModel
from app.llm.transcription import Transcriber
from app.messages import Attachment, ConversationKey, InboundMessage, MessageState, StoredMessage
from app.oauth.provider import GOOGLE
from app.oauth.token_endpoint import TokenEndpoint as TokenEndpointOfGoogle
from app.principal import Principal
from app.supervisor import Supervisor
from app.toolkits.toolkit import Toolkit
from app.users import Users
from containers.testing import RecordingChannel
from tests.fakes.assistants import Letters, Post
from tests.fakes.credentials import TokenEndpoint, connect, google_tokens
from tests.fakes.google_api import google_faults
from tests.fakes.input_files import input_files
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import Clock

_EVENTS = itertools.count()
_ENDPOINTS = GoogleEndpoints(
    authorize="http://127.0.0.1:9/auth",
    token="http://127.0.0.1:9/token",
    revoke="http://127.0.0.1:9/revoke",
    certs="http://127.0.0.1:9/certs",
    issuer="http://127.0.0.1:9",
)


def inbound(
    principal: Principal,
    text: str = "hello",
    *,
    conversation: str = "c",
    event_id: str | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> InboundMessage:
    """Return a message, with a new event id unless one is given."""
    event_id, address = event_id or f"event-{next(_EVENTS)}", {"to": principal.user}
    return InboundMessage(principal, event_id, conversation, text, address, attachments=attachments)


async def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Return once the condition, which may be awaitable, is true."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            await asyncio.sleep(0.005)


_answering: weakref.WeakKeyDictionary[Database, list[Answering]] = weakref.WeakKeyDictionary()


async def end_signs(database: Database) -> None:
    """Stop all signs of life that read this database while a message waits for its next attempt."""
    for answering in _answering.pop(database, []):
        await answering.aclose()


class CoreServer:
    """The objects of one process; two on one database are a process and its successor.

    Attributes:
        agents: Weak references to every agent that was opened.
        open_now: The number of agents that are open.
        open_at_most: The highest number of agents that were open at once.
    """

    def __init__(
        self,
        database: Database,
        key_ring: KeyRing,
        *,
        model: Model | None = None,
        post: Post | None = None,
        clock: Clock | None = None,
        channel: RecordingChannel | None = None,
        deadline_seconds: float = 120.0,
        history_turns: int = 20,
        backlog: int = 1000,
        person_backlog: int = 1000,
        person_parked: int = 20,
        reply_seconds: float = 0.0,
        transcriber: Transcriber | None = None,
        attachment_bytes: int = 1_000_000,
        person_messages: int | None = None,
        group_rules: PlaceRules = PlaceRules(acts=True, shared_history=False),
        first_sign_seconds: float = 3600.0,
        more_toolkits: Callable[[Principal], list[Toolkit]] = lambda _: [],
    ) -> None:
        now = self.clock = clock or Clock()
        self._more_toolkits = more_toolkits
        self.post = post or Post()
        self.channel = channel or RecordingChannel()
        self.database = database
        self.supervisor = Supervisor(pause_seconds=0.01)
        self.wakeups = EmbeddedEngine(self.supervisor)
        self._open_stores(key_ring)
        self._open_accounts(key_ring)
        self._shell = AgentShell(
            "assistant",
            model or OfflineModel(),
            instructions="Be brief.",
            history_turns=history_turns,
            request_limit=8,
            tool_calls_limit=8,
        )
        self.streams = Streams()
        self.agents: list[weakref.ref[Agent]] = []
        self.open_now = 0
        self.open_at_most = 0
        channels = {"http": self.channel}
        backoff = Backoff(tries=4, first_seconds=2.0, most_seconds=60.0, draw=lambda: 1.0)
        patience = replace(backoff, at_least_seconds=reply_seconds)
        self.statuses = Statuses(self.inbox, self.parking, self.approvals, self.consent, self.accounts, now=now)
        self.sender = Sender(self.outbox, self.statuses, channels, patience, lease_seconds=self.lease.seconds)
        self.runs = Runs()
        self.stopping = Stopping(Stops(database, self.outbox, now), self.inbox, self.runs, self.wakeups, self.sender)
        stop = StopCommand(self.stopping)
        self.intake = Intake(self.inbox, self.wakeups, Backlog(self.inbox, backlog, person_backlog), self.users, [stop])
        self.answering = Answering(
            self.inbox,
            self.parking,
            self.approvals,
            self.writes,
            self.consent,
            self.conversations,
            self.sender,
            channels,
            self.streams,
            SignsOfLife(channels, first_seconds=first_sign_seconds, again_seconds=0.01, now=now),
            self._commands(stop, deadline_seconds),
            backoff,
            AttachmentReader(channels, transcriber, max_bytes=attachment_bytes),
            PersonRates(database, person_messages, 3600.0, now),
            self.open_agent,
            deadline_seconds=deadline_seconds,
            person_parked=person_parked,
            group_rules={"http": group_rules},
        )
        _answering.setdefault(database, []).append(self.answering)

    def _commands(self, stop: StopCommand, deadline_seconds: float) -> list[ChatCommand]:
        return [
            ApprovalCommand(self.approvals, self.parking, self.clock),
            NewConversationCommand(self.conversations),
            stop,
            ConfirmCommand(self.confirmation, self._providers),
            AccountsCommand(self.consent, self.accounts, {"http": self.channel}, self._providers),
            HelpCommand(self.open_agent, self._providers, deadline_seconds=deadline_seconds),
        ]

    def _open_stores(self, key_ring: KeyRing) -> None:
        """Open the stores."""
        database, now = self.database, self.clock
        self.lease = MessageLease(new_holder(), 30.0, now)
        self.inbox = Inbox(database, now, self.lease)
        self.users = Users(database, now)
        self.outbox = Outbox(database, self.lease)
        self.approvals = Approvals(database, now)
        self.audit = Audit(database)
        self.writes = Writes(database, now)
        self.parking = Parking(database, self.approvals, self.outbox, self.wakeups.wake, parked_seconds=3600, now=now)
        self.conversations = Conversations(database, now)
        self.grants = Grants(database, key_ring, now)
        self.accounts = Accounts(database)
        self.retention = Retention(database, retention_days=30, history_days=90, account_days=365, now=now)

    def _open_accounts(self, key_ring: KeyRing) -> None:
        """Open the objects that connect people's accounts at Google, which are never reached."""
        database, now = self.database, self.clock
        self.links = ConsentLinks(database, key_ring, lifetime_seconds=600, now=now)
        google = GoogleAuth(
            _ENDPOINTS,
            client_id="id",
            client_secret="secret",
            redirect_uri="http://127.0.0.1:9/callback",
            token_endpoint=TokenEndpointOfGoogle(httpx2.AsyncClient(), google_faults()),
            pool=urllib3.PoolManager(),
        )
        self._providers = google_alone(google)
        quarantine = Quarantine(database, key_ring, now)
        self.unconfirmed = UnconfirmedConsents(database, self.links, quarantine, self._providers)
        self.confirmation = Confirmation(
            database,
            self.links,
            self.grants,
            quarantine,
            CodeTries(quarantine, code_tries=5),
            self.unconfirmed,
            UsedCodes(key_ring, now),
            self.parking,
            linking=Linking(LinkingMode.CODE, {}, {}),
            code_seconds=600,
            now=now,
        )
        self.consent = Consent(
            self.links, self.grants, self.accounts, quarantine, self._providers, public_url="http://127.0.0.1:9"
        )
        self.browser_sign_in = BrowserSignIn(
            database,
            self.links,
            self.grants,
            quarantine,
            self.unconfirmed,
            self.confirmation,
            self._providers,
            self.parking,
            now,
        )
        self.tokens = ConsentedTokens(
            Refresher(self.grants, RefreshLeases(database), google_alone(TokenEndpoint()), now)
        )

    @asynccontextmanager
    async def open_agent(self, principal: Principal, deadline: Deadline) -> AsyncIterator[Agent]:
        """Yield a new agent with its person's letters and credentials."""
        credentials = Credentials(principal, self.tokens, deadline)
        letters = Letters(principal, self.post)
        trail = AuditRecorder(principal, credentials, self.audit)
        agent = Agent(
            principal,
            self._shell,
            [letters, *self._more_toolkits(principal)],
            PersonConnections({GOOGLE: credentials}),
            self.approvals,
            self.conversations,
            self.writes,
            trail,
            input_files(principal, self.database, {"http": self.channel}),
        )
        self.agents.append(weakref.ref(agent))
        self.open_now += 1
        self.open_at_most = max(self.open_at_most, self.open_now)
        try:
            yield agent
        finally:
            self.open_now -= 1
            credentials.at_scope_end()

    @asynccontextmanager
    async def working(
        self,
        *,
        engine: Engine | None = None,
        concurrency: int = 4,
        person_concurrency: int = 4,
        attempts: int = 3,
        scan_seconds: float = 0.05,
        lease_seconds: float = 30.0,  # by the worker's clock, which no test moves
        grace_seconds: float = 30.0,
    ) -> AsyncIterator[Worker]:
        """Yield a worker, which runs with a sender until the block ends; then both get the grace to finish."""
        worker = Worker(
            engine or self.wakeups,
            self.inbox,
            self.answering,
            Maintenance(self.inbox, self.parking, engine or self.wakeups, self.sender, self.retention),
            Fairness(concurrency, person_concurrency),
            self.supervisor,
            self.runs,
            attempts=attempts,
            scan_seconds=scan_seconds,
            lease_seconds=lease_seconds,
            grace_seconds=grace_seconds,
        )
        async with self.sender.running(grace_seconds), worker.running():
            yield worker

    async def say(self, principal: Principal, text: str, conversation: str = "c") -> StoredMessage:
        """Accept a message from this person."""
        return await self.intake.accept(inbound(principal, text, conversation=conversation))

    async def answer_next(self, message: StoredMessage) -> StoredMessage:
        """Answer the oldest open message of the conversation, without a worker; return the current `message`."""
        self.clock.now += 1
        begun = await self.inbox.begin_next(ConversationKey.of(message))
        assert begun is not None
        await self.answering.answer(begun)
        await self.sender.send_waiting(ConversationKey.of(message))
        return await self.inbox.get(message.principal, message.message_id)

    async def ask(self, principal: Principal, text: str, conversation: str = "c") -> StoredMessage:
        """Accept and answer a message from this person, without a worker."""
        return await self.answer_next(await self.say(principal, text, conversation))

    async def status(self, message: StoredMessage) -> Status:
        """Return a message's current status."""
        return await self.statuses.of(await self.inbox.get(message.principal, message.message_id))

    async def codes(self, message: StoredMessage) -> list[str]:
        """Return the codes of the message's pending approvals."""
        return [approval.code for approval in (await self.status(message)).approvals]

    async def grant(self, principal: Principal, *scopes: str) -> None:
        """Connect the person's Google account with these scopes, without notifying anybody."""
        await connect(
            self.database, self.grants, principal, google_tokens(f"{principal.user}-1", scopes=frozenset(scopes))
        )

    async def puts_off(self, count: int) -> bool:
        """Return whether this many refused replies wait for a retry; a test may move the clock only then."""
        later = sa.and_(outbox.c.state == ReplyState.WAITING, outbox.c.next_try_at > self.clock.now)
        async with self.database.reading() as connection:
            return await connection.scalar(sa.select(sa.func.count()).where(later)) == count

    async def ended(self, message: StoredMessage) -> bool:
        """Return whether a message is done or failed."""
        state = (await self.inbox.get(message.principal, message.message_id)).state
        return state in (MessageState.DONE, MessageState.FAILED)

    async def is_in(self, message: StoredMessage, state: MessageState) -> bool:
        """Return whether a message is in a state."""
        return (await self.inbox.get(message.principal, message.message_id)).state is state
