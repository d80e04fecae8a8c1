"""Gmail's search language, as far as the sandbox speaks it.

https://support.google.com/mail/answer/7190. Words, "phrases", ``-not``, ``a OR b``, ``(groups)``, ``{any of these}``
and the operators below. It rejects all other syntax, so that no search is silently wrong. Days
begin in Pacific time: https://developers.google.com/workspace/gmail/api/guides/filtering.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app.sandbox.google.gmail.mailbox import HIDDEN_LABELS, Label
from app.sandbox.google.gmail.message import MailboxMessage, normalised

Predicate = Callable[[MailboxMessage], bool]

_PACIFIC = ZoneInfo("America/Los_Angeles")
_DAY_MS = 86_400_000
_UNIT_DAYS = {"d": 1, "m": 30, "y": 365}
_TOKEN = re.compile(r'(-?)(?:([A-Za-z][\w]*):(?=\S))?(?:"([^"]*)"|([(){}])|([^\s(){}"]+))')
_STATES = {"unread": "UNREAD", "starred": "STARRED", "important": "IMPORTANT"}
_PLACES = {"drafts": "DRAFT", "chats": "CHAT"}
_CATEGORIES = {"primary": "PERSONAL", "promotions": "PROMOTIONS"} | {
    name: name.upper() for name in ("social", "updates", "forums")
}
_UNSPOKEN = frozenset({"larger", "smaller", "size", "list", "deliveredto", "around"})


class SearchError(Exception):
    """The sandbox does not speak this part of the search language, or a value is malformed."""


@dataclass(frozen=True, slots=True)
class Search:
    """A query, read.

    Attributes:
        matches: Whether a message is found.
        reaches_hidden: Whether it asks for trash or spam, which a search leaves out otherwise.
    """

    matches: Predicate
    reaches_hidden: bool


def read_search(query: str, *, email: str, labels: Iterable[Label], now: float) -> Search:
    """Parse a query.

    Args:
        query: The text after ``q=``.
        email: Whom ``me`` means.
        labels: The labels that ``label:`` can name.
        now: The time that ``newer_than:`` counts from, in seconds since the epoch.

    Raises:
        SearchError: The sandbox does not speak a part of it.
    """
    reader = _Reader(query, email, {_slug(label.name): label.id for label in labels}, int(now * 1000))
    return Search(reader.read(), reader.reaches_hidden)


class _Reader:
    """Reads one query by recursive descent; OR binds tighter than the blank that means AND, as in Gmail."""

    def __init__(self, query: str, email: str, labels: Mapping[str, str], now_ms: int) -> None:
        self._tokens = [match.groups("") for match in _TOKEN.finditer(query)]
        self._email = email
        self._labels = labels
        self._now_ms = now_ms
        self.reaches_hidden = False

    def read(self) -> Predicate:
        predicate = self._terms(closing="", operator="")
        if self._tokens:
            raise SearchError("a bracket in the query closes nothing")
        return predicate

    def _terms(self, closing: str, operator: str) -> Predicate:
        """Read the terms up to the closing bracket: one of each group has to match, and of braces any one."""
        groups: list[list[Predicate]] = []
        join = False
        while self._tokens and self._tokens[0][3] not in (")", "}"):
            if self._tokens[0] in (("", "", "", "", "OR"), ("", "", "", "", "|")):
                self._tokens.pop(0)
                join = True
            elif self._tokens[0] == ("", "", "", "", "AND"):
                self._tokens.pop(0)
            else:
                term = self._term(operator)
                if groups and (join or closing == "}"):
                    groups[-1].append(term)
                else:
                    groups.append([term])
                join = False
        if closing and (not self._tokens or self._tokens.pop(0)[3] != closing):
            raise SearchError(f"the query lacks a {closing}")
        return lambda message: all(any(term(message) for term in group) for group in groups)

    def _term(self, outer: str) -> Predicate:
        minus, operator, phrase, bracket, word = self._tokens.pop(0)
        if bracket:
            predicate = self._terms(")" if bracket == "(" else "}", operator or outer)
        else:
            predicate = self._leaf((operator or outer).lower(), phrase or word)
        return (lambda message: not predicate(message)) if minus else predicate

    def _leaf(self, operator: str, value: str) -> Predicate:
        if operator in _UNSPOKEN:
            raise SearchError(f"the sandbox does not search by {operator}:")
        if read := getattr(self, f"_by_{operator}", None):
            found: Predicate = read(value)
            return found
        wanted = normalised(f"{operator} {value}")
        return lambda message: wanted in message.words or wanted.isspace()

    def _by_from(self, value: str) -> Predicate:
        return self._in_headers(value, "From")

    def _by_to(self, value: str) -> Predicate:
        return self._in_headers(value, "To", "Cc", "Bcc")

    def _by_cc(self, value: str) -> Predicate:
        return self._in_headers(value, "Cc")

    def _by_bcc(self, value: str) -> Predicate:
        return self._in_headers(value, "Bcc")

    def _by_subject(self, value: str) -> Predicate:
        return self._in_headers(value, "Subject")

    def _in_headers(self, value: str, *names: str) -> Predicate:
        wanted = normalised(self._email if value.lower() == "me" else value)
        return lambda message: any(wanted in normalised(message.header(name)) for name in names)

    def _by_is(self, value: str) -> Predicate:
        if value.lower() == "read":
            return lambda message: "UNREAD" not in message.label_ids
        if value.lower() not in _STATES:
            raise SearchError(f"the sandbox does not search by is:{value}")
        return _labelled(_STATES[value.lower()])

    def _by_in(self, value: str) -> Predicate:
        if value.lower() == "anywhere":
            self.reaches_hidden = True
            return lambda message: True
        return self._by_label(_PLACES.get(value.lower(), value))

    def _by_label(self, value: str) -> Predicate:
        label_id = self._labels.get(_slug(value))
        self.reaches_hidden |= label_id in HIDDEN_LABELS
        return _labelled(label_id) if label_id else lambda message: False

    def _by_category(self, value: str) -> Predicate:
        if value.lower() not in _CATEGORIES:
            raise SearchError(f"there is no category:{value}")
        return _labelled(f"CATEGORY_{_CATEGORIES[value.lower()]}")

    def _by_has(self, value: str) -> Predicate:
        if value.lower() != "attachment":
            raise SearchError(f"the sandbox does not search by has:{value}")
        return lambda message: bool(message.attachments)

    def _by_filename(self, value: str) -> Predicate:
        wanted = value.lower()
        return lambda message: any(wanted in (part.get_filename() or "").lower() for part in message.attachments)

    def _by_rfc822msgid(self, value: str) -> Predicate:
        return lambda message: message.message_id.strip("<>") == value.strip("<>")

    def _by_after(self, value: str) -> Predicate:
        start = _milliseconds(value)
        return lambda message: message.at >= start

    def _by_before(self, value: str) -> Predicate:
        end = _milliseconds(value)
        return lambda message: message.at < end

    _by_newer, _by_older = _by_after, _by_before

    def _by_newer_than(self, value: str) -> Predicate:
        start = self._now_ms - _span(value)
        return lambda message: message.at >= start

    def _by_older_than(self, value: str) -> Predicate:
        end = self._now_ms - _span(value)
        return lambda message: message.at < end


def _labelled(label_id: str) -> Predicate:
    return lambda message: label_id in message.label_ids


def _slug(name: str) -> str:
    return re.sub(r"[\s/]+", "-", name.strip().lower())


def _milliseconds(value: str) -> int:
    if value.isdecimal() and len(value) > 8:
        return int(value) * 1000
    for form in ("%Y/%m/%d", "%Y-%m-%d", "%m/%d/%Y"):
        try:
            return int(datetime.strptime(value, form).replace(tzinfo=_PACIFIC).timestamp() * 1000)
        except ValueError:
            continue
    raise SearchError(f"{value} is no date; write 2026/01/31 or seconds since the epoch")


def _span(value: str) -> int:
    match = re.fullmatch(r"(\d{1,5})([dmy])", value)
    if not match:
        raise SearchError(f"{value} is no span of time; write 7d, 2m or 1y")
    return int(match[1]) * _UNIT_DAYS[match[2]] * _DAY_MS
