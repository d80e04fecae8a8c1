"""Finding mail with the Gmail toolkit: two people against the sandbox Google, over loopback HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.errors import GoogleError, ToolError
from app.google.client import GoogleClient
from app.sandbox.google.gmail.message import MailboxMessage
from app.toolkits.untrusted import unquoted
from tests.fakes.gmail_sandbox import GmailSandbox, open_gmail_sandbox
from tests.fakes.sandbox import ADA, GRACE, MODIFY, Clock


class OneGone(GoogleClient):
    """A Google client for which the first message of each batch was deleted after it was listed."""

    async def execute_batch(self, requests: Sequence[Any], *, repeatable: bool | None = None) -> list[Any]:
        _, *others = await super().execute_batch(requests, repeatable=repeatable)
        return [GoogleError("gone", status=404, reason="notFound"), *others]


@pytest.fixture
async def gmail() -> AsyncIterator[GmailSandbox]:
    """Yield a sandbox for one test."""
    async with open_gmail_sandbox() as gmail:
        yield gmail


def ids(result: Mapping[str, Any]) -> list[str]:
    """Return the ids of a list's mails."""
    return [each["id"] for each in result["messages"]]


async def test_two_people_at_once_list_their_own_mail(gmail: GmailSandbox) -> None:
    """Interleaved lists, searches and reads of two people return only each one's own mail."""
    people = {email: await gmail.toolkit(email) for email in (ADA, GRACE)}
    own = {email: {each.id for each in gmail.mail(email)} for email in people}

    async def look(email: str) -> set[str]:
        listed = await people[email].latest(limit=3)
        found = await people[email].search("in:inbox", limit=3)
        read = await people[email].read(ids(listed)[0])
        return {*ids(listed), *ids(found), read["id"]}

    seen = await asyncio.gather(*(look(email) for email in [ADA, GRACE] * 8))

    assert all(mails <= own[ADA] for mails in seen[::2])
    assert all(mails <= own[GRACE] for mails in seen[1::2])


async def test_a_list_is_two_requests(gmail: GmailSandbox) -> None:
    """A list needs one request for the ids and one batch for the headers, however many mails there are."""
    ada = await gmail.toolkit(ADA)
    listed = await ada.latest(limit=10)

    assert len(ids(listed)) == 10
    assert gmail.requests == ["/gmail/v1/users/me/messages", "/batch"]


async def test_a_list_that_finds_nothing_is_one_request(gmail: GmailSandbox) -> None:
    """A list without results needs one request, and has no note about untrusted text."""
    ada = await gmail.toolkit(ADA)

    assert await ada.search("subject:nothing-has-this-subject") == {"messages": []}
    assert len(gmail.requests) == 1


async def test_a_summary_says_who_when_and_what(gmail: GmailSandbox) -> None:
    """In a summary headers and snippet are quoted, and id and date are not; the body is left out."""
    newest = gmail.mail(ADA, "INBOX")[0]
    listed = await (await gmail.toolkit(ADA)).latest(limit=1)
    summary = listed["messages"][0]

    assert list(listed) == ["untrusted", "messages", "next_page"]
    assert list(summary) == ["id", "thread_id", "from", "to", "subject", "date", "snippet"]
    assert summary["id"] == newest.id
    assert all(summary[name].startswith("⟦") for name in ("from", "to", "subject", "snippet"))
    assert unquoted(summary)["subject"] == newest.subject
    assert unquoted(summary)["snippet"] == newest.snippet


async def test_one_message_that_is_gone_does_not_spoil_the_list(gmail: GmailSandbox) -> None:
    """A message deleted during a listing is reported in its place, and the others are listed."""
    ada = await gmail.toolkit(ADA, client=OneGone)
    gone, *others = (await ada.latest(limit=3))["messages"]

    assert (list(gone), "404" in gone["problem"]) == (["id", "problem"], True)
    assert [list(each)[-1] for each in others] == ["snippet", "snippet"]


async def test_pages_go_on_where_they_ended(gmail: GmailSandbox) -> None:
    """All pages together are the inbox, in order, each mail once."""
    ada = await gmail.toolkit(ADA)
    seen: list[str] = []
    page = None
    while page or not seen:
        listed = await ada.latest(limit=7, page=page)
        seen += ids(listed)
        page = listed.get("next_page")

    assert seen == [each.id for each in gmail.mail(ADA, "INBOX")]


async def test_unread_is_the_unread_mail_of_the_inbox(gmail: GmailSandbox) -> None:
    """Unread mail is the unread mail of the inbox, without archived mail."""
    archived = gmail.mail(ADA, "INBOX", "UNREAD")[0].id
    bearer = (await gmail.browser.sign_in(ADA, MODIFY))["access_token"]
    path = f"/gmail/v1/users/me/messages/{archived}/modify"
    await gmail.browser.call(bearer, "POST", path, json={"removeLabelIds": ["INBOX"]})
    listed = await (await gmail.toolkit(ADA)).unread(limit=50)

    assert archived in {each.id for each in gmail.mail(ADA, "UNREAD")}
    assert ids(listed) == [each.id for each in gmail.mail(ADA, "INBOX", "UNREAD")]


