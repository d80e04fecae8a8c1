"""Files with replies in Slack: shared once, beside the reply, or explained if Slack does not take them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.delivery.replies import sender
from app.delivery.replies.status import Status, in_words
from app.errors import AttachmentGoneError, UnavailableError
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from app.reply import NOT_ATTACHED, ReplyContent, ReplyFile
from app.sandbox.server import serve_loopback
from app.sandbox.slack.places import SlackError
from app.sandbox.slack.sandbox import SlackSandbox
from app.sections.delivery import DeliverySettings
from interfaces.slack import uploads
from interfaces.slack.client import SlackChannel
from tests.fakes.environment import open_environment
from tests.fakes.notes import RememberedNotes
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server, direct, eventually, user
from tests.fakes.slack_channel import slack_channel

TOKEN, THREAD = "xoxb-1", "1700000000.000001"


@dataclass
class Stage:
    """A Slack, and the channels of two processes that share their notes."""

    slack: SlackSandbox
    notes: RememberedNotes
    one: SlackChannel
    other: SlackChannel

    async def send(
        self,
        name: str,
        *files: ReplyFile,
        channel: SlackChannel | None = None,
        again: bool = False,
        private: bool = True,
    ) -> None:
        """Answer a person's mention in the channel with these files."""
        message = replace(mention(name), notes=self.notes.kept.get(mention(name).message_id))
        content = ReplyContent(f"Here it is, {name}.", files=files)
        await (channel or self.one).send(message, content, private=private, reply_id=message.message_id, again=again)

    def shared(self, channel: str) -> list[tuple[str | None, str, bytes]]:
        """Return the thread, name and contents of each file that was shared in a channel."""
        return [
            (post.thread_ts, self.slack.files.by_id[file].name, self.slack.files.by_id[file].contents)
            for post in self.slack.posts
            for file in post.files
            if post.channel == channel
        ]

    def texts(self, name: str) -> list[str]:
        """Return the texts of a person's direct chat."""
        return [post.shown for post in self.slack.posts if post.channel == f"D0{name}" and not post.files]

    def refuse(self, method: str, *reasons: str, after: bool = False) -> None:
        """Have the next calls of a method fail with these codes, before or after Slack carries them out."""
        call, waiting = self.slack._methods[method], [*reasons]

        def refusing(arguments: Any, workspace: str) -> dict[str, Any]:
            answer = call(arguments, workspace) if after or not waiting else {}
            if waiting:
                raise SlackError(waiting.pop(0))
            return answer

        self.slack._methods = {**self.slack._methods, method: refusing}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Yield a stage on which two people have mentioned the assistant in one channel."""
    slack, notes = SlackSandbox(signing_secret="secret", bot_token=TOKEN), RememberedNotes()
    for name in ("ADA", "GRACE"):
        slack.event(user=f"U0{name}", text="<@U0BOT> hi", channel="C0ALL", ts=THREAD, kind="app_mention")
    async with serve_loopback(slack.app) as url:
        yield Stage(slack, notes, slack_channel(TOKEN, url, notes), slack_channel(TOKEN, url, notes))


def mention(name: str) -> StoredMessage:
    """Return a person's mention in the channel."""
    return StoredMessage(
        message_id=(name * 32)[:32],
        principal=Principal("slack", "T0SANDBOX", f"U0{name}"),
        conversation=f"C0ALL:{THREAD}",
        sequence=1,
        text="hello",
        address={"channel": "C0ALL", "thread_ts": THREAD, "direct": False, "workspace": "T0SANDBOX"},
        state=MessageState.DONE,
        attempt=1,
        interruptions=0,
        failures=0,
        answer="x",
        link_id=None,
        private=True,
        created_at=0.0,
    )


def file_of(name: str, contents: bytes | Exception) -> ReplyFile:
    """Return a file with these contents, or one that cannot be read."""

    async def read() -> bytes:
        if isinstance(contents, Exception):
            raise contents
        return contents

    return ReplyFile(name, "application/pdf", read)


async def test_private_files_reach_their_person_alone(stage: Stage) -> None:
    """Private files go to each person's direct chat, and only public ones to the thread."""
    await stage.send("ADA", file_of("ada.pdf", b"for Ada"), file_of("more.txt", b"more"))
    await stage.send("GRACE", file_of("grace.pdf", b"for Grace"))
    await stage.send("GRACE", file_of("all.pdf", b"for all"), private=False)

    assert stage.shared("D0ADA") == [(None, "ada.pdf", b"for Ada"), (None, "more.txt", b"more")]
    assert stage.shared("D0GRACE") == [(None, "grace.pdf", b"for Grace")]
    assert stage.shared("C0ALL") == [(THREAD, "all.pdf", b"for all")]
    assert set(stage.notes.kept.values()) == {None}


