"""The steps of README.md and docs/operations.md are carried out on separate servers."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from pydantic import BaseModel
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from app.cli import cli
from app.commands.worker import GIVE_WAY
from app.database.postgresql import ANSWER_SECONDS, CONNECT_SECONDS
from app.database.refusals import BUSY_SECONDS
from app.sandbox.visitor import code_on, visit
from app.settings import Settings, load_settings
from interfaces.web.interface import callback_url
from tests.fakes.ports import free_port
from tests.fakes.server import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
README, OPERATIONS = (ROOT / "README.md").read_text(), (ROOT / "docs/operations.md").read_text()
MAILS = "show my unread mail"
SUBJECTS = re.compile(r"^\d+\. \*\*(.+?)\*\*", re.MULTILINE)
ADDRESSES = {"Ada": "ada@sandbox.example", "Grace": "grace@sandbox.example"}


@dataclass
class Installation:
    """A running server, and the files that it was started with.

    Attributes:
        printed: What it printed at the start.
    """

    folder: Path
    config: Path
    process: subprocess.Popen[str]
    printed: str

    @property
    def url(self) -> str:
        """Return the URL at which it listens."""
        return str(yaml.safe_load(self.config.read_text())["server"]["public_url"])

    @property
    def curls(self) -> dict[str, str]:
        """Return the printed `curl` lines by the names above them."""
        return dict(re.findall(r"^# (.+)\n(curl .+)$", self.printed, re.MULTILINE))

    def post(self, curl: str, text: str) -> dict[str, Any]:
        """Do what a printed `curl` line does, with another text."""
        _, _, url, *rest = shlex.split(curl)
        headers = dict(value.split(": ", 1) for flag, value in itertools.pairwise(rest) if flag == "-H")
        body = json.loads(rest[rest.index("-d") + 1])
        answer = httpx2.post(url, headers=headers, json={**body, "text": text}, timeout=PATIENCE_SECONDS)
        return dict(answer.raise_for_status().json())

    def deputy(self, command: str, **environment: str) -> Result:
        """Run `deputy` with this configuration."""
        arguments = [*shlex.split(command), "--config", str(self.config)]
        return CliRunner().invoke(cli, arguments, env=environment)


@contextmanager
def serving(folder: Path, **sections: Any) -> Iterator[Installation]:
    """Run ``deputy serve`` in a folder, with the configuration of `make run` and some sections changed."""
    port = free_port()
    tree = yaml.safe_load((ROOT / "config.yaml").read_text()) | {
        "server": {"port": port, "public_url": f"http://127.0.0.1:{port}"},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/deputy.db"},
        "key_ring": {"file": f"{folder}/keys.yaml"},
        "google": {"mode": "sandbox", "sandbox": {"port": 0}},
        "connections": {"github": {"provider": "github", "sandbox_port": 0}},
        **sections,
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(tree))
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if "valid until the next start" in line:
                    break
            yield Installation(folder, config, process, "".join(lines))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Yield a server as `make run` starts it."""
    with serving(tmp_path_factory.mktemp("readme")) as installation:
        yield installation


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Yield a server on which parked messages expire after a second."""
    with serving(tmp_path_factory.mktemp("operations"), delivery={"parked_seconds": 1, "scan_seconds": 0.1}) as server:
        yield server


def test_readme_try_it(installed: Installation) -> None:
    """Two people connect with the printed lines and see their own mail, and `help` introduces the demo model."""
    seen = {}
    for name, email in ADDRESSES.items():
        ask, confirm = installed.curls[name], installed.curls[f"{name}, with the code of the page"]
        link = installed.post(ask, MAILS)["consent_url"]
        code = code_on(asyncio.run(visit(link, email)))
        assert installed.post(confirm, f"confirm {code}")["answer"] == f"Connected: {email}."
        seen[name] = set(SUBJECTS.findall(installed.post(ask, MAILS)["answer"]))

    assert seen["Ada"] - seen["Grace"]
    assert seen["Grace"] - seen["Ada"]
    assert "demo model" in installed.post(installed.curls["Ada"], "help")["answer"]


def test_readme_use_it_for_real(installed: Installation) -> None:
    """The redirect URI is the server's, `deputy check` passes, and an issued token identifies its person."""
    assert callback_url("https://<your host>") in README
    assert installed.deputy("check").exit_code == 0
    assert installed.deputy("init --help").exit_code == 0
    issued = installed.deputy("tokens issue --principal http:acme:ada")
    token = re.search(r"dpt_\S+", issued.output)
    assert token is not None, issued.output
    me = httpx2.get(f"{installed.url}/v1/me", headers={"Authorization": f"Bearer {token[0]}"}, timeout=PATIENCE_SECONDS)

    assert me.json()["principal"] == "http:acme:ada"


