"""Translates pydantic's errors in the settings into texts that say how to fix them. Values are never quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic_core import ErrorDetails

from app.sections.section import WRONG_KEY, Section
from app.settings_file import Place, SettingsFile, Tree

_SECTION = "a section is needed here: keys with values, indented below this one"
_WORDS = {  # by pydantic's name of the fault, filled in with its numbers
    "model_type": _SECTION,
    "dict_type": _SECTION,
    "mapping_type": _SECTION,
    "tuple_type": "a list is needed here, such as [gmail]",
    "string_type": "a text is needed here",
    "path_type": "a path is needed here",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "int_type": "a whole number is needed here, such as 8080",
    "int_parsing": "a whole number is needed here, such as 8080",
    "int_from_float": "a whole number is needed here, such as 8080",
    "float_type": "a number is needed here, such as 30 or 1.5",
    "float_parsing": "a number is needed here, such as 30 or 1.5",
    "finite_number": "a finite number is needed here, such as 30 or 1.5",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
}
_QUOTED = re.compile(r"'([^']*)'")


def in_words(faults: list[ErrorDetails], model: type[Section], file: SettingsFile) -> Iterator[tuple[Place, str]]:
    """Yield each fault as its place in the file and what to do about it.

    A required key that is only misspelt is not missing as well.
    """
    meant = {
        (*fault["loc"][:-1], _meant(fault["loc"], model)) for fault in faults if fault["type"] == "extra_forbidden"
    }
    for fault in faults:
        place, kind, context = fault["loc"], fault["type"], fault.get("ctx", {})
        if kind == "extra_forbidden":
            yield place, _unknown_key(place, model)
        elif kind == "missing":
            if place not in meant:
                yield place, _missing(place, model)
        elif kind in ("literal_error", "enum"):
            yield place, _choice(_QUOTED.findall(str(context["expected"])), _text_at(file.tree, place))
        elif kind == WRONG_KEY:
            yield (*place, context["key"]), fault["msg"]
        elif kind in _WORDS:
            yield place, _WORDS[kind].format_map(context)
        else:
            yield place, fault["msg"].removeprefix("Value error, ")


def _unknown_key(place: Place, model: type[Section]) -> str:
    known = _keys(place[:-1], model)
    if meant := _meant(place, model):
        return f"unknown key; did you mean {meant}?"
    if place[:-1] == ("interfaces",):
        return f"Deputy has no such channel; it has {', '.join(known[:-1])} and {known[-1]}"
    return f"unknown key; here may stand {', '.join(known)}"


def _meant(place: Place, model: type[Section]) -> str | None:
    return next(iter(get_close_matches(str(place[-1]), _keys(place[:-1], model), n=1)), None)


def _missing(place: Place, model: type[Section]) -> str:
    section = _section_at(place[:-1], model)
    field = section.model_fields.get(str(place[-1])) if section else None
    example = next(iter(field.examples or ()), None) if field else None
    return f"this key is required{f'; write {place[-1]}: {example}' if example else ''}"


def _choice(expected: list[str], written: str) -> str:
    close = get_close_matches(written, expected, n=1)
    return (
        f"did you mean {close[0]}? Write one of {', '.join(expected)}"
        if close
        else f"write one of {', '.join(expected)}"
    )


def _keys(place: Place, model: type[Section]) -> list[str]:
    section = _section_at(place, model)
    return list(section.model_fields) if section else []


def _section_at(place: Place, model: type[Section]) -> type[Section] | None:
    """Return the section whose keys stand at a place."""
    section: type[Section] | None = model
    is_name = False  # of an entry in a mapping, such as an agent's
    for step in place:
        if is_name:
            is_name = False
        elif section is None or str(step) not in section.model_fields:
            return None
        else:
            annotation = section.model_fields[str(step)].annotation
            section, is_name = section_of(annotation), is_mapping(annotation)
    return section


def is_mapping(annotation: Any) -> bool:
    """Return whether a field holds many entries by name."""
    return get_origin(annotation) is Mapping or any(get_origin(part) is Mapping for part in get_args(annotation))


def section_of(annotation: Any) -> type[Section] | None:
    """Return the section that a field holds, one or many of it."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part)) is not None), None)


def _text_at(tree: Tree, place: Place) -> str:
    for step in place:
        try:
            tree = tree[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return ""
    return tree if isinstance(tree, str) else ""


def did_you_mean(name: str, known: Mapping[str, object]) -> str:
    """Return a hint with the known names. The wrong name is not repeated: it may be a secret in the wrong place."""
    close = get_close_matches(name, known, n=1)
    there = ", ".join(sorted(known))
    return f"did you mean {close[0]}? There is {there}" if close else f"there is {there}"
