"""OAuth scopes compared by what they permit: who granted `gmail.modify` has granted reading too.

Source: https://developers.google.com/identity/protocols/oauth2/scopes and the pages of each API that say what a scope
covers, such as https://developers.google.com/workspace/gmail/api/auth/scopes. A scope stands here only where it
permits everything that the other one permits: `drive.file` reaches only some files, so it implies nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_AUTH = "https://www.googleapis.com/auth/"
MAIL = "https://mail.google.com/"
IDENTITY_SCOPES = frozenset({"openid", "email", "profile", f"{_AUTH}userinfo.email", f"{_AUTH}userinfo.profile"})

# Each scope, and what it permits beside itself; what those permit is added below.
_DIRECTLY: Mapping[str, tuple[str, ...]] = {
    "email": ("userinfo.email",),
    "userinfo.email": ("email",),
    "profile": ("userinfo.profile",),
    "userinfo.profile": ("profile",),
    MAIL: ("gmail.modify",),
    "gmail.modify": ("gmail.readonly", "gmail.compose", "gmail.insert", "gmail.labels"),
    "gmail.compose": ("gmail.send",),
    "gmail.readonly": ("gmail.metadata",),
    "calendar": ("calendar.readonly", "calendar.events", "calendar.acls", "calendar.calendars", "calendar.calendarlist",
                 "calendar.freebusy", "calendar.app.created"),
    "calendar.readonly": ("calendar.events.readonly", "calendar.calendars.readonly",
                          "calendar.calendarlist.readonly", "calendar.settings.readonly", "calendar.freebusy"),
    "calendar.events": ("calendar.events.readonly",),
    "calendar.events.owned": ("calendar.events.owned.readonly",),
    "calendar.acls": ("calendar.acls.readonly",),
    "calendar.calendars": ("calendar.calendars.readonly",),
    "calendar.calendarlist": ("calendar.calendarlist.readonly",),
    "drive": ("drive.readonly", "drive.file", "drive.metadata", "drive.appdata", "documents", "spreadsheets",
              "presentations"),
    "drive.readonly": ("drive.metadata.readonly", "documents.readonly", "spreadsheets.readonly",
                       "presentations.readonly"),
    "drive.metadata": ("drive.metadata.readonly",),
    "documents": ("documents.readonly",),
    "spreadsheets": ("spreadsheets.readonly",),
    "presentations": ("presentations.readonly",),
    "tasks": ("tasks.readonly",),
    "contacts": ("contacts.readonly",),
}  # fmt: skip


def _in_full(scope: str) -> str:
    return scope if scope == MAIL or scope in IDENTITY_SCOPES else _AUTH + scope


def _closure(scope: str) -> frozenset[str]:
    found, waiting = set[str](), [scope]
    while waiting:
        found.add(next_one := waiting.pop())
        waiting += [each for each in _DIRECTLY.get(next_one, ()) if each not in found]
    return frozenset(map(_in_full, found))


PERMITS: Mapping[str, frozenset[str]] = MappingProxyType({_in_full(scope): _closure(scope) for scope in _DIRECTLY})
"""Every scope that permits others, and all that it permits, itself included."""


def permitted_by(granted: frozenset[str]) -> frozenset[str]:
    """Return every OAuth scope that these permit, themselves included."""
    return granted.union(*(PERMITS.get(scope, frozenset()) for scope in granted))


def missing_scopes(wanted: frozenset[str], granted: frozenset[str]) -> frozenset[str]:
    """Return those of the wanted OAuth scopes that the granted ones do not permit."""
    return wanted - permitted_by(granted)
