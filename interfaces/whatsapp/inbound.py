"""Messages as WhatsApp sends them, made into ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import InvalidMessageError
from app.messages import MAX_TEXT_LENGTH, InboundMessage
from app.principal import Principal
from interfaces.whatsapp.media import attachments_of
from interfaces.whatsapp.numbers import Numbers
from interfaces.whatsapp.payload import Change, Part, part, text
from interfaces.whatsapp.wording import words_in, words_of

PLATFORM = "whatsapp"

# A business-scoped user id: a country, and up to 128 letters and digits.
_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_NUMBER = re.compile(r"[0-9]{5,20}")
_CHANGES = ("user_changed_number", "user_changed_user_id")
_SILENT = ("reaction", "system", "ephemeral", "request_welcome")  # nothing that anybody expects an answer to


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a webhook names: by a business-scoped user id, a phone number, or both.

    Attributes:
        bsuid: The id, or an empty text.
        number: The number (wa_id), or an empty text.
    """

    bsuid: str = field(repr=False)
    number: str = field(repr=False)


class Inbound:
    """Makes messages of webhooks; lives as long as the process and holds none.

    The principal is (whatsapp, portfolio, BSUID). A sender whom Meta names by number alone is ``number-`` and the
    number's keyed hash: another principal, because nothing proves that the number has not passed to somebody else.

    Args:
        numbers: Hashes and seals phone numbers.
        portfolio_id: The business portfolio.
        phone_number_id: The business number.
    """

    def __init__(self, numbers: Numbers, *, portfolio_id: str, phone_number_id: str) -> None:
        self._numbers = numbers
        self._portfolio_id = portfolio_id
        self._phone_number_id = phone_number_id

    def message(self, message: Part, change: Change) -> InboundMessage | None:
        """Return a person's message; None for what is no message to answer, such as a reaction.

        In a group only those count that mention the business number, or reply to a message of it.

        Raises:
            InvalidMessageError: It does not name its sender or itself.
            PrincipalError: The sender's id is none.
        """
        if text(message, "type") in _SILENT:
            return None
        message_id = text(message, "id")
        if not message_id:
            raise InvalidMessageError("a message has no id")
        identity = _sender(message, change.contacts)
        principal = self._principal(identity)
        group = text(message, "group_id")
        if group and not _is_addressed(message, change.own_number):
            return None
        files = attachments_of(message)
        return InboundMessage(
            principal=principal,
            event_id=self._numbers.hashed(message_id),
            conversation=conversation_of(self._phone_number_id, principal, group),
            text=words_of(message, has_files=bool(files), mention=f"@{change.own_number}")[:MAX_TEXT_LENGTH],
            address={
                "bsuid": identity.bsuid or None,
                "number": None if identity.bsuid else self._numbers.sealed(identity.number, principal.user),
                "group": group or None,
                "message": self._numbers.sealed(message_id, principal.user),
                "at": _seconds(message),
            },
            attachments=files,
            chat=group or None,
        )

    def former(self, message: Part) -> tuple[Principal, ...]:
        """Return the principals whose number or id a system message ends.

        https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/system
        """
        if text(message, "type") != "system" or text(part(message, "system"), "type") not in _CHANGES:
            return ()
        ended = (Identity(text(message, "from_user_id"), ""), Identity("", text(message, "from")))
        return tuple(self._principal(each) for each in ended if _is_whole(each))

    def _principal(self, identity: Identity) -> Principal:
        user = identity.bsuid or f"number-{self._numbers.hashed(identity.number)}"
        return Principal(PLATFORM, self._portfolio_id, user)


def conversation_of(phone_number_id: str, principal: Principal, group: str | None) -> str:
    """Return the conversation: a group's, or the direct chat of a person with the business number."""
    return f"{phone_number_id}:group:{group}" if group else f"{phone_number_id}:{principal.user}"


def _sender(message: Part, contacts: Sequence[Part]) -> Identity:
    """Return who wrote a message; their business-scoped id may stand beside the message or among the contacts only."""
    number, bsuid = text(message, "from"), text(message, "from_user_id")
    if not bsuid and number:
        bsuid = next((text(contact, "user_id") for contact in contacts if text(contact, "wa_id") == number), "")
    if not bsuid and not number and len(contacts) == 1:
        bsuid, number = text(contacts[0], "user_id"), text(contacts[0], "wa_id")
    identity = Identity(bsuid if _BSUID.fullmatch(bsuid) else "", number if _NUMBER.fullmatch(number) else "")
    if not _is_whole(identity):
        raise InvalidMessageError("a message does not name its sender")
    return identity


def _is_addressed(message: Part, own_number: str) -> bool:
    replies_to = "".join(filter(str.isdecimal, text(part(message, "context"), "from")))
    return bool(own_number) and (f"@{own_number}" in words_in(message) or replies_to == own_number)


def _is_whole(identity: Identity) -> bool:
    return bool(_BSUID.fullmatch(identity.bsuid) or _NUMBER.fullmatch(identity.number))


def _seconds(message: Part) -> int:
    """Return when it was written, POSIX seconds; 0 if it does not say, so that no window is thought to be open."""
    written = text(message, "timestamp")
    return int(written) if re.fullmatch(r"[0-9]{1,12}", written) else 0
