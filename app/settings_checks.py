"""Checks across sections, for settings that are valid in their section but do not work together."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from app.consent.linking import LinkingMode
from app.hosts import is_loopback
from app.oauth.provider import GOOGLE
from app.sections.agents import OFFLINE
from app.sections.google import EndpointSettings
from app.sections.interfaces import SLACK_API, SlackSettings
from app.sections.whole import LOGIN, Settings
from app.settings_faults import did_you_mean
from app.settings_file import Place
from app.settings_teams import team_misfits

CLIENT_ID_ENDS = ".apps.googleusercontent.com"
Misfit = tuple[Place, str]


def misfits(settings: Settings) -> Iterator[Misfit]:
    """Yield everything that cannot work: its place in the file, and a text that says how to fix it."""
    yield from _names(settings)
    yield from _google(settings)
    if not settings.interfaces.served():
        yield ("interfaces",), "nobody could write to Deputy; serve at least one channel, such as http: {}"
    if settings.delivery.engine == "procrastinate" and not settings.database.is_server():
        yield (
            ("delivery", "engine"),
            "procrastinate needs PostgreSQL; set database.url to postgresql+asyncpg://…, or write engine: embedded",
        )
    if settings.interfaces.slack is not None:
        yield from _slack(settings, settings.interfaces.slack)
    for name, server in settings.mcp.items():
        if server.oauth is not None and name in (GOOGLE, LOGIN, *settings.connections):
            yield (
                ("mcp", name),
                "people connect a server with `oauth: discover` under its name, and this one is taken; rename it",
            )


def notes(settings: Settings) -> Iterator[Misfit]:
    """Yield what works and is probably not what was meant."""
    host = urlsplit(settings.server.public_url).hostname or ""
    if settings.google.mode == "google" and is_loopback(host) and settings.interfaces.slack is not None:
        yield (
            ("server", "public_url"),
            "consent links open on this machine only; people elsewhere need the public https:// address",
        )

    if settings.interfaces.whatsapp is not None:
        yield (
            ("interfaces", "whatsapp"),
            "Meta forbids AI providers to offer a general-purpose assistant as the main purpose of a WhatsApp business "
            "number, and decides alone what that is. It can close the number, so read docs/whatsapp.md first",
        )


def _names(settings: Settings) -> Iterator[Misfit]:
    models = {OFFLINE: None, **settings.models}
    yield from team_misfits(settings.agents)
    for name, agent in settings.agents.items():
        inside = ("leader",) if agent.leader is not None else ()
        for model in (agent.leader or agent).model:
            provider, _, at_provider = model.partition(":")
            if model not in models and not (provider and at_provider):
                words = f"there is no such model; {did_you_mean(model, models)}, or write provider:model"
                yield ("agents", name, *inside, "model"), f"{words}, such as openai:gpt-5-mini"
    transcription = settings.attachments.transcription
    if transcription is not None and transcription not in settings.models:
        words = (
            "no model has this name; add it to `models`"
            if not settings.models
            else did_you_mean(transcription, settings.models)
        )
        yield ("attachments", "transcription"), words
    if settings.default_agent not in settings.agents:
        yield ("default_agent",), f"no agent has this name; {did_you_mean(settings.default_agent, settings.agents)}"
    for channel, section in settings.interfaces.served().items():
        if section.agent is not None and section.agent not in settings.agents:
            words = f"no agent has this name; {did_you_mean(section.agent, settings.agents)}"
            yield ("interfaces", channel, "agent"), words


def _google(settings: Settings) -> Iterator[Misfit]:
    google = settings.google
    if google.mode == "sandbox" or google.endpoints != EndpointSettings():
        return
    url = urlsplit(settings.server.public_url)
    # https://developers.google.com/identity/protocols/oauth2/web-server#uri-validation
    if google.mode == "google" and url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield (
            ("server", "public_url"),
            "Google redirects people to https:// addresses only, save localhost; write https://…",
        )
    if google.client_id is not None and not google.client_id.endswith(CLIENT_ID_ENDS):
        yield (
            ("google", "client_id"),
            f"this is no OAuth client id; it ends in {CLIENT_ID_ENDS} (Google Cloud console, Credentials)",
        )
    if google.client_secret is not None and google.client_secret.get_secret_value().endswith(CLIENT_ID_ENDS):
        yield ("google", "client_secret"), "this is a client id; client id and secret are the wrong way round"


def _slack(settings: Settings, slack: SlackSettings) -> Iterator[Misfit]:
    google = settings.google
    here: Place = ("interfaces", "slack")
    logs_in = google.linking is LinkingMode.CHANNEL_LOGIN
    if logs_in and not (slack.client_id and slack.client_secret):
        yield (
            ("google", "linking"),
            "channel_login needs client_id and client_secret of your Slack app in interfaces.slack",
        )
    if slack.bot_token and slack.client_id and not logs_in:
        yield (
            here,
            "give either bot_token, for one workspace, or client_id and client_secret, for many; both together are "
            "only for google.linking: channel_login",
        )
    if slack.client_id is not None and slack.api_base_url == SLACK_API and not _is_slack_client(slack.client_id):
        yield (*here, "client_id"), "this is no client id of a Slack app; it is two numbers, such as 123456.789012"
    by_address = "mode: workspace" if google.mode == "workspace" else f"linking: {google.linking}"
    if not slack.bot_token and not slack.workspaces and by_address in ("mode: workspace", "linking: email_match"):
        yield (
            (*here, "workspaces"),
            f"with google.{by_address} a workspace's word for an address opens a Google account, and with client_id "
            "any workspace can install the app; list the ids of those that you trust, such as [T0123ABCD]",
        )


def _is_slack_client(client_id: str) -> bool:
    return all(part.isdecimal() for part in client_id.split(".")) and client_id.count(".") == 1