@pytest.mark.parametrize("page", [README, OPERATIONS], ids=["README", "operations"])
def test_every_command_and_setting_exists(page: str) -> None:
    """Every command, option and setting that the page names exists."""
    for words in re.findall(r"`(?:\w+=\S+ )?deputy ([a-z][^`]*)`", page):
        command: Any = get_command(cli)
        for word in words.split():
            if isinstance(command, TyperGroup):
                command = command.get_command(Context(command), word)
                assert command is not None, words
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", words)) <= options, words
    settings = [name.split(".") for name in re.findall(r"`([a-z_]+\.[a-z_]+)(?:: \w+)?`", page) if ".yaml" not in name]

    assert [f"{section}.{key}" for section, key in settings if not _is_setting(section, key)] == []


def _is_setting(section: str, key: str) -> bool:
    field = Settings.model_fields.get(section)
    kind = field.annotation if field is not None else None
    return isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields


def test_operations_numbers() -> None:
    """The numbers on the page are those in the code."""
    assert (
        f"statements fail after {ANSWER_SECONDS:.0f} seconds and connection attempts after {CONNECT_SECONDS:.0f}"
        in OPERATIONS
    )
    assert f"(`nice` {GIVE_WAY})" in OPERATIONS
    assert "within two seconds" in OPERATIONS
    assert BUSY_SECONDS == 2


def test_operations_three_lines_lead_to_many_processes(installed: Installation) -> None:
    """The configuration block of the page loads when it replaces those sections."""
    (block,) = re.findall(r"```yaml\n(.*?)```", OPERATIONS, re.DOTALL)
    tree = yaml.safe_load(installed.config.read_text()) | yaml.safe_load(block)
    config = installed.folder / "many.yaml"
    config.write_text(yaml.safe_dump(tree))
    settings = load_settings(config, {"DATABASE_PASSWORD": "p"})

    assert settings.delivery.engine == "procrastinate"
    assert settings.database.url.get_secret_value() == "postgresql+asyncpg://deputy:p@db.example/deputy"


def test_operations_a_second_embedded_process_is_refused(installed: Installation) -> None:
    """A second embedded process and `deputy check` both fail, and name the first process."""
    other = installed.folder / "other.yaml"
    tree = yaml.safe_load(installed.config.read_text())
    other.write_text(yaml.safe_dump(tree | {"server": {"port": free_port(), "public_url": "http://127.0.0.1:1"}}))
    results = [CliRunner().invoke(cli, [command, "--config", str(other)]) for command in ("check", "serve")]

    assert [result.exit_code for result in results] == [2, 2], [result.output for result in results]
    assert all(f":{installed.process.pid}:" in result.output for result in results)


def test_operations_looking_and_retrying(hasty: Installation) -> None:
    """A failed message is listed, shown and retried, and no command prints its text."""
    ask = hasty.curls["Grace"]
    message = hasty.post(ask, MAILS)["message"]
    _until(lambda: _status(hasty, message)["state"] == "failed")
    reference = re.search(r"I waited .*$", _status(hasty, message)["answer"])
    listed, shown = hasty.deputy("deliveries list --state failed"), hasty.deputy(f"deliveries show {message[:8]}")
    retried = hasty.deputy(f"deliveries retry {message}")
    _until(lambda: "tries" in hasty.deputy(f"deliveries show {message}").output)

    assert reference is not None
    assert message in listed.output
    assert "failed" in shown.output
    assert retried.output == f"{message} will be answered again\n"
    assert all(MAILS not in each.output for each in (listed, shown, retried))


def _status(server: Installation, message: str) -> dict[str, Any]:
    bearer = re.search(r"Bearer [\w-]+", server.curls["Grace"])
    assert bearer is not None
    url = f"{server.url}/v1/messages/{message}"
    return dict(httpx2.get(url, headers={"Authorization": bearer[0]}, timeout=PATIENCE_SECONDS).json())


def test_operations_backup_copies_a_consistent_state(installed: Installation) -> None:
    """A backup of a running server's database contains a message that was accepted just before."""
    assert ".backup 'copy.db'" in OPERATIONS
    message = installed.post(installed.curls["Ada"], "help")["message"]
    with (
        closing(sqlite3.connect(installed.folder / "deputy.db")) as database,
        closing(sqlite3.connect(installed.folder / "copy.db")) as copy,
    ):
        database.backup(copy)
        rows = copy.execute("SELECT state FROM messages WHERE id = ?", (message,)).fetchall()

    assert rows == [("done",)]


def test_operations_leaving_sqlite(tmp_path: Path) -> None:
    """`db copy` is refused while a server runs; after SIGTERM it succeeds, and the new database has the messages."""
    new = f"sqlite+aiosqlite:///{tmp_path}/new.db"
    with serving(tmp_path) as server:
        message = server.post(server.curls["Grace"], MAILS)["message"]
        refused = server.deputy("db copy", DEPUTY_COPY_TO=new)
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(PATIENCE_SECONDS)
        copied = server.deputy("db copy", DEPUTY_COPY_TO=new)
        tree = yaml.safe_load(server.config.read_text())
        server.config.write_text(yaml.safe_dump(tree | {"database": {"url": new}}))
        current, shown = server.deputy("db current"), server.deputy(f"deliveries show {message}")

    assert refused.exit_code != 0
    assert code == 0
    assert copied.exit_code == 0, copied.output
    assert current.exit_code == 0
    assert "parked" in shown.output


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
