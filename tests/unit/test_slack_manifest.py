"""The Slack app's manifest: what Slack accepts, what the configuration needs, and the command that prints it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import cli
from app.sandbox.slack.declaration import SlackDeclaration
from interfaces.slack.manifest import SlackApp, app_manifest, creation_url
from interfaces.slack.scopes import needed_scopes

URL = "https://deputy.example.com"


def run(*arguments: str | Path) -> Result:
    """Run `deputy slack manifest` in this process."""
    return CliRunner().invoke(cli, ["slack", "manifest", *map(str, arguments)])


@pytest.mark.parametrize("app", [SlackApp(*values) for values in product([False, True], repeat=3)], ids=str)
@pytest.mark.parametrize("socket", [False, True])
def test_slack_accepts_every_manifest(app: SlackApp, socket: bool) -> None:
    """For every configuration, the manifest keeps Slack's limits and has the scopes of its events."""
    declared = SlackDeclaration.of(app_manifest(app, URL, socket=socket))

    assert declared.scopes == set(needed_scopes(by_address=app.by_address))
    assert declared.is_agent
    assert declared.socket_mode is socket
    assert ("app_uninstalled" in declared.events) is app.installed
    assert {"app_mention", "message.im", "user_change", "agent_session_stopped"} <= declared.events


def test_slack_refuses_what_does_not_fit() -> None:
    """An event without its scope, a command without its URL and a description that is too long are refused."""
    manifest = app_manifest(SlackApp(), URL, socket=False)
    scopeless = {**manifest, "oauth_config": {"scopes": {"bot": ["chat:write", "commands", "assistant:write"]}}}
    commands = [{"command": "/deputy", "description": "x"}]
    urlless = {**manifest, "features": {**manifest["features"], "slash_commands": commands}}
    long = {**manifest, "display_information": {"name": "Deputy", "description": "x" * 141}}

    for wrong, why in ((scopeless, "needs the scope"), (urlless, "needs a url"), (long, "display_information")):
        with pytest.raises(ValueError, match=why):
            SlackDeclaration.of(wrong)


def test_the_addresses_are_those_of_the_server() -> None:
    """Slack's requests and browsers' redirects use the server's address; in Socket Mode only the redirects do."""
    everything = SlackApp(installed=True, logs_in=True)
    told, socket = (json.dumps(app_manifest(everything, f"{URL}/", socket=socket)) for socket in (False, True))
    redirects = [f"{URL}/slack/oauth/callback", f"{URL}/oauth/login/callback"]

    assert all(f'"{URL}/slack/{path}"' in told for path in ("events", "interactions", "commands"))
    assert not any(f"{URL}/slack/{path}" in socket for path in ("events", "interactions", "commands"))
    assert all(json.loads(text)["oauth_config"]["redirect_urls"] == redirects for text in (told, socket))


@pytest.mark.parametrize(
    ("changes", "app"),
    [
        ({}, SlackApp()),
        ({"google": {"linking": "email_match"}}, SlackApp(by_address=True)),
        ({"google": {"mode": "workspace"}}, SlackApp(by_address=True)),
        ({"google": {"linking": "channel_login"}}, SlackApp(logs_in=True)),
        ({"interfaces": {"slack": {"client_id": "${SLACK_CLIENT_ID}"}}}, SlackApp(installed=True)),
        ({"interfaces": {"slack": {"client_id": "1.2", "bot_token": "${SLACK_BOT_TOKEN}"}}}, SlackApp()),
    ],
)
def test_the_configuration_says_what_is_needed(tmp_path: Path, changes: dict[str, object], app: SlackApp) -> None:
    """The manifest is made from a configuration whose secrets are not set yet, because they come with the app."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"server": {"public_url": URL}, **changes}))
    printed = run("-c", config)

    assert printed.exit_code == 0, printed.output
    assert yaml.safe_load(printed.stdout) == app_manifest(app, URL, socket=False)


def test_the_command_prints_yaml_json_and_a_link(tmp_path: Path) -> None:
    """The YAML, the JSON and the link hold the same manifest, and no configuration is needed."""
    nowhere = tmp_path / "config.yaml"
    manifest = app_manifest(SlackApp(), None, socket=True)
    as_yaml, as_json, link = (run("--socket", "-c", nowhere, *form) for form in ([], ["--json"], ["--link"]))

    assert yaml.safe_load(as_yaml.stdout) == json.loads(as_json.stdout) == manifest
    assert link.stdout.strip() == creation_url(manifest)
    assert json.loads(parse_qs(urlsplit(link.stdout.strip()).query)["manifest_json"][0]) == manifest


@pytest.mark.parametrize("arguments", [[], ["--url", "http://deputy.example.com"], ["--url", f"{URL}/path"]])
def test_an_address_that_slack_cannot_reach_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    """An address without https is refused, because Slack could send nothing there without Socket Mode."""
    refused = run("-c", tmp_path / "config.yaml", *arguments)

    assert refused.exit_code == 2
    assert "https://" in refused.stderr
