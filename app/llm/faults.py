"""Why a model did not answer: temporary faults, and those that somebody has to fix."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelAuthenticationError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelUnavailableError,
    OutputTokenLimitExceeded,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
    UserError,
)


class ModelFault(StrEnum):
    """Why a model did not answer. Stored with a message as the class of its error."""

    BUSY = "model_busy"  # overloaded, or asked too often
    DOWN = "model_down"  # 5xx
    NETWORK = "model_network"  # no connection, or no answer in time
    ODD = "model_odd_answer"  # an answer that cannot be read: empty, or against the protocol
    SET_UP = "model_set_up"  # a wrong key, an unknown model or address, a request that it does not accept
    QUOTA = "model_quota"  # the paid quota is used up
    TOO_LONG = "model_context"  # the conversation exceeds the context window
    REFUSED = "model_refused"  # the provider's content filter
    CUT = "model_cut"  # the output limit was reached before any text
    UNUSABLE = "model_unusable"  # a readable answer that a run cannot use

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a while later, or at another model."""
        return self in _PASSING


_PASSING = frozenset({ModelFault.BUSY, ModelFault.DOWN, ModelFault.NETWORK, ModelFault.ODD})
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], ModelFault], ...] = (
    (ModelQuotaExceededError, ModelFault.QUOTA),
    ((ModelRateLimitError, ModelUnavailableError, ModelOverloadedError), ModelFault.BUSY),
    (ModelContextWindowExceededError, ModelFault.TOO_LONG),
    ((ModelAuthenticationError, ModelNotFoundError), ModelFault.SET_UP),
    (ContentFilterError, ModelFault.REFUSED),
    (OutputTokenLimitExceeded, ModelFault.CUT),
    (ModelServerError, ModelFault.DOWN),
    (ModelRequestRejectedError, ModelFault.SET_UP),
)
_SERVER_ERROR = 500
_UNREADABLE = "Invalid response from"  # the start of pydantic-ai's error about an answer that breaks the protocol
_STATUSES = {402: ModelFault.QUOTA, 408: ModelFault.DOWN, 413: ModelFault.TOO_LONG, 429: ModelFault.BUSY}
# Words of providers whose codes the library does not know.
_TOO_LONG = ("context_length", "context length", "context window", "maximum context", "prompt is too long")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}|\d{1,6}")
_USED_UP = ("insufficient_quota", "billing", "credit balance")
# OpenAI's codes, and the inner one of Azure: https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
_REFUSED = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation")


# The errors that the library raises by mistake about an answer that it does not expect.
UNREADABLE = (LookupError, TypeError, AttributeError, ValueError)


class OddAnswerError(ModelAPIError):
    """A model's answer could not be read: it was empty, or against the protocol."""


def model_fault(error: BaseException) -> ModelFault | None:
    """Return why a model did not answer; None for an error that is not a model's.

    If several models failed in a row, a temporary fault of one of them counts, because another try is worth it then.
    """
    if isinstance(error, FallbackExceptionGroup):
        faults = [fault for each in error.exceptions if (fault := model_fault(each)) is not None]
        return next((fault for fault in faults if fault.passes), faults[0] if faults else ModelFault.UNUSABLE)
    if isinstance(error, OddAnswerError) or (
        isinstance(error, UnexpectedModelBehavior) and str(error).startswith(_UNREADABLE)
    ):
        return ModelFault.ODD
    if isinstance(error, UsageLimitExceeded):
        return None
    if isinstance(error, ModelHTTPError) and (stated := _stated(error)) is not None:
        return stated
    for kinds, fault in _KINDS:
        if isinstance(error, kinds):
            return fault
    if isinstance(error, ModelHTTPError):
        server_fault = ModelFault.DOWN if error.status_code >= _SERVER_ERROR else ModelFault.SET_UP
        return _STATUSES.get(error.status_code, server_fault)
    if isinstance(error, ModelAPIError):
        return ModelFault.NETWORK
    return ModelFault.UNUSABLE if isinstance(error, (AgentRunError, UserError)) else None


def describe_fault(error: BaseException, fault: ModelFault) -> str:
    """Return the fault with the model's name, the HTTP status and the provider's code: no word of anybody's text."""
    parts = [fault.value]
    if isinstance(error, FallbackExceptionGroup):
        faults = ((each, model_fault(each)) for each in error.exceptions)
        return "; ".join(describe_fault(each, its) for each, its in faults if its is not None) or fault.value
    if isinstance(error, ModelAPIError):
        parts.append(f"model {error.model_name}")
    if isinstance(error, ModelHTTPError):
        parts.append(f"HTTP {error.status_code}")
        parts += [f"code {code}" for code in _codes(error.body)]
    return ", ".join(parts)


def _codes(body: object) -> list[str]:
    """Return the provider's codes that look like codes and not like sentences."""
    if not isinstance(body, dict):
        return []
    inner = body.get("error", body)
    found = [inner.get(name) for name in ("type", "code")] if isinstance(inner, dict) else []
    return [str(code) for code in dict.fromkeys(found) if code is not None and _CODE.fullmatch(str(code))]


def _stated(error: ModelHTTPError) -> ModelFault | None:
    """Return the fault that the provider's own words state clearly, if they do."""
    words = str(error.body).lower()
    if error.status_code in (400, 413, 422, 500) and any(phrase in words for phrase in _TOO_LONG):
        return ModelFault.TOO_LONG
    if error.status_code in (400, 402, 403, 429) and any(phrase in words for phrase in _USED_UP):
        return ModelFault.QUOTA
    if error.status_code in (400, 403, 422) and any(phrase in words for phrase in _REFUSED):
        return ModelFault.REFUSED
    return None
