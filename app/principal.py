"""The person whom a message is from, and whom the assistant acts for."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from app.characters import normal_form
from app.errors import PrincipalError

MAX_PART_LENGTH = 255  # characters; the width of the database columns that hold each part
_NAMED_BY_ADMINISTRATORS = "http"  # its names are checked when a token is issued; tokens that are older stay valid


@dataclass(frozen=True, slots=True)
class Principal:
    """The person a message is from, as the channel verified it: always three values, none of them empty.

    Two principals are equal exactly if all three parts are equal. It is a value and contains no secret. Platforms make
    ids of plain letters and digits, so one that could look like another (decomposed letters, blanks around it, unseen
    characters) is refused. It is never rewritten, because that could make two people one.

    Attributes:
        platform: The channel: ``slack``, ``telegram``, ``whatsapp`` or ``http``.
        tenant: The scope of the user ids: the sender's Slack enterprise ("E…") or team ("T…"), a Telegram bot id, a
            WhatsApp portfolio id, or the issuer of an HTTP token.
        user: The person's id within the tenant, such as Slack's "U…" or "W…".

    Raises:
        PrincipalError: A part is empty, is not a string, is too long, contains a control character, or is not in normal
            form.
    """

    platform: str
    tenant: str
    user: str

    def __post_init__(self) -> None:
        for name in ("platform", "tenant", "user"):
            part = getattr(self, name)
            if not isinstance(part, str) or not part.strip():
                raise PrincipalError(f"a principal needs a {name}; got {part!r}")
            if len(part) > MAX_PART_LENGTH or not part.isprintable():
                raise PrincipalError(f"the {name} of a principal is at most {MAX_PART_LENGTH} printable characters")
            if self.platform != _NAMED_BY_ADMINISTRATORS and not is_normal(part):
                raise PrincipalError(f"the {name} of a principal has blanks, unseen or decomposed characters: {part!a}")

    def __str__(self) -> str:
        """Return the text form for the command line, each part percent-escaped: ``http:demo:ada``."""
        return ":".join(quote(part, safe="") for part in (self.platform, self.tenant, self.user))

    @classmethod
    def parse(cls, text: str) -> Principal:
        """Parse the text form; accept only the output of a principal's `str()`.

        Raises:
            PrincipalError: The text is not three percent-escaped parts, or is escaped in another way.
        """
        parts = text.split(":")
        if len(parts) != 3:
            raise PrincipalError(
                f"a principal is written platform:tenant:user, for example http:demo:ada; got {text!r}"
            )
        principal = cls(*(unquote(part) for part in parts))
        if str(principal) != text:
            raise PrincipalError(f"write this principal as {principal}; got {text!r}")
        return principal


def is_normal(part: str) -> bool:
    """Return whether a part of a principal is written as everybody writes it who looks the same."""
    return (part.isascii() and " " not in part) or part == normal_form(part)
