"""Runs `deputy …` with the benchmarks' model: ``python -m benchmarks.stubbed serve --config FILE``."""

from __future__ import annotations

import containers.build
from app.settings import Settings
from containers.application import Application

_build = containers.build.build


def _stubbed(settings: Settings, *, only_used: bool = False) -> Application:
    from containers.testing.models import call, scripted, use_model  # here, so that a start does not wait for it

    container = _build(settings, only_used=only_used)
    use_model(container, scripted([call("files_search", "call_1", query="harbour", limit=3)]))
    return container


if __name__ == "__main__":
    from app.cli import main

    containers.build.build = _stubbed
    main()
