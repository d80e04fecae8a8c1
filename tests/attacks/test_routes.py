"""Attacks on the routes themselves: other people's ids, and redirects to foreign addresses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic import SecretStr
from starlette.routing import BaseRoute, Mount, Route

from app.main import create_app
from app.principal import Principal
from app.sandbox.visitor import code_on
from app.sections.interfaces import SlackSettings
from containers.build import build
from tests.attacks.attack import CALLBACK, Attack, shown
from tests.fakes.consent import links_of, query
from tests.fakes.environment import open_environment
from tests.fakes.server import QUESTION

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "evil.example"
# Every route with an id in its path, and the test that tries it with another person's id.
TRIED = {
    ("GET", "/v1/messages/{message_id}"): "test_idor_message",
    ("POST", "/v1/messages/{message_id}/stop"): "test_idor_message",
    ("GET", "/v1/messages/{message_id}/files/{number}"): "test_idor_message",
    ("GET", "/connect/{provider}/{token}"): "test_idor_link",
    ("HEAD", "/connect/{provider}/{token}"): "test_idor_link",
    ("POST", "/connect/{provider}/{token}"): "test_idor_link",
    ("GET", "/connect/{provider}/sign-in/{link_id}"): "test_idor_sign_in",
    ("POST", "/playground/{player}/messages"): "tests/attacks/test_playground.py",
    ("GET", "/playground/{player}/messages"): "tests/attacks/test_playground.py",
    ("GET", "/playground/{player}/messages/{message_id}"): "tests/attacks/test_playground.py",
    ("POST", "/playground/{player}/messages/{message_id}/stop"): "tests/attacks/test_playground.py",
    ("GET", "/playground/{player}/messages/{message_id}/files/{number}"): "tests/attacks/test_playground.py",
    ("GET", "/oauth/{provider}/callback"): "tests/attacks/test_providers.py",
    ("GET", "/playground/{player}/accounts"): "tests/attacks/test_playground.py",
}
# Every other route, and the test that tries an id in its query or body.
WITHOUT_ID = {
    ("POST", "/v1/messages"): "test_idor_event_and_conversation",
    ("GET", "/v1/messages"): "test_idor_conversation",
    ("GET", "/v1/me"): "test_no_route_of_a_person_without_a_token",
    ("POST", "/slack/events"): "test_forged_event",
    ("POST", "/slack/commands"): "tests/integration/test_slack_commands.py",
    ("POST", "/slack/interactions"): "tests/integration/test_slack_buttons.py",
    ("GET", "/oauth/login/callback"): "test_idor_login",
    ("GET", "/slack/install"): "nobody's",
    ("HEAD", "/slack/install"): "nobody's",
    ("POST", "/slack/install"): "nobody's",
    ("GET", "/slack/oauth/callback"): "tests/attacks/test_row_swap.py",
    ("GET", "/"): "tests/attacks/test_playground.py",
    ("HEAD", "/"): "tests/attacks/test_playground.py",
    ("GET", "/playground/scopes"): "tests/attacks/test_playground.py",
    ("POST", "/telegram/webhook"): "tests/integration/test_telegram_interface.py",
    ("GET", "/whatsapp/webhook"): "nobody's",
    ("POST", "/whatsapp/webhook"): "tests/integration/test_whatsapp_interface.py",
    ("GET", "/healthz"): "nobody's",
    ("GET", "/readyz"): "nobody's",
}


async def test_every_route_is_tried(tmp_path: Path) -> None:
    """With all interfaces switched on, each route stands in a table above, so that no new route is left untested."""
    async with open_environment(tmp_path) as environment:
        slack = SlackSettings(signing_secret=SecretStr("s"), client_id="1.2", client_secret=SecretStr("s"))
        switched_on = {"slack": slack, "telegram": environment.telegram_settings}
        interfaces = environment.settings.interfaces.model_copy(update=switched_on)
        settings = environment.settings.model_copy(update={"interfaces": interfaces})
        app = create_app(build(settings), settings, asyncio.Event())
    found = set(walk(app.routes))

    assert all(interfaces.model_dump().values()), "a channel that is new has to be switched on above"
    assert {(method, path) for method, path in found if "{" in path} == set(TRIED)
    assert {(method, path) for method, path in found if "{" not in path} == set(WITHOUT_ID)
    tests = {*TRIED.values(), *WITHOUT_ID.values()} - {"nobody's"}
    assert all(test in globals() or Path(test).is_file() for test in tests)


def walk(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Yield every method and path that an application answers, except the static files."""
    for route in routes:
        included = getattr(route, "original_router", None)  # how FastAPI keeps a router that was included
        if included is not None:
            yield from walk(included.routes)
        elif not (isinstance(route, Mount) and route.path == "/static"):
            assert isinstance(route, Route), route
            yield from ((method, route.path) for method in route.methods or ())


