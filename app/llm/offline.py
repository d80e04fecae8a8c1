"""What the embedded default model answers: rules, not an AI, and it says so.

It understands three things: `help`, `tool_name key=value …` for every tool it is given, and the phrases that the tools
themselves declare: `ToolDefinition.metadata["phrases"]`, a tuple of regular expressions whose named groups are
parameters of the tool. A slash before `help` or a tool's name is accepted but never suggested, because Slack keeps
messages that begin with one for itself. Calls go through the same agent loop, approvals and streaming as with any
other model, so one can try Deputy out, and test it, without a key or a network.

As the leader of a team it hands a message on, as it stands, to the first member with a tool that understands it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic_ai.messages import TextContent, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart

from app.errors import InvalidMessageError
from app.llm.commands import coerce, read_arguments, usage
from app.llm.files import ATTACHED, REFERENCE
from app.llm.listed import last_listed
from app.llm.rendering import listed_ids, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.tools import ToolDefinition

MODEL_NAME = "offline"
MEMBER_TOOLS = "member_tools"  # in the metadata of a tool that asks a member: the definitions of the member's tools
MAX_PHRASE_LENGTH = 2000  # characters; longer messages match no phrase, which bounds the cost of a slow expression
_SUGGESTIONS = 3
# Numbers of things in the last list: `read mail 2`, `trash mails 1, 3`, `open 2`.
_NUMBERED = re.compile(
    r"\b(?P<word>mails?|messages?|threads?|drafts?|events?|read|open)\s+(?P<numbers>\d{1,2}(?:\s*,\s*\d{1,2})*)(?![\w@.-])",
    re.IGNORECASE,
)
# A file that the person sent: `mail this file to …`, `save the photo to my drive`.
_THIS_FILE = re.compile(r"\b(?:this|these|the|my)\s+(?:files?|documents?|photos?|pictures?|images?)\b", re.IGNORECASE)
# Phones type curly quotes. One character for one, so that a position in the straight text is one in the original.
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})


def reply(
    messages: Sequence[ModelMessage], tools: Sequence[ToolDefinition], now: datetime | None = None
) -> TextPart | ToolCallPart:
    """Return the answer to the last request: a tool call for a command or phrase, otherwise text, never empty.

    Tool results are answered with text, so there is no loop. Text that arrives beside them is not obeyed, because a
    tool can put it there; only if no tool ran (all were denied or interrupted) is it the person's next message.
    """
    parts = messages[-1].parts
    results = [part for part in parts if isinstance(part, ToolReturnPart)]
    prompt = next((part for part in reversed(parts) if isinstance(part, UserPromptPart)), None)
    text = _prompt_text(prompt) if prompt else ""
    if results and not (text and all(result.outcome in ("denied", "interrupted") for result in results)):
        return TextPart(_with_hint(render(results, now or datetime.now(UTC)), results, tools))
    if prompt and not text and (attached := _attached(prompt)):
        return TextPart(f"You sent me {attached}. I am the offline demo model: no AI, and I cannot open files.")
    text = text.strip("`").strip()  # Slack's mark for words that are to be typed as they stand
    try:
        if text.startswith("/"):
            return _command(text.removeprefix("/"), tools)
        return (
            _phrase(_files_as_references(text, messages), tools)
            or _phrase(text, tools)
            or _phrase(_numbers_as_ids(text, messages), tools)
            or _command(text, tools, only_known=True)
        )
    except InvalidMessageError as error:
        return TextPart(f"{error}.")


def _command(text: str, tools: Sequence[ToolDefinition], *, only_known: bool = False) -> TextPart | ToolCallPart:
    """Return the call that a tool's name and arguments ask for, or what to write instead.

    Args:
        text: The message without a leading slash.
        tools: The tools of the run.
        only_known: The first word may be any word, so an unknown one is not called a command.
    """
    name, *rest = text.split(maxsplit=1) or ["" if only_known else "help"]
    if name.casefold() == "help" and not (rest and only_known):
        return TextPart(_help(tools))
    tool = _named(name, tools)
    if tool is None and (asked := next((tool for tool in tools if _has(name, _members_tools(tool))), None)):
        return ToolCallPart(asked.name, {"task": text})
    if tool is None:
        return TextPart(_introduction(tools) if only_known else f"There is no command {name}. {_introduction(tools)}")
    try:
        return ToolCallPart(tool.name, read_arguments("".join(rest), tool))
    except InvalidMessageError as error:
        return TextPart(f"{error}.\nUsage: {usage(tool)}")


def _named(name: str, tools: Sequence[ToolDefinition]) -> ToolDefinition | None:
    """Return the tool of this name, or None."""
    return next((tool for tool in tools if tool.name.casefold() == name.casefold()), None)


def _has(name: str, tools: Sequence[ToolDefinition]) -> bool:
    """Return whether one of these tools, or one of a member's, has this name."""
    return _named(name, _with_members(tools)) is not None


