"""The sandbox's Gmail: what two people see of their mail, with Google's own client and with plain HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import google.auth.transport.urllib3
import pytest
import urllib3
from google.oauth2.credentials import Credentials
from googleapiclient.errors import HttpError

from app.sandbox.google.sandbox import GoogleSandbox
from tests.fakes.sandbox import (
    ADA,
    CLIENT_ID,
    CLIENT_SECRET,
    GRACE,
    METADATA,
    MODIFY,
    READ,
    SEND,
    SandboxClient,
    encoded,
    gmail_service,
    in_memory,
    on_loopback,
    sandbox,
)

USER = "/gmail/v1/users/me"
LABELS = "https://www.googleapis.com/auth/gmail.labels"


class Account:
    """One person's Gmail by plain HTTP."""

    def __init__(self, client: SandboxClient, token: str) -> None:
        self._client = client
        self.token = token

    async def status(self, verb: str, path: str, **options: Any) -> int:
        """Return the status of a call."""
        return (await self._client.call(self.token, verb, f"{USER}{path}", **options)).status_code

    async def get(self, path: str, **params: Any) -> Any:
        """Return the answer to a GET."""
        response = await self._client.call(self.token, "GET", f"{USER}{path}", params=params)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: dict[str, Any] | None = None, verb: str = "POST") -> Any:
        """Return the answer to a POST."""
        response = await self._client.call(self.token, verb, f"{USER}{path}", **({"json": body} if body else {}))
        assert response.status_code in {200, 204}, response.text
        return response.json() if response.content else None

    async def ids(self, **params: Any) -> list[str]:
        """Return the ids that a list finds."""
        return [each["id"] for each in (await self.get("/messages", **params)).get("messages", [])]


@pytest.fixture
def google_() -> GoogleSandbox:
    """Return a sandbox."""
    return sandbox()


@pytest.fixture
async def client(google_: GoogleSandbox) -> AsyncIterator[SandboxClient]:
    """Yield a client of that sandbox."""
    async with in_memory(google_) as found:
        yield found


@pytest.fixture
async def ada(client: SandboxClient) -> Account:
    """Return Ada's account, which may do everything except delete permanently."""
    return Account(client, (await client.sign_in(ADA, MODIFY, LABELS))["access_token"])


@pytest.fixture
async def grace(client: SandboxClient) -> Account:
    """Return Grace's account, signed in with MODIFY alone."""
    return Account(client, (await client.sign_in(GRACE, MODIFY))["access_token"])


def header(message: dict[str, Any], name: str) -> str:
    """Return a header of a message as the API shows it."""
    return next(str(each["value"]) for each in message["payload"]["headers"] if each["name"] == name)


async def test_googles_client_refreshes_lists_gets_and_sends(google_: GoogleSandbox) -> None:
    """Google's Python libraries, unmodified, refresh a token, read mail and send a message to another person."""
    newest = next(m for m in google_.mailbox(ADA) if "TRASH" not in m.label_ids)
    async with on_loopback(google_) as (base_url, client):
        tokens = await client.sign_in(ADA, READ, SEND)

        def work() -> tuple[Credentials, dict[str, Any], dict[str, Any]]:
            credentials = Credentials(
                None,
                refresh_token=tokens["refresh_token"],
                token_uri=f"{base_url}/token",
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
            )
            service, http = gmail_service(base_url, credentials)
            messages = service.users().messages()
            first = messages.list(userId="me", maxResults=1).execute()["messages"][0]
            got = messages.get(userId="me", id=first["id"]).execute()
            sent = messages.send(userId="me", body={"raw": encoded(f"To: {GRACE}\nSubject: hi\n\nhello")}).execute()
            http.close()
            return credentials, got, sent

        credentials, got, sent = await asyncio.to_thread(work)

    assert google_.bearer_owner(str(credentials.token)) == ADA
    assert header(got, "Subject") == newest.subject
    assert google_.mailbox(ADA)[0].id == sent["id"]
    assert google_.mailbox(GRACE)[0].subject == "hi"
    assert [call.method_id for call in google_.calls[-4:]] == [
        "oauth.token.refresh_token",
        "gmail.users.messages.list",
        "gmail.users.messages.get",
        "gmail.users.messages.send",
    ]


