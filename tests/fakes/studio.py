"""Agents of one shell, and the rows they store."""

from __future__ import annotations

import itertools
from dataclasses import replace

from pydantic_ai.models import Model

from app.agents.agent import Agent, Answered
from app.agents.run import StoppedRun
from app.agents.shell import AgentShell
from app.agents.writes import Writes
from app.approvals.approvals import Approval, Approvals
from app.audit.audit import Audit
from app.audit.recorder import AuditRecorder
from app.connections.connections import PersonConnections
from app.conversations.history import Conversations, keep
from app.credentials.credentials import Credentials
from app.database.database import Database
from app.database.tables import messages
from app.deadline import Deadline
from app.delivery.store.inbox import Inbox
from app.messages import MessageState, StoredMessage
from app.oauth.provider import GOOGLE
from app.principal import Principal
from containers.testing import FakeTokens
from tests.fakes.assistants import Letters, Post
from tests.fakes.core_server import inbound
from tests.fakes.input_files import input_files

_NUMBERS = itertools.count(1)


class Studio:
    """Agents of one shell, and the rows they store. A new studio on the same database is a new process.

    Attributes:
        tokens: The scopes that everybody has granted.
    """

    def __init__(self, database: Database, model: Model, **limits: int) -> None:
        self.post = Post()
        self.approvals = Approvals(database)
        self.conversations = Conversations(database)
        self.writes = Writes(database)
        self.inbox = Inbox(database)
        self.database = database
        self.tokens = FakeTokens()
        figures = {"history_turns": 20, "request_limit": 8, "tool_calls_limit": 8, **limits}
        self._shell = AgentShell(
            "assistant",
            model,
            instructions="Be brief.",
            history_turns=figures["history_turns"],
            request_limit=figures["request_limit"],
            tool_calls_limit=figures["tool_calls_limit"],
        )

    def agent(self, person: Principal, letters: Letters | None = None) -> Agent:
        """Return a new agent."""
        letters = letters or Letters(person, self.post)
        credentials = Credentials(person, self.tokens, Deadline.after(30))
        trail = AuditRecorder(person, credentials, Audit(self.database))
        return Agent(
            person,
            self._shell,
            [letters],
            PersonConnections({GOOGLE: credentials}),
            self.approvals,
            self.conversations,
            self.writes,
            trail,
            input_files(person, self.database, {}),
        )

    async def message(self, person: Principal, text: str = "go") -> StoredMessage:
        """Return a message in progress, in the one conversation that everybody shares."""
        number = next(_NUMBERS)  # stored in a conversation of its own, because another one of the group may be running
        stored, _ = await self.inbox.accept(inbound(person, text, conversation=f"group-{number}"))
        begun = replace(stored, state=MessageState.RUNNING, attempt=1, conversation="group", sequence=number)
        async with self.database.writing() as connection:
            change = messages.update().where(messages.c.id == begun.message_id)
            await connection.execute(change.values(state=begun.state, attempt=begun.attempt))
        return begun

    async def run(self, message: StoredMessage) -> Answered | StoppedRun:
        """Answer a message from its beginning."""
        return await self.agent(message.principal).answer(message)

    async def stop(self, message: StoredMessage) -> str:
        """Answer a message until its run stops, and return the run as text."""
        stopped = await self.run(message)
        assert isinstance(stopped, StoppedRun)
        return stopped.dump()

    async def go_on(self, message: StoredMessage, run: str, granted: bool | None = None) -> Answered | StoppedRun:
        """Resume a stored run with another agent."""
        asked = await self.approvals.of_message(message.principal, message.message_id)
        stopped = StoppedRun.load(run)
        return await self.agent(message.principal).go_on(message, stopped, granted=granted, approvals=asked)

    async def ask(self, message: StoredMessage, run: str) -> list[Approval]:
        """Ask for the approvals that a stopped run needs, and return them."""
        async with self.database.writing() as connection:
            await self.approvals.ask(
                connection, message.principal, message.message_id, StoppedRun.load(run).pending_calls, expires_at=9e9
            )
        return await self.approvals.of_message(message.principal, message.message_id)

    async def approve(self, message: StoredMessage, run: str, *, approved: bool = True) -> None:
        """Ask for all approvals of a run, and decide all of them the same way."""
        for approval in await self.ask(message, run):
            await self.approvals.decide(message.principal, approval.code, approved=approved)

    async def keep(self, message: StoredMessage, outcome: Answered | StoppedRun) -> Answered:
        """Store an answer's turn in its person's history."""
        assert isinstance(outcome, Answered)
        async with self.database.writing() as connection:
            place = (message.principal, message.conversation, message.sequence)
            await keep(connection, self.conversations.row(*place, outcome.turn, private=outcome.private))
        return outcome
