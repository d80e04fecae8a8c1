"""Slack's part of the container: one workspace by the settings, or as many as have installed the app."""

from __future__ import annotations

from typing import Any

from dependency_injector import providers

from app.consent.linking import LinkingMode
from app.sections.interfaces import SlackSettings
from app.settings import Settings
from containers.application import Application, Once
from interfaces.slack.allow_list import AllowList
from interfaces.slack.installations import OneWorkspace
from interfaces.web.interface import login_url


def bot_tokens(container: Application, slack: SlackSettings) -> providers.Provider[Any]:
    """What knows the bot tokens; a provider of one kind of BotTokens is none of another."""
    if slack.bot_token is None:
        return container.slack_installations
    return Once(OneWorkspace, slack.bot_token.get_secret_value())


def add_slack(container: Application, settings: Settings, slack: SlackSettings) -> None:
    """Give the container what posts answers in Slack, knows its people, and lets them sign in there."""
    from interfaces.slack.client import SlackChannel  # the SDK is imported only where Slack is served
    from interfaces.slack.directory import SlackDirectory
    from interfaces.slack.openid import SlackLogin
    from interfaces.slack.people import SlackPeople

    tokens = bot_tokens(container, slack)
    allow_list = AllowList(slack.workspaces)
    container.channels.add_kwargs(slack=Once(SlackChannel, tokens, slack.api_base_url))
    container.directories.add_kwargs(
        slack=Once(SlackDirectory, tokens, providers.Object(allow_list), slack.api_base_url)
    )
    container.people.add_kwargs(slack=Once(SlackPeople, tokens, slack.api_base_url))
    if settings.google.linking is LinkingMode.CHANNEL_LOGIN:
        assert slack.client_secret is not None
        login = Once(
            SlackLogin,
            client_id=slack.client_id,
            client_secret=slack.client_secret.get_secret_value(),
            api_base_url=slack.api_base_url,
            openid_root=slack.openid_root,
            redirect_uri=login_url(settings.server.public_url),
            http=container.http,
        )
        container.logins.add_kwargs(slack=login)


def installing(container: Application, settings: Settings, slack: SlackSettings) -> providers.Provider[object]:
    """What installs the app; for settings with a client."""
    from interfaces.slack.installing import Installing
    from interfaces.slack.pages import callback_url

    assert slack.client_secret is not None
    return Once(
        Installing,
        container.database,
        container.slack_installations,
        providers.Object(AllowList(slack.workspaces)),
        client_id=slack.client_id,
        client_secret=slack.client_secret.get_secret_value(),
        api_base_url=slack.api_base_url,
        authorize_url=slack.authorize_url,
        redirect_uri=callback_url(settings.server.public_url),
        by_address=settings.google.linking is LinkingMode.EMAIL_MATCH or settings.google.workspace is not None,
    )
