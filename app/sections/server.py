"""The settings of the process: its address, database, keys and log."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from app.database.url import fault_of
from app.hosts import is_loopback
from app.sections.section import Named, Positive, Secret, Section, Text, Url, wrong

_KEY_BYTES = 32


class ServerSettings(Section):
    """Where the server listens, and the address at which people reach it."""

    host: Text = Field(default="127.0.0.1", description="The address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="0 picks a free port")
    public_url: Url = Field(
        default="http://127.0.0.1:8080",
        description="Scheme and host at which people reach Deputy. Consent links and Google's redirect URI start with "
        "it; it is never taken from a request",
    )
    connections_per_client: int = Field(
        default=256,
        gt=0,
        description="Maximum connections from one address. Behind a proxy, all of them come from the proxy",
    )
    head_seconds: Positive = Field(default=10, description="How long the headers of a request may take to arrive")
    body_seconds: Positive = Field(default=30, description="How long the body may take after the headers")
    max_body_bytes: int = Field(default=1_000_000, gt=0, description="Larger request bodies are rejected")

    def is_local(self) -> bool:
        """Return whether the server can be reached from this machine only."""
        return is_loopback(self.host) and is_loopback(urlsplit(self.public_url).hostname or "")

    @field_validator("public_url")
    @classmethod
    def _has_no_path(cls, url: str) -> str:
        if urlsplit(url).path.strip("/"):
            raise ValueError(
                "Deputy serves its pages at the root of a host; write scheme and host only, without a path"
            )
        return url


class DatabaseSettings(Section):
    """Where Deputy keeps everything that must survive a restart."""

    url: Secret = Field(
        default=SecretStr("sqlite+aiosqlite:///var/deputy.db"),
        description="A SQLAlchemy URL with an asynchronous driver: `sqlite+aiosqlite`, `postgresql+asyncpg` or "
        "`postgresql+psycopg`. Percent-encode user and password. The URL is treated as a secret, because it may hold a "
        "password",
    )

    def is_server(self) -> bool:
        """Return whether the database is a PostgreSQL, which several processes can share."""
        return self.url.get_secret_value().startswith("postgresql")

    @field_validator("url")
    @classmethod
    def _can_be_opened(cls, url: SecretStr) -> SecretStr:
        if fault := fault_of(url.get_secret_value()):
            raise ValueError(fault)
        return url


class KeyRingSettings(Section):
    """The keys that seal tokens at rest; exactly one of `keys` and `file`."""

    keys: Named[Secret] | None = Field(
        default=None, description="Key id to 32 bytes in base64; the first key seals, all of them open"
    )
    file: Path | None = Field(
        default=None, description="A YAML file with the same mapping; if it does not exist, it is made with a new key"
    )

    def encoded(self) -> dict[str, str] | None:
        """Return the keys in base64, if they are in the settings."""
        return None if self.keys is None else {name: key.get_secret_value() for name, key in self.keys.items()}

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, keys: Mapping[str, SecretStr] | None) -> Mapping[str, SecretStr] | None:
        for name, key in (keys or {}).items():
            if fault := _fault_of_key(key.get_secret_value()):
                raise wrong(name, fault)
        return keys

    @model_validator(mode="after")
    def _one_source(self) -> KeyRingSettings:
        if (self.keys is None) == (self.file is None):
            raise ValueError("give either keys or file; file: var/keys.yaml makes its own key")
        if self.keys is not None and not self.keys:
            raise ValueError("keys must hold at least one key")
        return self


def _fault_of_key(text: str) -> str | None:
    try:
        size = len(base64.b64decode(text, validate=True))
    except ValueError:
        return "this key is not base64; make one with `deputy keys generate`"
    if size == _KEY_BYTES:
        return None
    return f"this key has {size} bytes and needs {_KEY_BYTES}; make one with `deputy keys generate`"


class LoggingSettings(Section):
    """The log that the server writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The level of Deputy's own lines; libraries log from `warning` up"
    )
    format: Literal["text", "json"] = Field(
        default="text", description="One line per event: `text` for people, `json` for a log collector"
    )
