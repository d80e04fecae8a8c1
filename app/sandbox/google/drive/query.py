"""The search language of ``files.list``, as far as the sandbox reads it: terms joined by ``and``.

https://developers.google.com/workspace/drive/api/guides/ref-search-terms
"""

from __future__ import annotations

import re
from collections.abc import Callable

from app.sandbox.google.api import ApiError
from app.sandbox.google.drive.file import DriveFile

_TEXT = r"'(?P<text>(?:[^'\\]|\\.)*)'"
_TERMS: tuple[tuple[re.Pattern[str], Callable[[DriveFile, str], bool]], ...] = (
    (re.compile(rf"name\s*=\s*{_TEXT}"), lambda file, text: file.name == text),
    (re.compile(rf"name\s+contains\s+{_TEXT}"), lambda file, text: _has_prefix(file.name, text)),
    (re.compile(rf"fullText\s+contains\s+{_TEXT}"), lambda file, text: _has_words(file, text)),
    (re.compile(rf"mimeType\s*=\s*{_TEXT}"), lambda file, text: file.mime_type == text),
    (re.compile(rf"mimeType\s*!=\s*{_TEXT}"), lambda file, text: file.mime_type != text),
    (re.compile(rf"{_TEXT}\s+in\s+parents"), lambda file, text: file.parent == text),
    (re.compile(rf"{_TEXT}\s+in\s+owners"), lambda file, text: file.owner == text),
    (re.compile(r"trashed\s*=\s*(?P<text>true|false)"), lambda file, text: file.trashed == (text == "true")),
)
_AND = re.compile(r"\s+and\s+")


def read_query(query: str, root: str) -> Callable[[DriveFile], bool]:
    """Return a function that says whether a file fits a query; an empty query fits every file.

    Args:
        query: The parameter ``q``.
        root: The id that the alias ``root`` stands for.

    Raises:
        ApiError: The sandbox cannot read the query.
    """
    tests: list[Callable[[DriveFile], bool]] = []
    place = 0
    while place < len(query):
        test, place = _term(query, place, root)
        tests.append(test)
        if place < len(query):
            joined = _AND.match(query, place)
            if joined is None or joined.end() == len(query):
                raise _invalid()
            place = joined.end()
    return lambda file: all(test(file) for test in tests)


def is_full_text(query: str) -> bool:
    """Return whether a query has a term that Google answers in its own order."""
    return bool(re.search(r"\bfullText\b", query))


def _term(query: str, place: int, root: str) -> tuple[Callable[[DriveFile], bool], int]:
    for pattern, fits in _TERMS:
        if match := pattern.match(query, place):
            text = re.sub(r"\\(.)", r"\1", match["text"])
            if "in\\s+parents" in pattern.pattern and text == "root":
                text = root
            return (lambda file, fits=fits, text=text: fits(file, text)), match.end()
    raise _invalid()


def _has_prefix(name: str, text: str) -> bool:
    """Return whether a word of a name begins with a text, as Google's ``contains`` of names reads it."""
    return any(
        word.startswith(text.casefold()) for word in re.split(r"\W+", name.casefold())
    ) or name.casefold().startswith(text.casefold())


def _has_words(file: DriveFile, text: str) -> bool:
    content = file.content.decode("utf-8", "ignore") if file.is_googles or file.mime_type.startswith("text/") else ""
    words = set(re.findall(r"\w+", f"{file.name} {content}".casefold()))
    return all(word in words for word in re.findall(r"\w+", text.casefold()))


def _invalid() -> ApiError:
    return ApiError(400, "Invalid Value", "invalid")