async def test_idor_message(attack: Attack) -> None:
    """The victim can read, stop and fetch the file of her messages; for Mallory no message has their ids."""
    await attack.server.connect(attack.victim, attack.victims)
    await attack.note_bearer(attack.victim)
    await attack.server.send_mail(attack.victim, with_attachment(attack.victims))
    letter = next(each for each in attack.server.google.mailbox(attack.victims) if each.subject == "the offer")
    read = await attack.ask(attack.victim, f"send me attachment {letter.id}/1")
    waits = await attack.ask(attack.victim, "/gmail_send to=nobody@example.com subject=x body=x")
    ids = [read["message"], waits["message"], read["message"].upper(), "0" * 32]
    seen = [each for message in ids for each in await asked_about(attack, attack.mallory, message)]
    still = await attack.server.told(attack.victim, waits["message"], wait=0)
    hers = await asked_about(attack, attack.victim, read["message"])
    stopped = (await asked_about(attack, attack.victim, waits["message"]))[2].json()

    assert {each.status_code for each in seen} == {404}
    assert len({each.text for each in seen}) == 1
    assert (waits["state"], still["state"], stopped["state"]) == ("parked", "parked", "failed")
    assert [each.status_code for each in hers] == [200] * 4
    assert hers[3].content == b"%PDF of the victim"
    await attack.assert_nothing_gained()


async def asked_about(attack: Attack, person: Principal, message: str) -> list[httpx2.Response]:
    """Let a person read a message at once, and after a while, stop it and fetch its file."""
    client, bearer, path = attack.server.client, await attack.server.bearer(person), f"/v1/messages/{message}"
    return [
        await client.get(path, headers=bearer),
        await client.get(path, params={"wait": 0.1}, headers=bearer),
        await client.post(f"{path}/stop", headers=bearer),
        await client.get(f"{path}/files/0", headers=bearer),
    ]


def with_attachment(email: str) -> str:
    """Return a mail to this address that has a file attached."""
    mail = EmailMessage()
    mail["To"], mail["Subject"] = email, "the offer"
    mail.set_content("attached")
    mail.add_attachment(b"%PDF of the victim", maintype="application", subtype="pdf", filename="offer.pdf")
    return mail.as_string()


async def test_idor_event_and_conversation(attack: Attack) -> None:
    """Using the victim's conversation and message ids gives Mallory messages of her own, streamed or not."""
    await attack.connect(attack.victim, attack.victims)
    body = {"id": "id-1", "conversation": "private"}
    hers = await attack.ask(attack.victim, **body)
    length = len(attack.victim.user)
    taken = [
        await attack.ask(attack.mallory, **body),
        await attack.ask(attack.mallory, id=f"{length}:{attack.victim.user}:id-1", conversation="private"),
        await attack.ask(attack.mallory, conversation=f"{length}:{attack.victim.user}:private"),
    ]
    headers = {**await attack.server.bearer(attack.mallory), "Accept": "text/event-stream"}
    async with asyncio.timeout(20):
        stream = await attack.server.client.post("/v1/messages", json={**body, "text": QUESTION}, headers=headers)

    assert hers["state"] == "done"
    assert all((each["state"], each["waits_for"]) == ("parked", "consent") for each in taken)
    assert hers["message"] not in {each["message"] for each in taken}
    assert hers["answer"] not in stream.text
    assert hers["message"] not in stream.text
    await attack.assert_nothing_gained()


