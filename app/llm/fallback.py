"""Several models in order: the next one answers when one cannot."""

from __future__ import annotations

from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings

from app.llm.faults import model_fault


def with_fallbacks(first: Model, *others: Model) -> Model:
    """Return a model that asks the others in order if the first fails; it lives as long as the process."""
    return _Chain(first, *others, fallback_on=_falls_back)


def is_unavailable(error: Exception) -> bool:
    """Return whether another model may do better: no connection, overloaded, failing, or an unreadable answer.

    A refusal (a wrong key, an unknown model, a request that is not understood) is a mistake that has to be fixed.
    """
    fault = model_fault(error)
    # If its class is not a model error, the library could not read the answer.
    return (
        fault.passes if fault is not None else isinstance(error, (LookupError, TypeError, AttributeError, ValueError))
    )


def _falls_back(error: Exception) -> bool:
    """Return whether the next model is asked; the error keeps no frame.

    The library keeps the error, until the chain ends, in a variable of a frame that the error would lead to: the cycle
    would keep the conversation until the garbage collector runs.
    """
    error.__traceback__ = None
    return is_unavailable(error)


class _Chain(FallbackModel):
    @property
    def settings(self) -> ModelSettings:
        """Return settings without retries: going on is better, because a server may ask to wait for a minute."""
        return ModelSettings(max_retries=0)
