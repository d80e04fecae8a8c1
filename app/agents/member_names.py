"""The names of a team's members, and of the tools that ask them."""

from __future__ import annotations

MAX_MEMBER_NAME = 60  # characters; a function's name has at most 64


def ask_name(member: str) -> str:
    """Return the name of the tool that asks a member: ``ask_work_mail`` for ``work-mail``."""
    return f"ask_{member.replace('-', '_')}"