async def test_search_takes_gmails_language(gmail: GmailSandbox) -> None:
    """A search takes Gmail's own query language."""
    wanted = gmail.mail(ADA, "INBOX")[2]
    listed = await (await gmail.toolkit(ADA)).search(f"from:{wanted.sender}", limit=50)

    assert wanted.id in ids(listed)
    assert all(wanted.sender in each["from"] for each in listed["messages"])


async def test_starred_mail_is_listed(gmail: GmailSandbox) -> None:
    """Each person's starred mail is listed, with one batch each."""
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    starred = await asyncio.gather(ada.starred(limit=50), grace.starred(limit=50))

    assert [ids(each) for each in starred] == [[mail.id for mail in gmail.mail(who, "STARRED")] for who in (ADA, GRACE)]
    assert gmail.requests.count("/batch") == 2


async def test_mail_from_somebody(gmail: GmailSandbox) -> None:
    """Mail from a person is listed only by its sender, and the person's name cannot carry other search terms."""
    wanted = gmail.mail(ADA, "INBOX")[4]
    ada = await gmail.toolkit(ADA)
    listed = await ada.from_person(wanted.sender, limit=50)
    elsewhere = await ada.from_person(f"{wanted.sender} OR in:anywhere")

    assert ids(listed) == [each.id for each in gmail.mail(ADA) if each.sender == wanted.sender]
    assert ids(elsewhere) == []


async def test_mail_of_some_days(gmail: GmailSandbox) -> None:
    """Mail of some days is listed from the start of the first to the end of the last, in UTC, also for one sender."""
    middle = gmail.mail(ADA)[8]
    since = until = day_of(middle)
    ada = await gmail.toolkit(ADA)
    listed = await ada.by_date(since, until, limit=50)
    later = await ada.by_date(since, limit=50)
    of_person = await ada.from_person(middle.sender, since=since, until=until)

    assert ids(listed) == [each.id for each in gmail.mail(ADA) if day_of(each) == since]
    assert ids(later) == [each.id for each in gmail.mail(ADA) if day_of(each) >= since]
    assert middle.id in ids(of_person)
    with pytest.raises(ToolError, match="the first day comes first"):
        await ada.by_date(since, date(1999, 12, 31))


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Kiritimati", "Europe/London"])
async def test_days_are_the_persons_own(gmail: GmailSandbox, zone: str) -> None:
    """Lists, searches and displayed times use the person's own time zone, not Gmail's Pacific days."""
    middle = gmail.mail(ADA)[8]
    day = datetime.fromtimestamp(middle.at / 1000, ZoneInfo(zone)).date()
    ada = await gmail.toolkit(ADA, zone=zone)
    listed = await ada.by_date(day, day, limit=50)
    searched = await ada.search(f"after:{day:%Y/%m/%d} before:{day + timedelta(days=1)}", limit=50)
    read = await ada.read(middle.id)
    times = [datetime.fromisoformat(each["date"]) for each in [*listed["messages"], read]]

    wanted = [each for each in gmail.mail(ADA) if datetime.fromtimestamp(each.at / 1000, ZoneInfo(zone)).date() == day]
    assert ids(listed) == ids(searched) == [each.id for each in wanted]
    assert {at.date() for at in times} == {day}
    assert all(at.utcoffset() == at.astimezone(ZoneInfo(zone)).utcoffset() for at in times)


async def test_threads_are_two_requests(gmail: GmailSandbox) -> None:
    """Each person's threads are listed with one request, and fetched with one batch."""
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    listed = (await ada.threads(limit=50))["threads"]
    theirs = (await grace.threads(limit=50))["threads"]
    thread = next(each for each in listed if each["mails"] == 3)

    assert gmail.requests == ["/gmail/v1/users/me/threads", "/batch"] * 2
    assert list(thread) == ["id", "subject", "from", "mails", "unread", "date", "snippet"]
    assert {each["id"] for each in listed} <= {mail.thread_id for mail in gmail.mail(ADA)}
    assert {each["id"] for each in theirs} <= {mail.thread_id for mail in gmail.mail(GRACE)}


async def test_drafts_are_listed() -> None:
    """Each person's own drafts are listed in two requests, newest first, and read by their messages' ids."""
    clock = Clock()
    async with open_gmail_sandbox(now=clock) as gmail:
        ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
        drafts = []
        for index, each in enumerate((ada, ada, grace, ada)):
            clock.now += 60
            drafts.append(await each.create_draft(to="x@x.example", subject=f"s{index}", body="b"))
        gmail.requests.clear()
        listed = (await ada.drafts())["drafts"]

        assert gmail.requests == ["/gmail/v1/users/me/drafts", "/batch"]
        assert [each["id"] for each in listed] == [drafts[index]["id"] for index in (3, 1, 0)]
        assert [unquoted(each["subject"]) for each in listed] == ["s3", "s1", "s0"]
        assert unquoted((await ada.read(listed[0]["message_id"]))["body"]) == "b"
        assert [each["id"] for each in (await grace.drafts())["drafts"]] == [drafts[2]["id"]]


def day_of(mail: MailboxMessage) -> date:
    """Return the day in UTC on which a mail arrived."""
    return datetime.fromtimestamp(mail.at / 1000, UTC).date()
