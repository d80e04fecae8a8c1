"""`deputy …` with the model of the benchmarks: ``python -m benchmarks.stubbed serve --config FILE``."""

from __future__ import annotations

import containers.build
from app.settings import Settings
from benchmarks.message import search_and_tell
from containers.application import Application
from containers.testing import use_model

_build = containers.build.build


def _stubbed(settings: Settings) -> Application:
    from pydantic_ai.models.function import FunctionModel

    container = _build(settings)
    use_model(container, FunctionModel(search_and_tell))
    return container


if __name__ == "__main__":
    from app.cli import main

    containers.build.build = _stubbed
    main()
