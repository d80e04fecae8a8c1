"""What config.yaml says, checked and frozen. Only the entry points and the container read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from app.consent.linking import LinkingMode
from app.errors import SettingsError
from app.sections.agents import OFFLINE, AgentSettings, ModelSettings
from app.sections.delivery import DeliverySettings
from app.sections.google import ConsentSettings, GoogleSettings
from app.sections.interfaces import InterfacesSettings
from app.sections.section import ImportPath, Name, Named, Section
from app.sections.server import DatabaseSettings, KeyRingSettings, LoggingSettings, ServerSettings
from app.settings_file import SettingsFile, read_settings_file

_IN_WORDS = {  # by pydantic's name of the fault; what is not here, pydantic itself says well enough
    "extra_forbidden": "unknown key; docs/configuration.md lists those that there are",
    "missing": "this key is required",
    "model_type": "keys with values are needed here",
    "dict_type": "keys with values are needed here",
    "tuple_type": "a list is needed here, such as [gmail]",
    "string_type": "a text is needed here",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


class Settings(Section):
    """The whole of config.yaml."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    key_ring: KeyRingSettings
    google: GoogleSettings = GoogleSettings()
    consent: ConsentSettings = ConsentSettings()
    toolkits: Named[ImportPath] = Field(
        default_factory=lambda: MappingProxyType({}), description="Your own toolkits: name to package.module:Class"
    )
    models: Named[ModelSettings] = Field(
        default_factory=lambda: MappingProxyType({}), description="Your own endpoints, by the name that agents use"
    )
    agents: Named[AgentSettings] = Field(min_length=1)
    default_agent: Name = Field(description="Who answers where an interface names no agent")
    interfaces: InterfacesSettings
    delivery: DeliverySettings = DeliverySettings()
    logging: LoggingSettings = LoggingSettings()

    @field_validator("models")
    @classmethod
    def _offline_is_taken(cls, models: Mapping[str, ModelSettings]) -> Mapping[str, ModelSettings]:
        if OFFLINE in models:
            raise ValueError(f"{OFFLINE} is built in; take another name")
        return models

    @field_validator("agents")
    @classmethod
    def _models_exist(cls, agents: Mapping[str, AgentSettings], info: ValidationInfo) -> Mapping[str, AgentSettings]:
        for name, agent in agents.items():
            for model in agent.model:
                _check_model(model, f"{name}.model", info)
        return agents

    @field_validator("default_agent")
    @classmethod
    def _default_agent_exists(cls, name: str, info: ValidationInfo) -> str:
        _check_agent(name, "this name", info)
        return name

    @field_validator("interfaces")
    @classmethod
    def _agents_exist(cls, interfaces: InterfacesSettings, info: ValidationInfo) -> InterfacesSettings:
        for channel, section in interfaces.served().items():
            if section.agent is not None:
                _check_agent(section.agent, f"the name in {channel}.agent", info)
        return interfaces

    @field_validator("interfaces")
    @classmethod
    def _can_log_in(cls, interfaces: InterfacesSettings, info: ValidationInfo) -> InterfacesSettings:
        google, slack = info.data.get("google"), interfaces.slack
        logs_in = isinstance(google, GoogleSettings) and google.linking is LinkingMode.CHANNEL_LOGIN
        if logs_in and slack is not None and not (slack.client_id and slack.client_secret):
            raise ValueError("google.linking: channel_login needs slack.client_id and slack.client_secret of your app")
        if slack is not None and slack.bot_token and slack.client_id and not logs_in:
            raise ValueError(
                "slack: give either bot_token, for one workspace, or client_id and client_secret, for many; both are "
                "for google.linking: channel_login alone"
            )
        return interfaces

    @field_validator("interfaces")
    @classmethod
    def _knows_whose_word_it_takes(cls, interfaces: InterfacesSettings, info: ValidationInfo) -> InterfacesSettings:
        google, slack = info.data.get("google"), interfaces.slack
        if not isinstance(google, GoogleSettings) or slack is None or slack.bot_token or slack.workspaces:
            return interfaces
        by_address = "mode: workspace" if google.mode == "workspace" else f"linking: {google.linking}"
        if by_address in ("mode: workspace", "linking: email_match"):
            raise ValueError(
                f"slack.workspaces: with google.{by_address} a workspace's word for an address opens a Google account, "
                "and with slack.client_id any workspace can install the app; list the ids of those that you trust, "
                "such as [T0123ABCD]"
            )
        return interfaces

    def agent_of_channel(self) -> dict[str, str]:
        """The channels that are served, each with the name of the agent that answers there."""
        return {channel: section.agent or self.default_agent for channel, section in self.interfaces.served().items()}


def _check_model(model: str, place: str, info: ValidationInfo) -> None:
    endpoints = info.data.get("models")  # absent when they are themselves wrong, which is reported already
    provider, _, at_provider = model.partition(":")
    if endpoints is not None and model != OFFLINE and model not in endpoints and not (provider and at_provider):
        known = ", ".join([OFFLINE, *sorted(endpoints)])
        raise ValueError(f"{place}: there is no such model; there is {known}, or write provider:model")


def _check_agent(name: str, place: str, info: ValidationInfo) -> None:
    agents = info.data.get("agents")  # absent when they are themselves wrong, which is reported already
    if agents is not None and name not in agents:
        raise ValueError(f"no agent has {place}; there is {', '.join(sorted(agents))}")


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read, substitute and check a configuration file.

    Args:
        path: The YAML file.
        environ: Where ``${NAME}`` is looked up.

    Raises:
        SettingsError: The file is missing, is not YAML, has an unknown or duplicate key or a value that does not fit,
            or names a variable that is unset or empty. The message lists the faults, each as
            ``file:line: path: what to do``, and quotes no value.
    """
    return settings_of(read_settings_file(path, environ))


def settings_of(file: SettingsFile) -> Settings:
    """The settings that a file stands for; raises as `load_settings`."""
    try:
        return Settings.model_validate(file.tree)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
    raise SettingsError(
        "\n".join(file.locate(fault["loc"], _in_words(fault["type"], fault["msg"])) for fault in faults)
    )


def _in_words(kind: str, message: str) -> str:
    return _IN_WORDS.get(kind, message.removeprefix("Value error, "))