async def test_idor_conversation(attack: Attack) -> None:
    """Listing the victim's conversation by any of its names shows Mallory her own messages only."""
    hers = await attack.ask(attack.victim, conversation="private")
    own = await attack.ask(attack.mallory, "help", conversation="private")
    bearer = await attack.server.bearer(attack.mallory)
    names = ["private", f"{len(attack.victim.user)}:{attack.victim.user}:private"]
    seen = [
        await attack.server.client.get("/v1/messages", params={"conversation": name}, headers=bearer) for name in names
    ]

    assert [each["message"] for each in seen[0].json()["messages"]] == [own["message"]]
    assert seen[1].json() == {"messages": []}
    assert not any(hers["message"] in each.text for each in seen)
    await attack.assert_nothing_gained()


async def test_idor_link(attack: Attack) -> None:
    """No id of the victim's link, other than its token, shows or opens it."""
    parked = await attack.ask(attack.victim)
    links = attack.server.container.links()
    (link,) = await links_of(links, attack.victim)
    token = parked["consent_url"].rpartition("/")[2]
    guesses = [link.link_id, parked["message"], attack.victim.user, token[:-1], token.swapcase(), f"{token}%00"]
    seen = [
        await attack.own_browser.http.request(method, f"{attack.server.base_url}/connect/google/{guess}")
        for method in ("GET", "POST", "HEAD")
        for guess in guesses
    ]

    assert {each.status_code for each in seen} == {410}
    assert not any(attack.victim.user in shown(each) for each in seen)
    assert await links.find_issued(attack.victim, link.link_id) == token
    await attack.assert_nothing_gained()


async def test_idor_sign_in(attack: Attack) -> None:
    """The address of the victim's sign-in page shows Mallory nothing, because she lacks the victim's cookie."""
    page = await attack.browser.allow(await attack.link(attack.victim), attack.victims)
    await attack.own_browser.open(await attack.link(attack.mallory))
    seen = await attack.own_browser.http.get(str(page.url))

    assert code_on(page) is not None
    assert seen.status_code == 400
    assert not any(each in shown(seen) for each in (attack.victim.user, attack.victims, str(code_on(page))))
    await attack.assert_nothing_gained()


async def test_idor_login(attack: Attack) -> None:
    """The id of the victim's link is not enough to complete a channel's sign-in."""
    await attack.browser.allow(await attack.link(attack.victim), attack.victims)
    (link,) = await links_of(attack.server.container.links(), attack.victim)
    for state in (link.link_id, f"{link.link_id}.", f"{link.link_id}.{'x' * 43}"):
        page = await attack.own_browser.http.get(
            f"{attack.server.base_url}/oauth/login/callback", params={"state": state, "code": "x"}
        )
        assert page.status_code == 400

    assert await attack.waiting(attack.victim) == 1
    await attack.assert_nothing_gained()


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Basic dmljdGltOng=", "Bearer dpt_" + "A" * 43])
async def test_no_route_of_a_person_without_a_token(attack: Attack, authorization: str) -> None:
    """Without a token, a request for any route of a person is refused, even if it names the victim."""
    names = {"X-User": attack.victim.user, "X-Principal": str(attack.victim), "X-Forwarded-User": attack.victim.user}
    headers = {**names, **({"Authorization": authorization} if authorization else {})}
    message = (await attack.ask(attack.victim))["message"]
    client = attack.server.client
    seen = [
        await client.get("/v1/me", headers=headers, params={"principal": str(attack.victim)}),
        await client.get(f"/v1/messages/{message}", headers=headers),
        await client.get(f"/v1/messages/{message}/files/1", headers=headers),
        await client.post(f"/v1/messages/{message}/stop", headers=headers),
        await client.get("/v1/messages", headers=headers, params={"conversation": "main"}),
        await client.post("/v1/messages", headers=headers, json={"conversation": "main", "text": QUESTION}),
    ]

    assert {each.status_code for each in seen} == {401}
    assert not any(attack.victim.user in shown(each) for each in seen)


