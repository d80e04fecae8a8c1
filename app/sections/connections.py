"""The settings of connections: the providers, besides Google, at which people connect accounts."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from app.oauth.description import TENANT, ClientAuthentication, Endpoints, ProviderDescription, RevocationWay, WhoAmI
from app.oauth.presets import PRESETS
from app.sections.section import OneOrMore, Secret, Section, Text, Url, wrong

_ASKS_SECRET = ("github", "notion", "slack_user")  # according to their vendors' pages, which the presets name
_TENANT_ID = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class WhoAmISettings(Section):
    """Where a provider says whose account it is."""

    url: Url | None = Field(default=None, description="An endpoint that is asked; without it, the token answer says so")
    subject: OneOrMore[Text] = Field(description="The field, or fields, that are the account's stable id: `data.id`")
    shown: OneOrMore[Text] = Field(description="The fields by which people know the account; the first that is there")


class ConnectionSettings(Section):
    """One provider and your OAuth client there; `deputy doctor` prints the redirect URI that the client needs."""

    provider: Literal["github", "slack_user", "microsoft", "notion", "linear", "oauth"] = Field(
        description="Whose accounts these are; `oauth` is any other provider, which the keys below describe"
    )
    client_id: Text = Field(default="", description="The id of your OAuth client at the provider")
    client_secret: Secret | None = Field(default=None, description="Its secret; a public client has none")
    title: Text | None = Field(default=None, description="The provider's name for people")
    scopes: tuple[Text, ...] = Field(default=(), description="OAuth scopes that are asked for with every sign-in")
    sandbox_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Of `github`: `deputy serve` starts a simulated one on this loopback port instead of using the "
        "real one. It has two people's accounts and needs no OAuth client. 0 picks a free port",
    )
    api: tuple[Url, ...] = Field(
        default=(),
        description="The addresses of the provider's API; a person's token is sent nowhere else. With `authorize_url` "
        "they replace the preset's",
    )
    tenant: Text = Field(default="common", description="Of `microsoft`: your directory's id, or `common`")
    issuer: Url | None = Field(
        default=None, description="The provider's issuer, whose metadata says where its sign-in is (RFC 8414, OpenID)"
    )
    authorize_url: Url | None = Field(default=None, description="The consent page, where there is no metadata")
    token_url: Url | None = Field(default=None, description="Where tokens are issued and renewed")
    revoke_url: Url | None = Field(default=None, description="Where grants are ended (RFC 7009)")
    client_authentication: ClientAuthentication | None = Field(
        default=None, description="How the client proves who it is: `basic`, `post` or `none`"
    )
    pkce: bool = Field(default=True, description="Whether the provider takes a code challenge")
    scope_separator: Literal[" ", ","] = Field(default=" ", description="What parts OAuth scopes on the consent page")
    whoami: WhoAmISettings | None = Field(
        default=None, description="Where the provider says whose account it is; by default, in an id_token"
    )

    def described(self, name: str) -> ProviderDescription:
        """Return the description of the provider: the preset's, with what the settings change."""
        found = PRESETS.get(self.provider) or ProviderDescription(
            title=name.replace("-", " ").replace("_", " ").title(),
            endpoints=None,
            whoami=None,
            api=(),
            revocation=RevocationWay.RFC7009,
            pkce=self.pkce,
            scope_separator=self.scope_separator,
            client_authentication=ClientAuthentication.POST if self.client_secret else ClientAuthentication.NONE,
        )
        endpoints = found.endpoints
        if self.authorize_url and self.token_url:
            endpoints = Endpoints(self.authorize_url, self.token_url, revoke=self.revoke_url, issuer=self.issuer)
        elif endpoints is not None:
            endpoints = _of_tenant(endpoints, self.tenant)
        whoami = found.whoami
        if self.whoami is not None:
            whoami = WhoAmI(self.whoami.url, subject=self.whoami.subject, shown=self.whoami.shown)
        return replace(
            found,
            title=self.title or found.title,
            endpoints=endpoints,
            discover=self.issuer,
            whoami=whoami,
            api=self.api if self.api and self.authorize_url else (*found.api, *self.api),
            client_authentication=self.client_authentication or found.client_authentication,
            sign_in_scopes=tuple(dict.fromkeys((*found.sign_in_scopes, *self.scopes))),
        )

    def at(self, root: str, *, client_id: str, client_secret: SecretStr) -> ConnectionSettings:
        """Return the settings of the same provider, simulated at this address, with the OAuth client that it knows."""
        whoami = PRESETS[self.provider].whoami
        assert whoami is not None
        changed = {
            "client_id": client_id,
            "client_secret": client_secret,
            "authorize_url": f"{root}/login/oauth/authorize",
            "token_url": f"{root}/login/oauth/access_token",
            "revoke_url": f"{root}/applications",
            "whoami": WhoAmISettings(url=f"{root}/user", subject=whoami.subject, shown=whoami.shown),
            "api": (root,),
        }
        kept = {name: getattr(self, name) for name in self.model_fields_set - {"sandbox_port"}}
        return ConnectionSettings.model_validate(kept | changed)

    @model_validator(mode="after")
    def _is_whole(self) -> ConnectionSettings:
        if self.sandbox_port is not None and self.provider != "github":
            raise wrong("sandbox_port", "only github has a sandbox; leave it out")
        if self.sandbox_port is not None and (self.client_id or self.client_secret is not None):
            raise wrong("sandbox_port", "the sandbox has a client of its own; leave out the port, or your client")
        if self.sandbox_port is None:
            self._check_client()
        if (self.authorize_url is None) != (self.token_url is None):
            raise wrong("token_url", "give both authorize_url and token_url")
        if self.provider != "microsoft" and "tenant" in self.model_fields_set:
            raise wrong("tenant", "only microsoft has directories; leave it out")
        if self.provider != "oauth":
            return self
        if self.authorize_url is None and self.issuer is None:
            raise wrong("issuer", "give the provider's issuer, or authorize_url and token_url")
        if self.authorize_url is not None and self.whoami is None:
            raise wrong(
                "whoami", "say where the provider names the account; only an issuer's metadata leads to id_tokens"
            )
        return self

    def _check_client(self) -> None:
        if not self.client_id:
            raise wrong("client_id", "this key is required: the id of your OAuth client at the provider")
        preset = PRESETS.get(self.provider)
        way = self.client_authentication or (preset.client_authentication if preset else None)
        if self.client_secret is not None and way is ClientAuthentication.NONE:
            raise wrong("client_secret", "a public client has none; leave it out, or write client_authentication: post")
        if self.client_secret is None and way not in (None, ClientAuthentication.NONE):
            raise wrong(
                "client_secret", "write the client's secret, or client_authentication: none for a public client"
            )
        if self.client_secret is None and self.provider in _ASKS_SECRET:
            raise wrong("client_secret", f"{self.provider} takes no client without a secret; write it")


def _of_tenant(endpoints: Endpoints, tenant: str) -> Endpoints:
    """Return the endpoints of a directory of Microsoft's; with its id, only its own people can sign in."""
    filled = {
        name: value.replace("{tenant}", tenant)
        for name in ("authorize", "token", "certs")
        if (value := getattr(endpoints, name)) is not None
    }
    if _TENANT_ID.fullmatch(tenant) and endpoints.issuer is not None:
        filled["issuer"] = endpoints.issuer.replace(TENANT, tenant.lower())
    return replace(endpoints, **filled)
