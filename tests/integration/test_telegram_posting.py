"""Messages that the bot sends, against a fake Telegram that refuses what the real one refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.agents.listening import TextWritten, ToolState, ToolUsed
from app.errors import (
    AttachmentGoneError,
    AttachmentTooLargeError,
    UnavailableError,
    UnclearError,
    UndeliverableError,
)
from app.messages import Attachment, AttachmentKind
from app.reply import NOT_ATTACHED, Button, ReplyContent, ReplyFile
from app.sandbox.telegram.rates import SendLimits
from app.sandbox.telegram.refusal import TelegramRefusedError
from interfaces.telegram.client import ANSWERED_DIRECTLY, CANNOT_WRITE_DIRECTLY
from interfaces.telegram.pace import Pace
from tests.fakes.sandbox import Clock
from tests.fakes.telegram import ADA, GRACE, GROUP, TelegramStage, telegram_stage, told

SECRET = "the code is 4711"
APPROVAL = ReplyContent(
    "Send this mail?\n    Text: *exactly* _this_ <b>\nReply `approve 3f2a`",
    (Button("Approve", command="approve 3f2a"), Button("Help", url="https://deputy.example/help")),
    verbatim=True,
)


@pytest.fixture
async def stage() -> AsyncIterator[TelegramStage]:
    """Yield a Telegram in which nothing has been sent."""
    async with telegram_stage() as stage:
        yield stage


async def test_private_words_go_to_the_private_chat(stage: TelegramStage) -> None:
    """Private answers to a group go to each person's private chat, and the group gets one line for each."""
    for person in (ADA, GRACE):
        await stage.answer(told(person, group=GROUP), f"{SECRET} for {person}")

    assert stage.texts(ADA) == [f"{SECRET} for {ADA}"]
    assert stage.texts(GRACE) == [f"{SECRET} for {GRACE}"]
    assert [(each.text, each.reply_to) for each in stage.telegram.chats.in_chat(GROUP)] == [(ANSWERED_DIRECTLY, 5)] * 2


async def test_who_never_started_the_private_chat_is_told_how_to(stage: TelegramStage) -> None:
    """If a person has not started the private chat, the group reads once how to do so, without the answer's text."""
    stage.telegram.chats.started.discard(ADA)
    for _ in range(2):
        with pytest.raises(UndeliverableError):
            await stage.answer(told(ADA, group=GROUP), SECRET)
    await stage.answer(told(GRACE, group=GROUP), SECRET)

    assert stage.texts(ADA) == []
    assert stage.texts(GROUP) == [CANNOT_WRITE_DIRECTLY.format(username="deputy_bot"), ANSWERED_DIRECTLY]
    assert stage.texts(GRACE) == [SECRET]


async def test_what_a_person_decides_on_is_shown_exactly(stage: TelegramStage) -> None:
    """The text of an approval is sent without formatting, and its buttons send the command or open the page."""
    await stage.answer(told(ADA), APPROVAL)
    await stage.answer(told(GRACE), ReplyContent(APPROVAL.text))
    (mine,), (hers,) = stage.telegram.chats.in_chat(ADA), stage.telegram.chats.in_chat(GRACE)

    assert mine.text == APPROVAL.text
    assert mine.entities == []
    assert [mine.button(label) for label in ("Approve", "Help")] == ["approve 3f2a", "https://deputy.example/help"]
    assert "*exactly*" not in hers.text
    assert hers.keyboard == []


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** and `code`", "bold and code"),
        ("a List<String> & 1 < 2", "a List<String> & 1 < 2"),
        ("open https://d.example/connect/google/a_b-_c_ now", "open https://d.example/connect/google/a_b-_c_ now"),
        ("[here](https://d.example/a_b_c)", "here"),
        ("- one\n- two", "\u2022 one\n\u2022 two"),
    ],
)
async def test_markdown_becomes_entities(stage: TelegramStage, markdown: str, shown: str) -> None:
    """Markdown becomes Telegram's formatting, and all other text, such as addresses and `<`, stays unchanged."""
    await stage.answer(told(ADA), markdown)
    (message,) = stage.telegram.chats.in_chat(ADA)

    assert message.text == shown
    assert not message.preview
    assert all(entity.get("url") in (None, "https://d.example/a_b_c") for entity in message.entities)


