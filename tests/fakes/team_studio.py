"""Agents of a team, and the rows they store."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic_ai.models import Model

from app.agents.agent import Agent
from app.agents.asking import ask_tool
from app.agents.shell import AgentShell
from app.audit.audit import Audit
from app.audit.recorder import AuditRecorder
from app.connections.connections import PersonConnections
from app.credentials.credentials import Credentials
from app.database.database import Database
from app.deadline import Deadline
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.toolkits.toolkit import Toolkit
from tests.fakes.assistants import Letters
from tests.fakes.input_files import input_files
from tests.fakes.studio import Studio


class TeamStudio(Studio):
    """Teams by their leaders' names; ``office`` answers. A new one on the same database is a new process.

    Every agent without members has letters, and the leaders have none.

    Args:
        models: The model of each agent.
        members: The members that each leader has.
        shares_history: The leaders whose members are shown the conversation.
        limits: The leader's limits.
    """

    def __init__(
        self,
        database: Database,
        models: Mapping[str, Model],
        members: Mapping[str, tuple[str, ...]],
        shares_history: Collection[str] = (),
        **limits: int,
    ) -> None:
        super().__init__(database, models["office"])
        figures = {"history_turns": 20, "request_limit": 20, "tool_calls_limit": 20, **limits}
        self._team = members
        self._shells = {
            name: AgentShell(
                name,
                model,
                instructions=f"You are {name}.",
                history_turns=figures["history_turns"],
                request_limit=figures["request_limit"],
                tool_calls_limit=figures["tool_calls_limit"],
                asks=[
                    ask_tool(member, "It helps.", shares_history=name in shares_history)
                    for member in members.get(name, ())
                ],
                shares_history=name in shares_history,
            )
            for name, model in models.items()
        }

    def agent(self, person: Principal, letters: Letters | None = None) -> Agent:
        """Return a new leader with new members."""
        credentials = Credentials(person, self.tokens, Deadline.after(30))
        trail = AuditRecorder(person, credentials, Audit(self.database))
        return self._make("office", person, letters, PersonConnections({GOOGLE: credentials}), trail)

    def _make(
        self,
        name: str,
        person: Principal,
        letters: Letters | None,
        connections: PersonConnections,
        trail: AuditRecorder,
    ) -> Agent:
        leads = self._team.get(name, ())
        return Agent(
            person,
            self._shells[name],
            [] if leads else self.toolkits(person, letters),
            connections,
            self.approvals,
            self.conversations,
            self.writes,
            trail,
            input_files(person, self.database, {}),
            [self._make(member, person, letters, connections, trail) for member in leads],
        )

    def toolkits(self, person: Principal, letters: Letters | None) -> list[Toolkit]:
        """Return the toolkits of a member."""
        return [letters or Letters(person, self.post)]
