"""What a person says in the chat about their Google account."""

from __future__ import annotations

from app.credentials.codes import find_typed
from app.credentials.confirmation import Confirmation, Connected
from app.google.apis import GoogleApis
from app.messages import StoredMessage

_NOTHING = (
    "No sign-in of yours waits for this code. It may be used already, or over, or of a link that somebody else asked "
    "for: then close the page, and give the code to nobody."
)


class ConfirmCommand:
    """Takes the code of a sign-in, ``confirm K7P2QX9M``; lives as long as the process and holds none."""

    def __init__(self, confirmation: Confirmation, google_apis: GoogleApis) -> None:
        self._confirmation = confirmation
        self._google_apis = google_apis

    async def reply(self, message: StoredMessage) -> str | None:
        """Confirm the sign-in whose code a message is, and say so; None when it is anything else."""
        typed = find_typed(message.text)
        if typed is None:
            return None
        outcome = await self._confirmation.confirm(message.principal, typed)
        if isinstance(outcome, Connected):
            return self._connected(outcome)
        if outcome is None:
            return _NOTHING
        if not outcome.tries_left:
            return "That is not the code either, so nothing was connected. Write `connect google` for a new link."
        tries = "one more try" if outcome.tries_left == 1 else f"{outcome.tries_left} more tries"
        return f"That is not the code. Look at the page where you signed in; you have {tries}."

    def _connected(self, connected: Connected) -> str:
        text = f"Connected: {connected.email}."
        if connected.missing_scopes:
            missing = "; ".join(map(self._google_apis.permission, sorted(connected.missing_scopes)))
            text += f" You did not allow this, so what needs it will not work: {missing}"
        return text
