"""The command ``help``, which says what a person can write."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.agents.agent import Agent
from app.chat.words import words_of
from app.deadline import Deadline
from app.messages import StoredMessage
from app.oauth.provider import Providers
from app.principal import Principal

_ASKED_BY = {("help",), ("help?",), ("commands",), ("start",)}
_MOST_SHOWN = 12  # things that the assistant can do; more would hide the commands below
_COMMANDS = """\
Besides, these words are for me and never reach a model:
- {connect}: connect an account
- `accounts`: see your accounts, what you call them, and what you allowed
- `use work`, `rename work to office`: choose or rename an account
- {disconnect}: end my access to all your accounts there
- `confirm` and a code: finish a sign-in
- `approve` or `deny` and a code: decide on what I asked you about
- `answer`, a code and your answer: answer what a server asks you
- `stop`: end what I am doing for you here
- `status`: hear what I am doing for you, and what I am waiting for
- `new conversation`: make me forget what we said here"""


class HelpCommand:
    """Says what the sender's assistant can do, and every command; lives as long as the process and holds nothing.

    Args:
        open_agent: Opens a request scope.
        providers: Those at which accounts can be connected.
        deadline_seconds: How long that may take.
    """

    def __init__(
        self,
        open_agent: Callable[[Principal, Deadline], AbstractAsyncContextManager[Agent]],
        providers: Providers,
        *,
        deadline_seconds: float,
    ) -> None:
        self._open_agent = open_agent
        self._providers = providers
        self._deadline_seconds = deadline_seconds

    async def reply(self, message: StoredMessage) -> str | None:
        """Return the help; None when the message is anything else."""
        if words_of(message.text) not in _ASKED_BY:
            return None
        async with self._open_agent(message.principal, Deadline.after(self._deadline_seconds)) as agent:
            return f"{agent.introduction or _introduction(agent)}\n\n{self._commands()}"

    def _commands(self) -> str:
        names = self._providers.names
        return _COMMANDS.format(
            connect=", ".join(f"`connect {name}`" for name in names),
            disconnect=", ".join(f"`disconnect {name}`" for name in names),
        )


def _introduction(agent: Agent) -> str:
    """Return what an assistant with a real model can do."""
    doing = list(dict.fromkeys(spec.doing for spec in agent.tools().values()))
    more = ["and more"] if len(doing) > _MOST_SHOWN else []
    listed = "\n".join(f"- {each}" for each in [*doing[:_MOST_SHOWN], *more])
    helps = f" I can help you with:\n{listed}" if doing else ""
    return f"Write to me as you would to a person.{helps}"
