"""The actions of the demonstration's people: ask, consent in a browser, and read what they are answered."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence

from app.demo.chats import Chat
from app.demo.errands import Errand
from app.demo.outcome import Line, Outcome, Participant
from app.grants.grants import Grants
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.log import fingerprint
from app.sandbox.people import Person
from app.sandbox.visitor import code_on, visit


class Stage:
    """Two people, each on every channel; lives for one demonstration.

    Args:
        chats: The participants with their channels, each with the person whose accounts they own.
        grants: Tells which bearer is whose at the end.
        errand: What each of them asks for.
        further: What those over HTTP ask for after it, at another provider.
    """

    def __init__(
        self, chats: Sequence[tuple[Chat, Person]], grants: Grants, errand: Errand, further: Errand | None = None
    ) -> None:
        self._chats = chats
        self._grants = grants
        self._errand = errand
        self._further = further
        self._began = time.monotonic()
        self._transcript: list[Line] = []

    async def perform(self) -> Outcome:
        """Let everybody act at once, and judge what they were shown and what the providers were asked."""
        errands = [(chat, person, self._errands(chat)) for chat, person in self._chats]
        answers = await asyncio.gather(*(self._take_part(*each) for each in errands))
        participants = [
            await self._judge(chat, person, errand, answer)
            for (chat, person, asked), answered in zip(errands, answers, strict=True)
            for errand, answer in zip(asked, answered, strict=True)
        ]
        calls = sum(1 for errand in (self._errand, self._further) if errand is not None for _ in errand.calls())
        counted = sum(participant.calls + participant.foreign_calls for participant in participants)
        expected = sum(len(asked) for _, _, asked in errands)
        return Outcome(tuple(self._transcript), tuple(participants), expected, stray_calls=calls - counted)

    def _errands(self, chat: Chat) -> list[Errand]:
        return [self._errand, *([self._further] if self._further is not None and chat.place == "http" else [])]

    async def _take_part(self, chat: Chat, person: Person, errands: Sequence[Errand]) -> list[str]:
        """Run the errands one after the other, and return the answers."""
        return [await self._run(chat, person, errand) for errand in errands]

    async def _run(self, chat: Chat, person: Person, errand: Errand) -> str:
        """Ask, connect an account, and return the answer."""
        link_form = re.compile(rf"https?://\S+/connect/{errand.provider}/[\w-]+")
        account = errand.account(person)
        await self._write(chat, person, errand.question)
        link = link_form.search(await self._told(chat, person, link_form))
        assert link is not None
        last_page = await visit(link[0], account, field=errand.field)
        code = code_on(last_page.raise_for_status())
        if code is None:
            raise ValueError(f"the page shows {person.name} no code")
        self._note(chat, person, "person", f"opens the link, allows access to {account}, and is shown {code}")
        await self._write(chat, person, f"confirm {code}", directly=True)
        await self._told(chat, person, errand.connected)
        return await self._told(chat, person, errand.answer)

    async def _write(self, chat: Chat, person: Person, text: str, *, directly: bool = False) -> None:
        self._note(chat, person, "person", text)
        await chat.write(text, directly=directly)

    async def _told(self, chat: Chat, person: Person, what: re.Pattern[str]) -> str:
        text = await chat.told(what)
        self._note(chat, person, "Deputy", text)
        return text

    async def _judge(self, chat: Chat, person: Person, errand: Errand, answer: str) -> Participant:
        shown, own, account = set(MARKER.findall(answer)), errand.markers(person), errand.account(person)
        grant = await self._grants.find(chat.principal, provider=errand.provider)
        bearer = fingerprint(grant.access_token) if grant else None
        calls = [call for call in errand.calls() if call.bearer_sha256 == bearer and bearer is not None]
        foreign_calls = sum(call.account != account or not call.answered for call in calls)
        return Participant(
            channel=chat.place if errand is self._errand else f"{chat.place}, {errand.provider}",
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
