"""A script of messages that people write in conversations, determined by a seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.principal import Principal
from app.sandbox.slack.sandbox import SlackSandbox

TEAMS = ("T0SANDBOX", "T0PARTNER")  # the second one's people write in channels that both companies share


@dataclass(frozen=True)
class Line:
    """One message that somebody writes.

    Attributes:
        name: Unique, such as "m0017"; it appears in the message's text and in its answer.
        place: The chat or thread, as Slack's channel and the thread in it.
        conversation: The tenant and the place, as Deputy names them.
        position: 0, 1, … within its conversation.
        earlier: The names of the messages that the same person wrote before in the same conversation.
    """

    name: str
    principal: Principal
    place: tuple[str, str | None]
    conversation: tuple[str, str]  # tenant and place, as Deputy names them
    position: int
    earlier: tuple[str, ...]

    @property
    def ts(self) -> str:
        """Return Slack's id of the message in its channel."""
        return f"1700000001.{int(self.name[1:]):06}"

    @property
    def event_id(self) -> str:
        """Return the id by which the message is stored once."""
        return f"{self.place[0]}:{self.ts}"

    @property
    def text(self) -> str:
        """Return the text that the model is asked to answer."""
        return f"say {self.name}"

    def event(self, slack: SlackSandbox) -> dict[str, Any]:
        """Return the event that Slack sends for the message; a retry repeats it."""
        channel, thread = self.place
        event = slack.event(
            user=self.principal.user,
            text=self.text if thread is None else f"<@U0BOT> {self.text}",
            channel=channel,
            thread_ts=thread,
            ts=self.ts,
            kind="message.im" if thread is None else "app_mention",
        )
        if self.principal.tenant != event["team_id"]:
            event["event"]["user_team"] = self.principal.tenant  # how Slack Connect names the sender's company
        return event


@dataclass(frozen=True)
class Script:
    """Everything that people write.

    Attributes:
        conversations: The lines of each conversation, in the order in which they are written.
        repeated: The names of the messages that Slack sends twice although they were acknowledged.
    """

    conversations: Sequence[Sequence[Line]]
    repeated: frozenset[str]

    @property
    def lines(self) -> dict[str, Line]:
        """Return every line by its name."""
        return {line.name: line for conversation in self.conversations for line in conversation}


def write_script(random_: random.Random, *, messages: int, conversations: int, repeated: int) -> Script:
    """Spread messages over conversations: half are direct chats, half are threads in which two people take turns.

    The two companies' people have the same user ids, and write in the same threads. The first conversations of either
    kind exist in both tenants.
    """
    lines: list[list[Line]] = [[] for _ in range(conversations)]
    places = [_place(number) for number in range(conversations)]
    for number in range(messages):
        chosen = number if number < conversations else random_.randrange(conversations)  # no conversation is empty
        lines[chosen].append(_line(f"m{number:04}", places[chosen], lines[chosen]))
    names = [line.name for conversation in lines for line in conversation]
    return Script(lines, frozenset(random_.sample(names, repeated)))


def _place(number: int) -> tuple[str, str, str | None]:
    """Return the tenant, the channel and the thread of a conversation."""
    kind, pair = number % 4, number // 4
    if kind < 2:
        return TEAMS[0], f"D0{number:04}", None
    return TEAMS[kind - 2], "C0SHARED", f"1700000000.{pair:06}"


def _line(name: str, place: tuple[str, str, str | None], before: Sequence[Line]) -> Line:
    tenant, channel, thread = place
    speaker = f"U{channel[1:]}" if thread is None else f"U0{'AB'[len(before) % 2]}{thread[-4:]}"
    principal = Principal("slack", tenant, speaker)
    return Line(
        name=name,
        principal=principal,
        place=(channel, thread),
        conversation=(tenant, f"{channel}:{thread or ''}"),
        position=len(before),
        earlier=tuple(line.name for line in before if line.principal == principal),
    )
