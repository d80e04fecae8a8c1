"""config.yaml: what it may contain, and how mistakes in it are reported."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.consent.linking import LinkingMode
from app.errors import SettingsError
from app.sections.agents import AgentSettings
from app.sections.interfaces import InterfacesSettings
from app.sections.server import KeyRingSettings
from app.settings import Settings, load_settings
from tests.fakes.leaks import everything_in

SMALLEST = """\
key_ring: {file: var/keys.yaml}
agents: {assistant: {}}
default_agent: assistant
interfaces: {http: {}}
"""
LINE = SMALLEST.count("\n") + 1  # the first line that a test appends
CANARY = "CANARY-7f3a"
KEY = base64.b64encode(bytes(range(32))).decode()

EITHER = "1: key_ring: give either keys or file; file: var/keys.yaml makes its own key"

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that loads a text as a configuration file."""

    def load(text: str, environ: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path, environ or {})

    return load


@pytest.fixture
def faults(load: Load, tmp_path: Path) -> Callable[..., str]:
    """Return a function that returns the faults of a text, without the file's name."""

    def faults(text: str, environ: Mapping[str, str] | None = None) -> str:
        with pytest.raises(SettingsError) as caught:
            load(text, environ)
        assert all(line.startswith(f"{tmp_path / 'config.yaml'}:") for line in str(caught.value).splitlines())
        return str(caught.value).replace(f"{tmp_path / 'config.yaml'}:", "")

    return faults


def test_the_shipped_configuration_needs_no_variable() -> None:
    """The config.yaml of the repository loads from an empty environment."""
    settings = load_settings(Path(__file__).parents[2] / "config.yaml", {})

    assert settings.google.mode == "sandbox"
    assert settings.agent_of_channel() == {"http": "assistant"}


def test_a_channel_answers_with_its_own_agent_or_the_default(load: Load) -> None:
    """A channel that names no agent is answered by the default one."""
    settings = load("""\
key_ring: {file: var/keys.yaml}
agents: {assistant: {}, clerk: {}}
default_agent: assistant
interfaces:
  http: {}
  slack: {agent: clerk, signing_secret: s, bot_token: xoxb-t}
""")

    assert settings.agent_of_channel() == {"http": "assistant", "slack": "clerk"}


@pytest.mark.parametrize(
    ("addition", "fault"),
    [
        ("servre: {}", "servre: unknown key; did you mean server?"),
        ("server: {prot: 1}", "server.prot: unknown key; did you mean port?"),
        ("server: {port: 1, port: 2}", "server.port: this key is there twice; take one out"),
        ("agents: {}", "agents: this key is there twice"),
        ("1: x", "1: unknown key"),
        ("no: x", "no: unknown key"),
        ("? [a, b]\n: x", "the file: a key is a text"),
        ("? {a: b}\n: x", "the file: a key is a text"),
        ("server:", "server: has no value"),
        ("server: ~", "server: has no value"),
        ("server: {host: null}", "server.host: has no value"),
        ("server: {host: ''}", "server.host: must not be empty"),
        ("server: 8080", "server: a section is needed here"),
        ("server: {port: yes}", "server.port: a whole number is needed here"),
        ("server: {port: 65536}", "server.port: must be at most 65535"),
        ("server: {public_url: localhost}", "server.public_url: a whole address is needed"),
        ("consent: {link_seconds: true}", "consent.link_seconds: a number is needed here"),
        ("consent: {link_seconds: 0}", "consent.link_seconds: must be more than 0"),
        ("consent: {link_seconds: nan}", "consent.link_seconds: a finite number is needed here"),
        ("consent: {link_seconds: inf}", "consent.link_seconds: a finite number is needed here"),
        ("consent: {link_seconds: 2024-13-45}", "consent.link_seconds: a number is needed here"),
        ("delivery: {server_answers: false}", "delivery.server_answers: with engine: embedded nothing else answers"),
        ("google: {mode: google}", "google: mode: google needs client_id and client_secret"),
        ("google: {client_id: [a]}", "google.client_id: a text is needed here"),
        ("toolkits: {notes: notes.py}", "toolkits.notes: write package.module:Class"),
        ("toolkits: {Notes: 'notes:Notes'}", "toolkits: a name has lower-case letters"),
        ("toolkits: [notes]", "toolkits: a section is needed here"),
        ("server: {host: $!{X}", "the file: "),
        ("server:\n\tport: 1", "the file: a tab stands here; indent with spaces"),
        ("server: &a {port: 1}\nlogging: *a", "the file: aliases are not used; write the value out"),
        ("server: &a [*a]", "the file: aliases are not used"),
        ("server: {<<: {port: 1}}", "server.<<: unknown key"),
        ("server: !!python/object/apply:os.abort []", "server: tags are not used"),
        ("server: {host: !host x}", "server.host: tags are not used"),
        ("---\nserver: {}", "the file: --- begins a second document"),
        ("server: \0", "the file: a control character is in the file"),
    ],
)
def test_a_fault_is_told_with_its_line_its_path_and_what_to_do(
    faults: Callable[..., str], addition: str, fault: str
) -> None:
    """Each mistake is refused as ``file:line: path: what to do``."""
    line, _, rest = faults(SMALLEST + addition + "\n").partition(": ")

    assert rest.startswith(fault)
    assert int(line) in (LINE, LINE + 1)


