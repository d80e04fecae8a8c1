"""Tests of 55 mistakes in config.yaml: each is reported with its file, line and key, and with what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.errors import SettingsError
from app.settings import Settings, load_settings
from app.settings_checks import notes

RIGHT = """\
server:
  host: 127.0.0.1
  port: 8080
  public_url: https://deputy.example
database:
  url: postgresql+asyncpg://deputy:${DB_PASSWORD}@127.0.0.1:1/deputy
key_ring:
  keys:
    k1: ${DEPUTY_KEY}
google:
  mode: google
  client_id: 123-abc.apps.googleusercontent.com
  client_secret: ${GOOGLE_CLIENT_SECRET}
  linking: code
agents:
  assistant:
    model: offline
    toolkits: [gmail]
default_agent: assistant
interfaces:
  slack:
    signing_secret: ${SLACK_SIGNING_SECRET}
    bot_token: ${SLACK_BOT_TOKEN}
delivery:
  engine: procrastinate
"""
SECRET = "CANARY7f3a"
ENVIRON = {
    "DB_PASSWORD": SECRET,
    "DEPUTY_KEY": "A" * 43 + "=",
    "GOOGLE_CLIENT_SECRET": f"GOCSPX-{SECRET}",
    "SLACK_SIGNING_SECRET": SECRET,
    "SLACK_BOT_TOKEN": f"xoxb-{SECRET}",
    "EMPTY": "",
    "XAPP": f"xapp-{SECRET}",
    "SHORT": "QUFBQQ==",
}
SERVER, PUBLIC, MODEL = "  port: 8080", "https://deputy.example", "model: offline"


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        before: The part of the right file that is replaced, or "" to append.
        after: The replacement.
        at: A part of the line that the report names, or "" for the first line.
        told: How the rest of the report's first line begins: the key, and what to do.
    """

    before: str
    after: str
    at: str
    told: str

    def text(self) -> str:
        assert self.before in RIGHT
        return RIGHT.replace(self.before, self.after, 1) if self.before else RIGHT + self.after

    def line(self) -> int:
        lines = self.text().splitlines()
        return next(number for number, line in enumerate(lines or [""], 1) if self.at in line)


