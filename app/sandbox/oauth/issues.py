"""The issues of the sandbox's provider, as GitHub's REST API gives them (https://docs.github.com/en/rest/issues)."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

TEAM_REPOSITORY = "sandbox/website"
OWN_REPOSITORY = "notes"  # each account has a private one of this name

_DAY = 86_400  # seconds
_RANDOM = random.Random()  # noqa: S311  # no secrets
_TOPICS = (
    ("The sign-in page is blank in dark mode", "The text is there, but it has the colour of the page."),
    ("Search finds nothing that has an umlaut", "Typing Müller gives no result; Muller does."),
    ("The export to CSV loses the last line", "It happens with more than 1,000 lines only."),
    ("Say how long an upload will take", "People close the page because nothing moves."),
    ("The German prices have a dot too many", "1.299.00 should be 1.299,00."),
    ("Old links to the handbook lead nowhere", "They need redirects since the move."),
    ("The newsletter form accepts an empty address", "It should say what is missing."),
    ("Update the pictures of the start page", "They still show last year's logo."),
)
_NOTES = ("Pack for the conference", "Renew the domain", "Write down what the review found", "Book the room for Friday")


class NoIssueError(Exception):
    """There is no such repository or issue, or the account must not know that there is: GitHub answers 404 to both."""


@dataclass
class Issue:
    """One issue; `number` counts within its repository."""

    repository: str
    number: int
    title: str
    body: str
    author: str
    assignee: str | None
    updated_at: float
    state: str = "open"
    comments: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the issue as the API does, with the fields that clients read."""
        return {
            "number": self.number,
            "title": self.title,
            "body": self.body,
            "state": self.state,
            "user": {"login": self.author},
            "assignees": [{"login": self.assignee}] if self.assignee else [],
            "comments": len(self.comments),
            "updated_at": _time(self.updated_at),
            "html_url": f"https://github.com/{self.repository}/issues/{self.number}",
            "repository": {"full_name": self.repository},
        }


class Issues:
    """All repositories' issues. Lives with the sandbox.

    Everybody works on `TEAM_REPOSITORY`; each account also has a private repository, which others cannot see.

    Args:
        accounts: The accounts' names.
        now: The clock, POSIX seconds.
        marked: Whether each title ends with a marker, by which a proof finds out who has seen it.
    """

    def __init__(self, accounts: Sequence[str], now: Callable[[], float], *, marked: bool) -> None:
        self._now = now
        self._marked = marked
        self._repositories: dict[str, list[Issue]] = {TEAM_REPOSITORY: []}
        topics = _RANDOM.sample(_TOPICS, len(_TOPICS))
        for place, account in enumerate(accounts):
            own = f"{account}/{OWN_REPOSITORY}"
            self._repositories[own] = []
            author = accounts[place - 1]
            for title, body in (topics[2 * place % len(topics)], topics[(2 * place + 1) % len(topics)]):
                self._seed(TEAM_REPOSITORY, title, body, author, account)
            self._seed(own, _RANDOM.choice(_NOTES), "", account, account)

    def assigned(self, account: str, state: str) -> list[Issue]:
        """Return an account's issues in this state, or in any for ``all``, the latest first."""
        found = [
            issue
            for repository in self.repositories(account)
            for issue in self._repositories[repository]
            if issue.assignee == account and state in (issue.state, "all")
        ]
        return sorted(found, key=lambda issue: issue.updated_at, reverse=True)

    def repositories(self, account: str) -> Iterator[str]:
        """Yield the repositories that an account can see."""
        return (each for each in self._repositories if self._sees(account, each))

    def find(self, account: str, repository: str, number: int) -> Issue:
        """Return an issue that an account can see, or raise NoIssueError."""
        listed = self._repositories.get(repository, []) if self._sees(account, repository) else []
        issue = next((issue for issue in listed if issue.number == number), None)
        if issue is None:
            raise NoIssueError
        return issue

    def open(self, account: str, repository: str, title: str, body: str) -> Issue:
        """Open an issue, assigned to nobody, and return it; raise NoIssueError if there is no such repository."""
        if repository not in self._repositories or not self._sees(account, repository):
            raise NoIssueError
        return self._add(repository, title, body, account, None, self._now())

    def comment(self, account: str, issue: Issue, body: str) -> Mapping[str, Any]:
        """Add a comment and return it."""
        issue.updated_at = self._now()
        issue.comments.append({"user": {"login": account}, "body": body, "created_at": _time(issue.updated_at)})
        return issue.comments[-1]

    def close(self, issue: Issue) -> None:
        """Close an issue."""
        issue.state, issue.updated_at = "closed", self._now()

    def _sees(self, account: str, repository: str) -> bool:
        return repository == TEAM_REPOSITORY or repository.partition("/")[0] == account

    def _seed(self, repository: str, title: str, body: str, author: str, assignee: str) -> None:
        marked = f"{title} [mk{secrets.token_hex(5)}]" if self._marked else title
        age = _RANDOM.uniform(1 / 24, 12) * _DAY
        self._add(repository, marked, body, author, assignee, self._now() - age)

    def _add(self, repository: str, title: str, body: str, author: str, assignee: str | None, at: float) -> Issue:
        listed = self._repositories[repository]
        listed.append(Issue(repository, len(listed) + 1, title, body, author, assignee, at))
        return listed[-1]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
