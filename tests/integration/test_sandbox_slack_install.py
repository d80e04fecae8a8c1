"""Installing an app in the sandbox's Slack, with the unmodified slack_sdk."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from app.sandbox.server import serve_loopback
from app.sandbox.slack.install import SlackInstalls
from app.sandbox.slack.sandbox import SlackSandbox
from tests.fakes.workspaces import CLIENT_ID, CLIENT_SECRET, sandbox

REDIRECT = "http://127.0.0.1:9/slack/oauth/callback"
Slack = tuple[SlackSandbox, SlackInstalls, str]


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """Yield a Slack, its installations, and its address."""
    slack, installs = sandbox(REDIRECT)
    async with serve_loopback(installs.app) as url:
        yield slack, installs, url


async def allow(url: str, place: str, decision: str = "allow", **changes: str) -> httpx2.Response:
    """Decide on the page that asks whether to install."""
    query = {"client_id": CLIENT_ID, "redirect_uri": REDIRECT, "scope": "chat:write", "state": "s"} | changes
    async with httpx2.AsyncClient() as browser:
        address = f"{url}/oauth/v2/authorize?{urlencode(query)}"
        assert (await browser.get(address)).status_code in (200, 400)
        return await browser.post(address, data={"place": place, "decision": decision})


async def exchange(url: str, code: str, secret: str = CLIENT_SECRET, redirect_uri: str = REDIRECT) -> dict[str, object]:
    """Return the answer of ``oauth.v2.access``."""
    header = base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode()
    form = {"code": code, "redirect_uri": redirect_uri}
    async with httpx2.AsyncClient(headers={"Authorization": f"Basic {header}"}) as client:
        answer: dict[str, object] = (await client.post(f"{url}/api/oauth.v2.access", data=form)).json()
    return answer


async def code_of(url: str, place: str) -> str:
    """Return a code for one place."""
    return parse_qs(urlsplit((await allow(url, place)).headers["location"]).query)["code"][0]


async def test_a_token_of_another_workspace_is_refused(slack: Slack) -> None:
    """A channel accepts posts only with the token of its own workspace."""
    sandbox, installs, url = slack
    for place, channel in (("T0ONE", "C0ONE"), ("T0TWO", "C0TWO")):
        await exchange(url, await code_of(url, place))
        sandbox.event(user="U0ADA", text="hello", channel=channel, team=place)
    one = AsyncWebClient(installs.tokens["T0ONE"], base_url=f"{url}/api/")
    await one.chat_postMessage(channel="C0ONE", text="mine")
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await one.chat_postMessage(channel="C0TWO", text="not mine")

    assert [(post.workspace, post.channel) for post in sandbox.posts] == [("T0ONE", "C0ONE")]
    assert (await one.auth_test())["team_id"] == "T0ONE"


async def test_a_token_is_over_when_its_installation_is(slack: Slack) -> None:
    """After an uninstallation or a new installation the former token is refused."""
    _, installs, url = slack
    tokens = []
    for _ in range(2):
        await exchange(url, await code_of(url, "T0ONE"))
        tokens.append(installs.tokens["T0ONE"])
    event = installs.uninstall("T0ONE")

    assert len(set(tokens)) == 2
    assert (event["event"]["type"], event["authorizations"][0]["team_id"]) == ("app_uninstalled", "T0ONE")
    for token in tokens:
        with pytest.raises(SlackApiError, match="invalid_auth"):
            await AsyncWebClient(token, base_url=f"{url}/api/").auth_test()


async def test_a_code_is_good_once_for_its_client_and_its_place_to_go_back_to(slack: Slack) -> None:
    """A used code, another secret and another redirect URI are refused with Slack's errors."""
    _, installs, url = slack
    code = await code_of(url, "T0ONE")
    first, again = await exchange(url, code), await exchange(url, code)
    secret = await exchange(url, await code_of(url, "T0TWO"), secret="guessed")
    elsewhere = await exchange(url, await code_of(url, "T0TWO"), redirect_uri=f"{REDIRECT}/")

    assert first["ok"] is True
    assert [answer["error"] for answer in (again, secret, elsewhere)] == [
        "invalid_code", "bad_client_secret", "bad_redirect_uri",
    ]  # fmt: skip
    assert set(installs.tokens) == {"T0ONE"}


@pytest.mark.parametrize("changes", [{"client_id": "x"}, {"redirect_uri": "http://evil.example/"}, {"scope": ""}])
async def test_a_request_that_is_wrong_sends_nobody_on(slack: Slack, changes: dict[str, str]) -> None:
    """A request with another client, another redirect URI or no scope gets an error page without a redirect."""
    answer = await allow(slack[2], "T0ONE", **changes)

    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_who_cancels_is_sent_back_without_a_code(slack: Slack) -> None:
    """Cancelling redirects with the error and the state, and without a code."""
    answer = await allow(slack[2], "T0ONE", decision="deny")

    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"error": ["access_denied"], "state": ["s"]}