async def test_a_long_answer_is_cut_where_telegram_would_refuse_it(stage: TelegramStage) -> None:
    """A long answer is split by UTF-16 units between characters, numbered, with the buttons on the last part."""
    text = "\N{SLICE OF PIZZA}" * 5000 + " **end**"
    await stage.answer(told(ADA), ReplyContent(text, (Button("Approve", command="approve 3f2a"),)))
    shown = stage.telegram.chats.in_chat(ADA)

    assert "".join(each.text.rpartition(")\n")[2] for each in shown) == text.replace("**", "")
    assert [each.text.startswith(f"(continued, {number} of") for number, each in enumerate(shown, 1)] == [
        False, True, True
    ]  # fmt: skip
    assert [bool(each.keyboard) for each in shown] == [False, False, True]
    assert shown[-1].entities[0]["type"] == "bold"


async def test_what_arrived_is_not_sent_again(stage: TelegramStage) -> None:
    """If Telegram asks to wait in the middle of an answer, the next try sends only the rest."""
    stage.telegram.limits = SendLimits(chat_seconds=1.0, now=(clock := Clock()))
    with pytest.raises(UnavailableError) as raised:
        await stage.answer(told(ADA), "x" * 9000)
    await stage.answer(told(GRACE), SECRET)
    for _ in range(2):
        clock.now += 1
        try:
            await stage.answer(told(ADA), "x" * 9000, again=True)
        except UnavailableError:
            continue

    assert raised.value.retry_after >= 1.0
    assert sum(text.count("x") for text in stage.texts(ADA)) == 9000
    assert stage.texts(GRACE) == [SECRET]


async def test_the_bot_keeps_within_the_limits(stage: TelegramStage) -> None:
    """Messages to one chat are spaced out, and one that would wait too long is refused with the time to wait."""
    pace = Pace(chat_seconds=10.0, group_seconds=3.0, now=(clock := Clock()))
    async with telegram_stage(SendLimits(chat_seconds=10.0, now=clock), pace) as spaced:
        for person in (ADA, GRACE):
            await spaced.answer(told(person), SECRET)
        with pytest.raises(UnavailableError) as raised:
            await spaced.answer(told(ADA, message_id="a" * 32), "again")
        clock.now += 10
        await spaced.answer(told(ADA, message_id="a" * 32), "again", again=True)

    assert raised.value.retry_after == 10.0
    assert spaced.texts(ADA) == [SECRET, "again"]
    assert spaced.telegram.limits is not None
    assert spaced.telegram.limits.refused == 0


@pytest.mark.parametrize(
    ("refusal", "raises"),
    [
        (TelegramRefusedError(403, "Forbidden: bot was blocked by the user"), UndeliverableError),
        (TelegramRefusedError(400, "Bad Request: chat not found"), UndeliverableError),
        (TelegramRefusedError(401, "Unauthorized"), UndeliverableError),
        (TelegramRefusedError(429, "Too Many Requests: retry after 7", retry_after=7), UnavailableError),
        (TelegramRefusedError(500, "Internal Server Error"), UnclearError),
        (TelegramRefusedError(502, "Bad Gateway"), UnclearError),
    ],
)
async def test_permanent_refusals_are_told_apart_from_passing_ones(
    stage: TelegramStage, refusal: TelegramRefusedError, raises: type[Exception]
) -> None:
    """Temporary, unclear and permanent refusals raise different errors, and no error contains the answer's text."""
    stage.telegram.chats.refusals[ADA] = refusal
    with pytest.raises(raises) as raised:
        await stage.answer(told(ADA), SECRET)
    await stage.answer(told(GRACE), SECRET)

    assert type(raised.value) in (raises, *raises.__subclasses__())
    assert SECRET not in str(raised.value)
    assert "700:" not in str(raised.value)
    assert getattr(raised.value, "retry_after", 0.0) == refusal.parameters.get("retry_after", 0)
    assert stage.texts(GRACE) == [SECRET]


async def test_a_group_that_is_closed_to_the_bot_is_answered_in_private(stage: TelegramStage) -> None:
    """A public answer to a group in which the bot may not write goes to the sender's private chat."""
    stage.telegram.chats.refusals[GROUP] = TelegramRefusedError(
        400, "Bad Request: not enough rights to send text messages to the chat"
    )
    await stage.answer(told(ADA, group=GROUP), "hello", private=False)

    assert (stage.texts(ADA), stage.texts(GRACE)) == (["hello"], [])


