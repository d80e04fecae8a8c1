"""The actions of the demonstration's people: ask, consent in a browser, and read what they are answered."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence

from app.demo.chats import Chat
from app.demo.outcome import Line, Outcome, Participant
from app.grants.grants import Grants
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.log import fingerprint
from app.sandbox.people import Person
from app.sandbox.visitor import code_on, visit

QUESTION = "show my unread mail"
_LINK = re.compile(r"https?://\S+/connect/google/[\w-]+")
_CONNECTED = re.compile(r"^Connected")


class Stage:
    """Two people, each on every channel; lives for one demonstration.

    Args:
        chats: The participants with their channels, each with the Google account that they own.
        google: The Google that Deputy reads from.
        grants: Tells which bearer is whose at the end.
        question: The question that each of them asks.
    """

    def __init__(
        self, chats: Sequence[tuple[Chat, Person]], google: GoogleSandbox, grants: Grants, question: str = QUESTION
    ) -> None:
        self._question = question
        self._chats = chats
        self._google = google
        self._grants = grants
        self._began = time.monotonic()
        self._transcript: list[Line] = []

    async def perform(self) -> Outcome:
        """Let everybody act at once, and judge what they were shown and what Google was asked."""
        answers = await asyncio.gather(*(self._take_part(chat, person) for chat, person in self._chats))
        participants = [
            await self._judge(chat, person, answer) for (chat, person), answer in zip(self._chats, answers, strict=True)
        ]
        calls = sum(call.method_id.startswith("gmail.") for call in self._google.calls)
        counted = sum(participant.calls + participant.foreign_calls for participant in participants)
        return Outcome(tuple(self._transcript), tuple(participants), len(self._chats), stray_calls=calls - counted)

    async def _take_part(self, chat: Chat, person: Person) -> str:
        """Ask, connect an account, and return the answer."""
        await self._write(chat, person, self._question)
        link = _LINK.search(await self._told(chat, person, _LINK))
        assert link is not None
        last_page = await visit(link[0], person.email)
        code = code_on(last_page.raise_for_status())
        if code is None:
            raise ValueError(f"the page shows {person.name} no code")
        self._note(chat, person, "person", f"opens the link, allows access to {person.email}, and is shown {code}")
        await self._write(chat, person, f"confirm {code}", directly=True)
        await self._told(chat, person, _CONNECTED)
        return await self._told(chat, person, MARKER)

    async def _write(self, chat: Chat, person: Person, text: str, *, directly: bool = False) -> None:
        self._note(chat, person, "person", text)
        await chat.write(text, directly=directly)

    async def _told(self, chat: Chat, person: Person, what: re.Pattern[str]) -> str:
        text = await chat.told(what)
        self._note(chat, person, "Deputy", text)
        return text

    async def _judge(self, chat: Chat, person: Person, answer: str) -> Participant:
        shown = set(MARKER.findall(answer))
        own = {
            marker for letter in self._google.mailbox(person.email) for marker in MARKER.findall(letter.raw.decode())
        }
        grant = await self._grants.find(chat.principal)
        bearer = fingerprint(grant.access_token) if grant else None
        calls = [
            call
            for call in self._google.calls
            if call.method_id.startswith("gmail.") and call.bearer_sha256 == bearer and bearer is not None
        ]
        foreign_calls = sum(call.email != person.email or call.status != 200 for call in calls)
        return Participant(
            channel=chat.place,
            person=person.name,
            email=person.email,
            principal=chat.principal,
            own_letters=len(shown & own),
            foreign_letters=len(shown - own),
            calls=len(calls) - foreign_calls,
            foreign_calls=foreign_calls,
        )

    def _note(self, chat: Chat, person: Person, speaker: str, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._transcript.append(Line(seconds, chat.place, person.name, speaker, text))
