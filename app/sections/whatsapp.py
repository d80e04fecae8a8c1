"""The settings of WhatsApp."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from app.sections.channel import ChatSettings
from app.sections.section import Secret, Text, Url, matching

GRAPH_API = "https://graph.facebook.com/v26.0/"
MetaId = Annotated[str, matching(r"[0-9]{5,20}", "write the id as Meta shows it: digits only, in quotes")]
_NUMBER_KEY_LENGTH = 32


class WhatsAppSettings(ChatSettings):
    """GET and POST /whatsapp/webhook: one business phone number on Meta's Cloud API.

    Meta forbids AI providers to offer a general-purpose assistant as the main purpose of a business number, and decides
    alone what that is. Read docs/whatsapp.md before you switch it on.
    """

    portfolio_id: MetaId = Field(description="The business portfolio; people's ids are unique within it")
    phone_number_id: MetaId = Field(description="The id of the business phone number, not the number itself")
    access_token: Secret = Field(description="A system user's token with whatsapp_business_messaging")
    app_secret: Secret = Field(description="The Meta app's secret, with which webhooks are signed")
    verify_token: Secret = Field(description="A word of your own, entered at Meta beside the webhook's address")
    number_key: Secret = Field(
        description="At least 32 random characters. Phone numbers are hashed and sealed with it; if it changes, people"
        " whom Meta names by number alone become strangers"
    )
    template: Text | None = Field(
        default=None,
        description="A template without parameters, for an answer that comes more than 24 hours after the person wrote",
    )
    template_language: Text = Field(default="en", description="The template's language code, such as `en_US`")
    api_base_url: Url = Field(default=GRAPH_API, description="The address of Meta's Graph API, with its version")

    @field_validator("number_key")
    @classmethod
    def _is_long(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value()) < _NUMBER_KEY_LENGTH:
            raise ValueError(
                f"this key is shorter than {_NUMBER_KEY_LENGTH} characters; `deputy keys generate` makes one"
            )
        return key

    @model_validator(mode="after")
    def _ids_differ(self) -> WhatsAppSettings:
        if self.portfolio_id == self.phone_number_id:
            raise ValueError("portfolio_id and phone_number_id are different ids; both are in the WhatsApp Manager")
        return self
