"""Files in Slack: stored by reference, and fetched with the bot's token, up to a limit, when they are needed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.database.tables import messages
from app.errors import AttachmentGoneError, AttachmentTooLargeError
from app.messages import Attachment, AttachmentKind, StoredMessage
from app.principal import Principal
from interfaces.slack.files import attachments_of, is_slacks
from tests.fakes.core_server import until
from tests.fakes.environment import Environment, open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import TEAM, Server, direct, user

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack."""
    async with open_environment(Path(tmp_path_factory.mktemp("files"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model() -> ScriptedModel:
    """Return the server's model."""
    return ScriptedModel()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment, model: ScriptedModel) -> AsyncIterator[Server]:
    """Yield a server on a socket."""
    async with environment.server(model.install) as server:
        yield server


async def share(server: Server, name: str, text: str, *files: dict[str, Any]) -> StoredMessage:
    """Send files as a direct message, and return the stored message."""
    payload = server.slack.event(user=user(name), text=text, channel=direct(name))
    payload["event"] |= {"subtype": "file_share", "files": [*files]}
    (await server.deliver(payload)).raise_for_status()
    query = sa.select(messages.c.id).where(messages.c.payload == f"{direct(name)}:{payload['event']['ts']}")
    async with server.container.database().reading() as connection:
        message_id = (await connection.execute(query)).scalar_one()
    return await server.container.inbox().get(Principal("slack", TEAM, user(name)), message_id)


async def fetch(server: Server, message: StoredMessage, limit: int = 1000) -> list[bytes]:
    """Return the contents of all files of a message."""
    channel = server.container.channels()["slack"].sends
    return [await channel.fetch(message, attachment, limit=limit) for attachment in message.attachments]


async def test_two_peoples_files_are_fetched_for_their_own_messages(server: Server) -> None:
    """Two people's messages without text each have their own file, and no URL of it is stored."""
    contents = {"ada": b"ada's plan", "grace": b"\x89PNG grace's picture"}
    kinds = {"ada": ("plan.txt", "text/plain"), "grace": ("picture.png", "image/png")}
    shared = {
        name: await share(server, name, "", server.slack.files.upload(*kinds[name], contents[name]))
        for name in contents
    }

    for name, message in shared.items():
        assert await fetch(server, message) == [contents[name]]
        assert message.text == ""
        assert [(each.name, each.mime_type) for each in message.attachments] == [kinds[name]]
        assert "files-pri" not in repr(message.attachments) + str(message.address)


async def test_reading_ends_at_the_limit(server: Server) -> None:
    """A file over the limit is refused even if Slack states a smaller size."""
    message = await share(
        server, "large", "look", server.slack.files.upload("a.txt", "text/plain", b"x" * 5000, size=5)
    )

    with pytest.raises(AttachmentTooLargeError):
        await fetch(server, message, limit=4999)
    assert await fetch(server, message, limit=5000) == [b"x" * 5000]


async def test_what_slack_does_not_give_is_gone(server: Server, environment: Environment) -> None:
    """A deleted file, and one that the app lacks the scope for, raise an error that says why."""
    slack = server.slack
    message = await share(server, "gone", "look", slack.files.upload("a.txt", "text/plain", b"x"))
    token = next(iter(slack._granted))
    granted = slack._granted[token]
    slack._granted[token] = granted - {"files:read"}
    with pytest.raises(AttachmentGoneError, match="files:read"):
        await fetch(server, message)
    slack._granted[token] = granted
    slack.files.delete(message.attachments[0].reference)
    with pytest.raises(AttachmentGoneError, match="no longer"):
        await fetch(server, message)


async def test_no_token_and_no_address_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a token nor a file's URL is logged, whether fetching succeeds or fails."""
    caplog.set_level(logging.DEBUG)
    message = await share(server, "quiet", "look", server.slack.files.upload("a.txt", "text/plain", b"x"))
    await fetch(server, message)
    with pytest.raises(AttachmentGoneError):
        await fetch(server, replace(message, attachments=(replace(message.attachments[0], reference="F0NONE"),)))

    ours = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpcore"))
    assert "xoxb-" not in ours
    assert "files-pri" not in ours


async def test_a_file_that_slack_only_links_to_is_named(server: Server, model: ScriptedModel) -> None:
    """A file that Slack only links to is no attachment; the model is told its name and that it cannot open it."""
    shared = {}
    for name, title in (("drive", "Budget"), ("doc", "Plan")):
        file = {"id": f"F0{name.upper()}", "name": title, "title": title, "mode": "external", "mimetype": "x/y"}
        shared[title] = await share(server, name, f"look {title}", file)

    assert [message.attachments for message in shared.values()] == [(), ()]
    told = {f"look {title}\n\n[Attached: {title}. You cannot open them.]" for title in shared}
    assert {message.text for message in shared.values()} == told
    await until(lambda: told <= {*model.begun})


KINDS: list[tuple[dict[str, Any], AttachmentKind]] = [
    ({"mimetype": "image/png"}, AttachmentKind.IMAGE),
    ({"mimetype": "audio/mp4", "subtype": "slack_audio"}, AttachmentKind.VOICE),
    ({"mimetype": "audio/mpeg"}, AttachmentKind.AUDIO),
    ({"mimetype": "video/mp4"}, AttachmentKind.VIDEO),
    ({"mimetype": "application/pdf"}, AttachmentKind.DOCUMENT),
    ({"file_access": "check_file_info"}, AttachmentKind.DOCUMENT),
    ({"mimetype": 7, "size": -1, "name": ["x"]}, AttachmentKind.DOCUMENT),
]


@pytest.mark.parametrize(("file", "kind"), KINDS)
async def test_the_kind_is_read_from_the_type(file: dict[str, Any], kind: AttachmentKind) -> None:
    """An attachment's kind follows from its type; without a usable type it is a document."""
    (attachment,) = attachments_of({"files": [{"id": "F1", **file}, {"id": "../x"}, {"name": "no id"}, None]})

    assert attachment.kind is kind
    assert isinstance(attachment, Attachment)
    assert attachment.size is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://files.slack.com/files-pri/x", True),
        ("https://slack.com.evil.example/x", False),
        ("https://evilslack.com/x", False),
        ("http://files.slack.com/x", False),
        ("https://x@files.slack.com/x", False),
        ("http://127.0.0.1:81/x", False),
        ("http://127.0.0.1:80/x", True),
    ],
)
async def test_the_token_goes_to_slack_alone(url: str, expected: bool) -> None:
    """The token is sent only to Slack's own hosts over HTTPS, or to the configured API address."""
    assert is_slacks(url, "http://127.0.0.1:80/api/") is expected