def test_the_line_is_that_of_the_key(faults: Callable[..., str]) -> None:
    """Several faults are reported together, each with the line of its key."""
    told = faults(SMALLEST + "server:\n  # a comment\n  prot: 1\n\ndelivery:\n  attempts:\n    0\n")

    assert told.splitlines() == [
        f"{LINE + 2}: server.prot: unknown key; did you mean port?",
        f"{LINE + 5}: delivery.attempts: must be at least 3",
    ]


def test_a_missing_key_is_told_at_the_nearest_line(faults: Callable[..., str]) -> None:
    """A missing required key is reported with the line of the section that it belongs to."""
    told = faults(SMALLEST.replace("{http: {}}", "{slack: {bot_token: xoxb-t}}"))

    assert told.startswith("4: interfaces.slack.signing_secret: this key is required")


@pytest.mark.parametrize(
    ("key_ring", "fault"),
    [
        ("{}", EITHER),
        (
            f"{{file: a, keys: {{k1: {KEY}}}}}",
            "1: key_ring: give either keys or file; file: var/keys.yaml makes its own key",
        ),
        ("{keys: {}}", "1: key_ring: keys must hold at least one key"),
    ],
)
def test_a_key_ring_has_one_source(faults: Callable[..., str], key_ring: str, fault: str) -> None:
    """The keys come from the settings or from a file, never from both or neither."""
    assert faults(SMALLEST.replace("{file: var/keys.yaml}", key_ring)) == fault


SLACK = "{slack: {signing_secret: s, bot_token: xoxb-b%s}}"


def test_a_login_at_slack_needs_slacks_client(load: Load) -> None:
    """`channel_login` without the app's client stops the start; with a client, a bot token may be given too."""
    bare, whole = (
        SMALLEST.replace("{http: {}}", SLACK % client) for client in ("", ", client_id: '1.2', client_secret: x")
    )

    assert load(f"{whole}google: {{linking: channel_login}}").google.linking is LinkingMode.CHANNEL_LOGIN
    assert load(f"{bare}google: {{linking: email_match}}").google.linking is LinkingMode.EMAIL_MATCH
    with pytest.raises(SettingsError, match=r"google\.linking: channel_login needs client_id"):
        load(f"{bare}google: {{linking: channel_login}}")


@pytest.mark.parametrize("google", [
    "linking: email_match", "mode: workspace, workspace: {key: k, domains: [a.example]}",
])  # fmt: skip
def test_whose_word_opens_an_account_is_named(load: Load, faults: Callable[..., str], google: str) -> None:
    """If an address opens an account, a Slack app for many workspaces must list them, but one with a bot token not."""
    settings = "\n".join([SMALLEST, f"google: {{{google}}}"])
    many, named, one = (
        settings.replace("{http: {}}", f"{{slack: {{signing_secret: s, {keys}}}}}")
        for keys in (
            "client_id: '1.2', client_secret: x",
            "client_id: '1.2', client_secret: x, workspaces: [T0ONE, E0GRID]",
            "bot_token: xoxb-b",
        )
    )
    section = load(named).interfaces.slack

    assert section is not None
    assert section.workspaces == ("T0ONE", "E0GRID")
    assert load(one).interfaces.slack is not None
    assert f"interfaces.slack.workspaces: with google.{google.partition(',')[0]} a workspace's word" in faults(many)


