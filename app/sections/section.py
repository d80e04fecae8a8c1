"""What every section of the settings is made of."""

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
    """Return the fault of one key, for a check that looks at several keys of a section."""
    return PydanticCustomError(WRONG_KEY, words, {"key": key})


def matching(pattern: str, words: str) -> AfterValidator:
    """Return a check that a text fits a pattern as a whole; a person is shown the words, never the pattern."""
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
    """A part of the settings: frozen, an unknown key is an error, and an error shows no value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
