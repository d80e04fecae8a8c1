"""The providers that need no description in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.oauth.description import ClientAuthentication, Endpoints, ProviderDescription, RevocationWay, WhoAmI


def _permits(**scopes: str) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({scope.replace("__", ":"): frozenset(below.split()) for scope, below in scopes.items()})


# https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps and …/scopes-for-oauth-apps:
# an answer leaves out what another scope of it implies. An OAuth app's token does not expire and has no refresh token;
# a GitHub App's has both, begins with ghu_ and has no OAuth scopes: what it may do stands in the app's settings
# (…/authenticating-with-a-github-app/refreshing-user-access-tokens). RFC 7009 is not spoken, and `iss` is not sent.
GITHUB = ProviderDescription(
    title="GitHub",
    endpoints=Endpoints(
        "https://github.com/login/oauth/authorize",
        "https://github.com/login/oauth/access_token",
        revoke="https://api.github.com/applications",
    ),
    whoami=WhoAmI("https://api.github.com/user", subject=("id",), shown=("login",)),
    api=("https://api.github.com", "https://uploads.github.com", "https://api.githubcopilot.com"),
    revocation=RevocationWay.GITHUB,
    revokes_access_tokens=True,
    ends_all=True,
    unscoped_prefix="ghu_",
    permits=_permits(
        repo="repo:status repo_deployment public_repo repo:invite security_events",
        admin__repo_hook="write:repo_hook read:repo_hook",
        write__repo_hook="read:repo_hook",
        admin__org="write:org read:org manage_runners:org",
        write__org="read:org",
        admin__public_key="write:public_key read:public_key",
        write__public_key="read:public_key",
        user="read:user user:email user:follow",
        project="read:project",
        write__packages="read:packages",
        write__discussion="read:discussion",
    ),
    words=MappingProxyType(
        {
            "repo": "read and change your repositories, the private ones too",
            "public_repo": "read and change your public repositories",
            "read:org": "see your organisations and teams",
            "read:user": "read your profile",
            "user:email": "see your addresses",
            "gist": "write gists",
            "notifications": "read your notifications",
            "read:project": "read your projects",
            "project": "read and change your projects",
            "workflow": "change workflows of GitHub Actions",
            "user": "read and change your profile, and follow people",
            "user:follow": "follow people and stop following them",
            "repo:status": "read and set the status of commits",
            "repo_deployment": "read and set the status of deployments",
            "repo:invite": "accept and decline invitations to repositories",
            "security_events": "read and change security alerts",
            "admin:repo_hook": "read, write and delete webhooks of repositories",
            "write:repo_hook": "read and write webhooks of repositories",
            "read:repo_hook": "read webhooks of repositories",
            "admin:org": "manage your organisations and teams",
            "write:org": "see your organisations and change who belongs to them",
            "manage_runners:org": "manage the runners of your organisations",
            "admin:public_key": "read, write and delete your public keys",
            "write:public_key": "read and write your public keys",
            "read:public_key": "read your public keys",
            "write:packages": "read and publish packages",
            "read:packages": "read packages",
            "write:discussion": "read and write team discussions",
            "read:discussion": "read team discussions",
        }
    ),
    parameters=MappingProxyType({"prompt": "select_account"}),
    manage_url="https://github.com/settings/applications",
)

# https://docs.slack.dev/authentication/installing-with-oauth and …/using-token-rotation. The person's token is in
# `authed_user`, beside the bot's; comma-separated scopes; a rotated token only where the app has opted in.
SLACK_USER = ProviderDescription(
    title="Slack",
    endpoints=Endpoints(
        "https://slack.com/oauth/v2/authorize",
        "https://slack.com/api/oauth.v2.access",
        revoke="https://slack.com/api/auth.revoke",
    ),
    whoami=WhoAmI("https://slack.com/api/auth.test", subject=("team_id", "user_id"), shown=("user",)),
    api=("https://slack.com", "https://mcp.slack.com", "https://files.slack.com"),
    client_authentication=ClientAuthentication.BASIC,
    pkce=False,
    revocation=RevocationWay.SLACK,
    revokes_access_tokens=True,
    scope_parameter="user_scope",
    scope_separator=",",
    words=MappingProxyType(
        {
            "search:read": "search your messages and files",
            "channels:history": "read public channels that you are in",
            "groups:history": "read private channels that you are in",
            "im:history": "read your direct messages",
            "chat:write": "write messages in your name",
            "users:read": "see who is in the workspace",
            "channels:read": "see public channels",
            "groups:read": "see private channels that you are in",
            "mpim:history": "read your group messages",
            "files:read": "read your files",
            "files:write": "upload and change your files",
            "reactions:write": "add and remove your reactions",
        }
    ),
    answer="authed_user",
)

# https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow. There is no revocation endpoint;
# an answer names scopes in full or in short, and never offline_access. {tenant} is filled in from the settings. Only
# `tid` and `oid` together are an account's id; `email` may be anything: …/id-token-claims-reference.
MICROSOFT = ProviderDescription(
    title="Microsoft",
    endpoints=Endpoints(
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        issuer="https://login.microsoftonline.com/{tenantid}/v2.0",
        certs="https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys",
    ),
    whoami=None,
    subject_claims=("tid", "oid"),
    api=("https://graph.microsoft.com",),
    scope_prefix="https://graph.microsoft.com/",
    sign_in_scopes=("openid", "profile", "offline_access"),
    permits=_permits(
        **{
            "Mail.ReadWrite": "Mail.Read",
            "Calendars.ReadWrite": "Calendars.Read",
            "Files.ReadWrite": "Files.Read",
            "Contacts.ReadWrite": "Contacts.Read",
            "Tasks.ReadWrite": "Tasks.Read",
        }
    ),
    words=MappingProxyType(
        {
            "Mail.Read": "read your mail",
            "Mail.ReadWrite": "read and change your mail",
            "Mail.Send": "send mail as you",
            "Calendars.Read": "read your calendars",
            "Calendars.ReadWrite": "read and change your calendars",
            "Files.Read": "read your files",
            "Files.ReadWrite": "read and change your files",
            "Contacts.Read": "read your contacts",
            "Contacts.ReadWrite": "read and change your contacts",
            "Tasks.Read": "read your tasks",
            "Tasks.ReadWrite": "read and change your tasks",
            "User.Read": "read your profile",
        }
    ),
    parameters=MappingProxyType({"prompt": "select_account"}),
    manage_url="https://myapps.microsoft.com",
)

# https://developers.notion.com/docs/authorization: no scopes, whole workspaces or pages that the person picks; JSON.
# …/reference/revoke-token takes an access token, and …/reference/create-a-token asks for the version, too.
NOTION = ProviderDescription(
    title="Notion",
    endpoints=Endpoints(
        "https://api.notion.com/v1/oauth/authorize",
        "https://api.notion.com/v1/oauth/token",
        revoke="https://api.notion.com/v1/oauth/revoke",
    ),
    whoami=WhoAmI(
        None,
        subject=("workspace_id", "owner.user.id"),
        shown=("owner.user.person.email", "owner.user.name", "workspace_name"),
    ),
    api=("https://api.notion.com", "https://mcp.notion.com"),
    client_authentication=ClientAuthentication.BASIC,
    pkce=False,
    revocation=RevocationWay.RFC7009,
    revokes_access_tokens=True,
    asks_json=True,
    parameters=MappingProxyType({"owner": "user"}),
    headers=MappingProxyType({"Notion-Version": "2022-06-28"}),
)

# https://linear.app/developers/oauth-2-0-authentication: refresh tokens rotate; GraphQL says who it is.
LINEAR = ProviderDescription(
    title="Linear",
    endpoints=Endpoints(
        "https://linear.app/oauth/authorize",
        "https://api.linear.app/oauth/token",
        revoke="https://api.linear.app/oauth/revoke",
    ),
    whoami=WhoAmI(
        "https://api.linear.app/graphql",
        subject=("data.viewer.id",),
        shown=("data.viewer.email", "data.viewer.name"),
        query="{ viewer { id name email } }",
    ),
    api=("https://api.linear.app", "https://mcp.linear.app"),
    revocation=RevocationWay.RFC7009,
    scope_separator=",",
    sign_in_scopes=("read",),
    permits=_permits(write="issues:create comments:create timeSchedule:write"),
    words=MappingProxyType(
        {
            "write": "change issues and projects",
            "issues:create": "create issues",
            "comments:create": "write comments",
            "timeSchedule:write": "change time schedules",
            "admin": "manage the workspace",
        }
    ),
    parameters=MappingProxyType({"prompt": "consent"}),
    manage_url="https://linear.app/settings/account/security",
)

PRESETS: Mapping[str, ProviderDescription] = MappingProxyType(
    {"github": GITHUB, "slack_user": SLACK_USER, "microsoft": MICROSOFT, "notion": NOTION, "linear": LINEAR}
)
