"""Opening a request scope for a message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from dependency_injector import providers

from app.agents.agent import Agent
from app.deadline import Deadline
from app.frames import frames_emptied
from app.principal import Principal
from app.run import new_run
from containers.scopes import Scope


class RequestScopes:
    """Opens a scope for each message; lives as long as the process and holds providers, never the objects they make.

    Args:
        agents: The scoped agents by name.
        agent_of_channel: The name of the agent that answers on each served platform.
        deadline_seconds: How long a request without its own deadline may take.
        new_scope: Makes a scope of its seeds, the principal first.
    """

    def __init__(
        self,
        agents: providers.Aggregate[Agent],
        agent_of_channel: Mapping[str, str],
        deadline_seconds: float,
        new_scope: Callable[..., Scope] = Scope,
    ) -> None:
        self._agents = agents
        self._agent_of_channel = agent_of_channel
        self._deadline_seconds = deadline_seconds
        self._new_scope = new_scope

    @asynccontextmanager
    async def open_agent(self, principal: Principal, deadline: Deadline) -> AsyncIterator[Agent]:
        """Yield a new agent for this principal; it and everything personal is dead once the context ends."""
        with new_run():
            async with self._new_scope(principal, deadline) as scope:
                with frames_emptied():
                    yield scope.get(self._agents.providers[self._agent_of_channel[principal.platform]])