@pytest.mark.parametrize("place", ["''", "t0one", "C0ONE", "T0-1", "' T0ONE'", '"T0ONE\\n"'])
def test_a_place_that_may_install_is_an_id(faults: Callable[..., str], place: str) -> None:
    """A workspace's name, or an id of another kind, stops the start because it would never match."""
    text = SMALLEST.replace("{http: {}}", SLACK % f", workspaces: [{place}]")

    assert "interfaces.slack.workspaces.0: " in faults(text)


def test_an_agent_that_is_named_must_exist(faults: Callable[..., str]) -> None:
    """A name of an unknown agent is reported on its own line, with the agents that exist."""
    told = faults(SMALLEST.replace("t: assistant", "t: clerk").replace("{http: {}}", "{http: {agent: sleuth}}"))

    assert told.splitlines() == [
        "3: default_agent: no agent has this name; there is assistant",
        "4: interfaces.http.agent: no agent has this name; there is assistant",
    ]


@pytest.mark.parametrize("text", ["", "# only ${A_COMMENT}\n", "- a list\n", "a text\n", "{}\n..."])
def test_a_file_without_keys_is_refused(faults: Callable[..., str], text: str) -> None:
    """An empty file, a list or a text is refused as a configuration."""
    assert "keys with values are needed here" in faults(text) or "this key is required" in faults(text)


def test_an_absent_file_and_one_in_another_encoding_are_refused(tmp_path: Path) -> None:
    """A file that cannot be read is refused with what to do, without showing its bytes."""
    (tmp_path / "latin.yaml").write_bytes(b"key: CANARY\xe9\n")

    with pytest.raises(SettingsError, match="name another file"):
        load_settings(tmp_path / "absent.yaml", {})
    with pytest.raises(SettingsError, match="save it as UTF-8") as caught:
        load_settings(tmp_path / "latin.yaml", {})
    assert "CANARY" not in everything_in(caught.value)


def test_an_alias_bomb_is_refused_before_it_is_built(faults: Callable[..., str]) -> None:
    """Aliases that expand to 10**30 values, and nesting too deep for any stack, are refused before they are built."""
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 10}]\n" for n in range(1, 31))

    assert faults(bomb) == "2: the file: aliases are not used; write the value out"
    assert faults("a: " + "[" * 5000) == "1: the file: lists or mappings are nested too deep"


@pytest.mark.parametrize(
    "value", ['quo"te', "quo'te", "new\nline: {}\nserver: {port: 1}", "# no comment", "*a", "${B}"]
)
def test_a_variable_is_one_text_whatever_it_holds(load: Load, value: str) -> None:
    """Quotes, newlines, YAML and placeholders in a variable stay text and add no key."""
    settings = load(SMALLEST + "google: {client_id: 'a-${A}'}\n", {"A": value, "B": "b"})

    assert settings.google.client_id == f"a-{value}"
    assert settings.server.port == 8080


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("$${A}", "${A}"),
        ("x $${ y", "x ${ y"),
        ("$A $ {A} {A}", "$A $ {A} {A}"),
        ("${A}${A}", "aa"),
        ("$$${A}", "$${A}"),
        ("0123", "0123"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
    ],
)
def test_a_text_is_what_was_written(load: Load, written: str, read: str) -> None:
    """Only ``${NAME}`` and ``$${`` are special; YAML does not turn a text into a number, switch or date."""
    assert load(SMALLEST + f"google:\n  client_id: {written}\n", {"A": "a"}).google.client_id == read