def _members_tools(tool: ToolDefinition) -> Sequence[ToolDefinition]:
    """Return the tools of the member that a tool asks; none for any other tool."""
    tools: Sequence[ToolDefinition] = (tool.metadata or {}).get(MEMBER_TOOLS, ())
    return tools


def _phrase(text: str, tools: Sequence[ToolDefinition]) -> ToolCallPart | None:
    """Return the call of the first tool with a phrase that is the whole message, or None.

    Tools of members come last, and the message is their member's task.
    """
    typed = text.translate(_STRAIGHT)
    for tool in tools if len(text) <= MAX_PHRASE_LENGTH else ():
        for phrase in (tool.metadata or {}).get("phrases", ()):
            if match := re.fullmatch(phrase, typed, re.IGNORECASE | re.DOTALL):
                spans = {name: match.span(name) for name, value in match.groupdict().items() if value is not None}
                values = {name: text[start:end].strip() for name, (start, end) in spans.items()}
                return ToolCallPart(tool.name, {name: coerce(name, value, tool) for name, value in values.items()})
    asked = next((tool for tool in tools if _phrase(text, _members_tools(tool))), None)
    return ToolCallPart(asked.name, {"task": text}) if asked else None


def _numbers_as_ids(text: str, messages: Sequence[ModelMessage]) -> str:
    """Return a message with the numbers of things in the last list replaced by their ids."""
    ids = {str(number): each for number, each in enumerate(last_listed(messages), 1) if each}

    def replaced(found: re.Match[str]) -> str:
        word = found["word"] if found["word"].lower() not in ("read", "open") else f"{found['word']} mail"
        return f"{word} {re.sub(r'[0-9]+', lambda number: ids.get(number[0], number[0]), found['numbers'])}"

    return _NUMBERED.sub(replaced, text, count=1) if ids else text


def _files_as_references(text: str, messages: Sequence[ModelMessage]) -> str:
    """Return a message with the references of the files that the person sent last in place of "this file"."""
    prompts = (part for message in reversed(messages) for part in reversed(message.parts))
    prompted = (part for part in prompts if isinstance(part, UserPromptPart))
    sent = next((found for part in prompted if (found := _noted(part, REFERENCE))), [])
    return _THIS_FILE.sub(",".join(sent), text, count=1) if sent else text


def _with_hint(answer: str, results: Sequence[ToolReturnPart], tools: Sequence[ToolDefinition]) -> str:
    """Return an answer, followed after a list by what opens one of its things, if a tool can."""
    ids = listed_ids(results[-1].content) if results[-1].outcome == "success" else []
    if ids and ids[0] and _phrase(f"read mail {ids[0]}", tools):
        return f"{answer}\n\nWrite `read mail 1` to open the first one."
    return answer


def _introduction(tools: Sequence[ToolDefinition]) -> str:
    """Return what this model is, with commands that work as they stand: read tools that need no argument."""
    ready = [
        f"`{tool.name}`"
        for tool in _with_members(tools)
        if (tool.metadata or {}).get("effect") == "read" and not tool.parameters_json_schema.get("required")
    ]
    attempt = f" Try {', '.join(ready[:_SUGGESTIONS])}." if ready else ""
    return (
        "I am the offline demo model: no AI, only fixed phrases and commands."
        f"{attempt} Write `help` to see everything I can do."
    )


def _help(tools: Sequence[ToolDefinition]) -> str:
    lines = ["I am the offline demo model: no AI, only fixed phrases and these commands:", "help"]
    return "\n".join(lines + [f"{usage(tool)}: {_summary(tool)}" for tool in _with_members(tools)])


def _with_members(tools: Sequence[ToolDefinition]) -> list[ToolDefinition]:
    """Return all tools, each one that asks a member followed by the member's."""
    return [each for tool in tools for each in (tool, *_with_members(_members_tools(tool)))]


def _summary(tool: ToolDefinition) -> str:
    """Return the description's first line, without the tag that pydantic-ai adds where `Returns:` is documented."""
    first, *_ = (tool.description or "").strip().splitlines() or ["no description"]
    return first.removeprefix("<summary>").removesuffix("</summary>")


def _prompt_text(part: UserPromptPart) -> str:
    """Return the person's own words; notes are about their attachments."""
    items = [part.content] if isinstance(part.content, str) else part.content
    return "\n".join(item for item in items if isinstance(item, str)).strip()


def _attached(part: UserPromptPart) -> str:
    """Return the attachments that notes name, in words."""
    return ", ".join(_noted(part, ATTACHED))


def _noted(part: UserPromptPart, key: str) -> list[str]:
    """Return the values that notes about attachments have for a key."""
    notes = [item.metadata for item in part.content if isinstance(item, TextContent)]
    return [note[key] for note in notes if isinstance(note, dict) and key in note]
