"""Each channel is described once, and a channel without a part, or a wrong provider below a route, is reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dependency_injector import providers
from pydantic import SecretStr

from app.errors import SettingsError
from app.main import prove_lifetimes
from app.sections.interfaces import InterfacesSettings, SlackSettings
from app.settings import Settings
from containers import channels
from containers.application import Application
from containers.build import build
from containers.proof import LifetimeError, signatures
from containers.proof.graph import Graph
from containers.testing import settings_in
from interfaces.channel import ChannelDescription
from interfaces.slack import channel as slack
from tests.attacks.test_routes import walk


def settings_with_slack(folder: Path) -> Settings:
    """Return settings that serve every channel, with Slack for many workspaces."""
    settings = settings_in(folder)
    client = SlackSettings(signing_secret=SecretStr("s"), client_id="1.2", client_secret=SecretStr("s"))
    interfaces = settings.interfaces.model_copy(update={"slack": client})
    return settings.model_copy(update={"interfaces": interfaces})


def test_each_channel_of_the_settings_is_listed() -> None:
    """Every channel that has a section in the settings is in the list of channels, so none can be missing."""
    assert InterfacesSettings.model_fields.keys() == channels.CHANNELS.keys()


def test_a_served_channel_is_one_object(tmp_path: Path) -> None:
    """Everything that a served channel can do is available under its name, and its routes are served."""
    container = build(settings_with_slack(tmp_path))
    served = container.channels()
    paths = {path for each in container.routes() for _, path in walk(each.router().routes)}

    assert {platform: channel.title for platform, channel in served.items()} == {"http": "HTTP", "slack": "Slack"}
    assert served["slack"].people is not None
    assert served["slack"].directory is not None
    assert served["slack"].login is None  # because the settings do not ask for it
    assert served["http"].directory is container.api_tokens()
    assert container.senders().keys() == served.keys()
    assert {"/v1/messages", "/slack/events", "/slack/install", "/connect/{provider}/{token}"} <= paths


def test_a_served_channel_that_is_not_listed_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel in the settings that is not listed stops the start, because it would accept events and never reply."""
    monkeypatch.delitem(channels.CHANNELS, "slack")

    with pytest.raises(SettingsError, match=r"^interfaces\.slack: .*lists no channel of this name"):
        build(settings_with_slack(tmp_path))


class Greedy:
    """Asks for something that nothing provides."""

    def __init__(self, everything: dict[str, str]) -> None: ...


def without(name: str) -> Any:
    """Return a description of Slack that lacks one of its parts."""

    def describe(section: SlackSettings, settings: Settings) -> Any:
        description = slack.describe(section, settings)
        parts = {part: getattr(description, part) for part in ChannelDescription.__dataclass_fields__}
        return ChannelDescription(**{part: value for part, value in parts.items() if part != name})

    return describe


def changed(**parts: Any) -> Any:
    """Return a description of Slack with other parts."""
    return lambda section, settings: replace(slack.describe(section, settings), **parts)


@pytest.mark.parametrize(
    ("describe", "told"),
    [
        (without("title"), "does not describe it: .*'title'"),
        (without("sends"), "does not describe it: .*'sends'"),
        (without("routes"), "does not describe it: .*'routes'"),
        (without("shares"), r"SlackChannel asks for bot_tokens: BotTokens; it can ask for: Accounts, ApiTokens, "),
        (changed(sends=None), "its description has no `sends`"),
        (changed(routes=[]), "its description has neither `routes` nor `receives`"),
        (changed(people=Greedy), "Greedy asks for everything: dict"),
        (changed(login=partial(Greedy)), "Greedy asks for everything: dict"),
        (lambda *_: {}, "returns no ChannelDescription"),
        (None, "does not describe it"),
    ],
)
def test_a_served_channel_that_lacks_a_part_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, describe: Any, told: str
) -> None:
    """The error names the channel, and the part that is missing or cannot be made."""
    module = SimpleNamespace(**({"describe": describe} if describe else {}))
    monkeypatch.setitem(channels.CHANNELS, "slack", "tests.planted_channel")
    monkeypatch.setitem(sys.modules, "tests.planted_channel", module)

    with pytest.raises(SettingsError, match=rf"^interfaces\.slack: .*{told}"):
        build(settings_with_slack(tmp_path))


def given_parts(container: Application) -> Iterator[tuple[str, Any, str]]:
    """Yield each parameter of each route's class that a provider fills in."""
    for handler in container.routes.args:
        for name in handler.kwargs:
            if isinstance(handler.kwargs[name], providers.Provider):
                yield handler.cls.__name__, handler, name


def test_a_wrong_provider_below_a_route_is_found(tmp_path: Path) -> None:
    """The proof names the route and the parameter of a wrong provider, which would otherwise make every POST a 500."""
    container = build(settings_with_slack(tmp_path))
    found: set[tuple[str, str]] = set()
    unseen: set[tuple[str, str]] = set()
    for route, handler, name in given_parts(container):
        right = handler.kwargs
        handler.add_kwargs(**{name: container.refresh_leases})
        faults = [finding.fault for finding in signatures.faults(Graph(container))]
        handler.set_kwargs(**right)
        seen = any(each.startswith(f"argument {name} of `") and "is given RefreshLeases" in each for each in faults)
        (found if seen else unseen).add((route, name))

    assert {"ConsentPages", "HttpRoutes", "SlackRoutes", "InstallPages"} == {route for route, _ in found}
    assert len(found) > 15
    assert unseen == set()


async def test_a_wrong_provider_below_a_route_fails_the_check(tmp_path: Path) -> None:
    """The proof that `deputy check` and every start run refuses a wrong provider and passes the right container."""
    settings = settings_with_slack(tmp_path)
    container = build(settings)
    await prove_lifetimes(container, settings)
    container.consent_pages.add_kwargs(cookies=container.inbox)

    with pytest.raises(LifetimeError, match="argument cookies of `consent_pages` must be Cookies, and is given Inbox"):
        await prove_lifetimes(container, settings)
