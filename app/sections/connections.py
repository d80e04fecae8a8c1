"""The settings of connections: the providers, besides Google, at which people connect accounts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.sections.section import Secret, Section, Text, Url


class ConnectionSettings(Section):
    """One provider and your OAuth client there."""

    provider: Literal["github", "slack_user", "microsoft", "notion", "linear", "oauth"] = Field(
        description="Whose accounts these are; `oauth` is any other provider"
    )
    client_id: Text = Field(description="The id of your OAuth client at the provider")
    client_secret: Secret | None = Field(default=None, description="The secret of your OAuth client")
    api: tuple[Url, ...] = Field(
        default=(), description="The addresses of the provider's API; a person's token is sent nowhere else"
    )
