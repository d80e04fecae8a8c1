"""The settings of MCP servers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from app.sections.section import Name, Positive, Secret, Section, Text, Url, matching, wrong

ServerName = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9_]{0,30}",
        "its tools are named after it: lower-case letters, digits and _, at most 31, beginning with a letter",
    ),
]
Secrets = Annotated[Mapping[Text, Secret], AfterValidator(MappingProxyType)]


def _none() -> Mapping[str, Secret]:
    return MappingProxyType({})


class McpSettings(Section):
    """One MCP server, whose tools an agent gets by the server's name in its `toolkits`."""

    command: Text | None = Field(default=None, description="The program of a server that speaks over stdin and stdout")
    args: tuple[str, ...] = Field(default=(), description="The arguments of `command`")
    env: Secrets = Field(
        default_factory=_none,
        description="Environment variables for `command`, which gets no others but PATH and the like",
    )
    url: Url | None = Field(default=None, description="The address of a server that is reached over HTTP")
    headers: Secrets = Field(
        default_factory=_none, description="Sent to `url`, such as a key of your organisation; never a person's"
    )
    identity: Literal["none"] | None = Field(
        default=None, description="`none`: the server knows no person, and everybody shares one connection to it"
    )
    connection: Name | None = Field(
        default=None,
        description="A name in `connections`, or `google`: each person's calls carry their own token of it",
    )
    oauth_scopes: tuple[Text, ...] = Field(
        default=(), description="The OAuth scopes of `connection` that the server needs; people are asked for them"
    )
    reads: tuple[Text, ...] = Field(
        default=(),
        description="The tools that change nothing, by the server's names or patterns such as `get_*`. Before any other"
        " tool is run, the person is asked",
    )
    connect_seconds: Positive = Field(default=10.0, description="Maximum time for connecting and listing the tools")
    call_seconds: Positive = Field(default=30.0, description="Maximum time for one call")
    refresh_seconds: Positive = Field(
        default=60.0, description="How often a shared server is asked for its tools again"
    )
    max_characters: int = Field(default=20_000, gt=0, description="The longest result that the model is given")

    @model_validator(mode="after")
    def _is_one_kind(self) -> McpSettings:
        if (self.command is None) == (self.url is None):
            raise wrong("url", "write either `command` or `url`, which say how the server is reached")
        if (self.identity is None) == (self.connection is None):
            raise wrong(
                "identity",
                "say whose the calls are: `identity: none` if the server knows no person, or `connection:` with the "
                "name of a connection whose token each person's calls carry",
            )
        if self.command is not None and self.connection is not None:
            raise wrong(
                "connection", "a program gets nobody's token; reach the server over `url`, or write identity: none"
            )
        if self.oauth_scopes and self.connection is None:
            raise wrong("oauth_scopes", "this is for a server with `connection`")
        if self.command is None and (self.args or self.env):
            raise wrong("args" if self.args else "env", "this is for a server with `command`")
        if self.headers and (self.url is None or self.connection is not None):
            raise wrong("headers", "this is for a server with `url` and `identity: none`")
        return self