async def test_files_go_along_and_those_that_cannot_are_explained(stage: TelegramStage) -> None:
    """Files are sent as documents; an empty one, or one over 50 MB, is explained once with the reason."""

    def file(name: str, contents: bytes) -> ReplyFile:
        async def read() -> bytes:
            return contents

        return ReplyFile(name, "application/pdf", read)

    files = (file("a.pdf", b"%PDF"), file("b.zip", bytes(50_000_001)), file("c.txt", b""))
    for again in (False, True):
        await stage.answer(told(ADA), ReplyContent("Here.", files=files), again=again)
    await stage.answer(told(GRACE), ReplyContent("Hers.", files=files[:1]))

    assert [(each.text, each.file) for each in stage.telegram.chats.in_chat(ADA)] == [
        ("Here.", None),
        ("", ("a.pdf", b"%PDF")),
        (NOT_ATTACHED.format("b.zip", "it is larger than 50 MB, and Telegram takes no more"), None),
        (NOT_ATTACHED.format("c.txt", "it is empty"), None),
    ]
    assert [each.file for each in stage.telegram.chats.in_chat(GRACE)] == [None, ("a.pdf", b"%PDF")]


async def test_attachments_are_fetched_within_their_limits(stage: TelegramStage) -> None:
    """An attachment is fetched whole; one over a limit and one that is gone raise different errors."""
    stage.telegram.files = {"small": b"12345", "huge": bytes(20_000_001)}

    def attachment(reference: str) -> Attachment:
        return Attachment(AttachmentKind.DOCUMENT, "a.txt", "text/plain", None, reference)

    whole = await stage.channel.fetch(told(ADA), attachment("small"), limit=5)
    with pytest.raises(AttachmentTooLargeError):
        await stage.channel.fetch(told(ADA), attachment("small"), limit=4)
    with pytest.raises(AttachmentTooLargeError):
        await stage.channel.fetch(told(GRACE), attachment("huge"), limit=50_000_000)
    with pytest.raises(AttachmentGoneError):
        await stage.channel.fetch(told(GRACE), attachment("unknown"), limit=5)

    assert whole == b"12345"


async def test_an_answer_is_shown_while_it_is_written(stage: TelegramStage) -> None:
    """In private chats a draft grows with each person's own answer; groups get no draft."""
    messages = [told(ADA), told(GRACE), told(ADA, group=GROUP, message_id="c" * 32)]
    for message in messages:
        stage.drafts.follow(message)
    mine, hers = [stage.streams.listener(message) for message in messages[:2]]
    assert mine is not None
    assert hers is not None
    for progress in (TextWritten("let me see"), ToolUsed("gmail_search", ToolState.DONE), TextWritten("You have")):
        mine.tell(progress)
    hers.tell(TextWritten("Hello Grace"))
    async with asyncio.timeout(30):
        while len(stage.telegram.chats.drafts.get(ADA, [])) < 2 or not stage.telegram.chats.drafts.get(GRACE):
            await asyncio.sleep(0.005)

    assert stage.telegram.chats.drafts == {ADA: ["let me see", "You have"], GRACE: ["Hello Grace"]}
    assert stage.streams.listener(messages[2]) is None


async def test_work_is_named_until_the_answer_is_written(stage: TelegramStage) -> None:
    """In private chats a draft names the current work, without repeating itself; a group gets no text."""
    mine = told(ADA)
    stage.drafts.follow(mine)
    listener = stage.streams.listener(mine)
    assert listener is not None
    for doing in (None, "searching your mail", "searching your mail", "reading a mail"):
        await stage.channel.show_working(mine, doing)
    await stage.channel.show_working(told(GRACE), "waiting for the model")
    await stage.channel.show_working(told(GRACE, group=GROUP, message_id="c" * 32), "searching your mail")
    listener.tell(TextWritten("You have"))
    async with asyncio.timeout(30):
        while len(stage.telegram.chats.drafts[ADA]) < 3:
            await asyncio.sleep(0.005)
    await stage.channel.show_working(mine, "waiting for the model")

    assert stage.telegram.chats.drafts == {
        ADA: ["I'm searching your mail…", "I'm reading a mail…", "You have"],
        GRACE: ["I'm waiting for the model…"],
    }
    assert stage.texts(GROUP) == []
