"""The settings of the assistants and their models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.sections.section import Name, OneOrMore, Secret, Section, Text, Url

OFFLINE = "offline"  # the embedded model, which needs no entry in `models`


class ModelSettings(Section):
    """An endpoint that speaks OpenAI's chat protocol, such as Ollama, vLLM or LM Studio."""

    base_url: Url = Field(description="Up to and including /v1; put the key into api_key, never in here")
    model: Text = Field(description="The model's name at the endpoint")
    api_key: Secret | None = Field(default=None, description="Sent as a bearer token; local servers need none")
    reads: tuple[Literal["images", "documents"], ...] = Field(
        default=(), description="The attachments that the model reads; it gets the names of all others"
    )


class AttachmentSettings(Section):
    """Files that people send with their messages; they are read when the message is answered, and never stored."""

    max_bytes: int = Field(
        default=10_000_000, gt=0, description="Maximum bytes read for one message, all files together"
    )
    transcription: Name | None = Field(
        default=None,
        description="The name in `models` of an endpoint with `/audio/transcriptions`, which writes voice messages and"
        " audio files down; without one, people learn that I cannot listen to them",
    )


class AgentSettings(Section):
    """One assistant: its instructions, its model and its tools."""

    instructions: str = Field(default="", description="The model gets these before every conversation")
    model: OneOrMore[Text] = Field(
        default=(OFFLINE,),
        description="`offline`, a name in `models` or a pydantic-ai model string. With a list, the next model answers"
        " if one cannot be reached, is overloaded (429) or fails (5xx)",
    )
    toolkits: tuple[Name, ...] = Field(
        default=(), description="By name: `gmail`, `calendar`, `drive`, or your own from `toolkits`"
    )
    history_turns: int = Field(
        default=20,
        ge=0,
        description="How many earlier messages of the same person and conversation the model gets",
    )
    history_characters: int = Field(
        default=200_000,
        gt=0,
        description="Maximum length of these messages in total. The oldest are dropped if they exceed it or are too"
        " long for the model",
    )
    request_limit: int = Field(default=12, gt=0, description="Maximum model requests per message")
    tool_calls_limit: int = Field(default=24, gt=0, description="Maximum tool calls per message")
