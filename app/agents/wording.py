"""Texts about a run that are not the model's own: why there is no answer, and where an answer was cut."""

from __future__ import annotations

from dataclasses import replace

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart

from app.errors import ProviderError
from app.llm.faults import ModelFault

MAX_ANSWER_LENGTH = 40_000  # characters; a channel would make hundreds of posts of a model that never stops
OUTGROWN = (
    "This conversation has become too long for me, so I have forgotten its beginning. Write `new conversation` to "
    "start afresh."
)
_CUT_OFF = "[My answer was cut off here: it reached my model's limit.]"
_IN_WORDS = {
    ModelFault.BUSY: "My model provider is overloaded.",
    ModelFault.DOWN: "My model provider has a fault.",
    ModelFault.NETWORK: "I cannot reach my model provider.",
    ModelFault.ODD: "My model provider gave an answer that I cannot read.",
    ModelFault.SET_UP: "I am not set up correctly: my model provider refuses me. Only your administrator can fix it.",
    ModelFault.QUOTA: "What was paid for at my model provider is used up. Only your administrator can change that.",
    ModelFault.TOO_LONG: (
        "This is more than my model can read at once. Ask for less, or write `new conversation` to start afresh."
    ),
    ModelFault.REFUSED: "My model provider's content rules do not let me answer this. Please put it differently.",
    ModelFault.CUT: "My model reached its limit before it could answer. Please ask for less at once.",
    ModelFault.UNUSABLE: "My model gave no usable answer. Please try again, perhaps in other words.",
}


def in_words(fault: ModelFault) -> str:
    """Return the message for a person whose model did not answer: who can fix it, and how."""
    return _IN_WORDS[fault]


def unanswered(error: ProviderError) -> str:
    """Return the message for a person whose account's provider did not answer."""
    if error.is_busy:
        return f"{error.provider} is busy and takes no more from you for now."
    return (
        f"{error.provider} gives me no answer." if error.status is None else f"{error.provider} has a fault of its own."
    )


def finished(text: str, turn: list[ModelMessage]) -> tuple[str, list[ModelMessage]]:
    """Return an answer and its turn, both no longer than a channel takes; an answer that was cut says so."""
    last = turn[-1] if turn else None
    if isinstance(last, ModelResponse) and last.finish_reason == "length":
        text = f"{text}\n\n{_CUT_OFF}"
    if len(text) <= MAX_ANSWER_LENGTH:
        return text, turn
    cut = f"{text[:MAX_ANSWER_LENGTH]}\n\n[I cut my answer here: it had {len(text)} characters.]"
    if not isinstance(last, ModelResponse):
        return cut, turn
    parts = [
        replace(part, content=part.content[:MAX_ANSWER_LENGTH]) if isinstance(part, TextPart) else part
        for part in last.parts
    ]
    return cut, [*turn[:-1], replace(last, parts=parts)]
