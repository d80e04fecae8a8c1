"""The assistants, and the models that they ask."""

from __future__ import annotations

from pydantic import Field

from app.sections.section import Name, OneOrMore, Secret, Section, Text, Url

OFFLINE = "offline"  # the embedded model, which needs no entry in `models`


class ModelSettings(Section):
    """An endpoint that speaks OpenAI's chat protocol, such as Ollama, vLLM or LM Studio."""

    base_url: Url = Field(description="Up to and with /v1; a key goes into api_key, never in here")
    model: Text = Field(description="The model's name at the endpoint")
    api_key: Secret | None = Field(default=None, description="Sent as a bearer token; local servers need none")


class AgentSettings(Section):
    """One assistant: its instructions, which model answers, and what it can do."""

    instructions: str = Field(default="", description="Instructions for the model at the start of every conversation")
    model: OneOrMore[Text] = Field(
        default=(OFFLINE,),
        description="`offline`, a name in `models` or a pydantic-ai model string; of a list, the next one answers when"
        " one cannot be reached, is overloaded (429) or fails (5xx)",
    )
    toolkits: tuple[Name, ...] = Field(default=(), description="By their names: `gmail`, and those of your own")
    history_turns: int = Field(default=20, ge=0, description="Earlier messages of the same person and conversation")
    history_characters: int = Field(
        default=200_000,
        gt=0,
        description="Of these, at most so many characters in all; beyond, and where the model says that it is too much,"
        " the oldest are forgotten",
    )
    request_limit: int = Field(default=12, gt=0, description="Model requests a message")
    tool_calls_limit: int = Field(default=24, gt=0, description="Tool calls a message")
