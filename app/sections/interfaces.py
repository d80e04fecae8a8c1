"""The channels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from app.sections.section import Name, Positive, Secret, Section, Text, Url, matching

SLACK_API = "https://slack.com/api/"
SlackPlace = Annotated[
    str, matching(r"[TE][A-Z0-9]+", "write the id of a workspace, T0123ABCD, or of an organisation, E0123ABCD")
]


class ChannelSettings(Section):
    """What every channel has."""

    agent: Name | None = Field(default=None, description="Unset: default_agent")


class HttpSettings(ChannelSettings):
    """POST /v1/messages."""

    wait_seconds: Positive = Field(default=30, description="How long a POST waits for its answer before it says 202")
    waits_per_person: int = Field(
        default=32, gt=0, description="How many requests of one person may wait at once, event streams included"
    )


class SlackSettings(ChannelSettings):
    """POST /slack/events; either `bot_token`, for one workspace, or `client_id` and `client_secret`, for many.

    With `google.linking: channel_login` the client stands beside the token too: people sign in by it.
    """

    signing_secret: Secret = Field(description="The app's signing secret")
    bot_token: Secret | None = Field(default=None, description="The bot's token, xoxb-…")
    client_id: Text | None = Field(
        default=None, description="The app's; without a bot_token, workspaces install it at /slack/install"
    )
    client_secret: Secret | None = Field(default=None, description="The app's client secret")
    workspaces: tuple[SlackPlace, ...] = Field(
        default=(),
        description="Who may install the app and is served: ids of workspaces, `T…`, or of organisations, `E…`, whose "
        "workspaces are then all allowed. Without any, whoever finds the server",
    )
    api_base_url: Url = Field(default=SLACK_API, description="Where Slack's Web API is")
    authorize_url: Url = Field(
        default="https://slack.com/oauth/v2/authorize", description="Slack's page that asks whether to install"
    )
    openid_root: Url = Field(default="https://slack.com", description="Who issues Slack's id_tokens")

    def client(self) -> tuple[str, str]:
        """Return the app's client id and secret; both are empty if the settings have none."""
        return self.client_id or "", self.client_secret.get_secret_value() if self.client_secret else ""

    @field_validator("bot_token")
    @classmethod
    def _is_bot_token(cls, token: SecretStr | None) -> SecretStr | None:
        # https://docs.slack.dev/authentication/tokens
        if token is not None and not token.get_secret_value().startswith("xoxb-"):
            raise ValueError("this is no bot token; it begins with xoxb- (your app's page, OAuth & Permissions)")
        return token

    @field_validator("signing_secret", "client_secret")
    @classmethod
    def _is_no_token(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and secret.get_secret_value().startswith(("xox", "xapp-")):
            raise ValueError("this is a token; the secret stands on your app's page, Basic Information")
        return secret

    @model_validator(mode="after")
    def _a_way_in(self) -> SlackSettings:
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("client_id and client_secret go together; give both or neither")
        if self.bot_token is None and self.client_id is None:
            raise ValueError("give either bot_token, for one workspace, or client_id and client_secret, for many")
        return self


class InterfacesSettings(Section):
    """The channels; one that has a section is served."""

    http: HttpSettings | None = None
    slack: SlackSettings | None = None

    def served(self) -> dict[str, ChannelSettings]:
        """Return the sections that are there, by the name of their channel."""
        return {channel: section for channel, section in self if section is not None}
