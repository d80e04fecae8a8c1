"""Things that a tool found, as a person reads them: what it is, from whom, when, and how it begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.toolkits.asides import without_asides

_TITLES = ("subject", "title", "name")
_PEOPLE = {"from": "from", "organised_by": "by", "to": "to"}  # the first that is there, with its preposition
_BEGINNINGS = ("start", "first_day", "date", "modified")
_ENDS = ("end", "last_day")
_TEXTS = ("snippet", "description")
_PROBLEM = "problem"  # why something that was found cannot be shown
_LONGEST = 120  # characters of a text that is shown on one line
_GREETING = re.compile(r"(?:hello|hi|dear|good (?:morning|evening))\b[^,.!\n]{0,40}[,.!]\s*", re.IGNORECASE)
_MARKDOWN = re.compile(r"[*_`~\[\]]")
_ADDRESS = re.compile(r'\s*"?([^"<>]*[^"<>\s])"?\s*<[^<>]+>')


def is_entry(value: object) -> bool:
    """Return whether a value is an object with a title, such as a mail, or with the reason why there is none."""
    return isinstance(value, Mapping) and any(isinstance(value.get(key), str) for key in (*_TITLES, _PROBLEM))


def entry(item: Mapping[str, Any], now: datetime) -> str:
    """Return an object with a title on one line, and the beginning of its text on a second one; ids are left out."""
    if _PROBLEM in item:
        return f"(cannot be shown: {_plain(without_asides(str(item[_PROBLEM])))})"
    taken = {"to"} if "from" in item else set()
    line = f"**{_title(item, taken)}**"
    if who := _who(item, taken):
        line += f" {who}"
    if when := _when(item, now, taken):
        line += f", {when}"
    text = next((str(item[key]) for key in _TEXTS if item.get(key)), "")
    taken.update(_TEXTS)
    if more := _rest(item, taken):
        line += f" ({more})"
    return f"{line}\n   {_shorten(text)}" if text.strip() else line


def document(item: Mapping[str, Any], now: datetime, body: str) -> str:
    """Return an object with a title and a long text: its head line by line, and then the text under this key."""
    taken = {body, *_TEXTS}
    lines = [f"**{_title(item, taken)}**"]
    for key, word in (("from", "From"), ("reply_to", "Answers go to"), ("to", "To"), ("cc", "Copy to")):
        taken.add(key)
        if item.get(key):
            lines.append(f"{word} {item[key]}")
    if when := _when(item, now, taken):
        lines.append(when[:1].upper() + when[1:] + (", UTC" if is_utc(item) else ""))
    if more := _rest(item, taken):
        lines.append(more)
    text = "\n".join(lines) + f"\n\n{item[body]}"
    attachments = item.get("attachments")
    names = [_attached(each) for each in attachments if isinstance(each, Mapping)] if attachments else []
    return f"{text}\n\nAttached: {', '.join(names)}" if names else text


def is_utc(item: Mapping[str, Any]) -> bool:
    """Return whether an object's time is given in UTC, which need not be its person's."""
    return any(str(item.get(key, "")).endswith("Z") for key in _BEGINNINGS)


def moment(text: str, now: datetime) -> str:
    """Return a time or a day (RFC 3339) in words: ``today 09:12``, ``yesterday``, ``Monday 23 November 10:00``.

    Args:
        text: The time; anything else is returned as it is.
        now: The present, with a time zone.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    has_time = "T" in text or " " in text
    today = now.astimezone(at.tzinfo or UTC).date()
    words = _day(at.date(), today)
    return f"{words} {at:%H:%M}" if has_time else words


def _day(day: date, today: date) -> str:
    near = {today - timedelta(1): "yesterday", today: "today", today + timedelta(1): "tomorrow"}
    if day in near:
        return near[day]
    year = f" {day.year}" if day.year != today.year else ""
    return f"{day:%A} {day.day} {day:%B}{year}"


def _title(item: Mapping[str, Any], taken: set[str]) -> str:
    key = next(key for key in _TITLES if isinstance(item.get(key), str))
    taken.add(key)
    return _plain(str(item[key])) or f"(no {key})"


def _who(item: Mapping[str, Any], taken: set[str]) -> str:
    for key, word in _PEOPLE.items():
        if people := item.get(key):
            taken.add(key)
            names = [_name(str(each)) for each in (people if isinstance(people, list) else [people])]
            return f"{word} {', '.join(names)}"
    return ""


def _when(item: Mapping[str, Any], now: datetime, taken: set[str]) -> str:
    taken.update(_BEGINNINGS, _ENDS)
    begins = next((str(item[key]) for key in _BEGINNINGS if item.get(key)), "")
    ends = next((str(item[key]) for key in _ENDS if item.get(key)), "")
    words = moment(begins, now) if begins else ""
    if not ends or ends == begins:
        return words
    until = moment(ends, now)
    day, _, time = until.rpartition(" ")
    return f"{words} to {time if day and words.startswith(day) else until}"


def _rest(item: Mapping[str, Any], taken: set[str]) -> str:
    """Return the other fields that a person can read: numbers, texts and yes or no, without ids."""
    shown = []
    for key, value in item.items():
        if key in taken or is_id(key) or value is None or value == "" or isinstance(value, list | Mapping):
            continue
        label = key.replace("_", " ")
        shown.append(label if value is True else f"{label}: {'no' if value is False else _plain(str(value))}")
    return ", ".join(shown)


def is_id(key: str) -> bool:
    """Return whether a field names something for programs only."""
    return key in ("id", "reference") or key.endswith(("_id", "_ids"))


def _attached(attachment: Mapping[str, Any]) -> str:
    kind = f" ({attachment['type']})" if attachment.get("type") else ""
    return f"{_plain(str(attachment.get('name') or 'a file'))}{kind}"


def _name(person: str) -> str:
    """Return the name of ``Ada Lovelace <ada@example.com>``, or what there is."""
    found = _ADDRESS.match(person)
    return _plain(found[1] if found else person)


def _plain(text: str) -> str:
    """Return a text that others wrote on one line, without what a channel could take for formatting."""
    return " ".join(_MARKDOWN.sub("", text).split())


def _shorten(text: str) -> str:
    line = _plain(text)
    line = _GREETING.sub("", line, count=1) if _GREETING.match(line) else line
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST].rpartition(' ')[0]} …"
