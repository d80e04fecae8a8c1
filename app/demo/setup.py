"""What the people of the demonstration do: ask, consent in a browser, and read what they are answered."""

from __future__ import annotations

import asyncio
import re
import time

import httpx2

from app.api_tokens import ApiTokens
from app.demo.outcome import Line, Outcome, Participant
from app.grants.grants import Grants
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.log import fingerprint
from app.sandbox.people import Person
from app.sandbox.slack.posts import Post
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.visitor import code_on, visit

QUESTION = "show my unread mail"
_LINK = re.compile(r"https?://\S+/connect/google/\S+")
_CONNECTED = re.compile(r"^Connected")
_LOOK_SECONDS = 0.02


class Stage:
    """Two people, each on Slack and over HTTP; lives for one demonstration.

    Args:
        client: Talks to Deputy.
        slack: The Slack that Deputy answers to.
        google: The Google that Deputy reads from.
        api_tokens: Issues the people's HTTP tokens.
        grants: Tells which bearer is whose when all is over.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        slack: SlackSandbox,
        google: GoogleSandbox,
        api_tokens: ApiTokens,
        grants: Grants,
    ) -> None:
        self._client = client
        self._slack = slack
        self._google = google
        self._api_tokens = api_tokens
        self._grants = grants
        self._began = time.monotonic()
        self._transcript: list[Line] = []

    async def perform(self) -> Outcome:
        """Let everybody act at once, and judge what they were shown and what Google was asked."""
        ada, grace = self._google.people
        answers = await asyncio.gather(
            self._over_http(ada),
            self._over_http(grace),
            self._over_slack(ada, channel="D0ADA", mention=False),
            self._over_slack(grace, channel="C0TEAM", mention=True),
        )
        participants = [await self._judge(*answer) for answer in answers]
        calls = sum(call.method_id.startswith("gmail.") for call in self._google.calls)
        counted = sum(participant.calls + participant.foreign_calls for participant in participants)
        return Outcome(tuple(self._transcript), tuple(participants), stray_calls=calls - counted)

    async def _over_http(self, person: Person) -> tuple[Principal, Person, str]:
        principal = Principal("http", "demo", _first_name(person).lower())
        token = await self._api_tokens.issue(principal, label="demo")
        headers = {"Authorization": f"Bearer {token}"}
        self._note("http", person, "person", QUESTION)
        posted = await self._client.post(
            "/v1/messages", json={"conversation": "demo", "text": QUESTION}, headers=headers
        )
        parked = posted.raise_for_status().json()
        self._note("http", person, "Deputy", f"{posted.status_code} {parked['state']}: connect your Google account")
        code = await self._consent(parked["consent_url"], "http", person)
        self._note("http", person, "person", f"confirm {code}")
        confirmed = await self._client.post(
            "/v1/messages", json={"conversation": "demo", "text": f"confirm {code}"}, headers=headers
        )
        self._note("http", person, "Deputy", str(confirmed.raise_for_status().json().get("answer", "")))
        told = await self._client.get(f"/v1/messages/{parked['message']}", params={"wait": 30}, headers=headers)
        answer = str(told.raise_for_status().json().get("answer", ""))
        self._note("http", person, "Deputy", answer)
        return principal, person, answer

    async def _over_slack(self, person: Person, *, channel: str, mention: bool) -> tuple[Principal, Person, str]:
        user = f"U0{_first_name(person).upper()}"
        team = await self._write(person, user, channel, QUESTION, mention=mention)
        directly = f"D{user[1:]}"  # a link, and what comes out of an account, is for its person alone
        asked = await self._told(person, directly, _LINK)
        link = _LINK.search(asked.text)
        assert link is not None
        code = await self._consent(link[0], "slack", person)
        await self._write(person, user, directly, f"confirm {code}", mention=False)
        await self._told(person, directly, _CONNECTED)
        answer = await self._told(person, directly, MARKER)
        return Principal("slack", team, user), person, answer.text

    async def _write(self, person: Person, user: str, channel: str, text: str, *, mention: bool) -> str:
        """Write to Deputy in Slack; the id of the team."""
        self._note("slack", person, "person", f"@deputy {text}" if mention else text)
        event = self._slack.event(
            user=user,
            text=f"<@U0BOT> {text}" if mention else text,
            channel=channel,
            kind="app_mention" if mention else "message.im",
        )
        acknowledged = await self._slack.post_event(self._client, "/slack/events", event)
        acknowledged.raise_for_status()
        return str(event["team_id"])

    async def _consent(self, link: str, channel: str, person: Person) -> str:
        """Open the link in a browser of their own; the code that the last page shows."""
        last_page = await visit(link, person.email)
        code = code_on(last_page.raise_for_status())
        if code is None:
            raise ValueError(f"the page shows {person.name} no code")
        self._note(channel, person, "person", f"opens the link, allows access to {person.email}, and is shown {code}")
        return code

    async def _told(self, person: Person, channel: str, what: re.Pattern[str]) -> Post:
        """What Deputy posts in a channel that reads like this, once it has."""
        while True:
            for post in self._slack.posts:
                if post.channel == channel and what.search(post.text):
                    self._note("slack", person, "Deputy", post.text)
                    return post
            await asyncio.sleep(_LOOK_SECONDS)

    async def _judge(self, principal: Principal, person: Person, answer: str) -> Participant:
        shown = set(MARKER.findall(answer))
        own = {
            marker for letter in self._google.mailbox(person.email) for marker in MARKER.findall(letter.raw.decode())
        }
        grant = await self._grants.find(principal)
        bearer = fingerprint(grant.access_token) if grant else None
        calls = [
            call
            for call in self._google.calls
            if call.method_id.startswith("gmail.") and call.bearer_sha256 == bearer and bearer is not None
        ]
        foreign_calls = sum(call.email != person.email or call.status != 200 for call in calls)
        return Participant(
            channel=principal.platform,
            person=person.name,
            email=person.email,
            principal=principal,
            own_letters=len(shown & own),
            foreign_letters=len(shown - own),
            calls=len(calls) - foreign_calls,
            foreign_calls=foreign_calls,
        )

    def _note(self, channel: str, person: Person, speaker: str, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._transcript.append(Line(seconds, channel, person.name, speaker, text))


def _first_name(person: Person) -> str:
    return person.name.split()[0]
