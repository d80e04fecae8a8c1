"""A question of a tool's origin, such as an MCP server, and how its person answers it in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from urllib.parse import urlsplit

from app.characters import seen, spelled_out

MAX_TEXT = 2_000  # characters of an answer to one field
MARKS = "`-* "  # no part of a label: people write lists and code, and forms mark what is required
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_YES, _NO = frozenset({"yes", "y", "true", "ja"}), frozenset({"no", "n", "false", "nein"})

Value = str | int | float | bool | list[str]
Answers = dict[str, dict[str, Value]]


class FieldKind(StrEnum):
    """The kind of value that a field takes."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    CHOICES = "choices"


@dataclass(frozen=True, slots=True)
class FormField:
    """One value that is asked for.

    Attributes:
        request: Which of the origin's requests it belongs to.
        name: Its name there.
        label: Its name for the person; unique in the form.
        choices: The value and the words of each choice.
        lowest: The smallest number, the least characters of a text, or the fewest choices.
        highest: The greatest number, the most characters of a text, or the most choices.
        format: ``email``, ``uri``, ``date`` or ``date-time``, or "".
    """

    request: str
    name: str
    label: str
    kind: FieldKind
    required: bool = True
    choices: tuple[tuple[str, str], ...] = ()
    lowest: float | None = None
    highest: float | None = None
    format: str = ""

    @property
    def takes(self) -> str:
        """Return what a person can answer, in words; the choices of a choice stand below it."""
        bounds = [f"from {self.lowest:g}"] if self.lowest is not None else []
        bounds += [f"up to {self.highest:g}"] if self.highest is not None else []
        said = {
            FieldKind.TEXT: {"": "words", "uri": "an address", "date": "a date: 2026-11-30"}.get(
                self.format, "a date and time: 2026-11-30T09:00:00Z" if self.format else "words"
            ),
            FieldKind.NUMBER: "a number",
            FieldKind.INTEGER: "a whole number",
            FieldKind.BOOLEAN: "yes or no",
            FieldKind.CHOICE: "one of these",
            FieldKind.CHOICES: "some of these (put commas between them)",
        }[self.kind]
        if self.format == "email":
            said = "a mail address"
        if self.kind is FieldKind.TEXT and bounds:
            bounds.append("characters")
        return " ".join([said, *bounds]) + ("" if self.required else ", or nothing")

    def read(self, text: str) -> Value:
        """Return the value that a person means.

        Raises:
            ValueError: It does not fit; the text says what does.
        """
        text = text.strip()
        value = self._value(text)
        if value is None:
            raise ValueError(f"`{self.label}` takes {self.takes}.")
        return value

    def _value(self, text: str) -> Value | None:
        match self.kind:
            case FieldKind.TEXT:
                return (
                    text if self._fits(len(text)) and len(text) <= MAX_TEXT and _has_format(text, self.format) else None
                )
            case FieldKind.BOOLEAN:
                word = text.lower().rstrip(".!")
                return True if word in _YES else False if word in _NO else None
            case FieldKind.CHOICE:
                return self._chosen(text.lower())
            case FieldKind.CHOICES:
                named = [self._chosen(each.strip().lower()) for each in text.split(",")]
                chosen = list(dict.fromkeys(each for each in named if each is not None))
                return chosen if None not in named and self._fits(len(chosen)) else None
            case FieldKind.INTEGER | FieldKind.NUMBER:
                read: Callable[[str], int | float] = int if self.kind is FieldKind.INTEGER else float
                try:
                    number = read(text) if len(text) <= 40 else math.nan
                except ValueError:
                    return None
                return number if math.isfinite(number) and self._fits(number) else None

    def _chosen(self, text: str) -> str | None:
        for value, words in self.choices:
            if text in (value.lower(), words.lower()):
                return value
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
        return self.choices[number - 1][0] if 0 < number <= len(self.choices) else None

    def _fits(self, size: float) -> bool:
        return (self.lowest is None or size >= self.lowest) and (self.highest is None or size <= self.highest)


