"""The Gmail toolkit of two people against the sandbox Google, over loopback HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import urllib3
from starlette.types import Receive, Scope, Send

from app.deadline import Deadline
from app.errors import GoogleError, ToolError
from app.google.apis import GoogleApis
from app.google.client import GoogleClient
from app.sandbox.google import GoogleSandbox
from app.sandbox.message import StoredMessage
from app.sandbox.server import serve_loopback
from app.toolkits.gmail import READ_MAIL, SEND_MAIL, GmailToolkit
from app.toolkits.mail_text import PAGE_LENGTH
from app.toolkits.untrusted import unquoted
from tests.fakes.google_api import FakeCredentials, LoopThreads
from tests.fakes.sandbox import ADA, GRACE, MODIFY, SandboxClient, sandbox

# Every scope that is narrower than one that a tool declares, and would do where a method's description accepts it …
NARROWER = {
    READ_MAIL: frozenset({"https://www.googleapis.com/auth/gmail.labels"}),
    SEND_MAIL: frozenset[str](),
}
# … except these. gmail.metadata gives no text, no snippet and no search (`q`); the add-on scopes reach only the mail
# that is open in a Gmail add-on, and Deputy is none. https://developers.google.com/workspace/gmail/api/auth/scopes
NOT_ENOUGH = {
    READ_MAIL: {"gmail.metadata", "gmail.addons.current.message.action"}
    | {"gmail.addons.current.message.metadata", "gmail.addons.current.message.readonly"},
    SEND_MAIL: {"gmail.addons.current.action.compose"},
}
WIDER = {
    READ_MAIL: {"gmail.modify", "https://mail.google.com/"},
    SEND_MAIL: {"gmail.compose", "gmail.modify", "https://mail.google.com/"},
}


@dataclass
class Stage:
    """The sandbox on loopback, the HTTP requests that came in for APIs, and what lives as long as the process."""

    google: GoogleSandbox
    apis: GoogleApis
    pool: urllib3.PoolManager
    browser: SandboxClient
    requests: list[str] = field(default_factory=list)

    async def toolkit(self, email: str, *oauth_scopes: str, client: type[GoogleClient] = GoogleClient) -> GmailToolkit:
        """The toolkit of a person who granted these scopes and no others."""
        tokens = await self.browser.sign_in(email, *oauth_scopes or (READ_MAIL, SEND_MAIL))
        credentials = FakeCredentials(tokens["access_token"])
        self.requests.clear()
        return GmailToolkit(client(credentials, self.apis, self.pool, LoopThreads(), Deadline.after(20)))

    def mail(self, email: str, *labels: str) -> list[StoredMessage]:
        """A person's mails with these labels, newest first."""
        return [
            each for each in self.google.mailbox(email) if {*labels} <= each.label_ids and "TRASH" not in each.label_ids
        ]


class OneGone(GoogleClient):
    """Finds that the first message of each batch was deleted since it was listed."""

    async def execute_batch(self, requests: Sequence[Any]) -> list[Any]:
        _, *others = await super().execute_batch(requests)
        return [GoogleError("gone", status=404, reason="notFound"), *others]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A sandbox of the test's own."""
    google = sandbox()
    requests: list[str] = []

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        requests.append(scope["path"])
        await google.app(scope, receive, send)

    async with serve_loopback(counted) as url, httpx2.AsyncClient(base_url=url) as http:
        with urllib3.PoolManager(maxsize=16) as pool:
            yield Stage(google, GoogleApis(url), pool, SandboxClient(http), requests)


def ids(result: Mapping[str, Any]) -> list[str]:
    """The ids of a list's mails."""
    return [each["id"] for each in result["messages"]]


