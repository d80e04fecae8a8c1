"""The sandbox's Slack, with the unmodified slack_sdk."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx2
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.server import serve_loopback
from app.sandbox.slack.posts import Post
from app.sandbox.slack.sandbox import SlackSandbox

SECRET, TOKEN = "8f742231b10e8888abcd99yyyzzz85a5", "xoxb-sandbox"


@pytest.fixture
def slack() -> SlackSandbox:
    """Return a workspace with two people and the bot in two channels, one of which has a thread."""
    slack = SlackSandbox(signing_secret=SECRET, bot_token=TOKEN)
    for channel in ("C1", "C2"):
        slack.places.invite(channel, "U0ADA", "U0GRACE")
    slack.event(user="U0ADA", text="<@U0BOT> hello", channel="C1", ts="1.000001", kind="app_mention")
    return slack


@pytest.fixture
async def api(slack: SlackSandbox) -> AsyncIterator[str]:
    """Yield the base URL of its Web API."""
    async with serve_loopback(slack.app) as base_url:
        yield f"{base_url}/api/"


async def test_the_bot_posts_to_two_people(slack: SlackSandbox, api: str) -> None:
    """Posts to a user, a thread and one person in a channel are recorded with their places and distinct timestamps."""
    client = AsyncWebClient(TOKEN, base_url=api)
    first = await client.chat_postMessage(channel="U0ADA", text="for Ada")
    second = await client.chat_postMessage(channel="C1", text="for all", thread_ts="1.000001")
    third = await client.chat_postEphemeral(channel="C1", user="U0GRACE", text="for Grace")

    assert slack.posts == [
        Post("chat.postMessage", "D0ADA", None, None, "for Ada", first["ts"], "T0SANDBOX"),
        Post("chat.postMessage", "C1", None, "1.000001", "for all", second["ts"], "T0SANDBOX"),
        Post("chat.postEphemeral", "C1", "U0GRACE", None, "for Grace", third["message_ts"], "T0SANDBOX"),
    ]
    assert len({post.ts for post in slack.posts}) == 3


async def test_the_other_methods_answer_as_slacks_do(api: str) -> None:
    """The bot can look up itself and a person, and opening a direct conversation always returns the same one."""
    client = AsyncWebClient(TOKEN, base_url=api)
    me = await client.auth_test()
    opened = [(await client.conversations_open(users=[user]))["channel"]["id"] for user in ("U0ADA", "U0ADA", "W1")]
    ada = await client.users_info(user="U0ADA")

    assert (me["team_id"], me["user_id"]) == ("T0SANDBOX", "U0BOT")
    assert opened == ["D0ADA", "D0ADA", "D1"]
    assert (ada["user"]["id"], ada["user"]["is_bot"]) == ("U0ADA", False)


async def test_the_bot_deletes_its_own_posts_alone(slack: SlackSandbox, api: str) -> None:
    """The bot can delete its own post once, and no ephemeral post nor another workspace's post."""
    slack.admit("T0OTHER", "xoxb-other")
    slack.places["C1"].homes.add("T0OTHER")  # a channel that both share
    client, other = AsyncWebClient(TOKEN, base_url=api), AsyncWebClient("xoxb-other", base_url=api)
    posts = [await client.chat_postMessage(channel="C1", text=text) for text in ("for Ada", "for Grace")]
    ephemeral = await client.chat_postEphemeral(channel="C1", user="U0ADA", text="for Ada alone")
    gone = await client.chat_delete(channel="C1", ts=posts[0]["ts"])
    errors = []
    for asking, channel, ts in (
        (client, "C1", posts[0]["ts"]),
        (client, "C2", posts[1]["ts"]),
        (client, "C1", ephemeral["message_ts"]),
        (client, "nowhere", posts[1]["ts"]),
        (other, "C1", posts[1]["ts"]),
    ):
        with pytest.raises(SlackApiError) as caught:
            await asking.chat_delete(channel=channel, ts=ts)
        errors.append(caught.value.response["error"])

    assert (gone["channel"], gone["ts"]) == ("C1", posts[0]["ts"])
    assert errors == [*["message_not_found"] * 3, "channel_not_found", "cant_delete_message"]
    assert [post.text for post in slack.posts] == ["for Grace", "for Ada alone"]


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
async def test_another_token_is_refused(slack: SlackSandbox, api: str, token: str, error: str) -> None:
    """Without the bot's token nothing is posted."""
    async with httpx2.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = await http.post(f"{api}chat.postMessage", json={"channel": "C1", "text": "x"}, headers=headers)

    assert response.json() == {"ok": False, "error": error}
    assert slack.posts == []


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"channel": "nowhere", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C1"}, "no_text"),
        ("chat.postEphemeral", {"channel": "C1", "text": "x"}, "user_not_found"),
        ("users.info", {"user": "ada"}, "user_not_found"),
        ("conversations.open", {}, "user_not_found"),
        ("chat.shout", {}, "unknown_method"),
    ],
)
async def test_what_slack_would_refuse_is_refused(
    slack: SlackSandbox, api: str, method: str, arguments: dict[str, str], error: str
) -> None:
    """A refused call raises SlackApiError with Slack's error code."""
    with pytest.raises(SlackApiError) as caught:
        await AsyncWebClient(TOKEN, base_url=api).api_call(method, json=arguments)

    assert caught.value.response["error"] == error
    assert slack.posts == []


