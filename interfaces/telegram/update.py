"""Reads updates (https://core.telegram.org/bots/api#update): who wrote what to the assistant, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidMessageError
from app.messages import ConversationKey, InboundMessage
from app.principal import Principal
from interfaces.telegram.files import attachments_of
from interfaces.telegram.wording import NO_WORDS, words_of

SERVICE_ACCOUNT = 777000  # Telegram itself, which repeats a channel's posts in the group that discusses them

ANONYMOUS = (
    "I can't tell who you are, because you write as the group or as a channel, and I act with one person's own "
    "account. Write to me as yourself (turn off “Remain anonymous” in your administrator rights), or in a private chat."
)


@dataclass(frozen=True, slots=True)
class Telegram:
    """A bot, as far as reading updates needs it.

    Attributes:
        bot_id: The bot's id, which is the tenant of all who write to it.
        username: The bot's name without @, in lower case; empty for updates from private chats, which need no name.
        first_chat: The id under which the conversations of the update's group are kept; None for its present id.
    """

    bot_id: int
    username: str = ""
    first_chat: int | None = None


@dataclass(frozen=True, slots=True)
class Unanswerable:
    """Somebody wrote to the assistant who cannot be answered; they learn why, where everybody reads it."""

    address: Mapping[str, Any]
    words: str


@dataclass(frozen=True, slots=True)
class Press:
    """A press of a button.

    Attributes:
        query_id: The id of the query to answer, so that the person's app stops waiting.
        message: The words of the press; None if it says nothing.
    """

    query_id: str
    message: InboundMessage | None


def is_of_group(update: Mapping[str, Any]) -> bool:
    """Return whether an update is a message in a group, so that the bot's name is needed to read it."""
    message = update.get("message")
    return isinstance(message, dict) and isinstance(chat := message.get("chat"), dict) and chat.get("type") != "private"


def group_of(update: Mapping[str, Any]) -> int | None:
    """Return the id of the group in which somebody wrote or pressed a button, if it was in one."""
    query = update.get("callback_query")
    message = query.get("message") if isinstance(query, dict) else update.get("message")
    chat = message.get("chat") if isinstance(message, dict) else None
    found = chat.get("id") if isinstance(chat, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and -(2**63) < found < 0 else None


def read_update(update: Mapping[str, Any], telegram: Telegram) -> InboundMessage | Press | Unanswerable | None:
    """Return what an update says to the assistant; None for edits, bots, channels and people's talk with each other.

    An edit is another kind of update, so it is not answered again.

    Raises:
        InvalidMessageError: The update lacks what Telegram documents for its kind.
    """
    if isinstance(update.get("message"), dict):
        return _read_message(update["message"], telegram)
    if isinstance(update.get("callback_query"), dict):
        return _read_press(update["callback_query"], telegram)
    return None


def _read_message(message: Mapping[str, Any], telegram: Telegram) -> InboundMessage | Unanswerable | None:
    chat = _object(message, "chat")
    direct = chat.get("type") == "private"
    if not direct and chat.get("type") not in ("group", "supergroup"):
        return None
    sender = message.get("from")
    as_somebody_else = message.get("sender_chat") is not None
    if not isinstance(sender, dict) or sender.get("id") == SERVICE_ACCOUNT or message.get("is_automatic_forward"):
        return None
    if sender.get("is_bot") is not False and not as_somebody_else:
        return None
    words = words_of(message, direct=direct, bot_id=telegram.bot_id, username=telegram.username)
    attachments = attachments_of(message)
    if words is None:
        return None
    address = _address(message, chat, direct=direct)
    if as_somebody_else:
        return Unanswerable(address, ANONYMOUS)
    return InboundMessage(
        principal=Principal("telegram", str(telegram.bot_id), str(_id(sender, "id"))),
        event_id=f"{address['chat']}:{address['message']}",
        conversation=_conversation(address, telegram.first_chat),
        text=words or ("" if attachments else NO_WORDS),
        address=address,
        payload=f"{address['chat']}:{address['message']}",
        attachments=attachments,
        chat=_group(address, telegram.first_chat),
    )


def _read_press(query: Mapping[str, Any], telegram: Telegram) -> Press:
    """Return a press as a message of the person who pressed, in the conversation where the button is."""
    query_id = query.get("id")
    if not isinstance(query_id, str) or not query_id.isalnum():
        raise InvalidMessageError("the callback query has no usable id")
    sender, data = _object(query, "from"), query.get("data")
    if sender.get("is_bot") is not False or not isinstance(data, str) or not data.strip():
        return Press(query_id, None)
    person = _id(sender, "id")
    pressed = query.get("message")
    if isinstance(pressed, dict):
        chat = _object(pressed, "chat")
        address = _address(pressed, chat, direct=chat.get("type") == "private")
    else:
        address = {"chat": person, "thread": None, "message": None, "direct": True}
    return Press(
        query_id,
        InboundMessage(
            principal=Principal("telegram", str(telegram.bot_id), str(person)),
            event_id=f"press:{query_id}",
            conversation=_conversation(address, telegram.first_chat),
            text=data,
            # Telegram's replies quote the message that they answer: a press is none, so nothing is quoted.
            address={**address, "message": None},
            payload=f"press:{query_id}",
            chat=_group(address, telegram.first_chat),
        ),
    )


def _address(message: Mapping[str, Any], chat: Mapping[str, Any], *, direct: bool) -> dict[str, Any]:
    # A thread of replies in a group has an id too, and is no topic.
    topic = _id(message, "message_thread_id") if message.get("is_topic_message") is True else None
    return {"chat": _id(chat, "id"), "thread": topic, "message": _id(message, "message_id"), "direct": direct}


def _conversation(address: Mapping[str, Any], first_chat: int | None = None) -> str:
    thread = address["thread"]
    return f"{first_chat or address['chat']}:{'' if thread is None else thread}"


def _group(address: Mapping[str, Any], first_chat: int | None) -> str | None:
    return None if address["direct"] else str(first_chat or address["chat"])


def _object(place: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = place.get(key)
    if not isinstance(found, dict):
        raise InvalidMessageError(f"the update has no usable {key}")
    return found


def _id(place: Mapping[str, Any], key: str) -> int:
    """Return an id; two updates without one must not count as the same."""
    found = place.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or found == 0 or abs(found) >= 2**63:
        raise InvalidMessageError(f"the update has no usable {key}")
    return found


def read_stop(update: Mapping[str, Any], bot_id: int) -> tuple[Principal, ConversationKey] | None:
    """Return who pressed Stop below a draft, and in which conversation; drafts are shown in private chats alone.

    Raises:
        InvalidMessageError: The update does not say in which chat.
    """
    stopped = update.get("stopped_message_generation")
    if not isinstance(stopped, dict):
        return None
    chat = _object(stopped, "chat")
    if chat.get("type") != "private":
        return None
    person = _id(chat, "id")
    thread = _id(stopped, "message_thread_id") if stopped.get("message_thread_id") is not None else None
    conversation = _conversation({"chat": person, "thread": thread})
    principal = Principal("telegram", str(bot_id), str(person))
    return principal, ConversationKey("telegram", str(bot_id), conversation)
