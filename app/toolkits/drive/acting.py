"""Files made and copied, which only the person sees, and files shared or thrown away, which is asked about first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from app.approvals.question import Question
from app.errors import GoogleError, ToolError
from app.google.uploads import BytesUpload
from app.sent_files import MAX_FILE_BYTES
from app.toolkits.drive.arguments import Content, FileId, FileIds, FileName, Role, ShareNote, ShareWith
from app.toolkits.drive.contents import resolved
from app.toolkits.drive.file import FOLDER, described, target
from app.toolkits.drive.oauth_scopes import ALL_FILES, OWN_FILES
from app.toolkits.drive.phrases import FILE_ID, FILE_IDS
from app.toolkits.drive.reading import DriveReading
from app.toolkits.google_faults import describe
from app.toolkits.input_file import OneFile, TakesFiles
from app.toolkits.phrases import ADDRESS, END, PLEASE, THIS_FILE
from app.toolkits.shapes import text
from app.toolkits.toolkit import Effect, tool

LABELS = MappingProxyType(
    {"file": "File", "file_id": "File", "file_ids": "Files", "name": "Name", "role": "They may", "people": "With"}
)
_ROOT = ["root"]
_NAMED = "id,name,mimeType,ownedByMe,owners(emailAddress),shortcutDetails(targetId)"
_TYPES = MappingProxyType({"csv": "text/csv", "json": "application/json", "md": "text/markdown"})


class DriveToolkit(DriveReading):
    """Reads, makes, copies, shares and throws away the person's files. Lives for one request.

    Args:
        google: Google's APIs as that person.
        zone: Their time zone.
    """

    @tool(
        effect=Effect.ORGANISE,
        oauth_scopes=(OWN_FILES,),
        doing="making a file",
        asks=Question("Put this file into your Drive?", LABELS, "put it there", ("name",)),
        phrases=(
            rf"{PLEASE}(?:save|upload|create|make)(?: an?)?(?: new)? file (?P<name>[^\s:]+)\s*:\s*(?P<content>.+)",
        ),
    )
    async def upload(self, name: FileName, content: Content) -> dict[str, Any]:
        """Put a new text file into the person's own top folder; nobody else sees it until it is shared.

        Args:
            name: Its name, with an ending such as `.txt`, `.md` or `.csv`.
            content: Its text.
        """
        media_type = _TYPES.get(name.rpartition(".")[2].lower(), "text/plain")
        return await self._put(name, BytesUpload(content.encode(), media_type))

    @tool(
        effect=Effect.ORGANISE,
        oauth_scopes=(OWN_FILES,),
        doing="uploading a file",
        asks=Question("Put this file into your Drive?", LABELS, "put it there", ("name",)),
        phrases=(
            rf"{PLEASE}(?:save|upload|put) {THIS_FILE} (?:in|to|into|on) (?:my |the )?drive(?: as (?P<name>.+?))?{END}",
        ),
        files=TakesFiles(("file",), MAX_FILE_BYTES),
    )
    async def upload_file(self, file: OneFile, name: FileName | None = None) -> dict[str, Any]:
        """Put a file into the person's own top folder: one that they sent here, or one attached to a mail of theirs.

        Nobody else sees it until it is shared.

        Args:
            file: The file id of what the person attached here, or the `reference` of an attachment in a mail.
            name: Its name in Drive; its own otherwise.
        """
        return await self._put(name or file.name, BytesUpload(file.contents, file.mime_type))

    async def _put(self, name: str, media: BytesUpload) -> dict[str, Any]:
        files = self._google.resource("drive", "v3", "files")
        made = await self._google.execute(
            files.create(body={"name": name, "parents": _ROOT}, media_body=media, fields="id,webViewLink")
        )
        return {"summary": f"I put {name} into your Drive.", "id": text(made, "id"), "link": text(made, "webViewLink")}

    @tool(
        effect=Effect.ORGANISE,
        oauth_scopes=(ALL_FILES,),
        doing="copying a file",
        asks=Question("Copy this file?", LABELS, "copy it", ("name",)),
        phrases=(rf"{PLEASE}copy(?: the)? {FILE_ID} (?:as|to) (?P<name>.+?){END}",),
    )
    async def copy(self, file_id: FileId, name: FileName) -> dict[str, Any]:
        """Copy a file into the person's own top folder; nobody else sees the copy until it is shared.

        Args:
            file_id: The file, or a shortcut to it; a folder cannot be copied.
            name: The name of the copy.
        """
        files = self._google.resource("drive", "v3", "files")
        file = await resolved(self._google, file_id)
        if text(file, "mimeType") == FOLDER:
            raise ToolError("a folder cannot be copied; copy the files in it")
        body = {"name": name, "parents": _ROOT}
        copied = await self._google.execute(
            files.copy(fileId=text(file, "id"), supportsAllDrives=True, body=body, fields="id,webViewLink")
        )
        return {"summary": f"I copied it as {name}.", "id": text(copied, "id"), "link": text(copied, "webViewLink")}

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(ALL_FILES,),
        doing="sharing a file",
        asks=Question("Share this file?", LABELS, "share it", ("file_id", "people")),
        phrases=(rf"{PLEASE}share(?: the)? {FILE_ID} with (?P<people>{ADDRESS}(?:, ?{ADDRESS})*){END}",),
    )
    async def share(
        self, file_id: FileId, people: ShareWith, role: Role = Role.READ, note: ShareNote | None = None
    ) -> dict[str, Any]:
        """Share a file or a folder with people by address; the person is asked first, and Google mails each of them.

        What is shared of a folder is everything in it, now and later.

        Args:
            file_id: The file or folder, or a shortcut to it.
            people: With whom.
            role: `reader`, `commenter` or `writer`.
            note: A line in the mail.
        """
        permissions = self._google.resource("drive", "v3", "permissions")
        file_id = text(await resolved(self._google, file_id), "id")
        shared: list[str] = []
        problems: list[dict[str, str]] = []
        for each in people.split(", "):  # one after the other: Drive keeps only the last of changes at the same time
            request = permissions.create(
                fileId=file_id,
                supportsAllDrives=True,
                sendNotificationEmail=True,
                emailMessage=note,
                body={"type": "user", "role": role.value, "emailAddress": each},
                fields="id",
            )
            try:
                await self._google.execute(request)
            except GoogleError as error:
                if not shared and not error.passes:
                    raise
                problems.append({"who": each, "problem": describe(error)})
                if error.passes:
                    break
            else:
                shared.append(each)
        done = set(shared) | {problem["who"] for problem in problems}
        problems += [{"who": each, "problem": "not tried"} for each in people.split(", ") if each not in done]
        return {"shared_with": shared, "role": role.value, **({"problems": problems} if problems else {})}

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(ALL_FILES,),
        doing="throwing files away",
        asks=Question("Throw these files away?", LABELS, "throw them away"),
        phrases=(rf"{PLEASE}(?:trash|delete|throw away)(?: the)? {FILE_IDS}{END}",),
    )
    async def trash(self, file_ids: FileIds) -> dict[str, Any]:
        """Move files to the trash, where Google keeps them for 30 days; the person is asked first.

        Of a folder, everything in it goes too, and those whom it was shared with lose it.
        """
        files = self._google.resource("drive", "v3", "files")
        requests = [
            files.update(fileId=each, supportsAllDrives=True, body={"trashed": True}, fields="id") for each in file_ids
        ]
        answers = await self._google.execute_batch(requests, repeatable=True)
        failed = {
            each: describe(answer)
            for each, answer in zip(file_ids, answers, strict=True)
            if isinstance(answer, GoogleError)
        }
        problems = [{"id": each, "problem": problem} for each, problem in failed.items()]
        return {
            "trashed": [each for each in file_ids if each not in failed],
            **({"problems": problems} if problems else {}),
        }

    async def approval_details(self, tool: str, arguments: Mapping[str, Any]) -> Sequence[str]:
        """Return what each file that a call is about is called, and whose it is."""
        named = arguments.get("file_ids", [arguments["file_id"]] if "file_id" in arguments else [])
        answers = await self._looked_up(named)
        targets = [target(answer) for answer in answers if target(answer)]
        led_to = dict(zip(targets, await self._looked_up(targets), strict=True)) if targets else {}
        return [
            f"{each}: {_in_words(answer)}"
            + (f", leads to {_in_words(led_to[target(answer)])}" if target(answer) else "")
            for each, answer in zip(named, answers, strict=True)
        ]

    async def _looked_up(self, file_ids: Sequence[str]) -> list[Any]:
        files = self._google.resource("drive", "v3", "files")
        return await self._google.execute_batch(
            [files.get(fileId=each, supportsAllDrives=True, fields=_NAMED) for each in file_ids]
        )


def _in_words(answer: Any) -> str:
    return "this file could not be looked up" if isinstance(answer, GoogleError) else described(answer)
