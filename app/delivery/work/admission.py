"""Admission: the people and groups whose messages are taken."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from app.allow_list import AllowList
from app.errors import NotAllowedError
from app.log_once import LogOnce
from app.messages import InboundMessage

log = logging.getLogger(__name__)

_NOT_LISTED_PERSON = "a message of %s is refused: they are not in interfaces.%s.people"
_NOT_LISTED_CHAT = "a message in the chat %s is refused: it is not in interfaces.%s.chats"


@dataclass(frozen=True, slots=True)
class AllowedHere:
    """The people and groups that are allowed on one channel.

    Attributes:
        people: The users, by their ids on the platform.
        chats: The groups and channels; direct chats are always allowed.
    """

    people: AllowList
    chats: AllowList


class Admission:
    """Refuses messages of people and groups that the settings do not list; lives as long as the process.

    Args:
        allowed: By platform; one that is not named allows everybody.
    """

    def __init__(self, allowed: Mapping[str, AllowedHere]) -> None:
        self._allowed = allowed
        self._log = LogOnce(log)

    def check(self, message: InboundMessage) -> None:
        """Check that a message may be stored.

        Raises:
            NotAllowedError: Its sender, or the group that it comes from, is not on the channel's list.
        """
        person, platform = message.principal, message.principal.platform
        allowed = self._allowed.get(platform)
        if allowed is None:
            return
        if not allowed.people.admits(person.user):
            self._log.warning((platform, "people"), _NOT_LISTED_PERSON, person, platform)
            raise NotAllowedError(f"{person} may not write here; interfaces.{platform}.people lists who may")
        if message.chat is not None and not allowed.chats.admits(message.chat):
            self._log.warning((platform, "chats"), _NOT_LISTED_CHAT, message.chat, platform)
            raise NotAllowedError(f"nobody may write in this chat; interfaces.{platform}.chats lists where people may")
