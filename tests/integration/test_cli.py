"""Tests of the command `deputy` as people run it: exit codes, output, and where it says that a mistake is."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import cli
from app.commands.database import opened_with_keys
from app.settings import load_settings
from interfaces.slack.installations import Installation, Installations
from tests.fakes.ports import free_port

CONFIG = {
    "agents": {"assistant": {"toolkits": ["gmail"]}},
    "default_agent": "assistant",
    "interfaces": {"http": {}},
    "google": {"mode": "sandbox", "sandbox": {"port": 0}},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration file whose database and keys are beside it, and whose port is free."""
    port = free_port()
    tree = {
        **CONFIG,
        "server": {"port": port, "public_url": f"http://127.0.0.1:{port}"},
        "database": {"url": f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}"},
        "key_ring": {"file": str(tmp_path / "keys.yaml")},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def deputy(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def change(config: Path, before: str, after: str) -> int:
    """Replace a text that occurs once in the file, and return its line number."""
    text = config.read_text()
    assert text.count(before) == 1
    config.write_text(text.replace(before, after))
    return text[: text.index(before)].count("\n") + 1


@asynccontextmanager
async def process(*arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield the command running as its own process, which is ended with the context."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from app.cli import main; main()", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


@pytest.mark.system
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("deputy to", {"tokens", "tools"}),
        ("deputy tokens ", {"issue", "revoke"}),
        ("deputy check --c", {"--config"}),
    ],
)
def test_the_shell_completes(tmp_path: Path, typed: str, offered: set[str]) -> None:
    """After `deputy --install-completion`, bash offers the commands and options that begin with the typed word."""
    script = """
        deputy --install-completion >/dev/null && source ~/.bashrc
        IFS=' ' read -ra COMP_WORDS <<<"$1"; [[ $1 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        $(complete -p deputy | grep -o '_[a-z_]*') deputy && printf '%s\n' "${COMPREPLY[@]}"
    """
    environ = {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    bash = ["bash", "--norc", "-c", script, "bash", typed]
    answered = subprocess.run(bash, env=environ, capture_output=True, text=True, timeout=60, check=True)

    assert set(answered.stdout.split()) == offered


def test_check_proves_the_container(config: Path) -> None:
    """`check` exits with 0 and prints how many singletons, providers and edges it proved."""
    result = deputy("check", "--config", config)

    assert result.exit_code == 0, result.stderr
    counts = re.search(r"(\d+) singletons, (\d+) scoped providers, (\d+) edges", result.stdout)
    assert counts is not None
    assert all(int(count) > 5 for count in counts.groups())


def test_check_names_a_captive(config: Path) -> None:
    """An outside toolkit that its module keeps makes `check` exit with 1 and name the toolkit and what holds it."""
    change(config, "toolkits:\n    - gmail", "toolkits: [keeping]")
    config.write_text(config.read_text() + "toolkits: {keeping: 'tests.outside.notes:KeepingToolkit'}\n")
    result = deputy("check", "--config", config)

    assert result.exit_code == 1
    assert "toolkits.keeping" in result.stderr
    assert "_KEPT" in result.stderr
    assert "Traceback" not in result.stderr


def test_graph_draws_the_container(config: Path) -> None:
    """`graph` prints a Mermaid flowchart in which each provider is drawn once, in the group of its lifetime."""
    result = deputy("graph", "--config", config)
    groups = {
        group: re.findall(r'^    (\w+)\["([^<"]+)', nodes, re.MULTILINE)
        for group, nodes in re.findall(r"^  subgraph (\w+)\[.*\n((?:    .*\n)+)  end$", result.stdout, re.MULTILINE)
    }
    arrows = re.findall(r"^  (\w+) -\.?-> (\w+)$", result.stdout.replace("-->", "-.->"), re.MULTILINE)
    names = {group: {name for _, name in nodes} for group, nodes in groups.items()}
    drawn = [node for nodes in groups.values() for node, _ in nodes]

    assert result.exit_code == 0
    assert result.stdout.startswith("flowchart")
    assert names.keys() == {"process", "request", "other"}
    assert {"database", "inbox", "shells.assistant"} <= names["process"]
    assert {"principal", "credentials", "agents.assistant", "toolkits.gmail"} <= names["request"]
    assert {"agents", "toolkits"} <= names["other"]
    assert len(drawn) == len(set(drawn)) == sum(map(len, names.values()))
    assert {node for arrow in arrows for node in arrow} <= set(drawn)
    assert ("request_agents__assistant", "request_toolkits__gmail") in arrows


def test_a_token_is_issued_and_revoked(config: Path) -> None:
    """Each issued token is printed once; revoking ends all tokens of that person and nobody else's."""
    issued = [deputy("tokens", "issue", "--principal", f"http:demo:{name}", "-c", config) for name in ("a", "a", "b")]
    revoked = [deputy("tokens", "revoke", "--principal", "http:demo:a", "-c", config) for _ in range(2)]
    other = deputy("tokens", "revoke", "--principal", "http:demo:b", "-c", config)

    assert [result.exit_code for result in (*issued, *revoked, other)] == [0] * 6
    assert len({result.stdout for result in issued}) == 3
    assert all(re.fullmatch(r"dpt_[\w-]{43}\n", result.stdout) for result in issued)
    assert [result.stdout for result in (*revoked, other)] == [
        "tokens revoked: 2\n",
        "tokens revoked: 0\n",
        "tokens revoked: 1\n",
    ]


@pytest.mark.system
async def test_slack_installations_are_listed_without_their_tokens(config: Path) -> None:
    """`slack list` prints two workspaces as a table and as JSON, without any token."""
    settings = load_settings(config, {})
    async with opened_with_keys(settings) as opened:
        for workspace, name in (("T1", "One Inc"), ("T2", "Two Ltd")):
            installation = Installation(workspace, None, name, "U0BOT", "chat:write", "U0ADMIN", 0.0)
            await Installations(*opened).save(installation, f"xoxb-{workspace}")
    printed = []
    for options in ((), ("--json",)):
        async with process("slack", "list", "-c", config, *options) as listing:
            printed.append((await asyncio.wait_for(listing.communicate(), 60))[0].decode())

    assert [each["workspace"] for each in json.loads(printed[1])] == ["T1", "T2"]
    assert "One Inc" in printed[0]
    assert "Two Ltd" in printed[0]
    assert not any("xoxb" in text or "v1.k1" in text for text in printed)


@pytest.mark.parametrize(("principal", "code"), [
    ("ada", 2), ("http:demo", 2), ("http::ada", 2), ("http:demo:ada:x", 2), ("http:demo:%zz", 2), ("slack:T1:U1", 1),
])  # fmt: skip
def test_a_token_for_nobody_is_refused(config: Path, principal: str, code: int) -> None:
    """An invalid principal is a wrong command line; a principal of another channel cannot have a token."""
    result = deputy("tokens", "issue", "--principal", principal, "-c", config)

    assert result.exit_code == code
    assert result.stderr.startswith("deputy: ")
    assert result.stdout == ""


@pytest.mark.parametrize(("before", "after", "told"), [
    ("mode: sandbox", "mood: sandbox", "google.mood"),
    ("mode: sandbox", "mode: *broken", "broken"),
    ("default_agent: assistant", "default_agent: ${NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
    ("default_agent: assistant", "default_agent: nobody", "default_agent"),
    ("port: 0", "port: -1", "google.sandbox.port"),
])  # fmt: skip
def test_serve_refuses_a_broken_config(config: Path, before: str, after: str, told: str) -> None:
    """A broken configuration makes `serve` exit with 2 and print the file and the line that is wrong."""
    line = change(config, before, after)
    result = deputy("serve", "--config", config)

    assert result.exit_code == 2
    assert f"{config}:{line}: " in result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_a_config_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """A missing configuration file makes `serve` exit with 2 and name the file."""
    result = deputy("serve", "--config", tmp_path / "nowhere.yaml")

    assert result.exit_code == 2
    assert "nowhere.yaml" in result.stderr


def test_an_unknown_toolkit_stops_the_start(config: Path) -> None:
    """An unknown toolkit makes `serve` exit with 2 and list the toolkits that exist."""
    change(config, "- gmail", "- gmial")
    result = deputy("serve", "--config", config)

    assert result.exit_code == 2
    assert "gmial" in result.stderr
    assert "gmail" in result.stderr


@pytest.mark.system
async def test_a_taken_port_stops_the_start(config: Path) -> None:
    """A port in use makes `serve` exit with 1 and print one line, with the key, the address and what to do."""
    port = yaml.safe_load(config.read_text())["server"]["port"]
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with process("serve", "--config", config) as serving:
            printed, told = await asyncio.wait_for(serving.communicate(), 30)

    assert serving.returncode == 1
    assert printed == b""
    (line,) = _without_news(told)
    assert line.startswith(f"deputy: {config}:")
    assert line.endswith(
        f"server.port: 127.0.0.1:{port} is already in use; stop what listens there, or set another port"
    )


@pytest.mark.system
async def test_serve_serves_until_it_is_told_to_stop(config: Path) -> None:
    """Tokens of two people work while the server runs; SIGTERM ends it with exit code 0, with no warning or error."""
    async with process("serve", "--config", config) as serving:
        assert serving.stdout is not None
        lines = await _read_until(serving.stdout, b"until the next start")
        base_url = re.findall(r"http://127\.0\.0\.1:\d+", lines)[0]
        tokens = list(dict.fromkeys(re.findall(r"Bearer (dpt_[\w-]+)", lines)))
        async with httpx2.AsyncClient(base_url=base_url) as client:
            told = [
                (await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).json() for token in tokens
            ]
            ready = await client.get("/readyz")
        serving.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(serving.communicate(), 30)

    assert ready.json() == {"ready": True}
    assert [each["principal"] for each in told] == ["http:demo:ada", "http:demo:grace"]
    assert serving.returncode == 0
    assert _without_news(errors) == []
    assert not any(token.encode() in errors for token in tokens)


@pytest.mark.system
async def test_demo_holds() -> None:
    """`demo --json` exits with 0 and reports for both people on all four channels that they saw only their own mail.

    Over HTTP it reports the same of their issues at GitHub.
    """
    async with process("demo", "--json") as demo:
        printed, errors = await asyncio.wait_for(demo.communicate(), 240)

    assert demo.returncode == 0, errors.decode()
    outcome = json.loads(printed)
    assert outcome["held"] is True
    assert [each["held"] for each in outcome["participants"]] == [True] * (8 + 2)
    places = {each["channel"].partition(",")[0] for each in outcome["participants"]}
    assert places == {"http", "slack", "telegram", "whatsapp"}
    assert {each["email"] for each in outcome["participants"]} == {"ada@sandbox.example", "grace@sandbox.example"}
    at_github = [each for each in outcome["participants"] if each["channel"] == "http, github"]
    assert [(each["email"], each["own_letters"]) for each in at_github] == [
        ("ada@sandbox.example", 3),
        ("grace@sandbox.example", 3),
    ]
    assert outcome["stray_calls"] == 0


def _without_news(errors: bytes) -> list[str]:
    """Return the lines of a process's stderr, except what it logged at level INFO."""
    return [line for line in errors.decode().splitlines() if not re.match(r"\d{4}-\d\d-\d\dT[\d:]+Z INFO ", line)]


async def _read_until(stream: asyncio.StreamReader, end: bytes) -> str:
    read = b""
    async with asyncio.timeout(30):
        while end not in read:
            line = await stream.readline()
            assert line, read.decode()
            read += line
    return read.decode()
