"""Several models in order: the next one answers when one cannot."""

from __future__ import annotations

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def with_fallbacks(first: Model, *others: Model) -> Model:
    """The first model, followed by the others; it holds nobody's data and lives as long as the process."""
    return _Chain(first, *others, fallback_on=is_unavailable)


def is_unavailable(error: Exception) -> bool:
    """Whether another model may do better: no connection, overloaded (429) or failing (5xx).

    What was refused (a wrong key, an unknown model, a request that is not understood) is a mistake to be mended.
    """
    if isinstance(error, ModelHTTPError):
        return error.status_code == _TOO_MANY_REQUESTS or error.status_code >= _SERVER_ERROR
    return isinstance(error, ModelAPIError)


class _Chain(FallbackModel):
    @property
    def settings(self) -> ModelSettings:
        """To go on is better than to try the same one again: a server may ask for a minute between two tries."""
        return ModelSettings(max_retries=0)