async def test_forged_event(attack: Attack) -> None:
    """A forged Slack event is refused, whether it is unsigned or signed for another body."""
    slack, client = attack.server.slack, attack.server.client
    event = slack.event(user="U0VICTIM", text=QUESTION, channel="D0MALLORY")
    signed = slack.sign(json.dumps({"type": "url_verification"}).encode(), time.time())
    body = json.dumps(event).encode()
    seen = [
        await client.post("/slack/events", content=body, headers=headers)
        for headers in ({}, signed, {**signed, "X-Slack-Request-Timestamp": "1"})
    ]

    assert [each.status_code for each in seen] == [401, 401, 401]
    assert attack.server.posted("D0MALLORY") == []


# --- redirects to foreign addresses

ASTRAY = (
    f"https://{EVIL}/", f"//{EVIL}/", f"\\\\{EVIL}/", f"/\\{EVIL}", f"https:{EVIL}", f"http://127.0.0.1:1@{EVIL}/",
    "javascript:alert(1)",
)  # fmt: skip
PARAMETERS = ("redirect_uri", "redirect", "next", "return_to", "url", "continue", "target", "state", "iss")


@pytest.mark.parametrize("target", ASTRAY)
async def test_open_redirect(attack: Attack, target: str) -> None:
    """No route redirects to an address that Mallory adds to it as a parameter."""
    token = urlsplit(await attack.link(attack.victim)).path
    parameters = dict.fromkeys(PARAMETERS, target)
    paths = [
        token,
        CALLBACK,
        "/oauth/login/callback",
        "/v1/me",
        "/",
        "/static/",
        f"/{target}",
        f"//{EVIL}/..",
        "/healthz",
    ]
    seen = [
        await attack.server.client.get(path, params=each)
        for path in paths
        for each in (parameters, {**parameters, "code": "x"}, {**parameters, "error": "access_denied"})
    ]
    seen.append(opened := await attack.server.client.post(token, params=parameters, data=parameters))

    assert not any(EVIL in (urlsplit(each.headers.get("location", "")).netloc) for each in seen)
    assert {each.status_code for each in seen[:-1]} <= {200, 400, 401, 404}
    _assert_leads_to_google(opened, attack)


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Original-Host", "Forwarded"])
async def test_host_header_poisoning(attack: Attack, header: str) -> None:
    """A forged host header appears in no link, redirect, cookie or page."""
    value = f"host={EVIL};proto=https" if header == "Forwarded" else EVIL
    headers = {header: value, "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": f"//{EVIL}"}
    bearer = await attack.server.bearer(attack.victim)
    client = attack.server.client
    asked = await client.post(
        "/v1/messages", json={"conversation": "main", "text": QUESTION}, headers={**headers, **bearer}
    )
    link = urlsplit(asked.json()["consent_url"])
    paths = [
        link.path,
        f"{link.path}/",
        CALLBACK,
        f"{CALLBACK}/",
        "/v1/me/",
        "/v1/messages/",
        "/static",
        "/slack/events/",
    ]
    seen = [await client.request(method, path, headers=headers) for path in paths for method in ("GET", "POST")]
    opened = next(each for each in seen if each.status_code == 303)

    assert f"{link.scheme}://{link.netloc}" == attack.server.settings.server.public_url
    assert not any(EVIL in shown(each) for each in [asked, *seen])
    _assert_leads_to_google(opened, attack)


def _assert_leads_to_google(response: httpx2.Response, attack: Attack) -> None:
    settings = attack.server.settings
    assert response.status_code == 303
    assert response.headers["location"].startswith(f"{settings.google.endpoints.authorize}?")
    assert query(response.headers["location"])["redirect_uri"] == f"{settings.server.public_url}{CALLBACK}"
