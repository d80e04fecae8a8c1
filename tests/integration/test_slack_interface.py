"""The Slack interface: which requests are accepted, which events are a person's message, and how answers look."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import sqlalchemy as sa
from dependency_injector import providers

from app.database.tables import messages, outbox
from app.delivery.store.lease import MessageLease, new_holder
from app.delivery.store.owing import ReplyState
from app.log_once import LogOnce
from app.messages import MAX_TEXT_LENGTH
from app.principal import Principal
from app.reply import ReplyContent
from app.sections.delivery import DeliverySettings
from containers.application import Application
from interfaces.slack.client import ANSWERED_DIRECTLY
from interfaces.slack.formatting import MAX_MARKDOWN_LENGTH
from tests.fakes.core_server import until
from tests.fakes.environment import Environment, open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import ADA, QUESTION, TEAM, Ahead, Server, direct, eventually, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack."""
    async with open_environment(Path(tmp_path_factory.mktemp("slack"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment) -> AsyncIterator[Server]:
    """Yield a server on a socket."""
    async with environment.server(lambda container: ScriptedModel().install(container)) as server:
        yield server


async def post(server: Server, body: bytes, headers: dict[str, str]) -> httpx2.Response:
    """Post raw bytes to the events route."""
    return await server.client.post("/slack/events", content=body, headers={**JSON, **headers})


async def post_signed(server: Server, body: bytes) -> httpx2.Response:
    """Post raw bytes with a fresh signature of Slack's."""
    return await post(server, body, server.slack.sign(body, time.time()))


async def texts(server: Server) -> list[str]:
    """Return the texts of all stored messages, in order."""
    async with server.container.database().reading() as connection:
        return list((await connection.execute(sa.select(messages.c.body).order_by(messages.c.created_at))).scalars())


def event(server: Server, name: str = "ada", text: str = "repeat hello", **changes: Any) -> dict[str, Any]:
    """Return a direct message whose inner event has some keys changed; None removes a key."""
    payload = server.slack.event(user=user(name), text=text, channel=direct(name))
    payload["event"] = {key: value for key, value in {**payload["event"], **changes}.items() if value is not None}
    return payload


UNSIGNED = {
    "no header": lambda good: {},
    "no signature": lambda good: {"X-Slack-Request-Timestamp": good["X-Slack-Request-Timestamp"]},
    "no time stamp": lambda good: {"X-Slack-Signature": good["X-Slack-Signature"]},
    "wrong signature": lambda good: {**good, "X-Slack-Signature": "v0=" + "0" * 64},
    "another version": lambda good: {**good, "X-Slack-Signature": good["X-Slack-Signature"].replace("v0", "v1")},
    "empty signature": lambda good: {**good, "X-Slack-Signature": ""},
    "signature that is not ASCII": lambda good: {**good, "X-Slack-Signature": b"v0=\xe4"},
    "another time stamp": lambda good: {
        **good,
        "X-Slack-Request-Timestamp": str(int(good["X-Slack-Request-Timestamp"]) - 1),
    },
    "no number": lambda good: {**good, "X-Slack-Request-Timestamp": "soon"},
    "empty time stamp": lambda good: {**good, "X-Slack-Request-Timestamp": ""},
    "negative time stamp": lambda good: {**good, "X-Slack-Request-Timestamp": "-1"},
    "a fraction": lambda good: {**good, "X-Slack-Request-Timestamp": f"{time.time()}"},
    "huge time stamp": lambda good: {**good, "X-Slack-Request-Timestamp": "9" * 5000},
    "digits of another script": lambda good: {**good, "X-Slack-Request-Timestamp": "١٢٣".encode()},
}


@pytest.mark.parametrize("headers", UNSIGNED.values(), ids=UNSIGNED.keys())
@pytest.mark.parametrize("kind", ["event_callback", "url_verification"])
async def test_what_slack_did_not_sign_is_refused(server: Server, headers: Any, kind: str) -> None:
    """A request without a valid signature over its body and time is refused, including the URL verification."""
    payload = event(server) if kind == "event_callback" else {"type": kind, "challenge": "secret-challenge"}
    body = json.dumps(payload).encode()
    before = await texts(server)
    response = await post(server, body, headers(server.slack.sign(body, time.time())))

    assert response.status_code == 401
    assert response.json()["error"] == "UnauthenticatedError"
    assert "secret-challenge" not in response.text
    assert await texts(server) == before


@pytest.mark.parametrize("seconds", [-3600, -301, 360, 3600])  # a future time gets closer while the request is sent
async def test_a_signature_of_another_time_is_refused(server: Server, seconds: int) -> None:
    """A request signed more than five minutes ago, or in the future, is refused as a replay."""
    body = json.dumps(event(server)).encode()
    before = await texts(server)
    stale = await post(server, body, server.slack.sign(body, time.time() + seconds))

    assert stale.status_code == 401
    assert await texts(server) == before


async def test_a_changed_body_is_refused(server: Server) -> None:
    """A signature is valid only for the body that it was made for."""
    signed = json.dumps(event(server)).encode()
    response = await post(server, signed.replace(b"hello", b"HELLO"), server.slack.sign(signed, time.time()))

    assert response.status_code == 401


async def test_the_url_is_verified(server: Server) -> None:
    """A signed URL verification gets its challenge back."""
    response = await post_signed(server, json.dumps({"type": "url_verification", "challenge": "3eZb"}).encode())

    assert (response.status_code, response.json()) == (200, {"challenge": "3eZb"})


BAD_BODIES = {
    "no body": b"",
    "broken JSON": b'{"type": ',
    "not UTF-8": b'{"type": "\xff"}',
    "no object": b'["event_callback"]',
    "null": b"null",
    "a number": b"7",
    "deeply nested": b"[" * 100_000,
    "a challenge that is no text": b'{"type": "url_verification", "challenge": {"a": 1}}',
    "half a surrogate pair as challenge": b'{"type": "url_verification", "challenge": "\\ud83d"}',
    "no challenge": b'{"type": "url_verification"}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_refused(server: Server, body: bytes) -> None:
    """A signed body that cannot be parsed gets a 400 or 401 in JSON and stores nothing."""
    before = await texts(server)
    response = await post_signed(server, body)

    assert response.status_code in (400, 401)
    assert set(response.json()) == {"error", "detail"}
    assert await texts(server) == before


@pytest.mark.parametrize("value", [None, "", 7, {"a": 1}, "\x00", "\ud83d"])
@pytest.mark.parametrize("key", ["ts", "team_id", "user", "channel"])
async def test_an_event_that_lacks_an_id_is_refused(server: Server, key: str, value: Any) -> None:
    """An event whose id, team, user or channel is missing or malformed gets a 400 and stores nothing."""
    payload = event(server)
    place = payload if key in payload else payload["event"]
    del place[key]
    if value is not None:
        place[key] = value
    before = await texts(server)
    response = await post_signed(server, json.dumps(payload).encode())

    assert response.status_code == 400, response.text
    assert set(response.json()) == {"error", "detail"}
    assert await texts(server) == before


@pytest.mark.parametrize("text", ["hello \x00", "hello \ud83d"])
async def test_a_text_that_cannot_be_stored_is_refused(server: Server, text: str) -> None:
    """A text with NUL or half a surrogate pair, which cannot be stored, gets a 400."""
    response = await post_signed(server, json.dumps(event(server, text=text)).encode())

    assert response.status_code == 400


async def test_an_oversize_body_is_refused(server: Server) -> None:
    """A body over the limit gets a 413."""
    response = await post_signed(server, b" " * (server.settings.server.max_body_bytes + 1))

    assert response.status_code == 413


NOBODYS = {
    "another bot": {"bot_id": "B0OTHER", "bot_profile": {"id": "B0OTHER"}},
    "the bot itself": {"bot_id": "B0SANDBOX", "user": "U0BOT"},
    "a bot's message": {"subtype": "bot_message", "user": None},
    "an edit": {"subtype": "message_changed", "message": {"user": "U0ADA", "text": "edited"}, "user": None},
    "a deletion": {"subtype": "message_deleted", "user": None},
    "a join": {"subtype": "channel_join"},
    "a topic": {"subtype": "channel_topic"},
    "an unknown subtype": {"subtype": "something_new"},
    "a channel's message": {"channel_type": "channel", "channel": "C0TEAM"},
    "a group chat's message": {"channel_type": "mpim", "channel": "G0TEAM"},
    "a reaction": {"type": "reaction_added"},
    "no type": {"type": None},
}


@pytest.mark.parametrize("changes", NOBODYS.values(), ids=NOBODYS.keys())
async def test_what_no_person_said_to_it_is_ignored(server: Server, changes: dict[str, Any]) -> None:
    """Events that are not a person's message to the assistant are acknowledged and not stored."""
    before = await texts(server)
    response = await server.deliver(event(server, **changes))

    assert (response.status_code, response.json()) == (200, {"ok": True})
    assert await texts(server) == before


@pytest.mark.parametrize(
    "payload", [{"type": "app_rate_limited"}, {"type": "event_callback"}, {"type": "event_callback", "event": []}, {}]
)
async def test_a_payload_of_another_kind_is_ignored(server: Server, payload: dict[str, Any]) -> None:
    """A signed payload that is not an event is acknowledged, so that Slack does not send it again."""
    response = await server.deliver(payload)

    assert response.status_code == 200


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast"])
async def test_a_persons_message_of_another_form_is_answered(server: Server, subtype: str) -> None:
    """A message with a file, or a thread reply that is also sent to the channel, is answered."""
    name = subtype.replace("_", "")
    await server.deliver(event(server, name, subtype=subtype))

    assert [post.text for post in await server.posts(direct(name), 1)] == ["hello"]


@pytest.mark.parametrize(("typed", "understood"), [
    ("<@U0BOT> repeat hello", "repeat hello"),
    ("  <@U0BOT|deputy>   repeat hello", "repeat hello"),
    ("<@U0BOT> repeat hello <@U0GRACE>", "repeat hello @u0grace"),
    ("repeat <https://example.com/?a=1&amp;b=2|example>", "repeat example (https://example.com/?a=1&b=2)"),
    ("repeat <mailto:ada@example.com|ada@example.com>", "repeat ada@example.com"),
    ("repeat a &lt; b &amp;&amp; b &gt; c", "repeat a < b && b > c"),
    ("repeat &amp;lt;", "repeat &lt;"),
])  # fmt: skip
async def test_what_a_person_typed_is_restored(server: Server, typed: str, understood: str) -> None:
    """The bot's mention is removed, and Slack's escapes for links and characters are undone exactly once."""
    await server.deliver(event(server, "typist", text=typed))

    assert (await texts(server))[-1] == understood


def _shared(**attachment: Any) -> dict[str, Any]:
    return {"attachments": [{"is_share": True, "author_name": "Grace", **attachment}]}


WORDLESS = {
    "a file": ({"text": "", "subtype": "file_share", "files": [{"name": "plan.pdf"}]}, "plan.pdf"),
    "a forward": ({"text": "", **_shared(text="pay &lt;now&gt;\nplease")}, "> pay <now>\n> please"),
    "a forward with a comment": ({"text": "see this", **_shared(text="pay now")}, "see this"),
    "its forwarded part": ({"text": "see this", **_shared(text="pay now")}, "by Grace:]\n> pay now"),
    "a bare mention": ({"text": "<@U0BOT> "}, "mentions you"),
    "no text": ({"text": ""}, "no words"),
    "no text at all": ({"text": None}, "no words"),
    "blocks alone": ({"text": " ", "blocks": [{"type": "divider"}]}, ""),
    "a picture": ({"text": "", "attachments": [{"fallback": "a cat"}]}, "a cat"),
    "an action": ({"text": "waves", "subtype": "me_message"}, "waves"),
}


@pytest.mark.parametrize(("changes", "understood"), WORDLESS.values(), ids=WORDLESS.keys())
async def test_a_message_without_words_gets_an_answer(
    server: Server, changes: dict[str, Any], understood: str, request: pytest.FixtureRequest
) -> None:
    """A message without words, such as a file or a forward, is answered, and the assistant learns what was sent."""
    name = "wordless" + re.sub("[^a-z]", "", request.node.callspec.id)
    await server.deliver(event(server, name, **changes))
    stored = (await texts(server))[-1]

    assert understood in stored
    assert len(await server.posts(direct(name), 1)) == 1


async def test_a_message_under_two_event_ids_is_answered_once(server: Server) -> None:
    """An edit, or a second event about the same message, is not answered again."""
    mention = server.slack.event(
        user=user("editor"), text="<@U0BOT> repeat one", channel="C0EDITS", ts="1700000009.000001", kind="app_mention"
    )
    inner = mention["event"]
    edited = {**inner, "text": "<@U0BOT> repeat two", "edited": {"user": user("editor"), "ts": "1700000010.000000"}}
    for number, each in enumerate((inner, inner, edited)):
        await server.deliver({**mention, "event_id": f"Ev{number}", "event": each})
    written = event(server, "editor", text="<@U0BOT> repeat three")
    for kind in ({}, {"type": "app_mention", "channel_type": None}):
        await server.deliver({**written, "event_id": f"Ev{len(kind)}", "event": {**written["event"], **kind}})
    other = server.slack.event(
        user=user("other"), text="<@U0BOT> repeat four", channel="C0OTHER", ts="1700000009.000001", kind="app_mention"
    )
    await server.deliver(other)
    await server.posts("C0OTHER", 1)
    await server.posts(direct("editor"), 1)
    mine = [row.body for row in await _rows(server) if row.user_id == user("editor")]

    assert mine == ["repeat one", "repeat three"]
    assert [post.text for post in await server.posts("C0EDITS", 1)] == ["one"]
    assert [post.text for post in server.posted("C0OTHER")] == ["four"]


async def test_rejected_signatures_are_in_the_log_once_a_minute(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Rejected signatures are logged at most once a minute, with a hint to check the secret."""
    caplog.clear()
    server.container.channel_parts.providers["slack.SlackRoutes"]()._log = LogOnce(logging.getLogger("test"))
    body = json.dumps(event(server)).encode()
    for _ in range(5):
        await post(server, body, {"X-Slack-Request-Timestamp": str(int(time.time())), "X-Slack-Signature": "v0=00"})

    lines = [record.getMessage() for record in caplog.records if record.name == "test"]
    assert len(lines) == 1
    assert "POST /slack/events was refused" in lines[0]
    assert "check" in lines[0]


async def test_a_text_over_the_limit_is_cut(server: Server) -> None:
    """A text longer than Slack's longest message is cut there and still stored."""
    await server.deliver(event(server, "longtypist", text="repeat " + "x" * MAX_TEXT_LENGTH))

    assert len((await texts(server))[-1]) == MAX_TEXT_LENGTH


async def test_a_long_answer_is_posted_in_parts(server: Server) -> None:
    """A long answer is posted in parts within Slack's limit, which together are the whole answer in order."""
    lines = [f"line {number:04}" for number in range(2000)]
    await server.deliver(event(server, "long", text="repeat " + "\n".join(lines)))
    posts = await server.posts(direct("long"), 3)

    shown = [line for post in posts for line in post.text.splitlines() if not line.startswith("(continued, ")]
    assert shown == lines
    assert all(len(post.text) <= MAX_MARKDOWN_LENGTH for post in posts)


async def test_a_mail_cannot_call_the_channel(server: Server) -> None:
    """Commands, mentions and links in a quoted mail are escaped, so that Slack shows them as text."""
    ada = Principal("slack", TEAM, user("victim"))
    await server.connect(ada, ADA)
    raw = f"From: {ADA}\r\nTo: {ADA}\r\nSubject: <!channel> <@U0GRACE> & <https://evil.example|ok>\r\n\r\n<!here>"
    await server.send_mail(ada, raw)
    await server.deliver(event(server, "victim", text=QUESTION))
    answer = (await server.posts(direct("victim"), 1))[0].text

    assert "&lt;!channel&gt; &lt;@U0GRACE&gt; &amp; &lt;https://evil.example|ok&gt;" in answer
    assert "<" not in answer


MARKED = "~do not~ pay *5* _or_ `6`, see <https://pay.example/a_b?c=*d*>."


async def test_an_answer_is_markdown_and_its_fallback_is_not(environment: Environment, server: Server) -> None:
    """An answer's block and fallback text both hold it as it was written, and the fallback is not read as markup."""
    await server.deliver(event(server, "marks", text=f"repeat {MARKED}"))
    await server.posts(direct("marks"), 1)
    (asked,) = [each for each in environment.slack_proxy.asked if each["channel"] == direct("marks")]

    assert asked["mrkdwn"] is False
    assert "~do not~ pay *5* _or_ `6`" in asked["text"]
    assert asked["blocks"] == [{"type": "markdown", "text": asked["text"]}]


async def test_links_in_answers_are_not_unfurled(environment: Environment, server: Server) -> None:
    """An answer's links are not unfurled, because fetching them could open consent links and reveal who read what."""
    await server.deliver(event(server, "unfurl", text="repeat https://example.com/"))
    await server.posts(direct("unfurl"), 1)
    asked = next(each for each in environment.slack_proxy.asked if each["channel"] == direct("unfurl"))

    assert (asked["unfurl_links"], asked["unfurl_media"]) == (False, False)


async def test_people_of_two_companies_are_two_people(server: Server) -> None:
    """In a shared channel the tenant is the sender's own company, even if another company receives the event."""
    for team in ("T0OTHER", TEAM):
        await server.deliver(event(server, "shared", team=team, user_team=team))
    query = sa.select(messages.c.tenant).where(messages.c.user_id == user("shared")).order_by(messages.c.created_at)
    async with server.container.database().reading() as connection:
        tenants = list((await connection.execute(query)).scalars())

    assert tenants == ["T0OTHER", TEAM]


@pytest.mark.parametrize(("shared", "status"), [(True, 400), ("yes", 400), (False, 200), (None, 200)])
async def test_nobody_is_of_the_receiving_team_by_default(server: Server, shared: object, status: int) -> None:
    """A sender without a team is refused where the channel may be shared, and otherwise belongs to the workspace."""
    name = f"nowhere{status}{shared}".lower()
    payload = event(server, name, team=None)
    del payload["is_ext_shared_channel"]
    response = await server.deliver(payload | ({"is_ext_shared_channel": shared} if shared is not None else {}))
    query = sa.select(messages.c.tenant).where(messages.c.user_id == user(name))
    async with server.container.database().reading() as connection:
        tenants = list((await connection.execute(query)).scalars())

    assert response.status_code == status
    assert tenants == ([TEAM] if status == 200 else [])


async def test_people_of_an_organisation_are_one_across_its_teams(server: Server) -> None:
    """In Enterprise Grid a person is the same principal in every workspace of the organisation."""
    for team in ("T0ONE", "T0TWO"):
        payload = event(server, "grid", text="repeat hello", team=team)
        await server.deliver({**payload, "team_id": team, "enterprise_id": "E0GRID"})
    query = sa.select(messages.c.tenant).where(messages.c.user_id == user("grid"))
    async with server.container.database().reading() as connection:
        tenants = list((await connection.execute(query)).scalars())

    assert tenants == ["E0GRID", "E0GRID"]


async def test_an_answer_that_slack_refuses_is_sent_later_once(environment: Environment) -> None:
    """While Slack refuses posts, the answer is kept; once Slack accepts them, it is posted once."""
    asked = environment.slack_proxy.asked
    faults, delivery = environment.slack_proxy.faults, DeliverySettings(scan_seconds=0.02, backoff_seconds=0.4)

    def prepare(container: Application) -> None:
        ScriptedModel().install(container)

    async with environment.in_process(prepare, database="refused", delivery=delivery) as server:
        faults[direct("refused")].extend(["ratelimited"] * 9)
        await server.deliver(event(server, "refused"))
        await eventually(lambda: [each for each in asked if each["channel"] == direct("refused")])
        await asyncio.sleep(0.1)
        refused = server.posted(direct("refused"))
        faults[direct("refused")].clear()
        posts = await server.posts(direct("refused"), 1)
        await asyncio.sleep(0.1)

        assert refused == []
        assert [post.text for post in posts] == ["hello"]
        assert server.posted(direct("refused")) == posts


@pytest.mark.parametrize("place", ["direct", "thread"])
async def test_a_reply_that_is_tried_again_is_posted_once(server: Server, place: str) -> None:
    """A retried reply finds its posted parts by their metadata, and posts only the missing part."""
    name = f"again{place}"
    thread = "1700000000.000001" if place == "thread" else None
    payload = server.slack.event(user=user(name), text="repeat hello", channel=direct(name), thread_ts=thread)
    await server.deliver(payload)
    await server.posts(direct(name), 1)
    (row,) = [each for each in await _rows(server) if each.user_id == user(name)]
    message = await server.container.inbox().get(Principal("slack", TEAM, user(name)), row.id)
    channel = server.container.channels()["slack"].sends
    text = "\n".join(f"line {number:04}" for number in range(2000))
    for again in (False, True, True):
        await channel.send(message, ReplyContent(text), private=False, reply_id="a" * 32, again=again)
    posted = server.posted(direct(name))[1:]
    server.slack.posts.remove(posted[1])
    await channel.send(message, ReplyContent(text), private=False, reply_id="a" * 32, again=True)
    await channel.send(message, ReplyContent("another"), private=False, reply_id="b" * 32, again=True)

    assert len(posted) == 3
    assert [post.text for post in server.posted(direct(name))[1:]] == [
        posted[0].text, posted[2].text, posted[1].text, "another"
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["fatal_error", "ratelimited"])
async def test_a_post_without_an_answer_is_not_repeated_blindly(environment: Environment, fault: str) -> None:
    """When Slack breaks off, the next try finds a post that arrived, and posts again only what was refused."""
    asked, name = environment.slack_proxy.asked, f"broken{fault.replace('_', '')}"
    broken, ahead = fault == "fatal_error", Ahead()

    def tries() -> list[dict[str, Any]]:
        return [each for each in asked if each["channel"] == direct(name)]

    def prepare(container: Application) -> None:
        ScriptedModel().install(container)
        lease = MessageLease(new_holder(), now=ahead)
        container.message_lease.override(providers.Object(lease))

    delivery = DeliverySettings(scan_seconds=0.02)
    async with environment.in_process(prepare, database=name, delivery=delivery) as server:
        (environment.slack_proxy.broken if broken else environment.slack_proxy.faults)[direct(name)].append(fault)
        await server.deliver(event(server, name))
        await until(lambda: _has_reply(server, outbox.c.next_try_at.is_not(None)))
        ahead.seconds = 3600.0
        await until(lambda: _has_reply(server, outbox.c.state == ReplyState.SENT))

        assert ["metadata" in each for each in tries()] == (
            [True, False]
            if broken
            else [True, False, True, False]  # parts that another process may have posted are looked up too
        )
        assert [post.text for post in server.posted(direct(name))] == ["hello"]


async def test_a_private_answer_that_is_tried_again_comes_once(server: Server) -> None:
    """A private answer that is retried is posted once in the direct chat and mentioned once in the thread."""
    payload = server.slack.event(user=user("alone"), text="<@U0BOT> repeat x", channel="C0ALONE", kind="app_mention")
    await server.deliver(payload)
    await server.posts("C0ALONE", 1)
    (row,) = [each for each in await _rows(server) if each.user_id == user("alone")]
    message = await server.container.inbox().get(Principal("slack", TEAM, user("alone")), row.id)
    for again in (False, True):
        await server.container.channels()["slack"].sends.send(
            message, ReplyContent("private"), private=True, reply_id="c" * 32, again=again
        )

    assert [post.text for post in server.posted(direct("alone"))] == ["private"]
    assert [post.text for post in server.posted("C0ALONE")] == ["x", f"<@{user('alone')}> {ANSWERED_DIRECTLY}"]


async def _has_reply(server: Server, which: sa.ColumnElement[bool]) -> bool:
    async with server.container.database().reading() as connection:
        return bool(await connection.scalar(sa.select(sa.exists().where(which))))


async def _rows(server: Server) -> list[sa.Row[Any]]:
    async with server.container.database().reading() as connection:
        return list(await connection.execute(sa.select(messages)))
