"""What config.yaml says, checked and frozen. Only the entry points and the container read it.

The file is parsed first and ``${NAME}`` is replaced in the parsed strings after, so that a quote or a newline in a
secret can never add a key. ``$${`` stands for a literal ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator
from yaml.constructor import ConstructorError

from app.errors import SettingsError

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+[^\s?#]*$")]
ImportPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Positive = Annotated[float, Field(gt=0)]

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """Where the server listens, and under which address people reach it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535, description="0 takes a free port")
    public_url: Url = Field(
        default="http://127.0.0.1:8080",
        description="Consent links and Google's redirect URI start with it; never taken from a request",
    )
    max_body_bytes: int = Field(default=1_000_000, gt=0)


class DatabaseSettings(Section):
    """Where everything that must survive a restart is kept."""

    url: SecretStr = Field(
        default=SecretStr("sqlite+aiosqlite:///var/deputy.db"),
        description="A SQLAlchemy URL with an asynchronous driver; a secret, as it may hold a password",
    )


class KeyRingSettings(Section):
    """The keys that seal tokens at rest; exactly one of `keys` and `file`."""

    keys: dict[Name, SecretStr] | None = Field(
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

    authorize: Url = "https://accounts.google.com/o/oauth2/v2/auth"
    token: Url = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address, not a token
    revoke: Url = "https://oauth2.googleapis.com/revoke"
    certs: Url = "https://www.googleapis.com/oauth2/v1/certs"
    issuer: Url = "https://accounts.google.com"


class SandboxSettings(Section):
    """The Google on loopback that `google.mode: sandbox` starts."""

    port: int = Field(default=8085, ge=0, le=65535, description="0 takes a free port")


class GoogleSettings(Section):
    """The OAuth client, and where Google is."""

    mode: Literal["sandbox", "google"] = "sandbox"
    client_id: str | None = None
    client_secret: SecretStr | None = None
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

    link_seconds: Positive = 600


class AgentSettings(Section):
    """One assistant: what it is told, which model answers, and what it can do."""

    instructions: str = ""
    model: str = Field(default="offline", description="`offline`, or any pydantic-ai model string")
    toolkits: tuple[Name, ...] = ()
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
    signing_secret: SecretStr
    bot_token: SecretStr
    api_base_url: Url = "https://slack.com/api/"


class InterfacesSettings(Section):
    """The channels; one that has a section is served."""

    http: HttpSettings | None = None
    slack: SlackSettings | None = None


class DeliverySettings(Section):
    """How accepted messages are worked off."""

    concurrency: int = Field(default=32, gt=0, description="Messages in work at once, over all conversations")
    deadline_seconds: Positive = Field(default=120, description="For one message, tools and model included")
    attempts: int = Field(default=3, gt=0, description="After so many interrupted runs a message has failed")
    scan_seconds: Positive = Field(default=5, description="How often undone and expired rows are looked for")
    parked_seconds: Positive = Field(default=3600, description="How long a message waits for consent or approval")


class LoggingSettings(Section):
    """What the server writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    """The whole of config.yaml."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    key_ring: KeyRingSettings
    google: GoogleSettings = GoogleSettings()
    consent: ConsentSettings = ConsentSettings()
    toolkits: dict[Name, ImportPath] = Field(default={}, description="Your own toolkits: name to package.module:Class")
    agents: dict[Name, AgentSettings] = Field(min_length=1)
    default_agent: Name
    interfaces: InterfacesSettings
    delivery: DeliverySettings = DeliverySettings()
    logging: LoggingSettings = LoggingSettings()

    def agent_of_channel(self) -> dict[str, str]:
        """The channels that are served, each with the name of the agent that answers there."""
        sections = {"http": self.interfaces.http, "slack": self.interfaces.slack}
        return {
            channel: section.agent or self.default_agent for channel, section in sections.items() if section is not None
        }

    @model_validator(mode="after")
    def _agents_exist(self) -> Settings:
        named = {f"interfaces.{channel}.agent": agent for channel, agent in self.agent_of_channel().items()}
        for place, agent in {"default_agent": self.default_agent, **named}.items():
            if agent not in self.agents:
                raise ValueError(f"{place} names the agent {agent!r}; agents has {', '.join(sorted(self.agents))}")
        return self


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read, substitute and check a configuration file.

    Args:
        path: The YAML file.
        environ: Where ``${NAME}`` is looked up.

    Raises:
        SettingsError: The file is missing, is not YAML, has an unknown or duplicate key, or names a variable that is
            unset or empty. The message lists every fault, each with its line and its path in the file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); name another file with --config") from None
    try:
        node = yaml.compose(text, Loader=_Loader)
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: {_describe(error)}") from None
    faults: list[str] = []
    lines = _lines(node)
    tree = _substitute(tree, (), environ, lambda place, fault: faults.append(_locate(path, lines, place, fault)))
    if faults:
        raise SettingsError("\n".join(faults))
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        # include_input=False: an input may be a secret.
        raise SettingsError(
            "\n".join(
                _locate(path, lines, fault["loc"], _in_words(fault["type"], fault["msg"]))
                for fault in error.errors(include_input=False, include_url=False, include_context=False)
            )
        ) from None


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that has the same key twice, where YAML would keep the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ConstructorError(None, None, f"the key {key!r} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _in_words(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key; docs/configuration.md lists those that there are"
    if kind == "missing":
        return "this key is required"
    return message.removeprefix("Value error, ")


def _describe(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "is not valid YAML"
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


def _lines(node: yaml.Node | None, place: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], int]:
    """The line on which each value of the file stands, by its path."""
    if node is None:
        return {}
    lines = {place: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines |= {**_lines(value, (*place, key.value)), (*place, key.value): key.start_mark.line + 1}
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines |= _lines(value, (*place, index))
    return lines


def _locate(path: Path, lines: Mapping[tuple[str | int, ...], int], place: tuple[str | int, ...], fault: str) -> str:
    known = next((place[:end] for end in range(len(place), -1, -1) if place[:end] in lines), ())
    return f"{path}:{lines.get(known, 1)}: {'.'.join(map(str, place)) or 'the file'}: {fault}"


def _substitute(tree: Any, place: tuple[str | int, ...], environ: Mapping[str, str], report: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _substitute(value, (*place, key), environ, report) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_substitute(value, (*place, index), environ, report) for index, value in enumerate(tree)]
    if not isinstance(tree, str):
        return tree

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "${"
        if not _VARIABLE.fullmatch(name):
            report(place, f"${{{name}}} names no environment variable; write $${{ for a literal ${{")
        elif not environ.get(name):
            state = "is empty" if name in environ else "is not set"
            report(place, f"the environment variable {name} {state}; set it, or take this key out")
        return environ.get(name, "")

    return _PLACEHOLDER.sub(value_of, tree)
