"""Streams of progress: who hears which run, and how far a reader may fall behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.agents.listening import Progress, TextWritten, ToolState, ToolUsed, Working
from app.delivery.replies.status import Status
from app.delivery.replies.streams import Listening, Streams
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from interfaces.http.streaming import message_events, wants_events

DONE = Status(MessageState.DONE, answer="hello", waits_for=None, sign_in=None, approvals=(), private=False)


def message(principal: Principal, message_id: str = "1" * 32) -> StoredMessage:
    """Return a message that was just accepted."""
    return StoredMessage(
        message_id, principal, "c", 1, "hello", {}, MessageState.NEW, 0, 0, 0, None, None, private=False, created_at=0.0
    )


async def heard(listening: Listening) -> list[str]:
    """End a listening and return the texts that it received."""
    listening.end()
    texts = []
    while (progress := await listening.next()) is not None:
        assert isinstance(progress, TextWritten)
        texts.append(progress.delta)
    return texts


def _waiting(streams: Streams) -> int:
    """Return how many readers wait for a run to begin."""
    return sum(map(len, streams._waiting.values()))


async def test_each_hears_their_own_run(ada: Principal, grace: Principal) -> None:
    """Two people's concurrent runs reach their own listeners, even if their messages have the same id."""
    streams = Streams()
    with streams.listening(message(ada)) as hers, streams.listening(message(grace)) as theirs:
        runs = {person: streams.listener(message(person)) for person in (ada, grace)}
        for text in ("1", "2"):
            for person, run in runs.items():
                assert run is not None
                run.tell(TextWritten(person.user + text))

        assert await heard(hers) == ["ada1", "ada2"]
        assert await heard(theirs) == ["grace1", "grace2"]


async def test_everybody_who_waits_hears_the_run(ada: Principal) -> None:
    """Two readers of the same message both hear its run."""
    streams = Streams()
    with streams.listening(message(ada)) as one, streams.listening(message(ada)) as other:
        run = streams.listener(message(ada))
        assert run is not None
        run.tell(TextWritten("hello"))

        assert await heard(one) == await heard(other) == ["hello"]


async def test_nobody_hears_a_run_from_its_middle_or_twice(ada: Principal) -> None:
    """A late reader hears nothing, and a further run of the message has no listener."""
    streams = Streams()
    with streams.listening(message(ada)) as early:
        run = streams.listener(message(ada))
        with streams.listening(message(ada)) as late:
            assert run is not None
            run.tell(TextWritten("hello"))

            assert (await heard(early), await heard(late)) == (["hello"], [])
        assert streams.listener(message(ada)) is None


def test_nothing_is_kept_of_a_reader_that_is_gone(ada: Principal, grace: Principal) -> None:
    """A listening ends with its reader, whether or not a run began."""
    streams = Streams()
    with streams.listening(message(ada)), streams.listening(message(grace)):
        assert _waiting(streams) == 2
        streams.listener(message(ada))
        assert _waiting(streams) == 1

    assert _waiting(streams) == 0
    assert streams.listener(message(grace)) is None


async def test_a_slow_reader_is_cut_off(ada: Principal, grace: Principal) -> None:
    """A slow reader gets a bounded beginning without gaps, and a quick reader is not delayed."""
    streams = Streams()
    with streams.listening(message(ada)) as slow, streams.listening(message(ada)) as quick:
        run = streams.listener(message(ada))
        assert run is not None
        for number in range(1000):
            run.tell(TextWritten(str(number)))
            assert await quick.next() == TextWritten(str(number))
        await slow.next()
        run.tell(TextWritten("after the gap"))

        assert await heard(slow) == [str(number) for number in range(1, 256)]


async def test_a_silence_is_filled_with_comments(ada: Principal) -> None:
    """While nothing happens, comments are sent regularly, and events follow them."""
    listening, gate = Listening(), asyncio.Event()

    async def status() -> Status:
        await gate.wait()
        return DONE

    events = message_events(message(ada), listening, status, keep_alive_seconds=0.01)
    silence = [await anext(events) for _ in range(3)]
    listening.tell(ToolUsed("clock", ToolState.STARTED))
    told = await anext(events)
    gate.set()
    rest = [event async for event in events]

    assert silence[1:] == [b": ping\n\n"] * 2
    assert told == b'event: tool\ndata: {"name": "clock", "state": "started"}\n\n'
    assert rest[-1].startswith(b"event: status\n")


async def test_a_sign_of_life_is_an_event(ada: Principal) -> None:
    """A client receives events saying that the work goes on, and what is being done."""
    listening = Listening()
    for doing in (None, "searching your mail"):
        listening.tell(Working(doing))

    async def status() -> Status:
        return DONE

    events = [event async for event in message_events(message(ada), listening, status, keep_alive_seconds=9)]

    assert events[1:-1] == [
        b'event: working\ndata: {"doing": null}\n\n',
        b'event: working\ndata: {"doing": "searching your mail"}\n\n',
    ]


@pytest.mark.parametrize("text", ["a\n\nevent: status\ndata: {}", "\u2028", "\ud800", 'a"b'])
async def test_text_cannot_break_out_of_its_event(ada: Principal, text: str) -> None:
    """Any text from the model becomes one line of data."""
    listening = Listening()
    listening.tell(TextWritten(text))

    async def status() -> Status:
        return DONE

    events = [event async for event in message_events(message(ada), listening, status, keep_alive_seconds=9)]

    assert [event.partition(b"\n")[0] for event in events] == [b"event: accepted", b"event: text", b"event: status"]
    assert all(event.isascii() and event.count(b"\n") == 3 for event in events)


def test_what_is_heard_shows_in_no_repr() -> None:
    """The repr of a written text does not show it, because it may quote a mail."""
    assert "canary" not in repr(replace(TextWritten("x"), delta="canary"))


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.9", True),
        ("*/*", False),
        ("text/event-streams", False),
        (None, False),
    ],
)
def test_only_who_asks_for_events_is_sent_them(accept: str | None, wanted: bool) -> None:
    """Only a client that asks for events gets them; one that accepts anything is answered with JSON."""
    assert wants_events(accept) is wanted


class _Follower:
    """A channel that follows runs and records what it hears.

    Attributes:
        heard: The progress of each message, by its id.
    """

    def __init__(self, groups: set[str]) -> None:
        self.heard: dict[str, list[Progress]] = {}
        self._groups = groups

    def is_group(self, message: StoredMessage) -> bool:
        return message.message_id in self._groups

    def follow(self, message: StoredMessage) -> _Heard:
        return _Heard(self.heard.setdefault(message.message_id, []))


class _Heard:
    def __init__(self, heard: list[Progress]) -> None:
        self._heard = heard

    def tell(self, progress: Progress) -> None:
        self._heard.append(progress)

    def end(self) -> None:
        pass


async def test_a_group_is_shown_only_words_that_anybody_may_read(ada: Principal, grace: Principal) -> None:
    """A channel hears only public words in a group, and everything in a direct chat, with two people at once."""
    streams, here, alone = Streams(), message(ada, "a" * 32), message(grace, "b" * 32)
    follower: Any = _Follower({here.message_id})
    told: list[Progress] = [
        TextWritten("public", public=True),
        ToolUsed("gmail_search", ToolState.DONE),
        TextWritten("private"),
    ]
    with streams.followed(here, follower) as one, streams.followed(alone, follower) as other:
        for progress in told:
            for run in (one, other):
                assert run is not None
                run.tell(progress)

    assert follower.heard == {here.message_id: told[:2], alone.message_id: told}
