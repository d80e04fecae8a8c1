"""The pages as the whole server shows them; test_consent.py tests the consent flow itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

from app.consent.linking import LinkingMode
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.visitor import code_on
from app.sections.delivery import DeliverySettings
from app.sections.google import ConsentSettings
from tests.fakes.consent import Browser
from tests.fakes.core_server import until
from tests.fakes.environment import open_environment
from tests.fakes.sandbox import READ
from tests.fakes.server import ADA, GRACE, QUESTION, TEAM, Ahead, Server, eventually, own_markers

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server on a socket."""
    async with open_environment(Path(tmp_path_factory.mktemp("web"))) as environment, environment.server() as server:
        yield server


async def ask_for_mail(server: Server, principal: Principal) -> dict[str, str]:
    """Return the status of a message that waits for consent."""
    response = await server.ask(principal, QUESTION)
    assert response.status_code == 202
    parked: dict[str, str] = response.json()
    return parked


def assert_page(response: httpx2.Response, status: int) -> None:
    """Assert that the response is one of our pages and is not cached."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["cache-control"] == "no-store"


BAD_TOKENS = ["x", "%00", "%ED%A0%80", "x" * 5000, "<script>alert(1)", "' OR 1=1 --", "%2e%2e"]


@pytest.mark.parametrize("token", BAD_TOKENS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_was_never_issued_is_gone(server: Server, method: str, token: str) -> None:
    """A link that was never issued gets a 410 page that does not repeat the token."""
    response = await server.client.request(method, f"/connect/google/{token}")

    assert_page(response, 410)
    assert "script" not in response.text


BAD_CALLBACKS = [
    "", "state=", "state=x", "code=x", "state=x&code=", "state=x&code=y", "state=%00&code=%00",
    "state=%ED%A0%80&code=y",
    "state=x&error=access_denied", "state=x&state=y&code=z", f"state={'x' * 5000}&code=y",
    "state=<script>&error=<script>", "state=x&code=y&error=<script>",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_CALLBACKS)
async def test_a_callback_that_fits_no_sign_in_is_refused(server: Server, query: str) -> None:
    """A callback with an unknown state gets a 400 page, and Google is not called."""
    asked = len(server.google.calls)
    response = await server.client.get(f"/oauth/google/callback?{query}")

    assert_page(response, 400)
    assert "<script" not in response.text
    assert len(server.google.calls) == asked


async def test_links_lead_to_the_public_address(server: Server, ada: Principal, grace: Principal) -> None:
    """Consent links use the public address in the settings, not the request's Host header, and differ per person."""
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    told = [
        await server.client.post(
            "/v1/messages",
            json={"conversation": "host", "text": QUESTION},
            headers={**await server.bearer(person), **headers},
        )
        for person in (ada, grace)
    ]

    links = [each.json()["consent_url"] for each in told]
    buttons = [each.json()["buttons"] for each in told]
    assert all(link.startswith(f"{server.settings.server.public_url}/connect/google/") for link in links)
    assert links[0] != links[1]
    assert buttons == [[{"label": "Connect Google", "url": link, "style": "primary"}] for link in links]


async def test_who_says_no_is_told_so_and_nobody_else_waits(server: Server) -> None:
    """When one person refuses and another allows, both messages end: one with an explanation, one with mail."""
    people = [Principal("http", "demo", name) for name in ("ada-no", "grace-yes")]
    parked = [await ask_for_mail(server, person) for person in people]
    refused, allowed = await asyncio.gather(
        server.consent(parked[0]["consent_url"], ADA, allow=False), server.consent(parked[1]["consent_url"], GRACE)
    )
    assert_page(refused, 200)
    assert_page(allowed, 200)
    await server.confirm(people[1], allowed)
    told = [await server.told(person, each["message"]) for person, each in zip(people, parked, strict=True)]

    assert [each["state"] for each in told] == ["done", "done"]
    assert "You did not connect" in told[0]["answer"]
    shown = {marker.lower() for marker in MARKER.findall(told[1]["answer"])}
    assert shown
    assert shown <= own_markers(server.google, [GRACE])[GRACE]
    assert not MARKER.search(told[0]["answer"])


async def test_the_style_sheet_is_served(server: Server) -> None:
    """The style sheet is served, and other files beside it are not."""
    style = await server.client.get("/static/page.css")
    beside = await server.client.get("/static/..%2Finterface.py")

    assert (style.status_code, beside.status_code) == (200, 404)


async def test_a_server_that_asks_for_a_login_sends_people_to_slack(tmp_path: Path) -> None:
    """With `channel_login` a Slack user is redirected to sign in at Slack; an HTTP user gets a code."""
    async with open_environment(tmp_path) as environment:
        slack = environment.settings.interfaces.slack
        assert slack is not None
        client = {"client_id": "1.2", "client_secret": SecretStr("s"), "openid_root": "http://127.0.0.1:9"}
        interfaces = environment.settings.interfaces.model_copy(update={"slack": slack.model_copy(update=client)})
        google = environment.settings.google.model_copy(update={"linking": LinkingMode.CHANNEL_LOGIN})
        async with environment.server(interfaces=interfaces, google=google) as server:
            pages = {}
            for person, email in ((Principal("slack", TEAM, "U0ADA"), ADA), (Principal("http", "demo", "g"), GRACE)):
                consent = server.container.consent()
                link = (await consent.sign_in(person, await consent.ask(person, frozenset({READ})))).url
                browser = Browser()
                pages[person.platform] = await browser.allow(str(link), email)
                await browser.http.aclose()

    assert pages["slack"].status_code == 303
    assert pages["slack"].headers["location"].startswith("http://127.0.0.1:9/openid/connect/authorize?")
    assert code_on(pages["http"]) is not None


async def test_what_waits_too_long_for_its_code_is_dropped_by_the_server(tmp_path: Path) -> None:
    """A sign-in whose code is not entered in time is revoked by the scan, and the message's status says so."""
    clock = Ahead()
    async with (
        open_environment(tmp_path, delivery=DeliverySettings(scan_seconds=0.05)) as environment,
        environment.server(lambda container: container.quarantine.add_kwargs(now=clock)) as server,
    ):
        person = Principal("http", "demo", "late")
        parked = await ask_for_mail(server, person)
        page = await server.consent(parked["consent_url"], ADA)
        clock.seconds = ConsentSettings().code_seconds
        await eventually(lambda: any(call.method_id == "oauth.revoke" for call in server.google.calls))

        async def is_over() -> bool:
            return bool((await server.told(person, parked["message"], wait=0))["sign_in"] == "over")

        await until(is_over)  # the revocation comes before the row is updated
        told = await server.told(person, parked["message"], wait=0)

    assert code_on(page) is not None
    assert (told["state"], told["sign_in"]) == ("parked", "over")
    assert "consent_url" not in told
