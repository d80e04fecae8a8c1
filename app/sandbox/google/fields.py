"""Partial answers: applies the ``fields`` parameter.

https://developers.google.com/workspace/gmail/api/guides/performance#partial-response
"""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r"[A-Za-z0-9_.$@-]+|[*/,()]")

Selection = dict[str, "Selection"]  # an empty one selects everything below


class FieldsError(Exception):
    """The ``fields`` parameter is malformed."""


def parse_fields(fields: str) -> Selection:
    """Return what a selector names, such as ``messages(id,payload/headers),nextPageToken``.

    Raises:
        FieldsError: The selector is malformed.
    """
    tokens = _TOKEN.findall(fields)
    if "".join(tokens) != re.sub(r"\s", "", fields):
        raise FieldsError(f"Invalid field selection {fields[:100]}")
    try:
        selection = _list(tokens)
    except IndexError:
        raise FieldsError(f"Invalid field selection {fields[:100]}") from None
    if tokens:
        raise FieldsError(f"Invalid field selection {fields[:100]}")
    return selection


def _list(tokens: list[str]) -> Selection:
    selection: Selection = {}
    while True:
        name = tokens.pop(0)
        if name in "/,()":
            raise FieldsError(f"Invalid field selection near {name}")
        below = selection.setdefault(name, {})
        while tokens and tokens[0] == "/":
            tokens.pop(0)
            below = below.setdefault(tokens.pop(0), {})
        if tokens and tokens[0] == "(":
            tokens.pop(0)
            below.update(_list(tokens))
            if tokens.pop(0) != ")":
                raise FieldsError("Invalid field selection: a parenthesis is not closed")
        if not tokens or tokens[0] != ",":
            return selection
        tokens.pop(0)


def select(selection: Selection, value: Any) -> Any:
    """Return the parts of an answer that a selection names."""
    if not selection:
        return value
    if isinstance(value, list):
        return [select(selection, each) for each in value]
    if not isinstance(value, dict):
        return value
    everything = selection.get("*")
    wanted = {key: selection.get(key, everything) for key in value}
    return {key: select(below, value[key]) for key, below in wanted.items() if below is not None}
