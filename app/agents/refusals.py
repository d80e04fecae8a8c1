"""Why a call was not made, in words for the model and its person."""

from __future__ import annotations

from app.toolkits.asides import with_aside

TELL = "Tell the person; do not try it again."

ACCOUNT_GONE = with_aside(
    "This was approved for an account that is no longer connected, so it was not done. Connect it again, or ask for it "
    "with another account.",
    TELL,
)
NOT_IN_A_GROUP = with_aside(
    "I do not do this in a group. Write to me directly and ask me there.", "Tell the person; do not try it again here."
)
UNKNOWN_EFFECT = with_aside(
    "This was interrupted, and I do not know whether it took effect. I did not repeat it.", TELL
)
TOOL_GONE = with_aside("I no longer have this tool, so nothing was done.", TELL)
TOO_MANY_QUESTIONS = with_aside(
    "It asked one question after the other, so I stopped. I do not know whether a part of it was done.", TELL
)
