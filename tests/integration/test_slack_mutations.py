"""Broken payloads of every kind from Slack: none breaks the server or loses a valid message in between.

``DEPUTY_MUTATIONS=10000`` makes a long run; the payloads are the same in every run.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.database.tables import messages
from app.sandbox.slack.clicks import home_opened, slash
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.slack.sessions import session_stopped
from app.sections.delivery import DeliverySettings
from tests.fakes.environment import open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import TEAM, Server, direct, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

MUTATIONS = int(os.environ.get("DEPUTY_MUTATIONS", "120"))
VALID_EVERY = 20
# With these limits Slack is never asked to send an event again, which nobody would do in this test.
NO_LIMITS = DeliverySettings(backlog=1_000_000, person_backlog=1_000_000)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["", "\x00", "\ud83d", "x" * 5000, "U0ADA", "C0", "<!channel>", [], {}, [None], {"id": None}, [[]]]
    ),
    st.dictionaries(st.sampled_from(["id", "type", "user", "channel", "ts"]), st.integers(), max_size=3),
)
Route = tuple[str, Any]  # the route, and its payload or form


def valid(slack: SlackSandbox) -> list[Route]:
    """Return one payload of every kind that Slack sends."""
    who, here = user("mutant"), direct("mutant")
    message = slack.event(user=who, text="repeat <@U0BOT> <https://a.example|b> &amp; hi", channel=here)
    shared = copy.deepcopy(message)
    files = [{"id": "F1", "name": "a", "mimetype": "image/png", "size": 3}, {"mode": "external", "title": "t"}]
    shared["event"] |= {"subtype": "file_share", "files": files, "attachments": [{"text": "q", "author_name": "x"}]}
    mention = slack.event(
        user=who, text="<@U0BOT> repeat", channel="C0MUTANT", thread_ts="1.000001", kind="app_mention"
    )
    left = slack.notice({"type": "user_change", "user": {"id": "U0GONE", "team_id": TEAM, "deleted": True}}, TEAM)
    stopped = slack.notice(session_stopped(who, "C0MUTANT", "1.000001", "2.000001"), TEAM)
    action = {"type": "button", "action_id": "deputy_0", "block_id": f"deputy_card:{who}", "value": "repeat pressed"}
    pressed = {
        "type": "block_actions",
        "user": {"id": who, "team_id": TEAM},
        "team": {"id": TEAM},
        "enterprise": None,
        "container": {"type": "message", "message_ts": "1.000002", "channel_id": here},
        "message": {"text": "x", "blocks": [{"type": "divider"}]},
        "actions": [{**action, "text": {"type": "plain_text", "text": "Press"}, "action_ts": "3.000001"}],
    }
    events = [message, shared, mention, left, stopped, home_opened(slack, user=who, team=TEAM)]
    return [
        *(("/slack/events", event) for event in events),
        ("/slack/interactions", pressed),
        ("/slack/commands", slash("repeat slash", user=who, channel="C0MUTANT", team=TEAM)),
    ]


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place in a payload, including the payload itself."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, routes: list[Route]) -> Route:
    """Draw a payload with one to three places replaced by junk or removed."""
    route, payload = draw(st.sampled_from(routes))
    payload = copy.deepcopy(payload)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([*paths(payload)]))
        if not path:
            return route, draw(JUNK)
        holder = payload
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(draw(JUNK))  # a later mutation may change it
    return route, payload


def mutations(slack: SlackSandbox) -> list[Route]:
    """Return this number of mutated payloads, the same ones in every run."""
    found: list[Route] = []

    @settings(
        max_examples=MUTATIONS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(mutated(valid(slack)))
    def collect(mutant: Route) -> None:
        found.append(mutant)

    collect()
    return found


async def send(server: Server, route: str, payload: Any) -> httpx2.Response:
    """Post a signed payload in the format of its route."""
    if route == "/slack/commands":
        form = {str(key): str(value) for key, value in payload.items()} if isinstance(payload, dict) else {}
        body = urlencode(form, errors="surrogatepass").encode()
    elif route == "/slack/interactions":
        body = urlencode({"payload": json.dumps(payload)}).encode()
    else:
        body = json.dumps(payload).encode()
    return await server.client.post(route, content=body, headers=server.slack.sign(body, time.time()))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server without a socket, so that an error that nothing catches is raised here."""
    async with (
        open_environment(Path(tmp_path_factory.mktemp("mutations")), delivery=NO_LIMITS) as environment,
        environment.in_process(ScriptedModel().install) as server,
    ):
        yield server


async def test_no_mutated_payload_breaks_the_server_or_loses_a_message(server: Server) -> None:
    """Each mutated payload is accepted or refused as a client error, and valid messages in between are stored once."""
    statuses, written = set(), []
    for number, (route, payload) in enumerate(mutations(server.slack)):
        statuses.add((await send(server, route, payload)).status_code)
        if number % VALID_EVERY == 0:
            event = server.slack.event(user=user("valid"), text=f"repeat {number}", channel=direct("valid"))
            assert (await server.deliver(event)).status_code == 200
            written.append(f"repeat {number}")
    query = sa.select(messages.c.body).where(messages.c.user_id == user("valid")).order_by(messages.c.sequence)
    async with server.container.database().reading() as connection:
        stored = list((await connection.execute(query)).scalars())

    assert statuses <= {200, 400, 401}
    assert {200, 400} <= statuses
    assert stored == written
