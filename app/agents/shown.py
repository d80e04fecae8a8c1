"""How a call is shown to the person who is asked to approve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.approvals.question import Question
from app.errors import CredentialsError, ProviderError, ToolError
from app.toolkits.input_file import InputFile
from app.toolkits.toolkit import Toolkit, ToolSpec


async def question_about(
    toolkit: Toolkit, spec: ToolSpec, tool_args: Mapping[str, Any], files: Mapping[str, InputFile]
) -> Question | None:
    """Return how the person is asked to approve a call, with its files, and what the toolkit knows about it.

    It is None for a call without files of a tool that has no words of its own.
    """
    named = tuple(f"{each}: {file.in_words}" for each, file in files.items())
    if spec.asks is None:
        return Question(f"Shall I run {spec.name}?", details=named) if named else None
    try:
        details = await toolkit.approval_details(spec.name, tool_args)
    except (ProviderError, ToolError, CredentialsError):
        details = ()  # the arguments themselves are shown in any case
    return replace(spec.asks, labels=dict(spec.asks.labels), details=(*named, *details))
