"""The base class and the value types of all sections of the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

Value = TypeVar("Value")

WRONG_KEY = "wrong_key"


def wrong(key: str, words: str) -> PydanticCustomError:
    """Return an error about one key, for a validator that looks at several keys of a section."""
    return PydanticCustomError(WRONG_KEY, words, {"key": key})


def matching(pattern: str, words: str) -> AfterValidator:
    """Return a validator that a whole text matches the pattern; its error says the words, not the pattern."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


Name = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9_-]{0,62}", "a name has lower-case letters, digits, - and _, and begins with a letter: work-mail"
    ),
]
Named = Annotated[Mapping[Name, Value], AfterValidator(MappingProxyType)]
Text = Annotated[str, Field(min_length=1)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Url = Annotated[
    str,
    matching(
        r"https?://[^\s/?#@]+[^\s?#@]*",
        "a whole address is needed, such as https://deputy.example, without a login, a ? or a #",
    ),
]
ImportPath = Annotated[
    str, matching(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "write package.module:Class, with a colon before the class")
]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OneOrMore = Annotated[
    tuple[Value, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]


class Section(BaseModel):
    """A frozen part of the settings. Unknown keys are errors, and errors never show a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)