async def test_googles_client_raises_its_own_errors(google_: GoogleSandbox) -> None:
    """A refusal's status and reason are where googleapiclient looks for them."""
    async with on_loopback(google_) as (base_url, client):
        tokens = await client.sign_in(ADA, READ)

        def work() -> HttpError:
            service, http = gmail_service(base_url, Credentials(tokens["access_token"]))
            with pytest.raises(HttpError) as caught:
                service.users().messages().get(userId="me", id="0" * 16).execute()
            http.close()
            return caught.value

        error = await asyncio.to_thread(work)

    assert error.status_code == 404
    assert error.reason == "Requested entity was not found."
    assert error.error_details[0]["reason"] == "notFound"


async def test_google_auth_over_urllib3_refreshes_on_a_401(google_: GoogleSandbox) -> None:
    """google-auth refreshes a rejected token once and repeats the call, as it does with Google."""
    async with on_loopback(google_) as (base_url, client):
        tokens = await client.sign_in(GRACE, READ)
        credentials = Credentials(
            "ya29.stale",
            refresh_token=tokens["refresh_token"],
            token_uri=f"{base_url}/token",
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
        )
        with urllib3.PoolManager() as pool:
            http = google.auth.transport.urllib3.AuthorizedHttp(credentials, http=pool)
            response = await asyncio.to_thread(http.request, "GET", f"{base_url}{USER}/profile")

    assert response.json()["emailAddress"] == GRACE
    assert [(call.method_id, call.status) for call in google_.calls[-3:]] == [
        ("gmail.users.getProfile", 401),
        ("oauth.token.refresh_token", 200),
        ("gmail.users.getProfile", 200),
    ]


async def test_each_person_lists_their_own_mail(google_: GoogleSandbox, ada: Account, grace: Account) -> None:
    """Each list is the person's own mailbox without trash, newest first, and other people's messages are not found."""
    own = {email: [m.id for m in google_.mailbox(email) if "TRASH" not in m.label_ids] for email in (ADA, GRACE)}

    assert await ada.ids() == own[ADA]
    assert await grace.ids() == own[GRACE]
    assert await ada.ids() == own[ADA]
    assert await ada.status("GET", f"/messages/{own[GRACE][0]}") == 404
    assert await grace.status("GET", f"/messages/{own[ADA][0]}") == 404


async def test_pages_cover_the_list_once_although_mail_arrives(ada: Account, grace: Account) -> None:
    """A page token continues after the last message shown, so mail that arrives in between is not listed."""
    before = await ada.ids()
    shown, token = [], ""
    while True:
        page = await ada.get("/messages", maxResults=5, **({"pageToken": token} if token else {}))
        shown += [each["id"] for each in page["messages"]]
        await grace.post("/messages/send", {"raw": encoded(f"To: {ADA}\nSubject: more\n\n.")})
        token = page.get("nextPageToken", "")
        if not token:
            break

    assert shown == before
    assert page["resultSizeEstimate"] > len(before)


async def test_a_list_is_narrowed_by_labels_and_query(google_: GoogleSandbox, ada: Account) -> None:
    """A list is limited to all given labels and to the query, and includes trash only on request."""
    mail = google_.mailbox(ADA)
    unread = [m.id for m in mail if {"INBOX", "UNREAD"} <= m.label_ids]
    trash = [m.id for m in mail if "TRASH" in m.label_ids]
    alone = next(m for m in mail if m.id in unread and not m.subject.startswith("Re:"))
    word = alone.subject.split()[-1]

    assert await ada.ids(labelIds=["INBOX", "UNREAD"]) == unread
    assert await ada.ids(q=f"is:unread subject:{word}") == [alone.id]
    assert await ada.ids(q=word) == [alone.id]
    assert await ada.ids(q="in:trash") == await ada.ids(labelIds=["TRASH"]) == trash
    assert set(await ada.ids(includeSpamTrash="true")) == {m.id for m in mail}
    assert "messages" not in await ada.get("/messages", q="subject:nothing-like-this")


