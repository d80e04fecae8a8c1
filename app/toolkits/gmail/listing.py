"""Lists of the person's mails, threads and drafts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

from app.errors import GoogleError
from app.google.client import GoogleClient
from app.toolkits.arguments import Day, Limit, ListPage
from app.toolkits.gmail import message as gmail_message
from app.toolkits.gmail.arguments import Person
from app.toolkits.gmail.days import days, in_seconds
from app.toolkits.gmail.oauth_scopes import READ_MAIL
from app.toolkits.gmail.phrases import MAIL
from app.toolkits.google_faults import describe
from app.toolkits.phrases import ASK, DAY, END
from app.toolkits.shapes import mapping, objects, text
from app.toolkits.toolkit import Toolkit, tool
from app.toolkits.untrusted import Quotes
from app.toolkits.zones import PersonZone

MAX_SENDERS = 5  # shown of a thread


class GmailListing(Toolkit):
    """Finds mails, threads and drafts; each list takes two HTTP requests at any length. Lives for one request.

    Args:
        google: Google's APIs as that person.
        zone: Their time zone, in which days begin and times are shown.
    """

    name = "gmail"

    def __init__(self, google: GoogleClient, zone: PersonZone) -> None:
        self._google = google
        self._zone = zone

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="searching your mail",
        phrases=(
            rf"(?:search|find|look for) (?:in |through )?(?:all |my |the )*(?:{MAIL}|inbox|gmail)"
            rf"(?: for| from| by| about| with)? (?P<query>.+?){END}",
            rf"(?:search|look) for (?P<query>.+?) in (?:my |the )?(?:{MAIL}|inbox|gmail){END}",
            rf"{ASK}{MAIL} about (?P<query>.+?){END}",
        ),
    )
    async def search(self, query: str, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """Find mails, newest first: who wrote them, when, the subject and the beginning of the text.

        Args:
            query: What Gmail's search box takes: words, `from:ada subject:report has:attachment label:work`.
            limit: How many mails at most.
            page: `next_page` of an earlier result.
        """
        return await self._mails(limit, page, q=in_seconds(query, await self._zone.get()))

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="looking at your latest mail",
        phrases=(
            rf"{ASK}(?:last|latest|newest|recent|new) (?:(?P<limit>\d{{1,2}}) )?{MAIL}{END}",
            rf"{ASK}(?P<limit>\d{{1,2}}) (?:last|latest|newest|most recent) {MAIL}{END}",
            rf"(?:check|show|list)(?: me)? (?:my |the )?(?:inbox|{MAIL}){END}|(?:my )?(?:inbox|{MAIL})",
            rf"what(?:'s| is|s) new(?: in my (?:mail|mailbox|inbox))?{END}",
        ),
    )
    async def latest(self, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List the newest mails in the inbox: who wrote them, when, the subject and the beginning of the text."""
        return await self._mails(limit, page, labelIds=["INBOX"])

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="looking at your unread mail",
        phrases=(
            rf"{ASK}(?:(?:last |latest )?(?P<limit>\d{{1,2}}) )?unread(?: {MAIL})?{END}",
            rf"(?:do i have|have i got|is there|are there|did i get) (?:any )?(?:unread|new) {MAIL}{END}",
        ),
    )
    async def unread(self, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List the unread mails in the inbox: who wrote them, when, the subject and the beginning of the text."""
        return await self._mails(limit, page, labelIds=["INBOX", "UNREAD"])

    @tool(oauth_scopes=(READ_MAIL,), doing="looking at your starred mail", phrases=(rf"{ASK}starred(?: {MAIL})?{END}",))
    async def starred(self, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List the mails with a star: who wrote them, when, the subject and the beginning of the text."""
        return await self._mails(limit, page, labelIds=["STARRED"])

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="looking for mail of those days",
        phrases=(
            rf"{ASK}{MAIL} (?:since|after|from) (?P<since>{DAY})(?: (?:until|till|to) (?P<until>{DAY}))?{END}",
            rf"{ASK}{MAIL} between (?P<since>{DAY}) and (?P<until>{DAY}){END}",
        ),
    )
    async def by_date(
        self, since: Day, until: Day | None = None, limit: Limit = 10, page: ListPage = None
    ) -> dict[str, Any]:
        """List the mails of some days, newest first: who wrote them, when, the subject and the beginning of the text.

        Args:
            since: The first day, YYYY-MM-DD. Days begin at midnight in the person's own time zone.
            until: The last day, which is included; without it, the list goes on until now.
            limit: How many mails at most.
            page: `next_page` of an earlier result.
        """
        return await self._mails(limit, page, q=days(since, until, await self._zone.get()))

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="looking for mail from that person",
        phrases=(
            rf"{ASK}{MAIL} (?:from|by) (?P<person>.+?)"
            rf"(?: since (?P<since>{DAY}))?(?: (?:until|till) (?P<until>{DAY}))?{END}",
        ),
    )
    async def from_person(
        self,
        person: Person,
        since: Day | None = None,
        until: Day | None = None,
        limit: Limit = 10,
        page: ListPage = None,
    ) -> dict[str, Any]:
        """List the mails that somebody wrote, newest first: when, the subject and the beginning of the text.

        Args:
            person: A name or an address.
            since: The first day, YYYY-MM-DD. Days begin at midnight in the person's own time zone.
            until: The last day, which is included.
            limit: How many mails at most.
            page: `next_page` of an earlier result.
        """
        of_days = days(since, until, await self._zone.get())
        return await self._mails(limit, page, q=f'from:"{person}" {of_days}'.strip())

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="looking at your conversations",
        phrases=(
            rf"{ASK}(?:last |latest |recent )?(?:(?P<limit>\d{{1,2}}) )?(?:threads|conversations)"
            rf"(?: (?:about|with|from) (?P<query>.+?))?{END}",
        ),
    )
    async def threads(self, query: str = "in:inbox", limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List threads (conversations), newest first: the subject, who wrote in them, how many mails, the last text.

        Args:
            query: What Gmail's search box takes; a thread is found when one of its mails is. The inbox otherwise.
            limit: How many threads at most.
            page: `next_page` of an earlier result.
        """
        shape = {
            "format": "metadata",
            "metadataHeaders": ["From", "Subject"],
            "fields": "messages(internalDate,labelIds,snippet,payload/headers)",
        }
        return await self._list(
            "threads", limit, page, shape, _thread_summary, q=in_seconds(query, await self._zone.get())
        )

    @tool(oauth_scopes=(READ_MAIL,), doing="looking at your drafts", phrases=(rf"{ASK}drafts{END}",))
    async def drafts(self, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List the person's drafts: to whom, when, the subject and the beginning; read one by its `message_id`."""
        shape = {"format": "metadata", "fields": "message(id,internalDate,snippet,payload/headers)"}
        return await self._list("drafts", limit, page, shape, _draft_summary)

    async def _mails(self, limit: int, page: str | None, **selection: Any) -> dict[str, Any]:
        shape = {
            "format": "metadata",
            "metadataHeaders": [*gmail_message.SUMMARY_HEADERS],  # a tuple would be sent as its repr
            "fields": "threadId,internalDate,snippet,payload/headers",
        }
        return await self._list("messages", limit, page, shape, _mail_summary, **selection)

    async def _list(
        self,
        kind: str,
        limit: int,
        page: str | None,
        shape: Mapping[str, Any],
        summary: Callable[[Mapping[str, Any], Quotes, tzinfo], dict[str, Any]],
        **selection: Any,
    ) -> dict[str, Any]:
        """Return a page of messages, threads or drafts, each fetched in this shape: one request, and one batch for all.

        One that is gone since it was listed, or that failed, keeps its place and says so.
        """
        resource = self._google.resource("gmail", "v1", "users", kind)
        fields = f"{kind}/id,nextPageToken"
        listed = await self._google.execute(
            resource.list(userId="me", maxResults=limit, pageToken=page, fields=fields, **selection)
        )
        ids = [each for entry in objects(listed, kind) if (each := text(entry, "id"))]
        answers = await self._google.execute_batch([resource.get(userId="me", id=each, **shape) for each in ids])
        quotes, zone = Quotes(), await self._zone.get()
        found = [
            {"id": each} | ({"problem": describe(got)} if isinstance(got, GoogleError) else summary(got, quotes, zone))
            for each, got in zip(ids, answers, strict=True)
        ]
        more = text(listed, "nextPageToken")
        return {**(quotes.note if found else {}), kind: found, **({"next_page": more} if more else {})}


def quoted_headers(message: Mapping[str, Any], quotes: Quotes, *names: str) -> dict[str, str]:
    """Return these headers of a message, quoted, by their names in lower case with ``_`` for ``-``."""
    return {name.lower().replace("-", "_"): quotes.quote(gmail_message.shown_header(message, name)) for name in names}


def _mail_summary(message: Mapping[str, Any], quotes: Quotes, zone: tzinfo) -> dict[str, Any]:
    return {
        "thread_id": text(message, "threadId"),
        **quoted_headers(message, quotes, *gmail_message.SUMMARY_HEADERS),
        **_beginning(message, quotes, zone),
    }


def _draft_summary(draft: Mapping[str, Any], quotes: Quotes, zone: tzinfo) -> dict[str, Any]:
    message = mapping(draft, "message")
    return {
        "message_id": text(message, "id"),
        **quoted_headers(message, quotes, "To", "Cc", "Bcc", "Subject"),
        **_beginning(message, quotes, zone),
    }


def _thread_summary(thread: Mapping[str, Any], quotes: Quotes, zone: tzinfo) -> dict[str, Any]:
    messages = objects(thread, "messages")
    first, last = (messages[0], messages[-1]) if messages else ({}, {})
    senders = dict.fromkeys(gmail_message.shown_header(each, "From") for each in messages)
    return {
        **quoted_headers(first, quotes, "Subject"),
        "from": [quotes.quote(sender) for sender in senders][:MAX_SENDERS],
        "mails": len(messages),
        "unread": sum("UNREAD" in gmail_message.labels(each) for each in messages),
        **_beginning(last, quotes, zone),
    }


def _beginning(message: Mapping[str, Any], quotes: Quotes, zone: tzinfo) -> dict[str, str]:
    return {"date": gmail_message.received_at(message, zone), "snippet": quotes.quote(gmail_message.snippet(message))}
