"""The things that the demonstration's people ask for, and what proves afterwards whose they were shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from app.oauth.provider import GOOGLE
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.people import Person

MAIL_QUESTION = "show my unread mail"
ISSUES_QUESTION = "which issues are assigned to me?"


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call in a provider's own record.

    Attributes:
        account: The account whose token it carried; None if it carried no good one.
        bearer_sha256: The SHA-256 of the token, or None.
        answered: Whether it was answered as asked.
    """

    account: str | None
    bearer_sha256: str | None
    answered: bool = True


class Errand(Protocol):
    """A question to one provider. Lives for one demonstration.

    Attributes:
        provider: The connection's name.
        question: The words.
        connected: The form of the words that confirm the account.
        answer: The form of an answer from the person's account, with the markers of what it shows.
        field: The name of the account in the provider's consent page.
    """

    provider: str
    question: str
    connected: re.Pattern[str]
    answer: re.Pattern[str]
    field: str

    def account(self, person: Person) -> str:
        """Return the account that a person chooses."""
        ...

    def markers(self, person: Person) -> set[str]:
        """Return the markers of everything that is this person's."""
        ...

    def calls(self) -> Iterator[RecordedCall]:
        """Yield every call of the API, as the provider has recorded it."""
        ...


class MailErrand:
    """Asks for one's unread mail."""

    provider = GOOGLE
    connected = re.compile("^Connected")
    answer = MARKER
    field = "email"

    def __init__(self, google: GoogleSandbox, question: str = MAIL_QUESTION) -> None:
        self._google = google
        self.question = question

    def account(self, person: Person) -> str:
        """Return their address."""
        return person.email

    def markers(self, person: Person) -> set[str]:
        """Return the markers of their mailbox."""
        return {found for letter in self._google.mailbox(person.email) for found in MARKER.findall(letter.raw.decode())}

    def calls(self) -> Iterator[RecordedCall]:
        """Yield the calls of the Gmail API."""
        for call in self._google.calls:
            if call.method_id.startswith("gmail."):
                yield RecordedCall(call.email, call.bearer_sha256, call.status == 200)


class IssuesErrand:
    """Asks for the issues that are assigned to oneself."""

    provider = "github"
    question = ISSUES_QUESTION
    connected = re.compile(r"^Connected: \w+\.")
    answer = re.compile(rf"\d+ issues?\b.*{MARKER.pattern}", re.DOTALL)
    field = "account"

    def __init__(self, github: OAuthSandbox) -> None:
        self._github = github

    def account(self, person: Person) -> str:
        """Return their account, which has their first name."""
        return person.name.split()[0].lower()

    def markers(self, person: Person) -> set[str]:
        """Return the markers of the issues that are assigned to them."""
        assigned = self._github.issues.assigned(self.account(person), "all")
        return {found for issue in assigned for found in MARKER.findall(issue.title)}

    def calls(self) -> Iterator[RecordedCall]:
        """Yield the calls for issues."""
        for (account, _, target), bearer in zip(self._github.calls, self._github.bearers, strict=True):
            if target.startswith("/issues"):
                yield RecordedCall(account, bearer)
