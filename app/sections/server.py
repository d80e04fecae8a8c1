"""The process: where it listens, what it keeps, its keys and its log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from app.sections.section import Named, Positive, Secret, Section, Text, Url


class ServerSettings(Section):
    """Where the server listens, and under which address people reach it."""

    host: Text = Field(default="127.0.0.1", description="The address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="0 takes a free port")
    public_url: Url = Field(
        default="http://127.0.0.1:8080",
        description="Consent links and Google's redirect URI start with it; never taken from a request",
    )
    connections_per_client: int = Field(
        default=256,
        gt=0,
        description="More connections of one address are refused. Behind a proxy, all of them are the proxy's",
    )
    head_seconds: Positive = Field(default=10, description="How long the headers of a request may take to arrive")
    body_seconds: Positive = Field(default=30, description="How long the body may take after them")
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


class LoggingSettings(Section):
    """What the server writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Of Deputy's own messages; libraries are heard from `warning` up"
    )
