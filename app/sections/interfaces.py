"""The settings of the channels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from app.sections.channel import ChannelSettings, ChatSettings
from app.sections.section import Positive, Secret, Section, Text, Url, matching, wrong
from app.sections.telegram import TelegramSettings
from app.sections.whatsapp import WhatsAppSettings

SLACK_API = "https://slack.com/api/"
SlackPlace = Annotated[
    str, matching(r"[TE][A-Z0-9]+", "write the id of a workspace, T0123ABCD, or of an organisation, E0123ABCD")
]


class HttpSettings(ChannelSettings):
    """POST /v1/messages."""

    wait_seconds: Positive = Field(default=30, description="How long a POST waits for the answer before it returns 202")
    waits_per_person: int = Field(
        default=32, gt=0, description="Maximum requests of one person that wait at once, including event streams"
    )


class SlackSettings(ChatSettings):
    """Slack; either `bot_token`, for one workspace, or `client_id` and `client_secret`, for many.

    With `google.linking: channel_login` give both the token and the client, because people sign in with the client.
    """

    mode: Literal["webhook", "socket"] = Field(
        default="webhook",
        description="`webhook`: Slack sends to the server's public address; `socket`: the server connects to Slack "
        "(Socket Mode), so it needs no public address",
    )
    signing_secret: Secret | None = Field(default=None, description="The app's signing secret, for `mode: webhook`")
    app_token: Secret | None = Field(default=None, description="The app-level token (xapp-…), for `mode: socket`")
    connections: int = Field(
        default=2, gt=0, le=10, description="Connections to Slack in `mode: socket`. Slack closes each one now and then"
    )
    bot_token: Secret | None = Field(default=None, description="The bot's token (xoxb-…)")
    client_id: Text | None = Field(
        default=None, description="The app's client id; without a bot_token, workspaces install it at /slack/install"
    )
    client_secret: Secret | None = Field(default=None, description="The app's client secret")
    workspaces: tuple[SlackPlace, ...] = Field(
        default=(),
        description="The workspaces (`T…`) that may install and use the app, or organisations (`E…`) with all of their "
        "workspaces. If empty, any workspace may",
    )
    api_base_url: Url = Field(default=SLACK_API, description="The address of Slack's Web API")
    authorize_url: Url = Field(
        default="https://slack.com/oauth/v2/authorize", description="Slack's page for installing the app"
    )
    openid_root: Url = Field(default="https://slack.com", description="The issuer of Slack's id_tokens")

    def client(self) -> tuple[str, str]:
        """Return the app's client id and secret, or two empty texts if the settings have none."""
        return self.client_id or "", self.client_secret.get_secret_value() if self.client_secret else ""

    @field_validator("bot_token")
    @classmethod
    def _is_bot_token(cls, token: SecretStr | None) -> SecretStr | None:
        # https://docs.slack.dev/authentication/tokens
        if token is not None and not token.get_secret_value().startswith("xoxb-"):
            raise ValueError("this is not a bot token, which begins with xoxb- (your app's page, OAuth & Permissions)")
        return token

    @field_validator("app_token")
    @classmethod
    def _is_app_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not token.get_secret_value().startswith("xapp-"):
            raise ValueError(
                "this is not an app-level token, which begins with xapp- (your app's page, Basic Information)"
            )
        return token

    @field_validator("signing_secret", "client_secret")
    @classmethod
    def _is_no_token(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and secret.get_secret_value().startswith(("xox", "xapp-")):
            raise ValueError("this is a token; the secret is on your app's page, Basic Information")
        return secret

    @model_validator(mode="after")
    def _a_way_in(self) -> SlackSettings:
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("client_id and client_secret go together; give both or neither")
        if self.bot_token is None and self.client_id is None:
            raise ValueError("give either bot_token, for one workspace, or client_id and client_secret, for many")
        if self.mode == "webhook" and self.signing_secret is None:
            raise wrong("signing_secret", "this key is required; the secret is on your app's page, Basic Information")
        if self.mode == "socket" and self.app_token is None:
            raise wrong("app_token", "mode: socket needs the app-level token (your app's page, Basic Information)")
        return self


class InterfacesSettings(Section):
    """The channels; each one with a section is served."""

    http: HttpSettings | None = None
    slack: SlackSettings | None = None
    telegram: TelegramSettings | None = None
    whatsapp: WhatsAppSettings | None = None

    def served(self) -> dict[str, ChannelSettings]:
        """Return the sections that are present, by the names of their channels."""
        return {channel: section for channel, section in self if section is not None}
