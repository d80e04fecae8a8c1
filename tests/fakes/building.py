"""Delays the building of Telegram's types, because a test uses only a few."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

_PACKAGE = "aiogram."


def build_when_used(patch: pytest.MonkeyPatch) -> None:
    """Let each of aiogram's types be built when it is first used, with the names of its import.

    Importing aiogram builds all 450 of them, each with those that it contains, which takes 5 s.
    """
    build: Callable[..., bool | None] = vars(BaseModel)["model_rebuild"].__func__
    names: dict[str, Any] = {}

    def model_rebuild(
        cls: type[BaseModel],
        *,
        force: bool = False,
        raise_errors: bool = True,
        _parent_namespace_depth: int = 2,
        _types_namespace: Mapping[str, Any] | None = None,
    ) -> bool | None:
        if cls.__module__.startswith(_PACKAGE):
            if _types_namespace is not None:
                names.update(_types_namespace)
                return None
            _types_namespace = names
        return build(
            cls,
            force=force,
            raise_errors=raise_errors,
            _parent_namespace_depth=_parent_namespace_depth + 1,
            _types_namespace=_types_namespace,
        )

    patch.setattr(BaseModel, "model_rebuild", classmethod(model_rebuild))
