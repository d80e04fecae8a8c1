"""Four toolkits of ten tools, for benchmarks with an agent: as Deputy's toolkits, and as the same bare methods."""

from __future__ import annotations

from typing import Any, Literal

from app.google.client import GoogleClient
from app.toolkits.toolkit import Effect, Toolkit, tool


class _Office:
    """Ten tools on one subject, with about as many parameters as real ones have."""

    def __init__(self, google: GoogleClient) -> None:
        self.google = google

    @tool(oauth_scopes=())
    async def search(self, query: str, limit: int = 10, page: str | None = None) -> list[dict[str, Any]]:
        """Search things.

        Args:
            query: Words that they contain.
            limit: How many at most.
            page: Where an earlier search ended.
        """
        return [{"query": query, "limit": limit, "page": page}]

    @tool(oauth_scopes=())
    async def read(self, thing_id: str, with_history: bool = False) -> dict[str, Any]:
        """Read one thing.

        Args:
            thing_id: Its id.
            with_history: Whether to tell what became of it.
        """
        return {"id": thing_id, "history": with_history}

    @tool(oauth_scopes=())
    async def latest(self, limit: int = 10) -> list[dict[str, Any]]:
        """List the latest things.

        Args:
            limit: How many at most.
        """
        return [{"limit": limit}]

    @tool(oauth_scopes=())
    async def from_person(self, person: str, since: str | None = None) -> list[dict[str, Any]]:
        """List what somebody made.

        Args:
            person: A name or an address.
            since: A day, such as 2026-01-31.
        """
        return [{"person": person, "since": since}]

    @tool(oauth_scopes=())
    async def count(self, kinds: list[Literal["open", "done", "late"]]) -> dict[str, int]:
        """Count things.

        Args:
            kinds: Which of them.
        """
        return dict.fromkeys(kinds, 0)

    @tool(effect=Effect.ORGANISE, oauth_scopes=())
    async def tag(self, thing_ids: list[str], label: str) -> int:
        """Label things.

        Args:
            thing_ids: Their ids.
            label: The label.
        """
        return len(thing_ids)

    @tool(effect=Effect.ORGANISE, oauth_scopes=())
    async def star(self, thing_ids: list[str], starred: bool = True) -> int:
        """Star things.

        Args:
            thing_ids: Their ids.
            starred: False takes the star away.
        """
        return len(thing_ids)

    @tool(effect=Effect.ORGANISE, oauth_scopes=())
    async def move(self, thing_id: str, to: str, position: int = 0) -> dict[str, Any]:
        """Move a thing.

        Args:
            thing_id: Its id.
            to: Where to.
            position: At which place.
        """
        return {"id": thing_id, "to": to, "position": position}

    @tool(effect=Effect.ORGANISE, oauth_scopes=())
    async def create(self, title: str, body: str, labels: list[str] | None = None) -> dict[str, Any]:
        """Make a thing.

        Args:
            title: What it is called.
            body: What it says.
            labels: Its labels.
        """
        return {"title": title, "body": body, "labels": labels}

    @tool(effect=Effect.ACT, oauth_scopes=())
    async def share(self, thing_id: str, people: list[str], note: str = "") -> dict[str, Any]:
        """Share a thing.

        Args:
            thing_id: Its id.
            people: With whom.
            note: What to tell them.
        """
        return {"id": thing_id, "people": people, "note": note}


def _toolkit(kind: str, *tools: str) -> type[Toolkit]:
    """Return a toolkit of this name with these tools, or with all ten."""
    methods = {name: method for name, method in vars(_Office).items() if not name.startswith("_")}
    kept = {name: methods[name] for name in tools or methods}
    return type("Office", (Toolkit,), {"name": kind, "__init__": _Office.__init__, **kept})


Mails = _toolkit("mails")
Dates = _toolkit("dates")
Files = _toolkit("files")
Tasks = _toolkit("tasks")
Notes = _toolkit("notes")
Plans = _toolkit("plans")
Found = _toolkit("mails", "search")  # one tool, of the same name

TOOLKITS = (Mails, Dates, Files, Tasks)
FURTHER_PATHS = {name: f"{__name__}:{name.title()}" for name in ("notes", "plans")}  # for sixty tools
ONE_TOOL_PATH = {"mails": f"{__name__}:Found"}
IMPORT_PATHS = {toolkit.name: f"{__name__}:{toolkit.name.title()}" for toolkit in TOOLKITS}
TOOL_NAMES = frozenset(name for toolkit in TOOLKITS for name in toolkit.tools())


def toolkits_of(person: Any) -> list[Toolkit]:
    """Return one of each toolkit, bound to an object that stands for a person."""
    makers: tuple[Any, ...] = TOOLKITS  # each has its own constructor
    return [make(person) for make in makers]
