"""Telegram's updates: who wrote what to the assistant, and which updates are ignored."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidMessageError
from app.messages import AttachmentKind, InboundMessage
from app.principal import Principal
from app.sandbox.telegram.chats import BotMessage, TelegramChats
from app.sandbox.telegram.updates import ANONYMOUS_ADMINISTRATOR, CHANNEL_AS_PERSON, TelegramPeople
from interfaces.telegram.update import Press, Telegram, Unanswerable, read_stop, read_update

BOT = {"id": 700, "is_bot": True, "first_name": "Deputy", "username": "Deputy_Bot"}
TELEGRAM = Telegram(700, "deputy_bot")
ADA, GRACE, GROUP = 11, 22, -1001
PEOPLE = TelegramPeople(TelegramChats(), BOT, "secret")


def read(update: dict[str, Any]) -> InboundMessage:
    """Return the message of an update."""
    found = read_update(update, TELEGRAM)
    assert isinstance(found, InboundMessage)
    return found


def test_a_person_is_their_id_and_never_a_chat() -> None:
    """A person is their user id below the bot as the tenant, and a group is only the conversation."""
    direct, shared = read(PEOPLE.write(ADA, "hello")), read(PEOPLE.write(GRACE, "@deputy_bot hello", chat=GROUP))

    assert direct.principal == Principal("telegram", "700", "11")
    assert shared.principal == Principal("telegram", "700", "22")
    assert (direct.conversation, shared.conversation) == ("11:", "-1001:")
    assert (direct.address["direct"], shared.address["direct"]) == (True, False)


def test_a_topic_is_a_conversation_and_a_thread_of_replies_is_none() -> None:
    """A topic is a conversation of its own, but a thread of replies is not."""
    topic = read(PEOPLE.write(ADA, "@deputy_bot hi", chat=GROUP, thread=7))
    replies = read(PEOPLE.write(ADA, "@deputy_bot hi", chat=GROUP, message_thread_id=9))

    assert (topic.conversation, topic.address["thread"]) == ("-1001:7", 7)
    assert (replies.conversation, replies.address["thread"]) == ("-1001:", None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("@deputy_bot what is up", "what is up"),
        ("hey @Deputy_Bot what is up", "hey  what is up"),
        ("\N{SLICE OF PIZZA} @deputy_bot hi", "\N{SLICE OF PIZZA}  hi"),
        ("@deputy_bot", "[This message mentions you and says nothing else.]"),
        ("/new@deputy_bot", "new conversation"),
        ("/stop", "stop"),
        ("/connect as work", "connect google as work"),
        ("/connect google", "connect google"),
        ("/connect github", "connect github"),
        ("/disconnect@deputy_bot  github", "disconnect github"),
        ("/disconnect", "disconnect google"),
        ("/accounts", "accounts"),
        ("/start payload", "help"),
        ("/approve@deputy_bot 3f2a", "/approve 3f2a"),
        ("what is up", None),
        ("@other_bot hi", None),
        ("/help@other_bot", None),
        ("/unknown", None),
    ],
)
def test_in_a_group_only_what_is_meant_for_the_assistant_is(typed: str, said: str | None) -> None:
    """In a group only mentions, anywhere in a text, and the bot's commands are read, without the bot's name."""
    found = read_update(PEOPLE.write(ADA, typed, chat=GROUP), TELEGRAM)

    assert (found.text if isinstance(found, InboundMessage) else None) == said


def test_a_reply_to_the_assistant_is_for_it_and_one_to_somebody_else_is_quoted() -> None:
    """A reply to the assistant is meant for it, and with a mention a reply to somebody else quotes their words."""
    own = {"message_id": 1, "from": BOT, "text": "earlier"}
    hers = {"message_id": 2, "from": {"id": GRACE, "is_bot": False, "first_name": "Grace"}, "text": "approve 3f2a"}
    to_bot = read(PEOPLE.write(ADA, "and now?", chat=GROUP, reply_to_message=own))
    to_grace = read(PEOPLE.write(ADA, "@deputy_bot look", chat=GROUP, reply_to_message=hers))

    assert to_bot.text == "and now?"
    assert to_grace.text == "look\n\n[In reply to Grace:]\n> approve 3f2a"


def test_what_is_forwarded_is_never_a_command() -> None:
    """A forwarded text is quoted with its author's name and is never a command."""
    origin = {"type": "user", "sender_user": {"id": GRACE, "is_bot": False, "first_name": "Grace"}}
    forwarded = read(PEOPLE.write(ADA, "/stop", forward_origin=origin))

    assert forwarded.text == "[Forwarded message by Grace:]\n> /stop"