async def test_a_message_is_shown_in_each_format(google_: GoogleSandbox, ada: Account) -> None:
    """The formats full, metadata, raw and minimal each contain what Gmail's do."""
    stored = next(m for m in google_.mailbox(ADA) if m.mail.get_content_type() == "multipart/alternative")
    path = f"/messages/{stored.id}"
    full, minimal = await ada.get(path), await ada.get(path, format="minimal")
    metadata = await ada.get(path, format="metadata", metadataHeaders=["subject", "FROM"])
    raw = await ada.get(path, format="raw")
    parts = {part["mimeType"]: base64.urlsafe_b64decode(part["body"]["data"]) for part in full["payload"]["parts"]}

    assert parts["text/plain"].decode() == stored.body
    assert b"<p>" in parts["text/html"]
    assert full["snippet"] == minimal["snippet"] == stored.snippet
    assert {each["name"] for each in metadata["payload"]["headers"]} == {"Subject", "From"}
    assert base64.urlsafe_b64decode(raw["raw"]) == stored.raw
    assert not minimal.keys() & {"payload", "raw"}
    assert full["threadId"] == stored.thread_id


async def test_an_attachment_is_fetched_by_its_id(google_: GoogleSandbox, ada: Account, grace: Account) -> None:
    """A message names its attachment without the content, which only its owner can fetch by the id."""
    stored = next(m for m in google_.mailbox(ADA) if m.attachments)
    full = await ada.get(f"/messages/{stored.id}")
    part = next(each for each in full["payload"]["parts"] if each["filename"])
    path = f"/messages/{stored.id}/attachments/"
    got = await ada.get(path + part["body"]["attachmentId"])

    assert "data" not in part["body"]
    assert base64.urlsafe_b64decode(got["data"]) == stored.attachments[0].get_payload(decode=True)
    assert got["size"] == part["body"]["size"]
    assert await ada.status("GET", f"{path}bm8=") == 400
    assert await grace.status("GET", path + part["body"]["attachmentId"]) == 404


async def test_a_sent_message_arrives_unread_and_stays_in_sent(
    google_: GoogleSandbox, ada: Account, grace: Account
) -> None:
    """A sent message arrives unread, with another id and without Bcc; the sender's copy keeps Bcc."""
    mail = f"To: Grace <{GRACE}>\nBcc: eve@elsewhere.example,\n eva@elsewhere.example\nSubject: Lunch\n\nAt noon?"
    sent = await ada.post("/messages/send", {"raw": encoded(mail)})
    arrived, kept = google_.mailbox(GRACE)[0], google_.mailbox(ADA)[0]

    assert (sent["id"], sent["labelIds"]) == (kept.id, ["SENT"])
    assert arrived.label_ids == {"INBOX", "UNREAD"}
    assert arrived.id != kept.id
    assert (arrived.sender, arrived.subject, arrived.body.strip()) == (ADA, "Lunch", "At noon?")
    assert "elsewhere" not in arrived.raw.decode()
    assert kept.addresses("Bcc") == ["eve@elsewhere.example", "eva@elsewhere.example"]
    assert (await grace.ids(q="is:unread"))[0] == arrived.id


async def test_answers_join_the_thread_in_both_mailboxes(google_: GoogleSandbox, ada: Account, grace: Account) -> None:
    """A reply joins each side's own thread by In-Reply-To, and threadId must be one of the sender's."""
    sent = await ada.post("/messages/send", {"raw": encoded(f"To: {GRACE}\nSubject: Lunch\n\nNoon?")})
    got = google_.mailbox(GRACE)[0]
    answer = f"To: {ADA}\nSubject: Re: Lunch\nIn-Reply-To: {got.message_id}\n\nYes."
    answered = await grace.post("/messages/send", {"raw": encoded(answer), "threadId": got.thread_id})
    threads = [await ada.get(f"/threads/{sent['threadId']}"), await grace.get(f"/threads/{got.thread_id}")]

    assert answered["threadId"] == got.thread_id
    assert google_.mailbox(ADA)[0].thread_id == sent["threadId"]
    assert [len(thread["messages"]) for thread in threads] == [2, 2]
    assert await ada.status("POST", "/messages/send", json={"raw": encoded(answer), "threadId": got.thread_id}) == 404