async def test_an_event_arrives_signed_and_a_retry_repeats_it(slack: SlackSandbox) -> None:
    """An event passes Slack's own verifier, and a retry has the same event id and its number."""
    received: list[tuple[bool, str, str | None]] = []

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        valid = SignatureVerifier(SECRET).is_valid_request(body, dict(request.headers))
        received.append((valid, (await request.json())["event_id"], request.headers.get("x-slack-retry-num")))
        return JSONResponse({})

    app = Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])
    payload = slack.event(user="U0ADA", text="hello", channel="D0ADA", event_id="Ev1")
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        await slack.post_event(http, "/slack/events", payload)
        await slack.post_event(http, "/slack/events", payload, retry_num=1)

    assert received == [(True, "Ev1", None), (True, "Ev1", "1")]


def test_a_signature_is_bound_to_the_body_the_time_and_the_secret(slack: SlackSandbox) -> None:
    """A signature becomes invalid if the body, the time or the secret changes."""
    now = time.time()
    headers, other = slack.sign(b"body", now), SlackSandbox(signing_secret="other", bot_token=TOKEN)
    verifier = SignatureVerifier(SECRET)

    assert verifier.is_valid_request(b"body", headers)
    assert not verifier.is_valid_request(b"other body", headers)
    assert not verifier.is_valid_request(b"body", slack.sign(b"body", now - 301))
    assert not verifier.is_valid_request(b"body", other.sign(b"body", now))


def test_events_have_slacks_shape(slack: SlackSandbox) -> None:
    """A direct message and a mention have Slack's different fields, and each has its own event id and timestamp."""
    direct = slack.event(user="U0ADA", text="hello", channel="D0ADA")
    mention = slack.event(user="U0GRACE", text="<@U0BOT> hi", channel="C1", thread_ts="1.2", kind="app_mention")

    assert direct["type"] == mention["type"] == "event_callback"
    assert (direct["event"]["type"], direct["event"]["channel_type"]) == ("message", "im")
    assert (mention["event"]["type"], mention["event"]["thread_ts"]) == ("app_mention", "1.2")
    assert "channel_type" not in mention["event"]
    assert "thread_ts" not in direct["event"]
    assert direct["event_id"] != mention["event_id"]
    assert direct["event"]["ts"] != mention["event"]["ts"]
    assert direct["authorizations"][0]["user_id"] == "U0BOT"
