"""The settings of the assistants and their models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from app.sections.section import ImportPath, Name, OneOrMore, Secret, Section, Text, Url, wrong
from app.sections.toolkits import Pattern, Variable

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
    max_tool_bytes: int = Field(
        default=20_000_000,
        gt=0,
        description="Maximum bytes of the files that one tool call uses, such as a mail's attachments, all together",
    )
    transcription: Name | None = Field(
        default=None,
        description="The name in `models` of an endpoint with `/audio/transcriptions`, which writes voice messages and"
        " audio files down; without one, people learn that I cannot listen to them",
    )


class _Run(Section):
    """The keys of an agent that runs."""

    instructions: str = Field(default="", description="The model gets these before every conversation")
    model: OneOrMore[Text] = Field(
        default=(OFFLINE,),
        description="`offline`, a name in `models` or a pydantic-ai model string. With a list, the next model answers"
        " if one cannot be reached, is overloaded (429) or fails (5xx)",
    )
    toolkits: tuple[Name, ...] = Field(
        default=(), description="By name: `gmail`, `calendar`, `drive`, `issues`, or your own from `toolkits`"
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


class LeaderSettings(_Run):
    """The agent that leads a team: the name of another one, `leader: assistant`, or these keys."""

    agent: Name | None = Field(default=None, description="The agent whose keys it has, instead of keys of its own")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"agent": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.agent is not None and (more := sorted(self.model_fields_set - {"agent"})):
            raise wrong(more[0], "give the leader either the name of an agent or keys of its own")
        return self


class AgentSettings(_Run):
    """One assistant: its instructions, its model and its tools. With `members` it is a team (docs/teams.md)."""

    description: str = Field(
        default="", description="Its purpose, in a sentence, by which the leader of a team chooses a member"
    )
    members: tuple[Name, ...] = Field(
        default=(), description="Agents, which may be teams: it hands tasks to them, for the same person"
    )
    leader: LeaderSettings | None = Field(
        default=None, description="The agent that leads the team, if it is not described by the keys beside this one"
    )
    shares_history: bool = Field(
        default=False, description="The members of the team see the conversation, not only their task"
    )

    agno: ImportPath | None = Field(
        default=None,
        description="package.module:function that builds an agent of agno's for each message; it brings its own model,"
        " instructions and tools (docs/agno.md)",
    )
    reads: tuple[Pattern, ...] = Field(
        default=(), description="With `agno`: its tools that change nothing, by name or pattern; all others ask first"
    )

    allow_environment: tuple[Variable, ...] = Field(
        default=(),
        description="With `agno`: environment variables with a credential that its toolkits may read for everybody",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in ("reads", "allow_environment"):
            if self.agno is None and key in self.model_fields_set:
                raise wrong(key, "only an agent of agno's has this; write agno: package.module:function beside it")
        if self.agno is not None:
            for key in ("members", "leader", "model", "toolkits", "instructions"):
                if key in self.model_fields_set:
                    raise wrong(key, "an agent of agno's brings this itself; leave it out")
        for key in ("leader", "shares_history"):
            if not self.members and key in self.model_fields_set:
                raise wrong(key, "only a team has this; write members: [mail, calendar] beside it")
        if self.leader is not None and (beside := sorted(self.model_fields_set & set(_Run.model_fields))):
            raise wrong(beside[0], "the leader of a team has this; write it below `leader`, or leave `leader` out")
        return self

    def led(self, agents: Mapping[str, AgentSettings]) -> AgentSettings:
        """Return the same settings with the keys of the leader, wherever they stand.

        Args:
            agents: All agents, by name.
        """
        if self.leader is None:
            return self
        source = self.leader if self.leader.agent is None else agents[self.leader.agent]
        return self.model_copy(update={key: getattr(source, key) for key in _Run.model_fields} | {"leader": None})
