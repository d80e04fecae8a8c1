"""The tools by which the leader of a team asks its members: `ask_mail`, with a task in words."""

from __future__ import annotations

import re

from app.toolkits.given import given_tool
from app.toolkits.toolkit import Effect, ToolSpec

TASK = "task"

_SCHEMA = {
    "type": "object",
    "properties": {TASK: {"type": "string", "minLength": 1, "description": "What to do, in words."}},
    "required": [TASK],
    "additionalProperties": False,
}
_KNOWS = {
    True: "It has read this conversation too.",
    False: "It knows nothing of this conversation, so give it all that it needs, such as names and ids.",
}


def ask_tool(member: str, about: str, *, shares_history: bool) -> ToolSpec:
    """Return the tool that asks a member. It is nobody's, and lives as long as the process.

    Args:
        member: The member's name in the settings.
        about: Its purpose, in a sentence for the model.
        shares_history: The member sees the conversation.
    """
    description = f"Have {member}, a member of your team, do a task for the person. {about} {_KNOWS[shares_history]}"
    phrases = (rf"ask {re.escape(member)}(?:,|:| to)? (?P<{TASK}>.+)",)
    return given_tool(
        "ask",
        member.replace("-", "_"),
        description=description,
        schema=_SCHEMA,
        effect=Effect.READ,
        phrases=phrases,
        repeatable=True,
        doing=f"asking {member}",
    )
