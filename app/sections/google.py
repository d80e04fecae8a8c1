"""The settings of Google: the OAuth client, the endpoints, and consent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from app.consent.linking import LinkingMode
from app.sections.section import Positive, Secret, Section, Text, Url, matching, wrong

Domain = Annotated[str, matching(r"[a-z0-9-]+(\.[a-z0-9-]+)+", "write a domain in lower case, such as acme.example")]


class EndpointSettings(Section):
    """Google's OAuth endpoints; the defaults are Google's own."""

    # https://accounts.google.com/.well-known/openid-configuration lists them. `certs` is the PEM form, which
    # google-auth uses by default. For the JWK form (/oauth2/v3/certs) google-auth ignores the permitted clock skew, so
    # a server whose clock is a second slow would reject every sign-in.

    authorize: Url = Field(default="https://accounts.google.com/o/oauth2/v2/auth", description="The consent page")
    token: Url = Field(default="https://oauth2.googleapis.com/token", description="Where tokens are issued and renewed")
    revoke: Url = Field(default="https://oauth2.googleapis.com/revoke", description="Where grants are revoked")
    certs: Url = Field(
        default="https://www.googleapis.com/oauth2/v1/certs", description="The certificates that verify id_tokens"
    )
    issuer: Url = Field(default="https://accounts.google.com", description="The issuer of id_tokens")


class SandboxSettings(Section):
    """The simulated Google on loopback that `google.mode: sandbox` starts."""

    port: int = Field(default=8085, ge=0, le=65535, description="0 picks a free port")
    playground: bool = Field(
        default=True,
        description="Serve a page at `/` on which two people chat with their assistants side by side. It is only for "
        "browsers on this machine: `server.host` and `server.public_url` have to be loopback addresses, and "
        "`interfaces.http` has to be served. Whoever can open it can write as these two",
    )


class WorkspaceSettings(Section):
    """The service account of `google.mode: workspace`; exactly one of `key` and `key_file`."""

    key: Secret | None = Field(default=None, description="The service account's JSON key, as Google gave it")
    key_file: Path | None = Field(default=None, description="The file that contains the key")
    domains: tuple[Domain, ...] = Field(
        min_length=1, description="The domains whose people Deputy may act for; list each subdomain separately"
    )

    def key_text(self) -> str | None:
        """Return the key, if it is in the settings."""
        return None if self.key is None else self.key.get_secret_value()

    @model_validator(mode="after")
    def _one_source(self) -> WorkspaceSettings:
        if (self.key is None) == (self.key_file is None):
            raise ValueError("give either key or key_file")
        return self


class GoogleSettings(Section):
    """The OAuth client or the service account, and the address of Google."""

    mode: Literal["sandbox", "google", "workspace"] = Field(
        default="sandbox",
        description="`sandbox`: a simulated Google on loopback, started with the server; `google`: the real Google,"
        " where each person consents; `workspace`: the real Google, where an administrator has delegated everybody's"
        " access to a service account",
    )
    client_id: Text | None = Field(default=None, description="The id of your OAuth client; the sandbox has its own")
    client_secret: Secret | None = Field(default=None, description="The secret of your OAuth client")
    endpoints: EndpointSettings = EndpointSettings()
    api_root: Url | None = Field(
        default=None, description="The root of all APIs; by default each API's own, from its discovery document"
    )
    timeout_seconds: Positive = Field(
        default=30, description="Time limit for one API call, within the time that its message has left"
    )
    linking: LinkingMode = Field(
        default=LinkingMode.CODE,
        description="How people prove that they are the one who asked in the chat when they sign in to Google. `code`:"
        " they send a code in the chat. `email_match`: the account has the address that the channel knows."
        " `channel_login`: they sign in to the channel too. A channel that supports neither of the last two uses the"
        " code",
    )
    sandbox: SandboxSettings = SandboxSettings()
    workspace: WorkspaceSettings | None = Field(
        default=None, description="Required for `mode: workspace`, and only there"
    )

    def client(self) -> tuple[str, str]:
        """Return the OAuth client's id and secret; both are empty if nobody is asked for consent."""
        return self.client_id or "", self.client_secret.get_secret_value() if self.client_secret else ""

    @model_validator(mode="after")
    def _has_account(self) -> GoogleSettings:
        if (self.mode == "workspace") != (self.workspace is not None):
            missing = self.mode == "workspace"
            raise wrong(
                "workspace",
                "mode: workspace needs this section, with key_file and domains"
                if missing
                else "this section is only for mode: workspace; write that, or take the section out",
            )
        if self.mode == "google" and not (self.client_id and self.client_secret):
            raise ValueError(
                "mode: google needs client_id and client_secret of your OAuth client (Google Cloud console)"
            )
        return self


class ConsentSettings(Section):
    """How long a person has to give consent."""

    link_seconds: Positive = Field(
        default=600, description="How long a link can be opened, and after that how long the sign-in may take"
    )
    code_seconds: Positive = Field(default=600, description="How long a sign-in waits for its proof, such as the code")
    code_tries: int = Field(default=5, gt=0, description="Wrong codes after which a sign-in is dropped")

    def sign_in_seconds(self) -> float:
        """Return the longest time that one sign-in can take, from the link's page to the proof."""
        return float(2 * self.link_seconds + self.code_seconds)
