"""Several models in order: the next one answers when one cannot."""

from __future__ import annotations

from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings

from app.llm.faults import model_fault


def with_fallbacks(first: Model, *others: Model) -> Model:
    """Return the first model, followed by the others; it holds nobody's data and lives as long as the process."""
    return _Chain(first, *others, fallback_on=is_unavailable)


def is_unavailable(error: Exception) -> bool:
    """Return whether another model may do better: no connection, overloaded, failing, or an answer that is none.

    What was refused (a wrong key, an unknown model, a request that is not understood) is a mistake to be fixed.
    """
    fault = model_fault(error)
    # Not a model's error by its class, so the library could not read the answer.
    return (
        fault.passes if fault is not None else isinstance(error, (LookupError, TypeError, AttributeError, ValueError))
    )


class _Chain(FallbackModel):
    @property
    def settings(self) -> ModelSettings:
        """Return settings without tries of its own: going on is better, as a server may ask to wait a minute."""
        return ModelSettings(max_retries=0)
