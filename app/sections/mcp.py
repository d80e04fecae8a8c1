"""The settings of MCP servers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from app.hosts import is_confidential
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
    oauth: Literal["discover"] | None = Field(
        default=None,
        description="`discover`: the server says itself where people sign in (RFC 9728), and each person's calls carry"
        " their own token",
    )
    oauth_scopes: tuple[Text, ...] = Field(
        default=(),
        description="The OAuth scopes of people's tokens that the server needs; with `oauth: discover`, those that the"
        " server names by default",
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

    @property
    def knows_people(self) -> bool:
        """Return whether each person's calls carry their own token."""
        return self.connection is not None or self.oauth is not None

    @model_validator(mode="after")
    def _is_one_kind(self) -> McpSettings:
        if (self.command is None) == (self.url is None):
            raise wrong("url", "write either `command` or `url`, which say how the server is reached")
        if [self.identity, self.connection, self.oauth].count(None) != 2:
            raise wrong(
                "identity",
                "say whose the calls are: `identity: none` if the server knows no person, `oauth: discover` if it says "
                "where people sign in, or `connection:` with the name of a connection whose token each person's calls "
                "carry",
            )
        if self.command is not None and self.knows_people:
            key = "connection" if self.connection is not None else "oauth"
            raise wrong(key, "a program gets nobody's token; reach the server over `url`, or write identity: none")
        if self.oauth_scopes and not self.knows_people:
            raise wrong("oauth_scopes", "this is for a server with `connection` or `oauth: discover`")
        if self.oauth is not None and not is_confidential(self.url or ""):
            raise wrong("url", "people's tokens travel over https only; write https://…")
        if self.command is None and (self.args or self.env):
            raise wrong("args" if self.args else "env", "this is for a server with `command`")
        if self.headers and (self.url is None or self.knows_people):
            raise wrong("headers", "this is for a server with `url` and `identity: none`")
        return self