def test_numbers_come_from_variables_too(load: Load) -> None:
    """A number can be given through an environment variable."""
    settings = load(
        SMALLEST + "server: {port: '${PORT}'}\nconsent: {link_seconds: '${S}'}\n", {"PORT": "0", "S": "1.5"}
    )

    assert settings.server.port == 0
    assert settings.consent.link_seconds == 1.5


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("${UNSET}", "the environment variable UNSET is not set; set it, or take this key out"),
        ("${EMPTY}", "the environment variable EMPTY is empty; set it, or take this key out"),
        ("${BLANK}", "the environment variable BLANK is empty; set it, or take this key out"),
        ("${}", "${…} holds the name of a variable only, without a default; write $${ for a literal ${"),
        ("${A-B}", "${…} holds the name of a variable only, without a default; write $${ for a literal ${"),
        ("${A", "${…} holds the name of a variable only, without a default; write $${ for a literal ${"),
    ],
)
def test_a_variable_that_gives_nothing_is_refused(faults: Callable[..., str], value: str, fault: str) -> None:
    """An unset or empty variable, or an invalid name of one, stops the start."""
    told = faults(SMALLEST + f"google: {{client_secret: '{value}'}}\n", {"A": "a", "EMPTY": "", "BLANK": " \n"})

    assert told == f"{LINE}: google.client_secret: {fault}"


def test_a_comment_needs_no_variable(load: Load) -> None:
    """A ``${NAME}`` in a comment is not looked up."""
    assert load(SMALLEST + "# ${UNSET}\nserver: {}  # ${UNSET}\n").server.port == 8080


@pytest.mark.parametrize(
    "addition",
    [
        f"google: {{mode: {CANARY}}}",
        f"google: {{client_secret: [{CANARY}]}}",
        f"google: {{client_secret: !{CANARY} x}}",
        f"google: {{client_secret: !{CANARY}!x y}}",
        f"google: {{client_secret: *{CANARY}}}",
        f"google: {{client_secret: 'x${{{CANARY}'}}",
        f"google: {{client_secret: 'x${{{CANARY}}}'}}",
        f"google: {{client_secret: {CANARY}",
        f'google: {{client_secret: "{CANARY}\\q"}}',
        f"google: {{client_secret: '{CANARY}}}",
        f"google: {{client_secret: {CANARY}\0}}",
        f"server: {{port: {CANARY}, host: [{CANARY}]}}",
        f"server: {{public_url: {CANARY}}}",
        f"database: {{url: [{CANARY}]}}",
        f"logging: {CANARY}",
        f"toolkits: {{{CANARY}: 'a:B', b: {CANARY}}}",
    ],
)
def test_no_error_quotes_a_value(load: Load, addition: str) -> None:
    """Neither an error nor anything in its chain of causes quotes the file's values."""
    with pytest.raises(SettingsError) as caught:
        load(SMALLEST + addition + "\n")

    assert CANARY not in everything_in(caught.value)


@pytest.mark.parametrize(
    "addition",
    [
        "server: {port: '${SECRET}'}",
        "server: {public_url: '${SECRET}'}",
        "google: {mode: '${SECRET}', client_secret: '${SECRET}'}",
        "toolkits: {notes: '${SECRET}'}",
        "logging: {level: '${SECRET}'}",
    ],
)
def test_no_error_quotes_a_variable(load: Load, addition: str) -> None:
    """A secret under the wrong key is not quoted by the error."""
    with pytest.raises(SettingsError) as caught:
        load(SMALLEST + addition + "\n", {"SECRET": CANARY})

    assert CANARY not in everything_in(caught.value)


def test_a_key_and_its_id_the_wrong_way_round_are_not_shown(faults: Callable[..., str]) -> None:
    """A key that was swapped with its id is reported by its line only."""
    told = faults(SMALLEST.replace("{file: var/keys.yaml}", f"\n  keys:\n    k1: a\n    {CANARY}: k2"))

    assert told.startswith("4: key_ring.keys")
    assert CANARY not in told


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("default_agent: assistant", "default_agent: ${S}"),
        ("http: {}", "http: {agent: '${S}'}"),
        ("assistant: {}", "assistant: {model: '${S}'}"),
    ],
)
def test_a_secret_that_stands_for_a_name_is_not_shown(faults: Callable[..., str], name: str, wrong: str) -> None:
    """The unknown name of an agent or a model is not repeated, because it may be a secret."""
    assert "canary" not in faults(SMALLEST.replace(name, wrong), {"S": "canary"})