@pytest.mark.parametrize(
    "fields",
    [
        {"sender": {"id": ANONYMOUS_ADMINISTRATOR, "is_bot": True}, "sender_chat": {"id": GROUP, "type": "supergroup"}},
        {"sender": {"id": CHANNEL_AS_PERSON, "is_bot": True}, "sender_chat": {"id": -1009, "type": "channel"}},
    ],
)
def test_who_hides_behind_a_chat_is_told_why_they_are_not_answered(fields: dict[str, Any]) -> None:
    """Somebody who hides behind a chat has no account to act with, and is answered only with the reason."""
    asked = read_update(PEOPLE.write(ADA, "@deputy_bot hi", chat=GROUP, **fields), TELEGRAM)
    talked = read_update(PEOPLE.write(ADA, "hi all", chat=GROUP, **fields), TELEGRAM)

    assert isinstance(asked, Unanswerable)
    assert asked.address["chat"] == GROUP
    assert talked is None


@pytest.mark.parametrize(
    "update",
    [
        PEOPLE.update("edited_message", PEOPLE.write(ADA, "hello")["message"]),
        PEOPLE.update("channel_post", PEOPLE.write(ADA, "hello")["message"]),
        PEOPLE.write(ADA, "@deputy_bot hi", chat=GROUP, sender={"id": 5, "is_bot": True}),
        PEOPLE.write(ADA, "@deputy_bot hi", chat=GROUP, sender={"id": 777000, "is_bot": False}),
        PEOPLE.write(ADA, None, chat=GROUP, new_chat_members=[{"id": 5}]),
        PEOPLE.write(ADA, None, pinned_message={}),
        PEOPLE.update("my_chat_member", {}),
        {"update_id": 1},
    ],
)
def test_what_is_no_persons_message_is_ignored(update: dict[str, Any]) -> None:
    """Edits, channel posts, bots, Telegram's own account and events of a chat are ignored."""
    assert read_update(update, TELEGRAM) is None


def test_files_are_references() -> None:
    """A photo's largest size and a recording become attachments, and a message without words or files is named."""
    photo = read(PEOPLE.write(ADA, None, photo=[{"file_id": "s"}, {"file_id": "l", "file_size": 9}], caption="look"))
    voice = read(PEOPLE.write(ADA, None, voice={"file_id": "v", "mime_type": "audio/ogg"}))
    sticker = read(PEOPLE.write(ADA, None, sticker={"file_id": "x"}))

    assert [(each.kind, each.reference, each.size) for each in photo.attachments] == [(AttachmentKind.IMAGE, "l", 9)]
    assert photo.text == "look"
    assert [each.kind for each in voice.attachments] == [AttachmentKind.VOICE]
    assert voice.text == ""
    assert "sticker" in sticker.text
    assert sticker.attachments == ()


def test_a_press_is_a_message_of_who_pressed() -> None:
    """A press is a message of the person who pressed, in the button's conversation, and counts once by its own id."""
    message = BotMessage(5, GROUP, None, "Shall I?", keyboard=[[{"text": "Approve", "callback_data": "approve 3f2a"}]])
    presses = [read_update(PEOPLE.press(person, message, "Approve"), TELEGRAM) for person in (ADA, GRACE)]
    pressed = [press.message for press in presses if isinstance(press, Press) and press.message]

    assert [(each.principal.user, each.text, each.conversation) for each in pressed] == [
        ("11", "approve 3f2a", "-1001:"), ("22", "approve 3f2a", "-1001:")
    ]  # fmt: skip
    assert len({each.event_id for each in pressed}) == 2


def test_a_stop_below_a_draft_names_its_person_and_conversation() -> None:
    """A stop below a draft belongs to the person of a private chat, and is ignored elsewhere."""
    stop = read_stop(PEOPLE.update("stopped_message_generation", {"chat": PEOPLE.chat(ADA, None), "draft_id": 3}), 700)
    elsewhere = PEOPLE.update("stopped_message_generation", {"chat": PEOPLE.chat(ADA, GROUP), "draft_id": 3})

    assert stop is not None
    assert (stop[0].user, stop[1].conversation) == ("11", "11:")
    assert read_stop(elsewhere, 700) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("chat", None), ("message_id", "5"), ("message_id", True), ("chat", {"type": "private", "id": 0})],
)
def test_an_update_without_an_id_is_refused(key: str, value: object) -> None:
    """An update without an id is refused, because two of them would count as the same."""
    update = PEOPLE.write(ADA, "hello")
    update["message"][key] = value
    with pytest.raises(InvalidMessageError):
        read_update(update, TELEGRAM)
