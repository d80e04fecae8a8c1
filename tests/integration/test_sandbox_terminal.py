"""`deputy sandbox` beside `deputy serve`, as somebody uses them in two terminals, typing as two people."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from app.sandbox.visitor import code_on, visit
from tests.fakes.ports import free_port
from tests.fakes.server import ADA, GRACE
from tests.fakes.terminal import Terminal, on_terminal

pytestmark = pytest.mark.system

DEPUTY = Path(sys.executable).parent / "deputy"


def consent_link(sandbox: Terminal, place: str) -> str:
    """Return the link that is shown in a place."""
    begin = sandbox.expect(f"{place}: ") and sandbox.expect("/connect/google/")
    return begin.split()[-1] + sandbox.expect("\n").strip()


def test_two_people_are_answered_on_every_channel(tmp_path: Path) -> None:
    """Two people connect and read their own mail on each channel and in a group, and an unknown name is explained."""
    address = f"http://127.0.0.1:{free_port()}"
    chats = (("ada@telegram", "telegram, to Ada", ADA), ("grace@slack#team", "slack, to Grace", GRACE),
             ("ada@whatsapp", "whatsapp, to Ada", ADA))  # fmt: skip
    with on_terminal([DEPUTY, "sandbox", "--server", address, "--port", "0"], tmp_path) as sandbox:
        sandbox.expect("Then write here as Ada or Grace")
        sandbox.type("ada@telegram: hello")
        sandbox.expect(f"no server answers at {address}")
        with on_terminal([DEPUTY, "serve", "--config", "sandbox.yaml"], tmp_path) as server:
            server.expect(f"Deputy listens on {address}")
            sandbox.type("bob@telegram: hello")
            sandbox.expect("the sandbox knows Ada, Grace, not bob")
            for who, place, email in chats:
                sandbox.type(f"{who}: show my unread mail")
                code = code_on(asyncio.run(visit(consent_link(sandbox, place), email)))
                sandbox.type(f"{who}: confirm {code}")
                # The next reply may come first if a platform refuses this one temporarily.
                sandbox.expect_all(f"{place}: Connected: {email}", f"{place}: 10 messages")
            server.interrupt()
            assert server.end() == 0
        sandbox.interrupt()
        assert sandbox.end() == 0

    assert (tmp_path / "sandbox.yaml").stat().st_mode & 0o077 == 0
