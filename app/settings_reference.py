"""The settings explained: where each value came from, and a page about every key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.sections.section import Section
from app.settings import Settings
from app.settings_faults import is_mapping, section_of
from app.settings_file import Place, SettingsFile

MASK = "********"

_HEAD = """# Configuration

`deputy serve` reads `config.yaml`, or the file that `--config` names. An unknown key, a key twice, or a value that does
not fit stops the start, with the file, the line and what to do. `${NAME}` in a text is replaced from the environment
after the file was parsed; a variable that is unset or empty stops the start too. `$${` is a literal `${`.
`deputy config show` prints what is in force and where each value came from, secrets masked.

This page is made by `deputy config reference`; a test keeps it true.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force. A secret is masked.

    Attributes:
        path: Its keys, joined by dots.
        origin: ``config.yaml:12``, ``config.yaml:12, ${NAME}``, or ``default``.
    """

    path: str
    value: str
    origin: str


def explain(settings: Settings, file: SettingsFile) -> list[Setting]:
    """Return every value of the settings, in their order, with where it came from."""
    return [
        Setting(".".join(map(str, place)), _shown(value), _origin(file, place)) for place, value in _leaves(settings)
    ]


def reference() -> str:
    """Return the page docs/configuration.md, in Markdown."""
    return "\n".join([_HEAD, *_section("", Settings)])


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), (*place, name))
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*place, key))
    else:
        yield place, value


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _origin(file: SettingsFile, place: Place) -> str:
    if place not in file.lines:
        return "default"
    names = "".join(f", ${{{name}}}" for name in file.variables.get(place, ()))
    return f"{file.path}:{file.lines[place]}{names}"


def _section(path: str, model: type[Section]) -> Iterator[str]:
    about = (model.__doc__ or "").strip()
    yield f"\n## {path}\n\n{about}\n" if path else ""
    yield "| key | what | default |\n|---|---|---|"
    below: list[tuple[str, type[Section]]] = []
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        place = f"{path}.{name}" if path else name
        if inner is not None:
            place += ".<name>" if is_mapping(field.annotation) else ""
            below.append((place, inner))
        yield f"| `{name}` | {_what(field, place, inner)} | {_default(field, inner)} |"
    for place, inner in below:
        yield from _section(place, inner)


def _what(field: FieldInfo, place: str, inner: type[Section] | None) -> str:
    words = field.description or (f"see *{place}*" if inner else "")
    return words.replace("|", "\\|")


def _default(field: FieldInfo, inner: type[Section] | None) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return "required"
    value = field.get_default(call_default_factory=True)
    if inner is not None and value is not None and not value:
        return "none"
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()  # a default is no secret
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return "none" if value is None or value == () or value == {} else f"`{value}`" if str(value) else "empty"