MISTAKES = {  # by their number in the list of mistakes that were tried; 9, 50 and 52 are below
    "01 a misspelt section": Mistake(
        "interfaces:\n  slack", "interface:\n  slack", "interface:", "interface: unknown key; did you mean interfaces?"
    ),
    "02 a misspelt key": Mistake(
        "public_url", "public_ulr", "public_ulr", "server.public_ulr: unknown key; did you mean public_url?"
    ),
    "03 a word for a number": Mistake(SERVER, "  port: http", "port: http", "server.port: a whole number is needed"),
    "04 a number out of range": Mistake(SERVER, "  port: 80800", "80800", "server.port: must be at most 65535"),
    "05 a variable that is not set": Mistake(
        "${GOOGLE_CLIENT_SECRET}", "${NOT_SET}", "NOT_SET",
        "google.client_secret: the environment variable NOT_SET is not set; set it",
    ),
    "06 a variable that is empty": Mistake(
        "${SLACK_BOT_TOKEN}", "${EMPTY}", "EMPTY",
        "interfaces.slack.bot_token: the environment variable EMPTY is empty; set it",
    ),
    "07 no scheme": Mistake(
        PUBLIC, "deputy.example", "public_url",
        "server.public_url: a whole address is needed, such as https://deputy.example",
    ),
    "08 http for the real Google": Mistake(
        PUBLIC, "http://deputy.example", "public_url", "server.public_url: Google redirects people to https://"
    ),
    "10 a path": Mistake(
        PUBLIC, "https://example.com/deputy", "public_url", "server.public_url: Deputy serves its pages at the root"
    ),
    "11 no client id": Mistake(
        "123-abc.apps.googleusercontent.com", "my-client", "my-client",
        "google.client_id: this is no OAuth client id; it ends in .apps.googleusercontent.com",
    ),
    "12 no client": Mistake(
        "  client_id: 123-abc.apps.googleusercontent.com\n  client_secret: ${GOOGLE_CLIENT_SECRET}\n", "", "google:",
        "google: mode: google needs client_id and client_secret",
    ),
    "13 an unknown mode": Mistake(
        "mode: google", "mode: googel", "googel",
        "google.mode: did you mean google? Write one of sandbox, google, workspace",
    ),
    "14 a tab": Mistake(SERVER, "\tport: 8080", "\tport", "the file: a tab stands here; indent with spaces"),
    "15 a key twice": Mistake(SERVER, f"{SERVER}\n  port: 79", "port: 79", "server.port: this key is there twice"),
    "16 an unknown toolkit": Mistake(
        "[gmail]", "[gmial]", "gmial", "agents.assistant.toolkits: there is no toolkit"
    ),
    "17 a text for a list": Mistake(
        "[gmail]", "gmail", "toolkits: gmail", "agents.assistant.toolkits: a list is needed here, such as [gmail]"
    ),
    "18 a model without its key": Mistake(
        MODEL, "model: openai:gpt-5-mini", "gpt-5-mini",
        "agents.assistant.model: this model cannot be set up: set OPENAI_API_KEY",
    ),
    "19 an unknown provider": Mistake(
        MODEL, "model: opneai:gpt-5-mini", "gpt-5-mini",
        "agents.assistant.model: no model provider has this name; did you mean openai:?",
    ),
    "20 no provider": Mistake(
        MODEL, "model: gpt-5-mini", "gpt-5-mini",
        "agents.assistant.model: there is no such model; there is offline, or write provider:model",
    ),
    "21 a provider that is not installed": Mistake(
        MODEL, "model: anthropic:claude", "anthropic", "agents.assistant.model: this model's provider needs a package"
    ),
    "22 a misspelt agent": Mistake(
        "default_agent: assistant", "default_agent: asistant", "default_agent",
        "default_agent: no agent has this name; did you mean assistant?",
    ),
    "23 no default agent": Mistake(
        "default_agent: assistant\n", "", "", "default_agent: this key is required; write default_agent: assistant"
    ),
    "24 a synchronous driver": Mistake(
        "postgresql+asyncpg", "postgresql+psycopg2", "psycopg2",
        "database.url: postgresql+psycopg2:// has no asynchronous driver; write postgresql+asyncpg://",
    ),
    "24b no driver": Mistake(
        "postgresql+asyncpg", "postgresql", "postgresql",
        "database.url: postgresql:// has no asynchronous driver; write postgresql+asyncpg://",
    ),
    "25 Heroku's scheme": Mistake(
        "postgresql+asyncpg", "postgres", "postgres:",
        "database.url: postgres:// has no asynchronous driver; write postgresql+asyncpg://",
    ),
    "26 procrastinate on SQLite": Mistake(
        "postgresql+asyncpg://deputy:${DB_PASSWORD}@127.0.0.1:1/deputy", "sqlite+aiosqlite:///var/deputy.db",
        "engine: procrastinate", "delivery.engine: procrastinate needs PostgreSQL; set database.url",
    ),
    "27 a database that is away": Mistake(
        "host:", "host:", "url: postgresql",
        "database.url: postgresql+asyncpg at 127.0.0.1:1 cannot be used: nothing listens there",
    ),
    "28 a key that is not base64": Mistake(
        "${DEPUTY_KEY}", "${SLACK_BOT_TOKEN}", "k1", "key_ring.keys.k1: this key is not base64; make one with"
    ),
    "29 a key that is too short": Mistake(
        "${DEPUTY_KEY}", "${SHORT}", "k1", "key_ring.keys.k1: this key has 4 bytes and needs 32; make one with"
    ),
    "30 two sources of keys": Mistake(
        "  keys:\n", "  file: keys.yaml\n  keys:\n", "key_ring", "key_ring: give either keys or file"
    ),
    "31 no key ring": Mistake(
        "key_ring:\n  keys:\n    k1: ${DEPUTY_KEY}\n", "", "",
        "key_ring: this key is required; write key_ring: {file: var/keys.yaml}",
    ),
    "32 no token": Mistake(
        "    bot_token: ${SLACK_BOT_TOKEN}\n", "", "slack:", "interfaces.slack: give either bot_token"
    ),
    "33 another kind of token": Mistake(
        "${SLACK_BOT_TOKEN}", "${XAPP}", "bot_token", "interfaces.slack.bot_token: this is not a bot token"
    ),
    "33b a token for a secret": Mistake(
        "${SLACK_SIGNING_SECRET}", "${XAPP}", "signing_secret", "interfaces.slack.signing_secret: this is a token"
    ),
    "34 no interface": Mistake(
        "  slack:\n    signing_secret: ${SLACK_SIGNING_SECRET}\n    bot_token: ${SLACK_BOT_TOKEN}\n", "  {}\n",
        "interfaces", "interfaces: nobody could write to Deputy; serve at least one channel, such as http: {}",
    ),
    "35 an unknown channel": Mistake(
        "interfaces:\n", "interfaces:\n  matrix: {}\n", "matrix",
        "interfaces.matrix: Deputy has no such channel; it has http, slack, telegram and whatsapp",
    ),
    "36 a variable without braces": Mistake(
        "${SLACK_BOT_TOKEN}", "$SLACK_BOT_TOKEN", "bot_token",
        "interfaces.slack.bot_token: write ${NAME}, with braces, for an environment variable",
    ),
    "36b in the middle of a URL": Mistake(
        "${DB_PASSWORD}", "$DB_PASSWORD", "url: postgresql", "database.url: write ${NAME} for an environment variable"
    ),
    "37 a default of the shell": Mistake(
        MODEL, "model: ${MODEL:-offline}", "model", "agents.assistant.model: ${…} holds the name of a variable only"
    ),
    "38 a quote that is not closed": Mistake(
        "", "logging:\n  level: 'info\n", "'info", "the file: a quote is opened here and never closed"
    ),
    "39 a text for true or false": Mistake(
        "", "  server_answers: maybe\n", "maybe", "delivery.server_answers: write true or false"
    ),
    "40 a negative number": Mistake("", "  concurrency: -1\n", "-1", "delivery.concurrency: must be more than 0"),
    "41 null": Mistake(
        "interfaces:\n", "interfaces:\n  http: null\n", "null", "interfaces.http: has no value; write one ({} for"
    ),
    "42 an empty file": Mistake(RIGHT, "", "", "the file: the file is empty"),
    "43 a list": Mistake(RIGHT, "- server\n", "", "the file: keys with values are needed here"),
    "44 an indentation": Mistake(
        SERVER, "    port: 8080", "    port", "the file: the indentation is wrong here"
    ),
    "45 a misspelt level": Mistake(
        "", "logging:\n  level: warn\n", "warn", "logging.level: did you mean warning? Write one of debug, info"
    ),
    "46 a misspelt linking": Mistake(
        "linking: code", "linking: email-match", "email-match", "google.linking: did you mean email_match?"
    ),
    "47 a toolkit that is not there": Mistake(
        "", "toolkits: {notes: 'my_package.notes:NotesToolkit'}\n", "my_package",
        "toolkits.notes: my_package.notes:NotesToolkit cannot be imported: No module named 'my_package'",
    ),
    "48 a toolkit without its class": Mistake(
        "", "toolkits: {notes: my_package.notes}\n", "my_package", "toolkits.notes: write package.module:Class"
    ),
    "48b a name that fits on no button": Mistake(
        "", f"connections: {{{'x' * 54}: {{provider: github, client_id: a, client_secret: {SECRET}}}}}\n", "x" * 54,
        f"connections: {'x' * 54} is too long for a button; take a name of at most 53 characters",
    ),
    "49 no scheme of an endpoint": Mistake(
        "", "models: {local: {base_url: 'localhost:11434/v1', model: m}}\n", "localhost",
        "models.local.base_url: a whole address is needed",
    ),
    "49b a login in an endpoint": Mistake(
        "", f"models: {{local: {{base_url: 'http://u:{SECRET}@localhost/v1', model: m}}}}\n", "localhost",
        "models.local.base_url: a whole address is needed, such as https://deputy.example, without a login",
    ),
    "53 a misspelt engine": Mistake(
        "procrastinate", "procastinate", "procastinate",
        "delivery.engine: did you mean procrastinate? Write one of embedded, procrastinate",
    ),
    "54 no agents": Mistake(
        "agents:\n  assistant:\n    model: offline\n    toolkits: [gmail]\n", "agents: {}\n", "agents",
        "agents: must not be empty",
    ),
    "55 a password with @": Mistake(
        "${DB_PASSWORD}", f"p@{SECRET}/w%3Ard", "url: postgresql", "database.url: its user or password holds"
    ),
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the configuration, in an empty folder and with the test's environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "config.yaml"


def check(config: Path) -> Result:
    """Run `deputy check` in this process."""
    return CliRunner().invoke(cli, ["check", "-c", str(config)])


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_where_it_is(config: Path, mistake: Mistake) -> None:
    """A mistake makes `check` exit with 2 and print file, line, key and what to write, but no part of a secret."""
    config.write_text(mistake.text())
    result = check(config)
    first = result.stderr.splitlines()[0]

    assert result.exit_code == 2
    assert first.startswith(f"deputy: {config}:{mistake.line()}: {mistake.told}")
    assert SECRET not in result.output
    assert SECRET[2:7] not in result.output
    for alien in ("Input should", "pattern", "Traceback", "proof of lifetimes"):
        assert alien not in result.output


def load(config: Path, text: str) -> Settings:
    """Return the settings that are loaded from this text."""
    config.write_text(text, encoding="utf-8", newline="")
    return load_settings(config, ENVIRON)


def test_what_was_right_is_taken(config: Path) -> None:
    """The right file is accepted, also with a slash after the address, and with a byte order mark and CRLF lines."""
    right = load(config, RIGHT)

    assert load(config, RIGHT.replace(PUBLIC, f"{PUBLIC}/")).server.public_url == f"{PUBLIC}/"
    assert load(config, "\ufeff" + RIGHT.replace("\n", "\r\n")) == right
    assert list(notes(right)) == []


def test_an_address_of_this_machine_is_taken_with_a_note(config: Path) -> None:
    """An http address on localhost is accepted, because Google allows it, with a note that nobody else can open it."""
    settings = load(config, RIGHT.replace(PUBLIC, "http://localhost:8080"))

    assert [place for place, _ in notes(settings)] == [("server", "public_url")]


def test_a_file_of_another_encoding_is_refused(config: Path) -> None:
    """A file with a byte that is not valid UTF-8 is refused, and the error names the file."""
    config.write_bytes(RIGHT.encode().replace(b"assistant", b"assist\xe4nt"))

    with pytest.raises(SettingsError, match=r"config\.yaml: is not UTF-8; save it as UTF-8"):
        load_settings(config, ENVIRON)


def test_every_fault_of_a_file_is_told_at_once(config: Path) -> None:
    """Three mistakes are reported in three lines, and a misspelt key is not reported as missing too."""
    text = RIGHT.replace("interfaces:\n", "interface:\n").replace(SERVER, "  port: x").replace("engine", "enigne")
    config.write_text(text)
    told = check(config).stderr.splitlines()

    assert len(told) == 3
    assert sorted(line.rpartition("; ")[2] for line in told if "unknown" in line) == [
        "did you mean engine?",
        "did you mean interfaces?",
    ]