@pytest.mark.parametrize(
    "mail",
    [
        f"From: {GRACE}\nTo: {GRACE}\nSubject: not me\n\n.",
        f"From: {ADA}, {GRACE}\nTo: {GRACE}\n\n.",
        "Subject: to nobody\n\n.",
        "To: nobody\n\n.",
        "no header at all",
        "",
    ],
)
async def test_what_cannot_be_sent_goes_nowhere(google_: GoogleSandbox, ada: Account, mail: str) -> None:
    """A message with another sender, without a recipient or without content is refused and stored nowhere."""
    before = len(google_.mailbox(ADA)), len(google_.mailbox(GRACE))
    status = await ada.status("POST", "/messages/send", json={"raw": encoded(mail)})

    assert status == 400
    assert (len(google_.mailbox(ADA)), len(google_.mailbox(GRACE))) == before


async def test_a_message_may_be_uploaded(google_: GoogleSandbox, client: SandboxClient, ada: Account) -> None:
    """The media upload path accepts a raw message."""
    response = await client.http.post(
        "/upload/gmail/v1/users/me/messages/send?uploadType=media",
        content=f"To: {GRACE}\r\nSubject: uploaded\r\n\r\n.".encode(),
        headers={"Authorization": f"Bearer {ada.token}", "Content-Type": "message/rfc822"},
    )

    assert response.status_code == 200
    assert google_.mailbox(GRACE)[0].subject == "uploaded"


async def test_mail_to_somebody_outside_is_kept_in_sent_only(google_: GoogleSandbox, ada: Account) -> None:
    """A message to an outside address is only stored in the sender's mailbox."""
    before = len(google_.mailbox(GRACE))
    await ada.post("/messages/send", {"raw": encoded("To: bob@elsewhere.example\nSubject: out\n\n.")})

    assert google_.mailbox(ADA)[0].label_ids == {"SENT"}
    assert len(google_.mailbox(GRACE)) == before