@dataclass(frozen=True, slots=True)
class Form:
    """A question, in the words of whoever asks it. It is a stranger's text and is shown as such.

    Attributes:
        asker: The name in the settings of the server that asks.
        message: The question.
        requests: The origin's requests that it stands for, all of which the answer answers.
        url: The page that the person is asked to open; "" if it is another kind of question.
        home: The origin's own host, if it is known.
    """

    asker: str
    message: str = field(repr=False)
    requests: tuple[str, ...]
    fields: tuple[FormField, ...] = ()
    url: str = field(default="", repr=False)
    home: str = ""

    def read(self, text: str) -> Answers:
        """Return the values that an answer gives, by request and name.

        An answer to one field is its value. To several, each is on a line of its own, after its label and a colon.

        Raises:
            ValueError: It does not fit; the text says what does.
        """
        answers: Answers = {request: {} for request in self.requests}
        for each, said in self._said(text):
            if said or each.required:
                answers[each.request][each.name] = each.read(said)
        return answers

    def _said(self, text: str) -> list[tuple[FormField, str]]:
        if len(self.fields) == 1:
            return [(self.fields[0], text.strip())]
        labels = {each.label.lower(): each for each in self.fields}
        said: dict[str, str] = {}
        for line in filter(str.strip, text.splitlines()):
            label, colon, value = line.partition(":")
            known = label.strip(MARKS).lower()
            if not colon or known not in labels or known in said:
                raise ValueError("Write each answer on a line of its own, after its name and a colon.")
            said[known] = value.strip()
        return [(each, said.get(label, "")) for label, each in labels.items()]

    @property
    def host(self) -> str:
        """Return the host of the page, or "" without a page."""
        return urlsplit(self.url).hostname or ""

    def shown(self, code: str, until: str, as_whom: str = "", member: str = "") -> str:
        """Return the question as text that is shown verbatim, with how to answer it by this code.

        Args:
            code: The code of the question.
            until: How long it can be answered, in words.
            as_whom: The account that the call is made with, where the person has several.
            member: The member of a team whose call it is; empty for the agent itself.
        """
        about = "".join(
            f", {words}"
            for words in (as_whom and f"about your account {as_whom}", member and f"through {member}")
            if words
        )
        who = f"The server {self.asker} asks you{about}, in its own words:\n{_indented(self.message)}"
        if self.url:
            host = self.host
            other = f", which is not the server's own ({self.home})" if self.home and self.home != host else ""
            return (
                f"{who}It wants you to open a page at {host}{other}. I have not opened it:\n{_indented(self.url)}"
                f"Open it only if you trust {host}. Reply `approve {code}` when you are done there, or "
                f"`deny {code}` to drop this{until}."
            )
        for each in self.fields:
            who += f"  {spelled_out(each.label)} ({each.takes})\n"
            who += "".join(f"    {number}. {spelled_out(words)}\n" for number, (_, words) in enumerate(each.choices, 1))
        answer = f"`answer {code}` and your answer"
        if len(self.fields) > 1:
            answer += f" to each, on lines such as `{spelled_out(self.fields[0].label)}: …`"
        how = answer if self.fields else f"`approve {code}` to agree"
        secrets = " Never send a password or another secret here." if any(map(_is_typed, self.fields)) else ""
        return f"{who}Reply {how}, or `deny {code}` to give none{until}.{secrets}"

    def buttons(self) -> list[tuple[str, str]]:
        """Return the label and the words of each answer that a button can give; none for one that has to be typed."""
        if not self.fields:
            return []
        only = self.fields[0]
        if len(self.fields) > 1 or only.kind not in (FieldKind.BOOLEAN, FieldKind.CHOICE) or len(only.choices) > 8:
            return []
        if only.kind is FieldKind.BOOLEAN:
            return [("Yes", "yes"), ("No", "no")]
        return [(spelled_out(words)[:40], str(number)) for number, (_, words) in enumerate(only.choices, 1)]


def _is_typed(each: FormField) -> bool:
    return each.kind is FieldKind.TEXT


def _indented(text: str) -> str:
    return "".join(f"    {spelled_out(line)}\n" for line in seen(text).split("\n"))


def _has_format(text: str, wanted: str) -> bool:
    try:
        match wanted:
            case "email":
                return _EMAIL.fullmatch(text) is not None
            case "uri":
                return bool(urlsplit(text).scheme)
            case "date":
                date.fromisoformat(text)
            case "date-time":
                datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
