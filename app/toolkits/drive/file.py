"""Files as the Drive API gives them, and as they are shown.

https://developers.google.com/workspace/drive/api/reference/rest/v3/files. Others can name a file and share it with the
person, so names and texts are quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any

from app.toolkits.shapes import mapping, number, objects, text
from app.toolkits.untrusted import Quotes

FOLDER = "application/vnd.google-apps.folder"
PDF = "application/pdf"
SHORTCUT = "application/vnd.google-apps.shortcut"
# The format that each of Google's own kinds is read in:
# https://developers.google.com/workspace/drive/api/guides/ref-export-formats
READ_AS: Mapping[str, str] = MappingProxyType(
    {
        "application/vnd.google-apps.document": "text/plain",
        "application/vnd.google-apps.spreadsheet": "text/csv",
        "application/vnd.google-apps.presentation": "text/plain",
    }
)
# Those of Google's own kinds that can be had as PDF; forms, maps and sites cannot.
WITH_PDF = frozenset({*READ_AS, "application/vnd.google-apps.drawing"})
LISTED = (
    "id,name,mimeType,modifiedTime,size,ownedByMe,owners(emailAddress),driveId,shortcutDetails(targetId,targetMimeType)"
)
_KINDS = MappingProxyType(
    {
        FOLDER: "folder",
        SHORTCUT: "shortcut",
        "application/vnd.google-apps.document": "document",
        "application/vnd.google-apps.spreadsheet": "spreadsheet",
        "application/vnd.google-apps.presentation": "presentation",
        "application/vnd.google-apps.drawing": "drawing",
        "application/vnd.google-apps.form": "form",
    }
)
_TEXTS = frozenset({"application/json", "application/xml", "application/csv", "application/x-yaml", "application/sql"})
MAX_NAME = 300  # characters shown of one
_MAX_PEOPLE = 50  # shown of one file


def summary(file: Mapping[str, Any], quotes: Quotes, zone: tzinfo) -> dict[str, Any]:
    """Return what a list says about a file, with its day of change in a zone."""
    owner = next((text(each, "emailAddress") for each in objects(file, "owners")), "")
    return {
        "id": text(file, "id"),
        "name": quotes.quote(text(file, "name")[:MAX_NAME]) or "(no name)",
        "kind": kind(file),
        "modified": _day(text(file, "modifiedTime"), zone),
        **({"bytes": number(file, "size")} if "size" in file else {}),
        **({"leads_to": target(file)} if target(file) else {}),
        **({} if file.get("ownedByMe") is True else {"owner": quotes.quote(owner[:MAX_NAME]) or "a shared drive"}),
    }


def in_full(file: Mapping[str, Any], quotes: Quotes, zone: tzinfo) -> dict[str, Any]:
    """Return everything that is shown of one file, apart from its text."""
    people = [
        {
            "who": quotes.quote((text(each, "emailAddress") or text(each, "domain"))[:MAX_NAME])
            or ("anyone with the link" if text(each, "type") == "anyone" else "somebody"),
            "may": _MAY.get(text(each, "role"), text(each, "role")[:20]),
        }
        for each in objects(file, "permissions")
    ]
    return {
        **summary(file, quotes, zone),
        **({"link": text(file, "webViewLink")[:MAX_NAME]} if text(file, "webViewLink") else {}),
        **({"in_the_trash": True} if file.get("trashed") is True else {}),
        **({"shared_with": people[:_MAX_PEOPLE], "people_in_all": len(people)} if people else {}),
    }


def _day(stamp: str, zone: tzinfo) -> str:
    """Return the day of a time that Google gives, in a zone; a text that is no time is cut to the length of one."""
    try:
        return datetime.fromisoformat(stamp).astimezone(zone).date().isoformat()
    except (ValueError, OverflowError):
        return stamp[:10]


def kind(file: Mapping[str, Any]) -> str:
    """Return what a file is, in a word or as its media type."""
    return _KINDS.get(text(file, "mimeType"), text(file, "mimeType")[:100])


def described(file: Mapping[str, Any]) -> str:
    """Return a file on one line, for the question that the person is asked; a shortcut says where it leads."""
    owner = next((text(each, "emailAddress") for each in objects(file, "owners")), "")
    whose = "yours" if file.get("ownedByMe") is True else f"owned by {owner[:MAX_NAME] or 'a shared drive'}"
    return f"{kind(file)}: {text(file, 'name')[:MAX_NAME] or '(no name)'}, {whose}"


def may_be_text(file: Mapping[str, Any]) -> bool:
    """Return whether a file that is not one of Google's own kinds may be read as text."""
    media_type = text(file, "mimeType")
    return media_type.startswith("text/") or media_type in _TEXTS or media_type.endswith(("+json", "+xml"))


def is_googles(file: Mapping[str, Any]) -> bool:
    """Return whether a file is one of Google's own kinds, which have no bytes and are exported."""
    return text(file, "mimeType").startswith("application/vnd.google-apps.")


def target(file: Mapping[str, Any]) -> str:
    """Return the id of the file that a shortcut leads to, or an empty text."""
    return text(mapping(file, "shortcutDetails"), "targetId")


_MAY = MappingProxyType({"owner": "own it", "writer": "change it", "commenter": "comment on it", "reader": "read it"})
