"""`deputy init`: a configuration from a few answers, which `deputy check` accepts."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import cli
from app.commands.blueprint import Choices, channel_keys, channel_mode, config_text, section_of
from app.errors import SettingsError
from app.oauth.presets import PRESETS
from app.sections.interfaces import InterfacesSettings
from app.settings import load_settings
from tests.fakes.terminal import on_terminal

CLIENT_ID = "1-test.apps.googleusercontent.com"
SECRETS = {
    "GOOGLE_CLIENT_ID": CLIENT_ID,
    "GOOGLE_CLIENT_SECRET": "GOCSPX-it's a $secret",
    "SLACK_SIGNING_SECRET": "8f742231b10e8888abcd99fff00085a5",
    "SLACK_BOT_TOKEN": "xoxb-1-secret",
    "SLACK_APP_TOKEN": "xapp-1-secret",
    "OPENAI_API_KEY": "sk-secret",
    "DATABASE_URL": "postgres://deputy:p%40ss@db.example/deputy",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory of the command."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*options: str, **environ: str) -> Result:
    """Run the command without a terminal."""
    return CliRunner().invoke(cli, ["init", *options], env=environ)


def values_in(file: Path) -> dict[str, str]:
    """Return what a shell would read from the file with the secrets."""
    lines = [line.partition("=") for line in file.read_text().splitlines() if not line.startswith("#")]
    return {name: value for name, _, value in lines}


@pytest.mark.system
def test_questions_on_a_terminal_end_in_a_configuration_that_is_accepted(tmp_path: Path) -> None:
    """On a terminal a wrong answer is asked again, secrets are not shown, and the configuration passes the check."""
    with on_terminal([Path(sys.executable).with_name("deputy"), "init"], cwd=tmp_path) as terminal:
        terminal.answer("Channels (http, slack", "http, slak")
        terminal.expect("there is no channel slak")
        terminal.answer("Channels (http, slack", "http, slack")
        terminal.answer("Address at which people reach the server", "https://deputy.example.com/")
        terminal.answer("Google: sandbox", "google")
        terminal.answer("Further accounts (github", "")
        terminal.answer("Model: offline", "openai:gpt-5-mini")
        terminal.answer("Database: sqlite", "")
        terminal.answer("OAuth client: client id", SECRETS["GOOGLE_CLIENT_ID"])
        terminal.answer("OAuth client: client secret", SECRETS["GOOGLE_CLIENT_SECRET"])
        terminal.answer("The key for openai", SECRETS["OPENAI_API_KEY"])
        terminal.answer("slack: The app's signing secret", SECRETS["SLACK_SIGNING_SECRET"])
        terminal.answer("slack: The bot's token", SECRETS["SLACK_BOT_TOKEN"])
        terminal.expect("https://deputy.example.com/oauth/google/callback")
        terminal.expect("app_mentions:read")
        terminal.expect("nothing outlives its request")
        terminal.expect("set -a; . ./deputy.env; set +a")
        code = terminal.end()

    assert code == 0
    assert not [name for name, value in SECRETS.items() if "secret" in value and value in terminal.printed]
    assert stat.S_IMODE((tmp_path / "deputy.env").stat().st_mode) == 0o600


@pytest.mark.system
def test_a_shell_reads_the_secrets_as_they_were_given(folder: Path) -> None:
    """The line that the command prints sets variables unchanged, including quotes and dollar signs."""
    init("--channel", "slack", "--google", "google", **SECRETS)
    script = 'set -a; . ./deputy.env; set +a; printf %s "$GOOGLE_CLIENT_SECRET"'
    with on_terminal(["sh", "-c", script], cwd=folder) as terminal:
        terminal.end()

    assert terminal.printed == SECRETS["GOOGLE_CLIENT_SECRET"]


@pytest.mark.parametrize("google", ["sandbox", "google"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9090", "https://deputy.example.com"])
@pytest.mark.parametrize("model", ["offline", "openai:gpt-5-mini", "http://127.0.0.1:11434/v1"])
def test_every_combination_is_a_valid_configuration(
    folder: Path, google: str, database: str, url: str, model: str
) -> None:
    """With the secrets in the environment, the configuration of every combination of choices loads."""
    choices = Choices(url, ("http", "slack"), "google" if google == "google" else "sandbox", model, "llama3.2",
                      postgresql=database == "postgresql")  # fmt: skip
    (folder / "config.yaml").write_text(config_text(choices, SECRETS))
    environ = {**SECRETS, "DATABASE_URL": "postgresql+asyncpg://deputy@db.example/deputy", "DEPUTY_KEY": "A" * 43 + "="}
    settings = load_settings(folder / "config.yaml", environ)

    assert settings.server.public_url == url
    assert settings.google.mode == google
    assert settings.database.is_server() == (database == "postgresql")
    assert settings.interfaces.served().keys() == {"http", "slack"}


def test_connections_are_offered(folder: Path) -> None:
    """Each chosen provider is configured with its client's variables, and its redirect URI is printed."""
    secrets = {
        f"{name}_CLIENT_{part}": f"{name}-{part}" for name in ("GITHUB", "SLACK_USER") for part in ("ID", "SECRET")
    }
    result = init("--connection", "github", "--connection", "slack_user", "--url", "https://d.example.com", **secrets)
    settings = load_settings(folder / "config.yaml", values_in(folder / "deputy.env"))

    assert {name: each.provider for name, each in settings.connections.items()} == {
        "github": "github",
        "slack_user": "slack_user",
    }
    assert settings.connections["slack_user"].client_id == "SLACK_USER-ID"
    assert "GitHub, your OAuth client" in result.stdout
    assert "https://d.example.com/oauth/slack_user/callback" in result.stdout
    assert "GITHUB-SECRET" not in result.stdout


