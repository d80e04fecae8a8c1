"""The two largest packages of a server, imported without what it never uses of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


def import_frameworks() -> None:
    """Import FastAPI and pydantic-ai, whose pydantic models make their schemas when they are first used.

    FastAPI alone defines fifty for OpenAPI, which is not served. Making their schemas takes a twentieth of a start. The
    models of ours, and of toolkits from outside, make theirs at once, so that what is wrong with one is found.
    """
    usual = BaseModel.model_config
    BaseModel.model_config = ConfigDict(
        defer_build=True
    )  # https://pydantic.dev/docs/validation/latest/api/pydantic/config/
    try:
        import fastapi
        import pydantic_ai
    finally:
        BaseModel.model_config = usual
    del fastapi, pydantic_ai
