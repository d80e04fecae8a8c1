"""The content of one message for a model: the words, notes about its attachments, and files that the model can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pydantic_ai.messages import BinaryContent, ModelMessage, ModelRequest, TextContent, UserContent, UserPromptPart

from app.llm.files import ATTACHED, REFERENCE

_Change = Callable[[Sequence[UserContent]], list[UserContent]]


@dataclass(frozen=True, slots=True)
class Note:
    """A line about an attachment, which Deputy and not the person wrote.

    Attributes:
        text: The line.
        names: The file, in words for a person; None if the line is not about a file.
        reference: The reference by which tools take the file.
    """

    text: str = field(repr=False)
    names: str | None = field(default=None, repr=False)
    reference: str = field(default="", repr=False)

    @property
    def content(self) -> TextContent:
        """Return it as pydantic-ai takes it."""
        about = {ATTACHED: self.names, REFERENCE: self.reference} if self.names else None
        return TextContent(self.text, metadata=about)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One message as a model is given it. Lives for one request.

    Attributes:
        words: The person's words, written or said in a voice message.
        notes: Lines about its attachments.
        files: Those that the model reads.
    """

    words: str = field(repr=False)
    notes: tuple[Note, ...] = ()
    files: tuple[BinaryContent, ...] = field(default=(), repr=False)

    def content(self) -> str | list[UserContent]:
        """Return it as pydantic-ai takes it."""
        if not self.notes and not self.files:
            return self.words
        return [*([self.words] if self.words else []), *(note.content for note in self.notes), *self.files]


def without_files(turn: Sequence[ModelMessage]) -> list[ModelMessage]:
    """Return the messages of a turn without the files that the person sent: no contents are stored, only notes."""
    return [_mapped(message, lambda content: [item for item in content if not _is_file(item)]) for message in turn]


def with_files(turn: Sequence[ModelMessage], files: Sequence[BinaryContent]) -> list[ModelMessage]:
    """Return the messages of a turn with these files beside the person's first words, as they were at first."""
    if not files:
        return list(turn)
    first = next((number for number, message in enumerate(turn) if _prompt_of(message)), None)
    return [
        _mapped(message, lambda content: [*content, *files]) if number == first else message
        for number, message in enumerate(turn)
    ]


def _mapped(message: ModelMessage, change: _Change) -> ModelMessage:
    if not isinstance(message, ModelRequest) or not _prompt_of(message):
        return message
    parts = [
        replace(part, content=change(part.content))
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        else part
        for part in message.parts
    ]
    return replace(message, parts=parts)


def _prompt_of(message: ModelMessage) -> bool:
    return isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts)


def _is_file(item: UserContent) -> bool:
    return isinstance(item, BinaryContent)
