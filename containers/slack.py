"""Slack's part of the container: one workspace by the settings, or as many as have installed the app."""

from __future__ import annotations

from typing import Any

from dependency_injector import providers

from app.delivery.channel import Channel
from app.sections.interfaces import SlackSettings
from app.settings import Settings
from containers.application import Application, Once
from interfaces.slack.installations import OneWorkspace


def bot_tokens(container: Application, slack: SlackSettings) -> providers.Provider[Any]:
    """What knows the bot tokens; a provider of one kind of BotTokens is none of another."""
    if slack.bot_token is None:
        return container.slack_installations
    return Once(OneWorkspace, slack.bot_token.get_secret_value())


def slack_channel(container: Application, slack: SlackSettings) -> providers.Provider[Channel]:
    """What posts answers."""
    from interfaces.slack.client import SlackChannel  # the SDK is imported only where Slack is served

    return Once(SlackChannel, bot_tokens(container, slack), slack.api_base_url)


def installing(container: Application, settings: Settings, slack: SlackSettings) -> providers.Provider[object]:
    """What installs the app; for settings with a client."""
    from interfaces.slack.installing import Installing
    from interfaces.slack.pages import callback_url

    assert slack.client_secret is not None
    return Once(
        Installing,
        container.database,
        container.slack_installations,
        client_id=slack.client_id,
        client_secret=slack.client_secret.get_secret_value(),
        api_base_url=slack.api_base_url,
        authorize_url=slack.authorize_url,
        redirect_uri=callback_url(settings.server.public_url),
    )
