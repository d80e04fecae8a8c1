"""Messages, answers and files that cannot be accepted, sent or read."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx2
import sqlalchemy as sa
from pydantic import SecretStr

from app.llm.transcription import Transcriber
from app.messages import Attachment, AttachmentKind, InboundMessage, StoredMessage
from app.principal import Principal
from app.reply import ReplyContent
from app.sections.interfaces import InterfacesSettings, SlackSettings
from containers.testing import AppClient, RecordingChannel, open_test_app, settings_in
from tests.provoking.showing import ADA, GRACE, Provoke, Shown, answered, raised


async def without_text(folder: Path) -> Shown:
    """Send a message of blanks."""
    async with open_test_app(settings_in(folder)) as app:
        return answered(await app.ask(ADA, "  "))


async def without_a_token(folder: Path) -> Shown:
    """Send a request without a token."""
    async with open_test_app(settings_in(folder)) as app:
        return answered(await app.client.get("/v1/me"))


async def with_a_revoked_token(folder: Path) -> Shown:
    """Send a request with a revoked token."""
    async with open_test_app(settings_in(folder)) as app:
        headers = await app.bearer(ADA)
        await app.container.api_tokens().revoke(ADA)
        return answered(await app.client.get("/v1/me", headers=headers))


async def not_from_slack(folder: Path) -> Shown:
    """Send a request that Slack has not signed."""
    slack = InterfacesSettings(slack=SlackSettings(signing_secret=SecretStr("s"), bot_token=SecretStr("xoxb-1")))
    settings = settings_in(folder).model_copy(update={"interfaces": slack})
    headers = {"X-Slack-Request-Timestamp": "1700000000", "X-Slack-Signature": f"v0={'0' * 64}"}
    async with open_test_app(settings) as app:
        return answered(await app.client.post("/slack/events", json={}, headers=headers))


async def offboarded(folder: Path) -> Shown:
    """Send a message as a person who was offboarded."""
    async with open_test_app(settings_in(folder)) as app:
        await app.container.users().offboard(ADA)
        return answered(await app.ask(ADA, "help"))


async def somebody_elses(folder: Path) -> Shown:
    """Ask for another person's message."""
    async with open_test_app(settings_in(folder)) as app:
        message = (await app.ask(ADA, "help")).json()["message"]
        return answered(await app.client.get(f"/v1/messages/{message}", headers=await app.bearer(GRACE)))


async def too_large(folder: Path) -> Shown:
    """Send a text of a megabyte."""
    async with open_test_app(settings_in(folder)) as app:
        return answered(await app.ask(ADA, "x" * 1_000_001))


async def without_a_database(folder: Path) -> Shown:
    """Send a request while the database has no tables for tokens."""
    async with open_test_app(settings_in(folder)) as app:
        headers = await app.bearer(ADA)
        async with app.container.database().writing() as connection:
            await connection.execute(sa.text("ALTER TABLE api_tokens RENAME TO elsewhere"))
        return answered(await app.client.get("/v1/me", headers=headers))


async def waiting_too_often(folder: Path) -> Shown:
    """Send one more waiting request than a person may have."""
    async with open_test_app(settings_in(folder)) as app:
        message = (await app.ask(ADA, "help")).json()["message"]
        (waits,) = (part() for name, part in app.container.channel_parts.providers.items() if name == "http.Waits")
        with ExitStack() as waiting:
            while not waits.are_full(ADA):
                waiting.enter_context(waits.one(ADA))
            got = await app.client.get(f"/v1/messages/{message}?wait=9", headers=await app.bearer(ADA))
        return answered(got)


async def without_an_answer(folder: Path) -> Shown:
    """Send an answer while Slack cannot be reached."""
    return await _sent(folder, SlackSettings(
        signing_secret=SecretStr("s"), bot_token=SecretStr("xoxb-1"), api_base_url="http://127.0.0.1:1/api/"
    ))  # fmt: skip


async def to_a_workspace_that_removed_the_app(folder: Path) -> Shown:
    """Send an answer to a workspace for which there is no token any more."""
    return await _sent(folder, SlackSettings(
        signing_secret=SecretStr("s"), client_id="1.2", client_secret=SecretStr("s"), workspaces=("T0TEAM",)
    ))  # fmt: skip


async def _sent(folder: Path, slack: SlackSettings) -> Shown:
    settings = settings_in(folder).model_copy(update={"interfaces": InterfacesSettings(slack=slack)})
    async with open_test_app(settings) as app:
        message = InboundMessage(
            principal=Principal("slack", "T0TEAM", "U0ADA"),
            event_id="Ev1",
            conversation="D1:",
            text="help",
            address={"channel": "D1", "thread_ts": None, "direct": True, "workspace": "T0TEAM"},
        )
        stored = await app.container.intake().accept(message)
        channel = app.container.channels()["slack"].sends
        return await raised(channel.send(stored, ReplyContent("hello"), private=False, reply_id="a" * 32, again=False))


async def not_on_the_list(folder: Path) -> Shown:
    """Send a message as a person who is not on the channel's list."""
    slack = SlackSettings(signing_secret=SecretStr("s"), bot_token=SecretStr("xoxb-1"), people=("U0GRACE",))
    settings = settings_in(folder).model_copy(update={"interfaces": InterfacesSettings(slack=slack)})
    message = InboundMessage(Principal("slack", "T0TEAM", "U0ADA"), "Ev1", "D1:", "help")
    async with open_test_app(settings) as app:
        return await raised(app.container.intake().accept(message))


async def a_silent_recording(folder: Path) -> Shown:
    """Transcribe a recording in which the transcription model hears nothing."""
    silence = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"text": " "}))
    async with httpx2.AsyncClient(transport=silence) as http:
        transcriber = Transcriber("speech", base_url="http://127.0.0.1/v1", model="m", api_key=None, http=http)
        return await raised(transcriber.transcribe(b"...", "audio/ogg"))


async def a_file_that_is_too_large(folder: Path) -> Shown:
    """Fetch a file that is larger than the limit."""
    async with open_test_app(settings_in(folder)) as app:
        channel = RecordingChannel(files={"f1": bytes(20_000_001)})
        return await raised(channel.fetch(await _stored(app), _FILE, limit=20_000_000))


async def a_file_that_is_gone(folder: Path) -> Shown:
    """Fetch a file over HTTP, which carries none."""
    async with open_test_app(settings_in(folder)) as app:
        return await raised(app.container.channels()["http"].sends.fetch(await _stored(app), _FILE, limit=1))


async def nothing_to_read(folder: Path) -> Shown:
    """Read a voice message without text, and without a model to transcribe it."""
    async with open_test_app(settings_in(folder)) as app:
        message = replace(await _stored(app), text="", attachments=(_FILE,))
        return await raised(app.container.attachments().prompt(message, lambda _: False))


async def _stored(app: AppClient) -> StoredMessage:
    return await app.container.intake().accept(InboundMessage(ADA, "1", "c", "help"))


_FILE = Attachment(AttachmentKind.VOICE, "", "audio/ogg", None, "f1")

PROVOKED: list[Provoke] = [
    without_text,
    without_a_token,
    with_a_revoked_token,
    not_from_slack,
    offboarded,
    not_on_the_list,
    somebody_elses,
    too_large,
    without_a_database,
    waiting_too_often,
    without_an_answer,
    to_a_workspace_that_removed_the_app,
    a_silent_recording,
    a_file_that_is_too_large,
    a_file_that_is_gone,
    nothing_to_read,
]
