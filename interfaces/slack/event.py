"""The events that Slack sends, read: a person's message, a departure, or the end of an installation.

https://docs.slack.dev/apis/events-api
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from app.errors import InvalidMessageError
from app.messages import MAX_TEXT_LENGTH, ConversationKey, InboundMessage
from app.principal import Principal
from interfaces.slack.files import attachments_of
from interfaces.slack.people import tenants_of
from interfaces.slack.wording import words_of

# Any other subtype is an edit, a notice or a bot.
_PERSONS_SUBTYPES = (None, "file_share", "me_message", "thread_broadcast")


def find_message(payload: Mapping[str, Any], names: Mapping[str, str] = MappingProxyType({})) -> InboundMessage | None:
    """Return the message that a person wrote to the assistant; None for bots, edits, joins and other people's talk.

    A direct chat is one conversation, and so is each thread; a mention outside a thread begins one. A message is
    identified by its channel and timestamp: an edited mention is sent again with another event id, and one message may
    be sent as two kinds of event.

    Args:
        payload: The event.
        names: By user id, the names of other people.

    Raises:
        InvalidMessageError: The event lacks what Slack documents for its kind.
    """
    event = persons_message(payload)
    if event is None:
        return None
    channel, ts = read_id(event, "channel"), read_id(event, "ts")
    direct = _is_direct(event)
    in_thread = event.get("thread_ts") is not None
    thread = read_id(event, "thread_ts") if in_thread else None if direct else ts
    return InboundMessage(
        principal=sender(payload),
        event_id=f"{channel}:{ts}",
        conversation=f"{channel}:{thread or ''}",
        text=words_of(event, own_id=own_id_of(payload), names=names)[:MAX_TEXT_LENGTH],
        address={
            "channel": channel,
            "thread_ts": thread,
            "direct": direct,
            "workspace": receiving_workspace(payload),
        },
        payload=f"{channel}:{ts}",
        chat=None if direct else channel,
        attachments=attachments_of(event),
    )


def persons_message(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the inner event if it is a person's message to the assistant."""
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return None
    if not _is_direct(event) and event.get("type") != "app_mention":
        return None
    return None if event.get("bot_id") or event.get("subtype") not in _PERSONS_SUBTYPES else event


def _is_direct(event: Mapping[str, Any]) -> bool:
    """Return whether a message was written in a direct chat; this includes mentions there."""
    if event.get("type") == "app_mention":
        return str(event.get("channel")).startswith("D")
    return event.get("type") == "message" and event.get("channel_type") == "im"


def own_id_of(payload: Mapping[str, Any]) -> str | None:
    """Return the assistant's user id, from the event's authorization."""
    own_id = _authorization(payload).get("user_id")
    return own_id if isinstance(own_id, str) else None


def sender(payload: Mapping[str, Any]) -> Principal:
    """Return the sender of a message, in their own tenant.

    Raises:
        InvalidMessageError: The event does not name the sender or their team.
    """
    team, organisation = home(payload)
    return Principal("slack", organisation or team, read_id(payload["event"], "user"))