def test_settings_show_no_secret(load: Load) -> None:
    """Neither repr nor str of the settings holds a secret."""
    settings = load(
        SMALLEST.replace("{file: var/keys.yaml}", "{keys: {k1: '${K}'}}").replace(
            "{http: {}}", "{slack: {signing_secret: '${S}', bot_token: 'xoxb-${S}'}}"
        )
        + "google: {client_secret: '${S}'}\ndatabase: {url: 'postgresql+asyncpg://u:${S}@h/d'}\n",
        {"S": CANARY, "K": KEY},
    )

    assert CANARY not in f"{settings!r} {settings}"
    assert KEY not in f"{settings!r} {settings}"
    assert settings.key_ring.encoded() == {"k1": KEY}


@pytest.mark.parametrize(
    "secret",
    ["signing_secret: '', bot_token: xoxb-t", "signing_secret: s, bot_token: ''", "signing_secret: s, bot_token:"],
)
def test_an_empty_secret_is_refused(faults: Callable[..., str], secret: str) -> None:
    """An empty secret is refused, because anybody could guess it."""
    assert faults(SMALLEST.replace("{http: {}}", f"{{slack: {{{secret}}}}}")).startswith("4: interfaces.slack.")


def test_settings_made_in_code_are_checked_and_show_nothing() -> None:
    """The ValidationError for settings made in code quotes no value either."""
    with pytest.raises(ValidationError) as caught:
        Settings(
            key_ring=KeyRingSettings(file=Path("keys.yaml")),
            agents={"assistant": AgentSettings(), CANARY.lower(): AgentSettings.model_construct()},
            default_agent=CANARY,
            interfaces=InterfacesSettings(),
        )

    assert CANARY not in str(caught.value) + repr(caught.value)


def test_settings_do_not_change_and_share_nothing(load: Load) -> None:
    """Neither a value nor an entry of a mapping can be set, and two loads share no mapping."""
    one, other = load(SMALLEST), load(SMALLEST)

    with pytest.raises(ValidationError, match="frozen"):
        one.default_agent = "clerk"  # type: ignore[misc]
    with pytest.raises(TypeError):
        one.toolkits["notes"] = "notes:Notes"  # type: ignore[index]
    with pytest.raises(TypeError):
        one.agents["clerk"] = AgentSettings()  # type: ignore[index]
    assert one == other
    assert one.toolkits is not other.toolkits


_SLACK = "interfaces: {slack: {signing_secret: s, "


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ("", "give either bot_token, for one workspace, or client_id and client_secret, for many"),
        ("client_id: '1.2'", "client_id and client_secret go together"),
        ("bot_token: xoxb-t, client_secret: s", "client_id and client_secret go together"),
    ],
)
def test_slack_is_for_one_workspace_or_for_many(faults: Callable[..., str], keys: str, fault: str) -> None:
    """Slack needs a bot token or a complete client, and the error names the section."""
    text = SMALLEST.replace("interfaces: {http: {}}", f"{_SLACK}{keys}}}}}")

    assert f"interfaces.slack: {fault}" in faults(text)


def test_slack_is_not_for_one_workspace_and_for_many(faults: Callable[..., str]) -> None:
    """Without `channel_login`, a bot token and a client exclude each other."""
    text = SMALLEST.replace(
        "interfaces: {http: {}}", f"{_SLACK}bot_token: xoxb-t, client_id: '1.2', client_secret: s}}}}"
    )

    assert "interfaces.slack: give either bot_token" in faults(text)


@pytest.mark.parametrize("keys", ["bot_token: xoxb-t", "client_id: '1.2', client_secret: s"])
def test_slack_takes_a_bot_token_or_a_client(load: Load, keys: str) -> None:
    """A bot token alone is enough, and so is a client alone."""
    settings = load(SMALLEST.replace("interfaces: {http: {}}", f"{_SLACK}{keys}}}}}"))

    assert settings.interfaces.slack is not None
