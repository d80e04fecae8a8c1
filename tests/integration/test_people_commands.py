"""`deputy grants` and `deputy users`: who is connected, to what and since when, without secrets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import cli
from app.commands.container import opened_container
from app.principal import Principal
from app.settings import load_settings
from containers.application import Application
from tests.fakes.core_server import inbound
from tests.fakes.credentials import connect, google_tokens

CONFIG = {
    "agents": {"assistant": {"toolkits": ["gmail"]}},
    "default_agent": "assistant",
    "interfaces": {"http": {}},
    "google": {"mode": "sandbox", "sandbox": {"port": 1}},  # nothing listens there
}


@pytest.fixture
def config(tmp_path: Path, ada: Principal, grace: Principal) -> Path:
    """Return a configuration whose database has seen both people and connected them."""
    path = tmp_path / "config.yaml"
    url = f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}"
    path.write_text(
        yaml.safe_dump({**CONFIG, "database": {"url": url}, "key_ring": {"file": str(tmp_path / "keys.yaml")}})
    )

    async def fill(container: Application) -> None:
        for person in (ada, grace):
            await container.intake().accept(inbound(person, conversation=person.user))
            await connect(container.database(), container.grants(), person, google_tokens(f"{person.user}-1"))

    within(path, fill)
    return path


def within(config: Path, work: Callable[[Application], Awaitable[None]]) -> None:
    """Do something with the configuration's container."""

    async def run() -> None:
        async with opened_container(load_settings(config, {})) as container:
            await work(container)

    asyncio.run(run())


def deputy(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], env={"COLUMNS": "240"})


def listed(what: str, config: Path) -> list[dict[str, Any]]:
    """Return what a list prints as JSON."""
    found: list[dict[str, Any]] = json.loads(deputy(what, "list", "--json", "-c", config).stdout)
    return found


def test_grants_are_listed(config: Path) -> None:
    """Grants are listed for everybody or one person, with account, OAuth scopes and state, as a table and as JSON."""
    table = deputy("grants", "list", "-c", config)
    one = deputy("grants", "list", "--principal", "http:demo:ada", "--json", "-c", config)
    [ada] = json.loads(one.stdout)

    assert table.exit_code == one.exit_code == 0
    for shown in ("http:demo:ada", "ada@example.com", "http:demo:grace", "gmail.readonly", "active"):
        assert shown in table.stdout
    assert (ada["principal"], ada["account"], ada["state"]) == ("http:demo:ada", "ada@example.com", "active")
    assert ada["since"].endswith("Z")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_secret_is_listed(config: Path, form: list[str]) -> None:
    """The lists contain no token, sealed value or Google account id."""
    printed = "".join(deputy(what, "list", *form, "-c", config).output for what in ("grants", "users"))

    for secret in ("access-", "refresh-", "v1.", "subject-"):
        assert secret not in printed


def test_an_offboarding_that_google_does_not_answer_is_not_finished(config: Path) -> None:
    """If Google does not answer, the offboarding exits with 1 and says what to do, and a restore is refused."""
    offboarded = deputy("users", "offboard", "--principal", "http:demo:ada", "-c", config)
    restored = deputy("users", "restore", "--principal", "http:demo:ada", "-c", config)

    assert (offboarded.exit_code, restored.exit_code) == (1, 1)
    assert "run this again" in offboarded.stdout
    assert "not finished" in restored.stderr
    assert [user["state"] for user in listed("users", config)] == ["being offboarded", "present"]
    assert [grant["state"] for grant in listed("grants", config)] == ["ending", "active"]


def test_a_person_is_offboarded_and_restored(config: Path, ada: Principal) -> None:
    """A person without a grant is offboarded completely and restored, and other people are unchanged."""

    async def erase(container: Application) -> None:
        grant = await container.grants().find(ada)
        assert grant is not None
        await container.grants().mark_revoked(grant)

    within(config, erase)
    for _ in range(2):
        assert deputy("users", "offboard", "--principal", "http:demo:ada", "-c", config).exit_code == 0
    states = [user["state"] for user in listed("users", config)]
    restored = [deputy("users", "restore", "--principal", "http:demo:ada", "-c", config).stdout for _ in range(2)]

    assert states == ["offboarded", "present"]
    assert restored == ["http:demo:ada is restored\n", "http:demo:ada was not offboarded\n"]
    assert [user["state"] for user in listed("users", config)] == ["present", "present"]
    assert [grant["principal"] for grant in listed("grants", config)] == ["http:demo:grace"]


def test_offboarding_reaches_every_spelling(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person whose name an earlier version stored in two Unicode spellings is offboarded under both."""

    async def issue(container: Application) -> None:
        for name in ("jos\xe9", "jose\u0301"):
            await container.api_tokens().issue(Principal("http", "demo", name), label="laptop")

    with monkeypatch.context() as earlier:
        earlier.setattr("app.api_tokens._check_normal", lambda _: None)
        within(config, issue)
    done = deputy("users", "offboard", "--principal", "http:demo:jos%C3%A9", "-c", config)
    states = {user["principal"]: user["state"] for user in listed("users", config)}

    assert done.exit_code == 0
    assert states == {
        "http:demo:ada": "present",
        "http:demo:grace": "present",
        "http:demo:jos%C3%A9": "offboarded",
        "http:demo:jose%CC%81": "offboarded",
    }


def test_a_grant_is_revoked_by_its_id(config: Path) -> None:
    """A person's own grant can be revoked by the beginning of its id; another person's is not found."""
    ids = {grant["principal"]: grant["grant"] for grant in listed("grants", config)}
    revoke = ("grants", "revoke", "--principal", "http:demo:ada", "-c", config, "--grant")
    others = deputy(*revoke, ids["http:demo:grace"])
    own = deputy(*revoke, ids["http:demo:ada"][:8])

    assert (others.exit_code, own.exit_code) == (1, 1)
    assert "there is no grant whose id begins with" in others.stderr
    assert "Google gave no answer" in own.stdout
    assert [grant["state"] for grant in listed("grants", config)] == ["ending", "active"]


@pytest.mark.parametrize("command", [("grants", "revoke"), ("users", "offboard"), ("users", "restore")])
def test_nobody_is_a_wrong_command_line(config: Path, command: tuple[str, str]) -> None:
    """A malformed principal exits with 2."""
    assert deputy(*command, "--principal", "ada", "-c", config).exit_code == 2
