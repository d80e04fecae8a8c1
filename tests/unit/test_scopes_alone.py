"""`containers/scopes` and `containers/proof` work when they are copied into another project under another name."""

from __future__ import annotations

import re
import shutil
import subprocess
import venv
from pathlib import Path

import dependency_injector
import pytest

from tests.unit.test_scopes_doc import PAGE

ROOT = Path(__file__).parents[2]
CAPTIVE = """
import asyncio

from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from elsewhere.lifetimes.proof import LifetimeError, prove
from elsewhere.lifetimes.scopes import Scoped, Seed


class Principal(str): ...
class Mailbox:
    def __init__(self, principal: Principal) -> None: ...


class Search:
    def __init__(self, mailbox: Mailbox) -> None: ...


class Container(DeclarativeContainer):
    principal = Seed(Principal)
    mailbox = Scoped(Mailbox, principal)


class Captive(Container):
    search = providers.ThreadSafeSingleton(Search, Container.mailbox)


def broken():
    raise LookupError("no such mailbox")


class Broken(Container):
    search = Scoped(broken)


print(asyncio.run(prove(Container(), [Principal("ada")], [Principal("grace")])).scoped, "scoped")
for container in (Captive(), Broken()):
    try:
        asyncio.run(prove(container, [Principal("ada")], [Principal("grace")]))
    except LifetimeError as error:
        print(error)
"""


@pytest.mark.system
def test_the_scopes_and_the_proof_run_from_a_copy_alone(tmp_path: Path) -> None:
    """With only dependency-injector installed, the page's example runs and a captive is refused."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    (packages / "dependency_injector").symlink_to(Path(dependency_injector.__file__).parent)
    project = tmp_path / "project" / "elsewhere" / "lifetimes"
    for name in ("scopes", "proof"):
        shutil.copytree(ROOT / "containers" / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[:1]
    outcomes = [
        subprocess.run(
            [tmp_path / "venv" / "bin" / "python", "-W", "error", "-c", program],
            cwd=tmp_path / "project",
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        for program in (example.replace("from deputy import", "from elsewhere.lifetimes.scopes import"), CAPTIVE)
    ]

    assert [outcome.stderr for outcome in outcomes] == ["", ""]
    assert outcomes[0].stdout.strip() in example
    told = outcomes[1].stdout
    assert "2 scoped" in told
    assert "`search` lives as long as the process and would keep `mailbox`, which lives as long as the request" in told
    assert "raised LookupError: no such mailbox (__main__:" in told
