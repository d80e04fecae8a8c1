"""The work on one message, as its agent shares it with the members of its team."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from app.agents.budget import Budget
from app.agents.listening import AtWork, Listener, MemberListener
from app.agents.organised import Organised
from app.agents.rules import PlaceRules
from app.messages import StoredMessage


@dataclass(frozen=True, slots=True)
class Work:
    """One agent's part of the work on a message. Lives for one run.

    Attributes:
        message: The message.
        rules: The rules of the place that it came from.
        organised: Counts what is organised for it, by all of its agents.
        budget: Counts the requests and tool calls of all of its agents.
        listener: Notified of progress; None if nobody follows the run.
        at_work: Told what a tool that runs is doing.
        member: The member whose part this is; empty for the agent that answers the person.
        place: Tells the calls of this part from those of others, which may have the same ids; `below` makes it.
    """

    message: StoredMessage
    rules: PlaceRules
    organised: Organised
    budget: Budget
    listener: Listener | None
    at_work: AtWork
    member: str = ""
    place: str = ""

    def of_member(self, member: str, call_id: str) -> Work:
        """Return the part of a member that is asked by this call."""
        listener = MemberListener(self.listener, member) if self.listener is not None else None
        return replace(self, listener=listener, member=member, place=below(self.place, call_id))

    def tell(self, doing: str | None) -> None:
        """Report what this part is doing, with the member's name; None once a tool has ended."""
        if self.member:
            doing = through(doing, self.member) if doing else f"asking {self.member}"
        self.at_work(doing)


def below(place: str, call_id: str) -> str:
    """Return the place of a run that a call at this place started; it is equally long at every depth."""
    return f"{hashlib.sha256(f'{place}{call_id}'.encode()).hexdigest()[:16]}/"


def through(doing: str, member: str) -> str:
    """Return a tool's work in words, with the member that uses it: ``searching your mail, through mail``."""
    return f"{doing}, through {member}" if member else doing