async def test_labels_are_changed_on_one_message_many_and_a_thread(google_: GoogleSandbox, ada: Account) -> None:
    """`modify` returns the new labels, `batchModify` returns nothing, and a thread's messages change together."""
    first, second = (await ada.ids(q="is:unread in:inbox -is:starred"))[:2]
    one = await ada.post(f"/messages/{first}/modify", {"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]})
    many = await ada.post("/messages/batchModify", {"ids": [first, second], "removeLabelIds": ["INBOX", "UNREAD"]})
    thread = next(m.thread_id for m in google_.mailbox(ADA) if m.sender == GRACE)
    changed = await ada.post(f"/threads/{thread}/modify", {"addLabelIds": ["IMPORTANT"]})

    assert one["labelIds"] == ["INBOX", "STARRED"]
    assert many is None
    assert await ada.ids(q="-in:inbox is:read is:starred") == [first]
    assert all("IMPORTANT" in each["labelIds"] for each in changed["messages"])
    assert len(changed["messages"]) == 3


@pytest.mark.parametrize("change", [{"addLabelIds": ["Label_9"]}, {"removeLabelIds": ["SENT"]}, {"addLabelIds": "X"}])
async def test_a_label_that_is_not_to_be_set_is_refused(
    google_: GoogleSandbox, ada: Account, change: dict[str, Any]
) -> None:
    """Unknown labels, and those that only Gmail may change, are refused and change nothing."""
    message = google_.mailbox(ADA)[0]

    assert await ada.status("POST", f"/messages/{message.id}/modify", json=change) == 400
    assert google_.mailbox(ADA)[0] == message


async def test_trash_and_back(google_: GoogleSandbox, ada: Account) -> None:
    """A trashed message leaves the list and the inbox, and untrashing restores it."""
    message_id = (await ada.ids(q="in:inbox"))[0]
    trashed = await ada.post(f"/messages/{message_id}/trash")
    gone = message_id not in await ada.ids()
    back = await ada.post(f"/messages/{message_id}/untrash")

    assert gone
    assert "TRASH" in trashed["labelIds"]
    assert "INBOX" not in trashed["labelIds"]
    assert "INBOX" in back["labelIds"]
    assert (await ada.ids(q="in:inbox"))[0] == message_id


async def test_threads_are_listed_by_their_newest_message(google_: GoogleSandbox, ada: Account) -> None:
    """Each thread is listed once, with its newest message's snippet."""
    listed = (await ada.get("/threads", maxResults=500))["threads"]
    newest = {m.thread_id: m for m in reversed(google_.mailbox(ADA)) if "TRASH" not in m.label_ids}

    assert {each["id"] for each in listed} == newest.keys()
    assert len(listed) == len(newest)
    assert all(each["snippet"] == newest[each["id"]].snippet for each in listed)


async def test_labels_are_listed_counted_and_made(ada: Account, grace: Account) -> None:
    """A new label belongs to its maker only, can be set, counted and searched for, and its name is taken."""
    new = {"name": "Tax Office", "labelListVisibility": "labelShow", "messageListVisibility": "show"}
    label = await ada.post("/labels", new)
    message_id = (await ada.ids())[0]
    await ada.post(f"/messages/{message_id}/modify", {"addLabelIds": [label["id"]]})
    inbox = await ada.get("/labels/INBOX")

    assert (label["type"], inbox["type"]) == ("user", "system")
    assert await ada.ids(q="label:tax-office") == [message_id]
    assert (await ada.get(f"/labels/{label['id']}"))["messagesTotal"] == 1
    assert inbox["messagesUnread"] == len(await ada.ids(q="in:inbox is:unread"))
    assert label["id"] not in [each["id"] for each in (await grace.get("/labels"))["labels"]]
    assert await ada.status("POST", "/labels", json=new) == 409


async def test_a_draft_is_written_changed_and_sent(google_: GoogleSandbox, ada: Account) -> None:
    """A draft keeps its id until it is sent; then it is gone, and the message has arrived."""
    draft = await ada.post("/drafts", {"message": {"raw": encoded("Subject: first\n\n.")}})
    before = len(google_.mailbox(GRACE))
    changed = {"message": {"raw": encoded(f"To: {GRACE}\nSubject: second\n\n.")}}
    await ada.post(f"/drafts/{draft['id']}", changed, verb="PUT")
    listed, shown = (await ada.get("/drafts"))["drafts"], await ada.get(f"/drafts/{draft['id']}")
    assert len(google_.mailbox(GRACE)) == before
    sent = await ada.post("/drafts/send", {"id": draft["id"]})

    assert [each["id"] for each in listed] == [draft["id"]]
    assert header(shown["message"], "Subject") == "second"
    assert sent["labelIds"] == ["SENT"]
    assert google_.mailbox(GRACE)[0].subject == "second"
    assert await ada.status("GET", f"/drafts/{draft['id']}") == 404
    assert not [m for m in google_.mailbox(ADA) if "DRAFT" in m.label_ids]


async def test_a_draft_is_its_writers_alone(google_: GoogleSandbox, ada: Account, grace: Account) -> None:
    """Nobody but its writer can read, send or delete a draft."""
    draft = await ada.post("/drafts", {"message": {"raw": encoded(f"To: {GRACE}\nSubject: mine\n\n.")}})
    path = f"/drafts/{draft['id']}"

    assert await grace.status("GET", path) == 404
    assert await grace.status("DELETE", path) == 404
    assert await grace.status("POST", "/drafts/send", json={"id": draft["id"]}) == 404
    assert await ada.status("DELETE", path) == 204
    assert "mine" not in {m.subject for m in google_.mailbox(ADA)}


async def test_the_metadata_scope_shows_headers_only(google_: GoogleSandbox, client: SandboxClient) -> None:
    """The metadata scope shows headers, but allows no query, no bodies and no snippets."""
    only = Account(client, (await client.sign_in(ADA, METADATA))["access_token"])
    stored = google_.mailbox(ADA)[0]
    path = f"/messages/{stored.id}"
    shown = await only.get(path, format="metadata")

    assert await only.status("GET", "/messages", params={"q": "mill"}) == 403
    assert [await only.status("GET", path, params={"format": form}) for form in ("full", "raw")] == [403, 403]
    assert await only.status("GET", path) == 403
    assert header(shown, "Subject") == stored.subject
    assert "snippet" not in shown
    assert "snippet" not in (await only.get("/threads"))["threads"][0]


async def test_the_profile_counts_the_mailbox(google_: GoogleSandbox, ada: Account, grace: Account) -> None:
    """Each person's profile shows their own mailbox."""
    profiles = [await each.get("/profile") for each in (ada, grace)]

    assert [each["emailAddress"] for each in profiles] == [ADA, GRACE]
    assert [each["messagesTotal"] for each in profiles] == [len(google_.mailbox(ADA)), len(google_.mailbox(GRACE))]