def home(payload: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the sender's team, and its organisation if that is the receiver's own.

    In a channel that two companies share (Slack Connect), the receiving team may not be the sender's; Slack names the
    sender's in ``user_team``. In an organisation (Enterprise Grid), user ids are unique across its teams, and everyone
    who writes in a channel that no other company shares is a member.

    Raises:
        InvalidMessageError: The event does not name the team, and the channel is shared with another company.
    """
    event = payload["event"]
    receiving_team = read_id(payload, "team_id")
    team = event.get("user_team") or event.get("team")
    if not team and payload.get("is_ext_shared_channel") not in (False, None):
        raise InvalidMessageError("the event is from a shared channel and does not name its sender's team")
    team = team or receiving_team
    organisation = payload.get("enterprise_id")
    colleague = team in (receiving_team, organisation) or payload.get("is_ext_shared_channel") is False
    return team, (organisation if colleague else None) or None


def receiving_workspace(payload: Mapping[str, Any]) -> str:
    """Return the installation that an event was sent to: a workspace, or an organisation that has the app as a whole.

    It is the first of ``authorizations``; in a channel that two companies share, ``team_id`` may be the other company's
    (https://docs.slack.dev/apis/events-api#authorizations).

    Raises:
        InvalidMessageError: The event does not name it.
    """
    first = _authorization(payload)
    return read_id(first, "enterprise_id" if first.get("is_enterprise_install") is True else "team_id")


def receiving_places(payload: Mapping[str, Any]) -> tuple[object, object]:
    """Return the workspace that an event was sent to, and its organisation."""
    first = _authorization(payload)
    return first.get("team_id"), first.get("enterprise_id")


def _authorization(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    authorizations = payload.get("authorizations")
    first = authorizations[0] if isinstance(authorizations, list) and authorizations else payload
    if not isinstance(first, dict):
        raise InvalidMessageError("the first of the event's authorizations is no object")
    return first


def ends_installation(payload: Mapping[str, Any]) -> bool:
    """Return whether an event says that the bot's token was revoked; people's own tokens are ignored."""
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return False
    tokens = event.get("tokens")
    bot_revoked = event.get("type") == "tokens_revoked" and isinstance(tokens, dict) and bool(tokens.get("bot"))
    return event.get("type") == "app_uninstalled" or bot_revoked


def opens_home(payload: Mapping[str, Any]) -> bool:
    """Return whether an event says that a person opened the Home tab: https://docs.slack.dev/reference/events/app_home_opened."""
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return False
    return event.get("type") == "app_home_opened" and event.get("tab") == "home"


def find_stop(payload: Mapping[str, Any]) -> tuple[Principal, ConversationKey] | None:
    """Return the person who pressed Stop, and the conversation that they want stopped.

    https://docs.slack.dev/reference/events/agent_session_stopped

    Raises:
        InvalidMessageError: The event does not name the person or the thread.
    """
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return None
    if event.get("type") != "agent_session_stopped":
        return None
    person = sender(payload)
    conversation = f"{read_id(event, 'channel')}:{read_id(event, 'thread_ts')}"
    return person, ConversationKey(person.platform, person.tenant, conversation)


def time_of(payload: Mapping[str, Any]) -> float:
    """Return when an event happened, POSIX seconds; a retry repeats it."""
    time = payload.get("event_time")
    if not isinstance(time, int | float):
        raise InvalidMessageError("the event has no event_time")
    return float(time)


def find_leaver(payload: Mapping[str, Any]) -> tuple[Principal, ...]:
    """Return the person whom an event deactivates, in every tenant: https://docs.slack.dev/reference/events/user_change.

    Only members of the workspace or organisation that sends the event count: for shared channels, Slack also reports
    people of other companies, and only their own workspace may deactivate them. A member of an organisation belongs to
    it where it receives their messages, and to one of its workspaces in another company's shared channel; both
    principals are returned.

    Raises:
        InvalidMessageError: The event does not name the person or their team.
    """
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict) or event.get("type") != "user_change":
        return ()
    changed = event.get("user")
    if not isinstance(changed, dict) or changed.get("deleted") is not True:
        return ()
    team, organisation = read_id(payload, "team_id"), payload.get("enterprise_id")
    in_organisation = changed.get("enterprise_user")
    organisation = organisation if isinstance(organisation, str) else None
    tenants = [organisation, team] if organisation else [team]
    if organisation and isinstance(in_organisation, dict) and in_organisation.get("enterprise_id") == organisation:
        tenants += tenants_of(changed)
    elif changed.get("team_id") != team:
        return ()
    user = read_id(changed, "id")
    return tuple(Principal("slack", tenant, user) for tenant in dict.fromkeys(tenants))


def read_id(place: Mapping[str, Any], key: str) -> str:
    """Return an id from an event; two events without an id must not count as the same."""
    name = place.get(key)
    if not isinstance(name, str) or not name or not name.isprintable():
        raise InvalidMessageError(f"the event has no usable {key}")
    return name