@pytest.mark.parametrize("preset", PRESETS)
def test_the_configuration_of_each_preset_is_accepted(folder: Path, preset: str) -> None:
    """A preset's configuration loads unchanged with its client's id and secret, and names a missing one."""
    names = [f"{preset.upper()}_CLIENT_{part}" for part in ("ID", "SECRET")]
    result = init("--connection", preset, "--url", "https://d.example.com", **{each: f"x-{each}" for each in names})
    settings = load_settings(folder / "config.yaml", values_in(folder / "deputy.env"))
    section = settings.connections[preset]

    assert result.exit_code == 0
    assert f"https://d.example.com/oauth/{preset}/callback" in result.stdout
    assert section.described(preset).title == PRESETS[preset].title
    assert (section.client_id, section.client_secret and section.client_secret.get_secret_value()) == tuple(
        f"x-{each}" for each in names
    )
    assert f"x-{names[1]}" not in result.stdout
    for each in names:
        with pytest.raises(SettingsError, match=each):
            load_settings(folder / "config.yaml", {**values_in(folder / "deputy.env"), each: ""})


def test_options_and_the_environment_answer_everything(folder: Path) -> None:
    """Without a terminal nothing is asked: secrets come from the environment, and missing ones are named."""
    given = {name: value for name, value in SECRETS.items() if name not in ("SLACK_BOT_TOKEN", "OPENAI_API_KEY")}
    result = init(
        *("--channel", "http", "--channel", "slack", "--url", "https://deputy.example.com", "--google", "google"),
        *("--model", "openai:gpt-5-mini", "--database", "postgresql"),
        **given,
    )
    values = values_in(folder / "deputy.env")

    assert result.exit_code == 0, result.output
    assert "Fill in OPENAI_API_KEY, SLACK_BOT_TOKEN in deputy.env" in result.output
    assert values["DATABASE_URL"] == "postgresql+asyncpg://deputy:p%40ss@db.example/deputy"
    assert values["SLACK_SIGNING_SECRET"] == SECRETS["SLACK_SIGNING_SECRET"]
    assert values["SLACK_BOT_TOKEN"] == ""
    assert len(values["DEPUTY_KEY"]) == 44


def test_files_that_exist_are_not_replaced(folder: Path) -> None:
    """Existing files are refused with exit code 1, and replaced with --force."""
    (folder / "config.yaml").write_text("mine")
    refused = init()
    kept = (folder / "config.yaml").read_text()
    forced = init("--force")

    assert (refused.exit_code, kept) == (1, "mine")
    assert "config.yaml exists" in refused.output
    assert forced.exit_code == 0, forced.output
    assert "nothing outlives its request" in forced.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--channel", "pigeon"), "there is no channel pigeon"),
        (("--url", "deputy.example.com"), "https://deputy.example.com"),
        (("--google", "yes"), "write sandbox or google"),
        (("--connection", "gitlab"), "there is no gitlab; there is github"),
        (("--model", "gpt"), "provider:model"),
        (("--database", "mysql"), "write sqlite or postgresql"),
    ],
)
def test_a_wrong_option_is_told(folder: Path, options: tuple[str, ...], told: str) -> None:
    """A wrong option exits with 2, says what is allowed, and writes no file."""
    result = init(*options)

    assert result.exit_code == 2
    assert told in result.output
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("channel", InterfacesSettings.model_fields)
@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://deputy.example.com"])
def test_every_channel_gets_what_its_section_requires(channel: str, url: str) -> None:
    """Each channel's section has its required keys, and a mode that fits the server's address."""
    choices = Choices(url, (channel,))
    keys = channel_keys(channel, choices)
    choices = Choices(url, (channel,), plain={key.variable: "1" for key in keys if not key.secret})
    section = yaml.safe_load(config_text(choices, SECRETS))["interfaces"][channel]
    fields = section_of(channel).model_fields

    assert {name for name, field in fields.items() if field.is_required()} <= section.keys() <= fields.keys()
    assert section.get("mode") == channel_mode(channel, choices)