async def test_two_people_at_once_list_their_own_mail(stage: Stage) -> None:
    """Interleaved lists, searches and reads of two people give each one's own mail."""
    people = {email: await stage.toolkit(email) for email in (ADA, GRACE)}
    own = {email: {each.id for each in stage.mail(email)} for email in people}

    async def look(email: str) -> set[str]:
        listed = await people[email].latest(limit=3)
        found = await people[email].search("in:inbox", limit=3)
        read = await people[email].read(ids(listed)[0])
        return {*ids(listed), *ids(found), read["id"]}

    seen = await asyncio.gather(*(look(email) for email in [ADA, GRACE] * 8))

    assert all(mails <= own[ADA] for mails in seen[::2])
    assert all(mails <= own[GRACE] for mails in seen[1::2])


async def test_a_list_is_two_requests(stage: Stage) -> None:
    """However many mails there are, one request lists them and one batch fetches their headers."""
    ada = await stage.toolkit(ADA)
    listed = await ada.latest(limit=10)

    assert len(ids(listed)) == 10
    assert stage.requests == ["/gmail/v1/users/me/messages", "/batch"]


async def test_a_list_that_finds_nothing_is_one_request(stage: Stage) -> None:
    """Nothing found is no batch and no note."""
    ada = await stage.toolkit(ADA)

    assert await ada.search("subject:nothing-has-this-subject") == {"messages": []}
    assert len(stage.requests) == 1


async def test_a_summary_says_who_when_and_what(stage: Stage) -> None:
    """Headers and snippet are quoted, id and date are not, and there is no body."""
    newest = stage.mail(ADA, "INBOX")[0]
    listed = await (await stage.toolkit(ADA)).latest(limit=1)
    summary = listed["messages"][0]

    assert list(listed) == ["untrusted", "messages", "next_page"]
    assert list(summary) == ["id", "from", "to", "subject", "date", "snippet"]
    assert summary["id"] == newest.id
    assert all(summary[name].startswith("⟦") for name in ("from", "to", "subject", "snippet"))
    assert unquoted(summary)["subject"] == newest.subject
    assert unquoted(summary)["snippet"] == newest.snippet


async def test_one_message_that_is_gone_does_not_spoil_the_list(stage: Stage) -> None:
    """Its place says what happened; the others are there."""
    ada = await stage.toolkit(ADA, client=OneGone)
    gone, *others = (await ada.latest(limit=3))["messages"]

    assert (list(gone), "404" in gone["problem"]) == (["id", "problem"], True)
    assert [list(each)[-1] for each in others] == ["snippet", "snippet"]


async def test_pages_go_on_where_they_ended(stage: Stage) -> None:
    """All pages together are the inbox, in order, once each."""
    ada = await stage.toolkit(ADA)
    seen: list[str] = []
    page = None
    while page or not seen:
        listed = await ada.latest(limit=7, page=page)
        seen += ids(listed)
        page = listed.get("next_page")

    assert seen == [each.id for each in stage.mail(ADA, "INBOX")]


async def test_unread_is_the_unread_mail_of_the_inbox(stage: Stage) -> None:
    """Nothing that was read, and nothing that was archived or thrown away."""
    archived = stage.mail(ADA, "INBOX", "UNREAD")[0].id
    bearer = (await stage.browser.sign_in(ADA, MODIFY))["access_token"]
    path = f"/gmail/v1/users/me/messages/{archived}/modify"
    await stage.browser.call(bearer, "POST", path, json={"removeLabelIds": ["INBOX"]})
    listed = await (await stage.toolkit(ADA)).unread(limit=50)

    assert archived in {each.id for each in stage.mail(ADA, "UNREAD")}
    assert ids(listed) == [each.id for each in stage.mail(ADA, "INBOX", "UNREAD")]


async def test_search_takes_gmails_language(stage: Stage) -> None:
    """The query is Gmail's own."""
    wanted = stage.mail(ADA, "INBOX")[2]
    listed = await (await stage.toolkit(ADA)).search(f"from:{wanted.sender}", limit=50)

    assert wanted.id in ids(listed)
    assert all(wanted.sender in each["from"] for each in listed["messages"])


