"""The means in containers/testing for people who test their own parts: the app, two people, and working doubles."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from googleapiclient.http import HttpRequest
from pydantic_ai.messages import ModelMessage

from app.errors import ConsentRequiredError, GoogleError, GrantRevokedError
from app.principal import Principal
from app.settings import Settings
from app.toolkits.gmail import EDIT_LABELS, READ_MAIL
from containers.application import Application
from containers.testing import (
    FakeGoogle,
    FakeTokens,
    RecordingChannel,
    answering,
    assert_isolated,
    call,
    open_test_app,
    open_test_container,
    open_test_scope,
    prompts,
    scripted,
    settings_in,
    use_model,
)
from tests.fakes.server import eventually


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with Gmail and an external notes toolkit."""
    return settings_in(tmp_path, toolkits={"notes": "tests.outside.notes:NotesToolkit"})


def labels_of(principal: Principal, request: HttpRequest) -> Any:
    """Answer as a Gmail in which everybody has one label, and none can be created."""
    if request.methodId != "gmail.users.labels.list":
        raise GoogleError(f"Google answered 403 to {request.methodId}", status=403)
    return {"labels": [{"id": "Label_1", "name": f"label of {principal.user}", "type": "user"}]}


async def test_two_people_are_answered_at_once(settings: Settings, ada: Principal, grace: Principal) -> None:
    """The app takes each person's message with their own bearer token and answers each from their own data."""
    async with open_test_app(settings) as app:
        told = await asyncio.gather(app.ask(ada, "note milk"), app.ask(grace, "note tea"))
        again = await app.told(ada, told[0].json()["message"])

    assert ["milk" in answer.json()["answer"] for answer in told] == [True, False]
    assert ["tea" in answer.json()["answer"] for answer in told] == [False, True]
    assert again == told[0].json()


async def test_the_app_lets_nobody_in_without_a_token(settings: Settings, ada: Principal, grace: Principal) -> None:
    """A message can be read only with its sender's bearer token."""
    async with open_test_app(settings) as app:
        message = (await app.ask(ada, "note milk")).json()["message"]
        others = await app.client.get(f"/v1/messages/{message}", headers=await app.bearer(grace))
        nobodys = await app.client.get(f"/v1/messages/{message}")

    assert (others.status_code, nobodys.status_code) == (404, 401)


async def test_access_is_what_the_test_grants(settings: Settings, ada: Principal, grace: Principal) -> None:
    """A person with the scopes that a tool needs is answered, and one without them is asked for consent."""
    tokens = FakeTokens()
    tokens.grant(ada, EDIT_LABELS)

    def prepare(container: Application) -> None:
        tokens.install(container)
        FakeGoogle.install(container, labels_of)

    async with open_test_app(settings, prepare) as app:
        hers, theirs = await asyncio.gather(app.ask(ada, "show my labels"), app.ask(grace, "show my labels"))

    assert "label of ada" in hers.json()["answer"]
    assert theirs.json()["waits_for"] == "consent"
    assert {(person, *scopes) for person, scopes in tokens.asked} == {(ada, EDIT_LABELS), (grace, EDIT_LABELS)}


async def test_access_fails_as_told(ada: Principal, grace: Principal) -> None:
    """A failure is raised only for its person, revoked access is missing, and each call gives out a new token."""
    tokens = FakeTokens()
    for person in (ada, grace):
        tokens.grant(person, READ_MAIL)
    tokens.failures[grace] = GrantRevokedError(grace)
    given = [(await tokens.fresh(ada, frozenset({READ_MAIL}))).access_token for _ in range(2)]
    tokens.revoke(ada)

    assert len({*given}) == 2
    with pytest.raises(GrantRevokedError):
        await tokens.fresh(grace, frozenset({READ_MAIL}))
    with pytest.raises(ConsentRequiredError):
        await tokens.fresh(ada, frozenset({READ_MAIL}))


async def test_google_answers_each_person_their_own(settings: Settings) -> None:
    """A toolkit that uses the fake Google returns each person their own data."""
    async with open_test_container(settings) as container:
        FakeGoogle.install(container, labels_of)
        hers, theirs = await assert_isolated(container, container.toolkits.gmail, lambda gmail: gmail.labels())

    assert "label of ada" in str(hers)
    assert "label of grace" in str(theirs)


async def test_google_takes_only_what_google_takes(settings: Settings, ada: Principal) -> None:
    """An unknown parameter is refused; an error is raised for a single call, and returned in its place in a batch."""
    async with open_test_container(settings) as container:
        FakeGoogle.install(container, labels_of)
        async with open_test_scope(ada) as scope:
            google = scope.get(container.google)
            labels = google.resource("gmail", "v1", "users", "labels")
            requests = [labels.list(userId="me"), labels.create(userId="me", body={"name": "x"})]
            answers = await google.execute_batch(requests)

            assert [type(answer) for answer in answers] == [dict, GoogleError]
            with pytest.raises(GoogleError, match=r"403 to gmail\.users\.labels\.create"):
                await google.execute(requests[1])
            with pytest.raises(TypeError, match="unexpected keyword"):
                labels.list(userId="me", everybody=True)


async def test_a_model_does_what_the_test_wrote(settings: Settings, ada: Principal, grace: Principal) -> None:
    """A scripted model starts its script anew for each message; a function computes its answer from the messages."""

    async def repeat(messages: list[ModelMessage]) -> str:
        return prompts(messages)[-1].upper()

    script = scripted([call("notes_add", "1", text="milk")], [call("notes_add", "2", text="tea")])
    async with open_test_app(settings, lambda container: use_model(container, script)) as app:
        told = await asyncio.gather(app.ask(ada, "go"), app.ask(grace, "go"))
    async with open_test_app(settings, lambda container: use_model(container, answering(repeat))) as app:
        repeated = await app.ask(ada, "go")

    for person, answer in zip(("ada", "grace"), told, strict=True):
        assert answer.json()["answer"].count(f"{person}: milk") == 2
        assert answer.json()["answer"].count(f"{person}: tea") == 1
    assert repeated.json()["answer"] == "GO"


async def test_a_channel_records_what_is_said(settings: Settings, ada: Principal, grace: Principal) -> None:
    """The recording channel keeps each person's replies."""
    channel = RecordingChannel()

    def prepare(container: Application) -> None:
        channel.install(container, "http")
        container.waiters.add_kwargs(look_seconds=0.05)  # this channel, unlike HTTP, wakes no waiting request

    async with open_test_app(settings, prepare) as app:
        await asyncio.gather(app.ask(ada, "note milk"), app.ask(grace, "note tea"))
        await eventually(lambda: len(channel.sent) == 2)

    assert ["milk" in text for text in channel.texts(ada)] == [True]
    assert ["tea" in text for text in channel.texts(grace)] == [True]
