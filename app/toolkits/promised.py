"""Files that a tool promises to its person: they go with the answer, and its toolkit reads them when it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pydantic_ai import ToolReturn
from pydantic_ai.messages import ModelMessage, ToolReturnPart

from app.sent_files import MAX_FILES, FileReference, dump_files, load_files
from app.toolkits.input_file import cleaned_name, cleaned_type

FILES = "files"  # in the metadata of a tool's result: the references of the files that it promises


def promised(result: Any, reference: str, name: str, mime_type: str, size: int | None = None) -> ToolReturn[Any]:
    """Return a tool's result that promises its person a file beside the answer; the toolkit's `read_file` reads it."""
    file = FileReference(reference, cleaned_name(name), cleaned_type(mime_type), size)
    return ToolReturn(result, metadata={FILES: [asdict(file)]})


def read_by(result: Any, tool: str, credential_id: str | None) -> Any:
    """Return a tool's result, with its name and its access in the files that it promises."""
    if not (isinstance(result, ToolReturn) and isinstance(result.metadata, Mapping) and FILES in result.metadata):
        return result
    files = [replace(each, tool=tool, credential_id=credential_id) for each in load_files(result.metadata[FILES])]
    return replace(result, metadata={**result.metadata, FILES: dump_files(files)})


def files_in(turn: Sequence[ModelMessage]) -> tuple[FileReference, ...]:
    """Return the files that the results of a turn promise, once each."""
    found: dict[FileReference, None] = {}
    for message in turn:
        for part in message.parts:
            metadata = part.metadata if isinstance(part, ToolReturnPart) and part.outcome == "success" else None
            if isinstance(metadata, Mapping):
                found |= dict.fromkeys(load_files(metadata.get(FILES)))
    return tuple(found)[:MAX_FILES]
