"""A mistake in a connection's section stops the start, with the key's name and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.errors import SettingsError
from app.oauth.presets import PRESETS
from app.settings import Settings, load_settings
from containers.build import build

SECRET = "CANARY7f3a"
BASE = """\
key_ring:
  keys:
    k1: ${DEPUTY_KEY}
google:
  mode: sandbox
agents:
  assistant: {}
default_agent: assistant
interfaces:
  http: {}
connections:
  mine:
"""
ENVIRON = {"CLIENT_SECRET": SECRET, "EMPTY": "", "DEPUTY_KEY": "A" * 43 + "="}
RIGHT = {"client_id": "an-id", "client_secret": "${CLIENT_SECRET}"}


def written(folder: Path, preset: str, **changes: str | None) -> Path:
    """Write a configuration with one connection and return its path."""
    keys = {"provider": preset, **RIGHT, **changes}
    path = folder / "config.yaml"
    path.write_text(
        BASE + "".join(f"    {key}: {value}\n" for key, value in keys.items() if value is not None), encoding="utf-8"
    )
    return path


def loaded(path: Path) -> Settings:
    """Load a configuration in the environment of these tests."""
    return load_settings(path, ENVIRON)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_needs_a_client_and_nothing_else(tmp_path: Path, preset: str) -> None:
    """An id and a secret are enough for a connection, and the container has it."""
    container = build(loaded(written(tmp_path, preset)))

    assert {"google", "mine"} <= container.connections.providers.keys()
    assert container.account_providers()["mine"].title == PRESETS[preset].title


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"client_ident": "x"}, "connections.mine.client_ident: unknown key; did you mean client_id?"),
        ({"client_id": None}, "connections.mine.client_id: this key is required"),
        ({"client_secret": None}, "connections.mine.client_secret: "),
        ({"client_secret": "${EMPTY}"}, "connections.mine.client_secret: the environment variable EMPTY is empty"),
        ({"client_secret": "${NOT_SET}"}, "connections.mine.client_secret: the environment variable NOT_SET is not"),
        ({"client_authentication": "none"}, "connections.mine.client_secret: a public client has none"),
        ({"client_authentication": "jwt"}, "connections.mine.client_authentication: "),
        ({"token_url": "https://a.example/token"}, "connections.mine.token_url: give both authorize_url and token_url"),
        ({"api": "a.example"}, "connections.mine.api"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, preset: str, changes: dict[str, Any], told: str) -> None:
    """The error names the file, the key and what to write, and never the secret."""
    path = written(tmp_path, preset, **changes)
    with pytest.raises(SettingsError) as refused:
        loaded(path)

    assert str(path) in str(refused.value)
    assert told in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("preset", ["github", "notion", "slack_user"])
def test_a_vendor_that_asks_for_a_secret_takes_no_public_client(tmp_path: Path, preset: str) -> None:
    """A preset that needs a secret refuses a public client, whose sign-in would fail at the last step for everybody."""
    path = written(tmp_path, preset, client_secret=None, client_authentication="none")
    with pytest.raises(SettingsError, match=f"{preset} takes no client without a secret"):
        loaded(path)


@pytest.mark.parametrize("preset", ["microsoft", "linear"])
def test_a_public_client_is_possible_where_the_vendor_takes_one(tmp_path: Path, preset: str) -> None:
    """A public client must be declared, and is not assumed because a secret is missing."""
    settings = loaded(written(tmp_path, preset, client_secret=None, client_authentication="none"))

    assert settings.connections["mine"].client_secret is None


@pytest.mark.parametrize("preset", sorted(PRESETS.keys() - {"microsoft"}))
def test_a_directory_is_microsofts(tmp_path: Path, preset: str) -> None:
    """A directory is refused for every other preset, because it would change nothing."""
    with pytest.raises(SettingsError, match=r"connections\.mine\.tenant: only microsoft has directories"):
        loaded(written(tmp_path, preset, tenant="common"))


@pytest.mark.parametrize("preset", PRESETS)
def test_config_show_shows_the_connection_and_not_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    """`deputy config show` prints the connection that is in effect, without its secret."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli, ["config", "show", "--config", str(written(tmp_path, preset))])

    assert result.exit_code == 0, result.output
    assert "an-id" in result.output
    assert SECRET not in result.output
