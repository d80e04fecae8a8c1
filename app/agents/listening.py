"""Progress of a run, reported while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from pydantic_ai.messages import ModelResponseStreamEvent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta


class ToolState(StrEnum):
    """The state of a tool's call; one that waits for its person has only started."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TextWritten:
    """The model wrote on. Only the end of the run says whether it was the answer.

    Attributes:
        public: Nothing that the model has been shown so far came out of the person's account, so anybody may read it.
    """

    delta: str = field(repr=False)
    public: bool = False


@dataclass(frozen=True, slots=True)
class ToolUsed:
    """A tool's call has reached a state; neither its arguments nor its result are reported.

    Attributes:
        member: The member of the team that called it; empty if the agent that answers the person did.
    """

    name: str
    state: ToolState
    member: str = ""


@dataclass(frozen=True, slots=True)
class Working:
    """The run goes on; after a while with what it is doing, such as ``searching your mail``."""

    doing: str | None


Progress = TextWritten | ToolUsed | Working


AtWork = Callable[[str | None], None]
"""A function that is told what a run is doing, such as ``searching your mail``; None while it waits for its model."""


def unwatched(_: str | None) -> None:
    """Do nothing, for a run that nobody watches."""


class Listener(Protocol):
    """Follows one run, of one person's message."""

    def tell(self, progress: Progress) -> None:
        """Take the progress and return at once, because the run waits for it."""
        ...


class MemberListener:
    """Follows the run of a team's member: its tools are reported with its name, its words are the leader's alone.

    Lives for one run.
    """

    def __init__(self, listener: Listener, member: str) -> None:
        self._listener = listener
        self._member = member

    def tell(self, progress: Progress) -> None:
        """Pass on the use of a tool."""
        if isinstance(progress, ToolUsed):
            self._listener.tell(replace(progress, member=progress.member or self._member))


def text_of(event: ModelResponseStreamEvent) -> str:
    """Return the words that a model wrote with this event, or "" (https://ai.pydantic.dev/agents/#streaming-events)."""
    match event:
        case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
        case _:
            return ""