@pytest.mark.parametrize(
    ("method", "after"),
    [
        ("files.getUploadURLExternal", False),
        ("files.completeUploadExternal", False),
        ("files.completeUploadExternal", True),
    ],
)
async def test_a_file_is_shared_once_however_a_try_ends(stage: Stage, method: str, after: bool) -> None:
    """After a failed try, another process shares only what is missing, even if Slack reported an error wrongly."""
    stage.refuse(method, "internal_error", after=after)
    with pytest.raises(UnavailableError):
        await stage.send("ADA", file_of("ada.pdf", b"for Ada"))
    await stage.send("GRACE", file_of("grace.pdf", b"for Grace"))
    await stage.send("ADA", file_of("ada.pdf", b"for Ada"), channel=stage.other, again=True)

    assert stage.shared("D0ADA") == [(None, "ada.pdf", b"for Ada")]
    assert stage.shared("D0GRACE") == [(None, "grace.pdf", b"for Grace")]
    assert stage.texts("ADA") == ["Here it is, ADA."]


@pytest.mark.parametrize(
    ("contents", "refused", "why"),
    [
        (b"", None, "it is empty"),
        (b"x" * 11, None, "it is larger than 0 MB, and Slack takes no more"),
        (AttachmentGoneError("gone"), None, "it no longer exists"),
        (b"x", "file_uploads_disabled", "this workspace does not allow uploads"),
        (b"x", "storage_limit_reached", "this workspace has no room left for files"),
        (b"x", "file_type_not_allowed", "this workspace does not allow files of this type"),
    ],
)
async def test_a_file_that_cannot_be_shared_is_explained(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, contents: bytes | Exception, refused: str | None, why: str
) -> None:
    """A file that cannot be shared is explained once, below the answer; the answer still arrives."""
    monkeypatch.setattr(uploads, "MAX_UPLOAD_BYTES", 10)
    stage.slack.uploads.refused = refused
    files = (file_of("bad.exe", contents), file_of("good.pdf", b"good"))
    await stage.send("ADA", *files)
    await stage.send("ADA", *files, channel=stage.other, again=True)

    line = NOT_ATTACHED.format("bad.exe", why)
    assert stage.texts("ADA")[:2] == ["Here it is, ADA.", line]
    assert stage.texts("ADA").count(line) == 1
    assert ("good.pdf" in [name for _, name, _ in stage.shared("D0ADA")]) == (refused is None)


async def test_a_token_without_the_scope_is_explained(stage: Stage) -> None:
    """A token without the scope for uploads is explained with the scope's name."""
    stage.slack._granted = {TOKEN: stage.slack._granted[TOKEN] - {"files:write"}}
    await stage.send("ADA", file_of("ada.pdf", b"for Ada"))

    assert "files:write" in stage.texts("ADA")[1]


async def test_files_go_out_through_delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files go through the delivery: after rate limits each of two people gets their own file."""

    def with_file(status: Status) -> ReplyContent | None:
        content = in_words(status)
        return content and replace(content, files=(file_of("answer.txt", content.text.encode()),))

    monkeypatch.setattr(sender, "in_words", with_file)
    delivery = DeliverySettings(scan_seconds=0.02, backoff_seconds=0.02)
    async with (
        open_environment(tmp_path, delivery=delivery) as environment,
        environment.server(ScriptedModel().install) as server,
    ):
        slack = server.slack
        complete, busy = slack._methods["files.completeUploadExternal"], [1, 1]

        def completing(arguments: Any, workspace: str) -> dict[str, Any]:
            if busy:
                raise SlackError("ratelimited", retry_after=busy.pop())
            return complete(arguments, workspace)

        slack._methods = {**slack._methods, "files.completeUploadExternal": completing}
        for name in ("ada", "grace"):
            await _say(server, name, f"repeat hello {name}")
        await eventually(lambda: len([post for post in slack.posts if post.files]) == 2)

    for name in ("ada", "grace"):
        (post,) = [post for post in slack.posts if post.files and post.channel == direct(name)]
        assert slack.files.by_id[post.files[0]].contents == f"hello {name}".encode()
        assert [post.text for post in server.posted(direct(name)) if not post.files] == [f"hello {name}"]


async def _say(server: Server, name: str, text: str) -> None:
    event = server.slack.event(user=user(name), text=text, channel=direct(name))
    (await server.deliver(event)).raise_for_status()
