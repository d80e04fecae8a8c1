"""The parts of the Slack channel: for the one workspace of the settings, or for all that have installed the app."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.allow_list import AllowList
from app.consent.linking import LinkingMode
from app.sections.interfaces import SlackSettings
from app.settings import Settings
from interfaces.channel import ChannelDescription, Routes
from interfaces.slack.answers import SlackAnswers
from interfaces.slack.checkup import SlackCheckup
from interfaces.slack.client import SlackChannel
from interfaces.slack.directory import SlackDirectory
from interfaces.slack.home import SlackHome
from interfaces.slack.http import SlackHttp
from interfaces.slack.inbound import SlackInbound
from interfaces.slack.installations import BotTokens, Installations, OneWorkspace
from interfaces.slack.installing import Installing
from interfaces.slack.interface import SlackRoutes
from interfaces.slack.openid import SlackLogin
from interfaces.slack.pages import InstallPages, callback_url
from interfaces.slack.people import SlackPeople
from interfaces.slack.scopes import needed_scopes
from interfaces.slack.socket import SlackSocket
from interfaces.slack.web_api import load
from interfaces.web.interface import login_url


def describe(slack: SlackSettings, settings: Settings) -> ChannelDescription:
    """Return the parts that these settings ask for."""
    root = slack.api_base_url
    installed = slack.bot_token is None
    logs_in = settings.google.linking is LinkingMode.CHANNEL_LOGIN
    routes: list[Callable[..., Routes]] = []
    if slack.mode == "webhook" and slack.signing_secret is not None:
        routes.append(partial(SlackRoutes, signing_secret=slack.signing_secret.get_secret_value()))
    return ChannelDescription(
        title="Slack",
        sends=partial(SlackChannel, api_base_url=root),
        people=partial(SlackPeople, api_base_url=root),
        directory=partial(SlackDirectory, api_base_url=root),
        login=_login(slack, settings) if logs_in else None,
        routes=[*routes, InstallPages] if installed else routes,
        receives=_socket(slack),
        checkup=partial(
            SlackCheckup,
            api_base_url=root,
            needed=scopes_for(settings),
            app_token=slack.app_token.get_secret_value() if slack.mode == "socket" and slack.app_token else None,
        ),
        shares={
            AllowList: partial(AllowList, places=slack.workspaces),
            SlackHttp: SlackHttp,
            BotTokens: _bot_tokens(slack),
            SlackPeople: partial(SlackPeople, api_base_url=root),
            SlackAnswers: SlackAnswers,
            SlackHome: partial(SlackHome, api_base_url=root),
            SlackInbound: partial(SlackInbound, api_base_url=root),
            **({Installing: _installing(slack, settings)} if installed else {}),
        },
        load=load,
        opens=SlackHttp,
    )


def scopes_for(settings: Settings) -> tuple[str, ...]:
    """Return the bot scopes that these settings need; `granted_scopes` asks Slack for those that there are."""
    return needed_scopes(by_address=_by_address(settings))


def _by_address(settings: Settings) -> bool:
    return settings.google.linking is LinkingMode.EMAIL_MATCH or settings.google.workspace is not None


def _socket(slack: SlackSettings) -> Callable[..., SlackSocket] | None:
    if slack.mode != "socket" or slack.app_token is None:
        return None
    return partial(
        SlackSocket,
        app_token=slack.app_token.get_secret_value(),
        api_base_url=slack.api_base_url,
        connections=slack.connections,
    )


def _bot_tokens(slack: SlackSettings) -> Callable[..., BotTokens]:
    if slack.bot_token is None:
        return Installations
    return partial(OneWorkspace, bot_token=slack.bot_token.get_secret_value())


def _installing(slack: SlackSettings, settings: Settings) -> Callable[..., Installing]:
    client_id, client_secret = slack.client()
    return partial(
        Installing,
        client_id=client_id,
        client_secret=client_secret,
        api_base_url=slack.api_base_url,
        authorize_url=slack.authorize_url,
        redirect_uri=callback_url(settings.server.public_url),
        by_address=_by_address(settings),
    )


def _login(slack: SlackSettings, settings: Settings) -> Callable[..., SlackLogin]:
    client_id, client_secret = slack.client()
    return partial(
        SlackLogin,
        client_id=client_id,
        client_secret=client_secret,
        api_base_url=slack.api_base_url,
        openid_root=slack.openid_root,
        redirect_uri=login_url(settings.server.public_url),
    )
