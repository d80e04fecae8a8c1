"""An object that can reach an account works only in its own request, even if a toolkit keeps it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.credentials.credentials import Credentials
from app.database.tables import audit_events
from app.errors import ForeignRunError
from app.google.client import GoogleClient
from app.principal import Principal
from app.run import current_run, new_run
from containers.application import Application
from containers.testing import (
    FakeGoogle,
    FakeTokens,
    call,
    open_test_app,
    open_test_container,
    open_test_scope,
    scripted,
    settings_in,
    use_model,
)
from tests.fakes.core_server import until
from tests.outside import keeping_client

KEEPING = {"globally": "GlobalToolkit", "classwide": "ClassToolkit", "weakly": "WeakToolkit"}
READ_LABELS = "https://www.googleapis.com/auth/gmail.labels"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    keeping_client.forget()
    yield
    keeping_client.forget()


@pytest.mark.parametrize("name", KEEPING)
async def test_a_kept_client_refuses_the_next_person(
    tmp_path: Path, name: str, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ada's client, found by Grace's tool while Ada's message is open, sends nothing, and both trails record it."""
    monkeypatch.setattr("app.main.prove_lifetimes", _not_proved)  # the proof would refuse this toolkit at the start
    settings = settings_in(tmp_path, toolkits={name: f"tests.outside.keeping_client:{KEEPING[name]}"})
    release = asyncio.Event()
    keeping_client.RELEASE.append(release)
    script = scripted([call(f"{name}_look", "1")])
    async with open_test_app(settings, lambda container: use_model(container, script)) as app:
        hers = asyncio.create_task(app.ask(ada, "look"))
        await until(lambda: keeping_client.kept() is not None)
        theirs = await app.ask(grace, "look")
        release.set()
        await hers
        async with app.container.database().reading() as connection:
            rows = (await connection.execute(sa.select(audit_events).order_by(audit_events.c.number))).all()

    refused = [row for row in rows if row.outcome == "refused"]
    assert [(row.user_id, row.method) for row in refused] == [("ada", "gmail.users.labels.list")]
    assert {row.user_id for row in rows if row.tool_call == refused[0].tool_call and row.tool} == {"grace"}
    assert "label" not in str(theirs.json())


async def _not_proved(container: Application, settings: object) -> str:
    return "not proved"


async def test_a_kept_client_refuses_and_its_owners_calls_go_on(tmp_path: Path, ada: Principal) -> None:
    """A run's own tasks and threads may use its client, but another run, or code outside every run, may not."""
    async with open_test_container(settings_in(tmp_path)) as container:
        FakeGoogle.install(container, lambda principal, request: principal.user)
        async with open_test_scope(ada) as scope:
            google = scope.get(container.google)
            request = google.resource("gmail", "v1", "users", "labels").list(userId="me")
            loop = asyncio.get_running_loop()

            def from_thread() -> str:
                return str(asyncio.run_coroutine_threadsafe(google.execute(request), loop).result(30))

            assert await asyncio.create_task(google.execute(request)) == "ada"
            assert await scope.to_thread(from_thread) == "ada"
            with new_run(), pytest.raises(ForeignRunError, match=r"gmail\.users\.labels\.list belongs to another"):
                await google.execute(request)
            with pytest.raises(ForeignRunError):
                await _in_a_raw_thread(from_thread)


async def _in_a_raw_thread(work: object) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            done.get_loop().call_soon_threadsafe(done.set_exception, error)

    threading.Thread(target=run).start()
    await done


async def test_all_that_reaches_an_account_knows_its_run(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """Credentials, recorder and client each refuse another run, in every method that gives or uses access."""
    tokens = FakeTokens()
    for person in (ada, grace):
        tokens.grant(person, READ_LABELS)
    async with open_test_container(settings_in(tmp_path)) as container, open_test_scope(ada) as scope:
        tokens.install(container)
        credentials, recorder = scope.get(container.credentials), scope.get(container.audit_recorder)
        google = scope.get(container.google)
        request = google.resource("gmail", "v1", "users", "labels").list(userId="me")
        await credentials.ensure(frozenset({READ_LABELS}))
        assert str(credentials.for_google().token).startswith("token-ada")
        with new_run():
            for use in (credentials.for_google, lambda: credentials.credential_id, recorder.sending):
                with pytest.raises(ForeignRunError):
                    use()
            for wait in (
                credentials.ensure(frozenset({READ_LABELS})),
                credentials.refused("token"),
                recorder.begin("m" * 32, "gmail_search", acts=False),
                google.execute(request),
                google.execute_batch([request]),
            ):
                with pytest.raises(ForeignRunError):
                    await wait
        assert isinstance(google, GoogleClient)
        assert isinstance(credentials, Credentials)


async def test_a_run_ends_where_it_began(ada: Principal, grace: Principal) -> None:
    """Runs nest, are inherited by tasks that begin in them, and restore the context when they end."""
    outside = current_run()
    with new_run() as first:
        inherited = asyncio.create_task(_current())
        with new_run() as second:
            assert second.is_current
            assert not first.is_current
        assert await inherited is first is current_run()

    assert current_run() is outside


async def _current() -> object:
    await asyncio.sleep(0)
    return current_run()
