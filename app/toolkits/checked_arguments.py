"""The arguments of tools that come with a schema of somebody else's."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Fault = tuple[tuple[str | int, ...], str]  # the place in the arguments, and what is wrong there


class CheckedArguments(ABC):
    """Checks a model's arguments. Lives as long as the process and keeps no argument.

    Its errors are pydantic's, which the loop turns into words for the model.
    """

    def __init__(self, tool: str) -> None:
        self._tool = tool

    def validate_json(
        self,
        input: str | bytes | bytearray,  # noqa: A002  # pydantic's name
        *,
        allow_partial: bool | str = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return arguments from JSON text; raises as `validate_python`."""
        try:
            value = json.loads(input)
        except (ValueError, RecursionError):
            raise self._error([((), "Invalid JSON")]) from None
        return self.validate_python(value)

    def validate_python(
        self,
        input: Any,  # noqa: A002  # pydantic's name
        *,
        allow_partial: bool | str = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments as they are.

        Raises:
            ValidationError: They do not fit the schema.
        """
        if faults := [*self.faults(input)]:
            raise self._error(faults)
        assert isinstance(input, dict)
        return input

    @abstractmethod
    def faults(self, arguments: object) -> Iterable[Fault]:
        """Return what is wrong with arguments; something, if they are no object."""

    def _error(self, faults: Iterable[Fault]) -> ValidationError:
        details = [
            InitErrorDetails(type=PydanticCustomError("arguments", "{fault}", {"fault": fault}), loc=place, input=None)
            for place, fault in faults
        ]
        return ValidationError.from_exception_data(self._tool, details)
