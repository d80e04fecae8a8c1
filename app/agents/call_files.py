"""The files of tool calls: fetched for one call, and the same files that were approved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai import ToolFailed

from app.errors import ProviderError, ToolError
from app.oauth.provider import GOOGLE
from app.toolkits.asides import with_aside, without_asides
from app.toolkits.google_faults import describe
from app.toolkits.input_file import InputFile
from app.toolkits.input_files import InputFiles
from app.toolkits.toolkit import ToolSpec

FILE_CHANGED = with_aside(
    "{} is no longer the file that you approved, so nothing was done. Ask again, and I show you the file as it is now.",
    "Tell the person; do not try it again.",
)


class CallFiles:
    """Fetches the files that one person's calls name in one conversation. Lives for one run."""

    def __init__(self, files: InputFiles, conversation: str) -> None:
        self._files = files
        self._conversation = conversation

    def needs(self, spec: ToolSpec, tool_args: Mapping[str, Any]) -> frozenset[str]:
        """Return the OAuth scopes that a call needs: those of its tool, and those for its files.

        Raises:
            ToolFailed: A file is in a Google account, which the tool does not use.
        """
        references = spec.files.references(tool_args) if spec.files else ()
        for_files = self._files.oauth_scopes(references) if references else frozenset()
        if for_files and spec.connection != GOOGLE:
            raise ToolFailed("this tool takes only files that the person sent in this conversation")
        return for_files.union(spec.oauth_scopes)

    async def fetch(self, spec: ToolSpec, tool_args: Mapping[str, Any]) -> dict[str, InputFile]:
        """Return the files that a call names, by reference.

        Raises:
            ToolFailed: One is not there, is not this person's, is too large, or cannot be fetched.
            ConsentRequiredError, GrantRevokedError, AccessRefusedError: The account cannot be read.
        """
        if spec.files is None or not (references := spec.files.references(tool_args)):
            return {}
        try:
            return await self._files.fetch(references, self._conversation, limit=spec.files.max_bytes)
        except ToolError as error:
            raise ToolFailed(str(error)) from error
        except ProviderError as error:
            raise ToolFailed(describe(error)) from error

    async def approved(
        self, spec: ToolSpec, tool_args: Mapping[str, Any], digests: Mapping[str, str]
    ) -> dict[str, InputFile]:
        """Return the files of an approved call, fetched again.

        Args:
            spec: The tool.
            tool_args: The call's arguments.
            digests: The approved hashes, by reference.

        Raises:
            ToolFailed: As `fetch`, or a file is not the one that was approved.
            ConsentRequiredError, GrantRevokedError, AccessRefusedError: As `fetch`.
        """
        try:
            files = await self.fetch(spec, tool_args)
        except ToolFailed as error:
            raise ToolFailed(f"{without_asides(error.message).rstrip('.')}. Nothing was done.") from error
        for reference, file in files.items():
            if digests.get(reference) != file.digest:
                raise ToolFailed(FILE_CHANGED.format(file.name))
        return files


def things_changed(spec: ToolSpec, tool_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments without the files, of which it changes none."""
    named = spec.files.parameters if spec.files else ()
    return {name: value for name, value in tool_args.items() if name not in named}
