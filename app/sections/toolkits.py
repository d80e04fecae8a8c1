"""The settings of toolkits that are not Deputy's own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, PlainValidator, TypeAdapter

from app.agno_bridge.declaration import Argument, ForeignDeclaration
from app.sections.section import ImportPath, Name, Section, Text, matching

Pattern = Annotated[str, matching(r"[A-Za-z0-9_*?]+", "write a tool's name, or a pattern such as create_*")]
ToolName = Annotated[
    str, matching(r"[A-Za-z0-9_]+", "name each tool; a pattern would also allow what an update of the package adds")
]
Variable = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_]*", "write the name of an environment variable")]


class ConnectionArgument(Section):
    """An argument that is the sender's own access token."""

    connection: Name


def _argument(value: Any) -> Argument:
    if isinstance(value, Mapping) and "connection" in value:
        return Argument(connection=ConnectionArgument.model_validate(value).connection)
    return Argument(value)


class AgnoToolkitSettings(Section):
    """A toolkit of agno's, or one of your own that is written for agno; see docs/agno.md.

    It is built for each message, with what stands here and with the sender's own access.
    """

    agno: ImportPath = Field(description="package.module:Class", examples=["agno.tools.hackernews:HackerNewsTools"])
    arguments: Annotated[Mapping[str, Annotated[Argument, PlainValidator(_argument)]], Field()] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="The arguments of its constructor: a value, or `{connection: github}` for the sender's own access"
        " token",
    )
    reads: tuple[Pattern, ...] = Field(
        default=(), description="Tools that change nothing, by name or pattern; all others act, so they ask first"
    )
    acts: tuple[Pattern, ...] = Field(default=(), description="Tools that act, though a pattern of `reads` fits them")
    oauth_scopes: Mapping[Pattern, tuple[Text, ...]] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="The OAuth scopes that tools need, by name or pattern; the first pattern that fits counts. Google's"
        " classes name their own",
    )
    allow_environment: tuple[Variable, ...] = Field(
        default=(), description="Environment variables with a credential that the class may read for everybody"
    )
    allow_machine: tuple[ToolName, ...] = Field(
        default=(),
        description="Tools that may reach files and processes of this machine, by name. Of a class that works on them"
        " no other tool is offered, and without this the class is refused",
    )

    def declaration(self) -> ForeignDeclaration:
        """Return the section as the bridge to agno takes it."""
        return ForeignDeclaration(
            path=self.agno,
            arguments=self.arguments,
            reads=self.reads,
            acts=self.acts,
            oauth_scopes=self.oauth_scopes,
            allow_environment=self.allow_environment,
            allow_machine=self.allow_machine,
        )


_IMPORT_PATH = TypeAdapter(ImportPath)


def _outside(value: Any) -> AgnoToolkitSettings | str:
    """Return an entry of `toolkits`: the import path of an own toolkit, or the section of one of agno's."""
    if isinstance(value, Mapping | AgnoToolkitSettings):
        return AgnoToolkitSettings.model_validate(value)
    return _IMPORT_PATH.validate_python(value)


OutsideToolkit = Annotated[AgnoToolkitSettings | str, PlainValidator(_outside)]