async def test_a_long_mail_is_read_in_pages(stage: Stage) -> None:
    """Each page says which it is and what to ask for next, outside of the quoted text; together they are the mail."""
    long = max(stage.mail(ADA), key=lambda each: len(each.body))
    ada = await stage.toolkit(ADA)
    read = [await ada.read(long.id, page=page) for page in (1, 2, 3)]
    texts = [unquoted(page["body"]).rpartition("\n[page") for page in read]

    assert read[0]["body"].endswith("⟧\n[page 1 of 3; ask for page 2]")
    assert read[2]["body"].endswith("⟧\n[page 3 of 3]")
    assert all(len(text) <= PAGE_LENGTH for text, _, _ in texts)
    assert " ".join(text for text, _, _ in texts).split() == long.body.split()
    with pytest.raises(ToolError, match="has 3 page"):
        await ada.read(long.id, page=4)


async def test_html_and_plain_mail_read_as_text(stage: Stage) -> None:
    """Every mail of the mailbox has text, without a tag, between marks of its own response."""
    ada = await stage.toolkit(ADA)
    read = [await ada.read(each.id) for each in stage.mail(ADA)]

    assert all(mail["body"].startswith("⟦") and "</" not in mail["body"].replace("⟦/", "") for mail in read)
    assert len({mail["body"][:10] for mail in read}) == len(read)


async def test_attachments_are_listed_by_name(stage: Stage) -> None:
    """Name, type and size; the file itself is not fetched."""
    mail = next(each for each in stage.mail(ADA) if each.attachments)
    read = await (await stage.toolkit(ADA)).read(mail.id)
    attached = unquoted(read["attachments"])

    assert [each["name"] for each in attached] == [part.get_filename() for part in mail.attachments]
    assert [list(each) for each in attached] == [["name", "type", "size"]]


async def test_anothers_mail_is_not_there(stage: Stage) -> None:
    """An id out of another mailbox is not found, whoever wrote it into the chat."""
    theirs = stage.mail(GRACE, "INBOX")[0]
    ada = await stage.toolkit(ADA)

    with pytest.raises(GoogleError) as missing:
        await ada.read(theirs.id)
    assert missing.value.status == 404


async def test_a_sent_mail_arrives_at_the_other(stage: Stage) -> None:
    """It comes from the sender's own address, unchanged, and no third person gets it."""
    ada, grace = [await stage.toolkit(email) for email in (ADA, GRACE)]
    sent = await ada.send(to=GRACE, subject="Grüße", body="At noon?\nAda")
    newest = stage.mail(GRACE, "INBOX")[0]
    read = unquoted(await grace.read(newest.id))

    assert (read["subject"], read["to"], read["body"].split()) == ("Grüße", GRACE, ["At", "noon?", "Ada"])
    assert ADA in read["from"]
    assert stage.mail(ADA, "SENT")[0].id == sent["id"]


async def test_the_declared_scope_is_enough_and_the_least(stage: Stage) -> None:
    """Each tool works with the scopes that it declares alone, and no method that it calls would do with less."""
    mail = stage.mail(ADA)[0].id
    arguments = {
        "search": {"query": "a"},
        "read": {"message_id": mail},
        "send": {"to": GRACE, "subject": "s", "body": "b"},
    }
    for spec in GmailToolkit.tools().values():
        ada = await stage.toolkit(ADA, *spec.oauth_scopes)
        stage.google.calls.clear()
        await getattr(ada, spec.method)(**arguments.get(spec.method, {}))
        (declared,) = spec.oauth_scopes
        called = {call.method_id for call in stage.google.calls}

        assert called
        assert {call.status for call in stage.google.calls} == {200}
        for method_id in called:
            accepted = stage.apis.method_scopes(method_id)
            assert declared in accepted
            assert not accepted & NARROWER[declared]
            known = {declared} | {_url(scope) for scope in NOT_ENOUGH[declared] | WIDER[declared]}
            assert accepted <= known, "Google accepts a scope that this test has not thought of: is it narrower?"


def _url(scope: str) -> str:
    return scope if scope.startswith("https:") else f"https://www.googleapis.com/auth/{scope}"
