"""What config.yaml says, checked and frozen. Only the entry points and the container read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from app.errors import SettingsError
from app.settings_file import SettingsFile, read_settings_file

_Value = TypeVar("_Value")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Named = Annotated[Mapping[Name, _Value], AfterValidator(MappingProxyType)]
Text = Annotated[str, StringConstraints(min_length=1)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+[^\s?#]*$")]
UrlWithoutLogin = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+[^\s?#@]*$")]
ImportPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OneOrMore = Annotated[
    tuple[_Value, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]
OFFLINE = "offline"  # the embedded model, which needs no entry in `models`

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


class Section(BaseModel):
    """A part of the settings: frozen, an unknown key is an error, and an error shows no value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerSettings(Section):
    """Where the server listens, and under which address people reach it."""

    host: Text = Field(default="127.0.0.1", description="The address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="0 takes a free port")
    public_url: Url = Field(
        default="http://127.0.0.1:8080",
        description="Consent links and Google's redirect URI start with it; never taken from a request",
    )
    max_body_bytes: int = Field(default=1_000_000, gt=0, description="A larger request body is refused")


class DatabaseSettings(Section):
    """Where everything that must survive a restart is kept."""

    url: Secret = Field(
        default=SecretStr("sqlite+aiosqlite:///var/deputy.db"),
        description="A SQLAlchemy URL with an asynchronous driver; a secret, as it may hold a password",
    )


class KeyRingSettings(Section):
    """The keys that seal tokens at rest; exactly one of `keys` and `file`."""

    keys: Named[Secret] | None = Field(
        default=None, description="Key id to 32 bytes in base64; the first one seals, all of them open"
    )
    file: Path | None = Field(
        default=None, description="A YAML file of the same mapping, made with a fresh key when it is absent"
    )

    def encoded(self) -> dict[str, str] | None:
        """The keys in base64, if they stand in the settings."""
        return None if self.keys is None else {name: key.get_secret_value() for name, key in self.keys.items()}

    @model_validator(mode="after")
    def _one_source(self) -> KeyRingSettings:
        if (self.keys is None) == (self.file is None):
            raise ValueError("give either keys or file")
        if self.keys is not None and not self.keys:
            raise ValueError("keys must hold at least one key")
        return self


class EndpointSettings(Section):
    """Google's OAuth endpoints; the defaults are Google's own."""

    authorize: Url = Field(default="https://accounts.google.com/o/oauth2/v2/auth", description="The consent page")
    token: Url = Field(default="https://oauth2.googleapis.com/token", description="Where tokens are got and renewed")
    revoke: Url = Field(default="https://oauth2.googleapis.com/revoke", description="Where grants are ended")
    certs: Url = Field(default="https://www.googleapis.com/oauth2/v1/certs", description="Certificates of id_tokens")
    issuer: Url = Field(default="https://accounts.google.com", description="Who issues id_tokens")


class SandboxSettings(Section):
    """The Google on loopback that `google.mode: sandbox` starts."""

    port: int = Field(default=8085, ge=0, le=65535, description="0 takes a free port")


class GoogleSettings(Section):
    """The OAuth client, and where Google is."""

    mode: Literal["sandbox", "google"] = Field(
        default="sandbox",
        description="`sandbox`: a Google on loopback, started with the server; `google`: the real one",
    )
    client_id: Text | None = Field(default=None, description="Of your OAuth client; the sandbox has its own")
    client_secret: Secret | None = Field(default=None, description="Of your OAuth client")
    endpoints: EndpointSettings = EndpointSettings()
    api_root: Url | None = Field(default=None, description="Unset: each API's own root, from its discovery document")
    timeout_seconds: Positive = Field(default=30, description="For one API call; never more than the message has left")
    sandbox: SandboxSettings = SandboxSettings()

    @model_validator(mode="after")
    def _has_client(self) -> GoogleSettings:
        if self.mode == "google" and not (self.client_id and self.client_secret):
            raise ValueError("mode: google needs client_id and client_secret of your OAuth client")
        return self


class ConsentSettings(Section):
    """How long a person has for giving consent."""

    link_seconds: Positive = Field(default=600, description="How long a link can be opened, and then be finished")


class ModelSettings(Section):
    """An endpoint that speaks OpenAI's chat protocol, such as Ollama, vLLM or LM Studio."""

    base_url: UrlWithoutLogin = Field(description="Up to and with /v1; a key goes into api_key, never in here")
    model: Text = Field(description="The model's name at the endpoint")
    api_key: Secret | None = Field(default=None, description="Sent as a bearer token; local servers need none")


class AgentSettings(Section):
    """One assistant: what it is told, which model answers, and what it can do."""

    instructions: str = Field(default="", description="What the model is told before every conversation")
    model: OneOrMore[Text] = Field(
        default=(OFFLINE,),
        description="`offline`, a name in `models` or a pydantic-ai model string; of a list, the next one answers when"
        " one cannot be reached, is overloaded (429) or fails (5xx)",
    )
    toolkits: tuple[Name, ...] = Field(default=(), description="By their names: `gmail`, and those of your own")
    history_turns: int = Field(default=20, ge=0, description="Earlier messages of the same person and conversation")
    request_limit: int = Field(default=12, gt=0, description="Model requests a message")
    tool_calls_limit: int = Field(default=24, gt=0, description="Tool calls a message")


class HttpSettings(Section):
    """POST /v1/messages."""

    agent: Name | None = Field(default=None, description="Unset: default_agent")
    wait_seconds: Positive = Field(default=30, description="How long a POST waits for its answer before it says 202")


class SlackSettings(Section):
    """POST /slack/events."""

    agent: Name | None = Field(default=None, description="Unset: default_agent")
    signing_secret: Secret = Field(description="The app's signing secret")
    bot_token: Secret = Field(description="The bot's token, xoxb-…")
    api_base_url: Url = Field(default="https://slack.com/api/", description="Where Slack's Web API is")


class InterfacesSettings(Section):
    """The channels; one that has a section is served."""

    http: HttpSettings | None = None
    slack: SlackSettings | None = None

    def served(self) -> dict[str, HttpSettings | SlackSettings]:
        """The sections that are there, by the name of their channel."""
        sections = {"http": self.http, "slack": self.slack}
        return {channel: section for channel, section in sections.items() if section is not None}


class DeliverySettings(Section):
    """How accepted messages are worked off."""

    concurrency: int = Field(default=32, gt=0, description="Messages in work at once, over all conversations")
    deadline_seconds: Positive = Field(default=120, description="For one message, tools and model included")
    attempts: int = Field(default=3, gt=0, description="After so many interrupted runs a message has failed")
    scan_seconds: Positive = Field(default=5, description="How often undone and expired rows are looked for")
    parked_seconds: Positive = Field(default=3600, description="How long a message waits for consent or approval")


class LoggingSettings(Section):
    """What the server writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Of Deputy's own messages; libraries are heard from `warning` up"
    )


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
