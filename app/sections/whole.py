"""The whole of config.yaml, with a field for each section."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from app.agents.rules import PlaceRules
from app.delivery.work.admission import AllowedHere
from app.oauth.provider import GOOGLE
from app.reply import MAX_COMMAND_BYTES
from app.sections.agents import OFFLINE, AgentSettings, AttachmentSettings, ModelSettings
from app.sections.channel import ChatSettings
from app.sections.connections import ConnectionSettings
from app.sections.delivery import DeliverySettings
from app.sections.google import ConsentSettings, GoogleSettings
from app.sections.interfaces import InterfacesSettings
from app.sections.mcp import McpSettings, ServerName
from app.sections.section import Name, Named, Section
from app.sections.server import DatabaseSettings, KeyRingSettings, LoggingSettings, ServerSettings
from app.sections.toolkits import OutsideToolkit

LOGIN = "login"  # in `/oauth/login/callback`
_LONGEST_NAME = MAX_COMMAND_BYTES - len("disconnect ")  # of a connection, so that a button can say both of its commands


class Settings(Section):
    """The whole of config.yaml."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    key_ring: KeyRingSettings = Field(examples=["{file: var/keys.yaml}"])
    google: GoogleSettings = GoogleSettings()
    consent: ConsentSettings = ConsentSettings()
    connections: Named[ConnectionSettings] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="Further providers at which people connect accounts, by the names that tools and chat commands use",
    )
    toolkits: Named[OutsideToolkit] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="Toolkits beside the built-in ones, by name: package.module:Class of your own, or a section for one"
        " that is written for agno",
    )
    mcp: Annotated[Mapping[ServerName, McpSettings], AfterValidator(MappingProxyType)] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="MCP servers, by the names that agents use as toolkits",
    )
    models: Named[ModelSettings] = Field(
        default_factory=lambda: MappingProxyType({}), description="Your own endpoints, by the names that agents use"
    )
    agents: Named[AgentSettings] = Field(min_length=1, examples=["{assistant: {toolkits: [gmail]}}"])
    default_agent: Name = Field(
        description="The agent that answers on interfaces without `agent`", examples=["assistant"]
    )
    attachments: AttachmentSettings = AttachmentSettings()
    interfaces: InterfacesSettings = Field(examples=["{http: {}}"])
    delivery: DeliverySettings = DeliverySettings()
    logging: LoggingSettings = LoggingSettings()

    @field_validator("models")
    @classmethod
    def _offline_is_taken(cls, models: Mapping[str, ModelSettings]) -> Mapping[str, ModelSettings]:
        if OFFLINE in models:
            raise ValueError(f"{OFFLINE} is built in; take another name")
        return models

    @field_validator("connections")
    @classmethod
    def _names_are_free(cls, connections: Mapping[str, ConnectionSettings]) -> Mapping[str, ConnectionSettings]:
        if GOOGLE in connections:
            raise ValueError(f"{GOOGLE} is built in, and its section is `google`; take another name")
        if LOGIN in connections:  # its redirect URI would be that of the sign-ins of channels
            raise ValueError(f"{LOGIN} is the address of channels' sign-ins; take another name")
        for name in connections:
            if len(name) > _LONGEST_NAME:
                raise ValueError(f"{name} is too long for a button; take a name of at most {_LONGEST_NAME} characters")
        return connections

    def led_agents(self) -> dict[str, AgentSettings]:
        """Return the agents by name, each team with the keys of its leader."""
        return {name: agent.led(self.agents) for name, agent in self.agents.items()}

    def looks_up_zones(self) -> bool:
        """Return whether a person's calendar may be asked for their time zone.

        Where an administrator delegates access, they have delegated what the tools of the agents need, and no more.
        """
        return self.google.workspace is None or any("calendar" in agent.toolkits for agent in self.agents.values())

    def allowed(self) -> dict[str, AllowedHere]:
        """Return who may write where, by served channel."""
        return {channel: section.allowed() for channel, section in self.interfaces.served().items()}

    def group_rules(self) -> dict[str, PlaceRules]:
        """Return the rules of groups, by served channel that has groups."""
        served = self.interfaces.served().items()
        return {channel: section.group_rules() for channel, section in served if isinstance(section, ChatSettings)}

    def agent_of_channel(self) -> dict[str, str]:
        """Return the served channels, each with the name of the agent that answers there."""
        return {channel: section.agent or self.default_agent for channel, section in self.interfaces.served().items()}

    def serves_playground(self) -> bool:
        """Return whether the playground is at `/`: it is asked for, and nobody but this machine reaches the server."""
        in_sandbox = self.google.mode == "sandbox" and self.google.sandbox.playground
        return in_sandbox and self.interfaces.http is not None and self.server.is_local()
