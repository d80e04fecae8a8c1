"""The tools for issues on GitHub."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

from app.approvals.question import Question
from app.connections.connection import Connection
from app.errors import ToolError
from app.toolkits.arguments import Limit, TextPage
from app.toolkits.issues.api import GitHubApi
from app.toolkits.issues.issue import assignees, summary, whole_text
from app.toolkits.pages import pages
from app.toolkits.phrases import ASK, END, PLEASE, TEXT_PAGE
from app.toolkits.toolkit import Effect, Toolkit, tool
from app.toolkits.untrusted import Quotes

# GitHub has no OAuth scope that reads private repositories alone:
# https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
SCOPES = ("repo",)
_REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[.]{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
_NUMBER = r"[1-9][0-9]{0,8}"
_ISSUE = rf"(?:issue )?(?P<issue>{_REPOSITORY}#{_NUMBER})"
_MAX_TITLE, _MAX_TEXT = 256, 65_536  # characters that GitHub takes
_COMMENTS = 100  # of one issue, which is GitHub's largest page
_LABELS = MappingProxyType({"repository": "Repository", "issue": "Issue", "title": "Title", "text": "Text"})

Repository = Annotated[str, Field(pattern=rf"^{_REPOSITORY}$", description="A repository, as owner/name.")]
IssueName = Annotated[
    str, Field(pattern=rf"^{_REPOSITORY}#{_NUMBER}$", description="An issue, as owner/name#number in a result.")
]
Title = Annotated[str, Field(min_length=1, max_length=_MAX_TITLE)]
Comment = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
Body = Annotated[str, Field(max_length=_MAX_TEXT)]


class IssuesToolkit(Toolkit):
    """Reads and changes issues on GitHub as one person. Lives for one request.

    Args:
        github: The person's connection.
    """

    name = "issues"

    def __init__(self, github: Connection[Literal["github"]]) -> None:
        self._api = GitHubApi(github)

    @tool(
        connection="github",
        oauth_scopes=SCOPES,
        doing="looking at your issues",
        phrases=(
            rf"(?:which|what)(?: github)?(?: open)? issues (?:are|were) assigned to me{END}",
            rf"{ASK}(?:open |assigned |github )*issues(?: on github)?(?: (?:that are )?assigned to me)?{END}",
        ),
    )
    async def assigned(self, limit: Limit = 10, page: TextPage = 1) -> dict[str, Any]:
        """List the open issues that are assigned to the person, in all repositories, the latest first.

        Args:
            limit: How many at most.
            page: Which page of a longer list.
        """
        found = await self._api.get("/issues", filter="assigned", state="open", per_page=limit, page=page)
        listed = [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
        quotes = Quotes()
        more = {"next_page": page + 1} if len(listed) == limit else {}
        return {**(quotes.note if listed else {}), "issues": [summary(each, quotes) for each in listed], **more}

    @tool(
        connection="github",
        oauth_scopes=SCOPES,
        doing="reading an issue",
        phrases=(rf"(?:read|show|open)(?: me)?(?: the)? {_ISSUE}{TEXT_PAGE}{END}",),
    )
    async def read(self, issue: IssueName, page: TextPage = 1) -> dict[str, Any]:
        """Read an issue and its comments.

        Args:
            issue: Which one.
            page: Which page of a long text.
        """
        path = _path(issue)
        found = await self._api.get(path)
        comments = await self._api.get(f"{path}/comments", per_page=_COMMENTS)
        written = [each for each in comments if isinstance(each, Mapping)] if isinstance(comments, list) else []
        parts = pages(whole_text(found, written))
        if page > len(parts):
            raise ToolError(f"the text has {len(parts)} pages")
        quotes = Quotes()
        return {
            **quotes.note,
            **summary(found, quotes, issue.partition("#")[0]),
            "assigned_to": assignees(found),
            **({"page": page, "pages": len(parts)} if len(parts) > 1 else {}),
            "body": quotes.quote(parts[page - 1]),
        }

    @tool(
        effect=Effect.ACT,
        connection="github",
        oauth_scopes=SCOPES,
        doing="writing a comment",
        asks=Question("Write this comment on GitHub?", _LABELS, "write it", ("issue",)),
        phrases=(rf"{PLEASE}(?:comment on|answer|reply to) {_ISSUE}\s*:\s*(?P<text>.+)",),
    )
    async def comment(self, issue: IssueName, text: Comment) -> dict[str, str]:
        """Write a comment below an issue, which everybody who sees the issue can read.

        Args:
            issue: Which one.
            text: The comment, in Markdown.
        """
        await self._api.send("POST", f"{_path(issue)}/comments", {"body": text})
        return {"summary": f"I wrote the comment on {issue}."}

    @tool(
        effect=Effect.ACT,
        connection="github",
        oauth_scopes=SCOPES,
        doing="opening an issue",
        asks=Question("Open this issue on GitHub?", _LABELS, "open it", ("title",)),
        phrases=(
            rf"{PLEASE}(?:open|create|file) (?:an?|a new) issue in (?P<repository>{_REPOSITORY})\s*:\s*(?P<title>.+)",
        ),
    )
    async def open(self, repository: Repository, title: Title, text: Body = "") -> dict[str, str]:
        """Open an issue in a repository, which everybody who sees the repository can read.

        Args:
            repository: Where.
            title: Its title.
            text: Its text, in Markdown.
        """
        made = await self._api.send("POST", f"/repos/{repository}/issues", {"title": title, "body": text})
        issue = str(summary(made, Quotes(), repository)["issue"])
        return {"summary": f"I opened the issue {issue}.", "issue": issue}

    @tool(
        effect=Effect.ACT,
        connection="github",
        oauth_scopes=SCOPES,
        doing="closing an issue",
        asks=Question("Close this issue on GitHub?", _LABELS, "close it", ("issue",)),
        phrases=(rf"{PLEASE}(?:close|resolve) {_ISSUE}{END}",),
    )
    async def close(self, issue: IssueName) -> dict[str, str]:
        """Close an issue; everybody who follows it is notified.

        Args:
            issue: Which one.
        """
        await self._api.send("PATCH", _path(issue), {"state": "closed"})
        return {"summary": f"I closed {issue}."}


def _path(issue: str) -> str:
    repository, _, number = issue.partition("#")
    return f"/repos/{repository}/issues/{number}"
