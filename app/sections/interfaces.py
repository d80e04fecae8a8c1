"""The channels."""

from __future__ import annotations

from pydantic import Field

from app.sections.section import Name, Positive, Secret, Section, Text, Url


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
    client_id: Text | None = Field(default=None, description="The app's; needed by `google.linking: channel_login`")
    client_secret: Secret | None = Field(default=None, description="The app's; needed beside client_id")
    openid_root: Url = Field(default="https://slack.com", description="Who issues Slack's id_tokens")


class InterfacesSettings(Section):
    """The channels; one that has a section is served."""

    http: HttpSettings | None = None
    slack: SlackSettings | None = None

    def served(self) -> dict[str, HttpSettings | SlackSettings]:
        """The sections that are there, by the name of their channel."""
        sections = {"http": self.http, "slack": self.slack}
        return {channel: section for channel, section in sections.items() if section is not None}
