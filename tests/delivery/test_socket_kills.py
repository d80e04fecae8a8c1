"""In Socket Mode, a server that is killed between an envelope and its acknowledgement loses and doubles nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import yaml

from app.sections.agents import ModelSettings
from tests.fakes.environment import PATIENCE_SECONDS, Environment, open_environment
from tests.fakes.ports import free_port
from tests.fakes.processes import write_config
from tests.fakes.server import NOTICE, direct, eventually, user

ACCEPT = "app.delivery.work.intake:Intake.accept"
LEASE_SECONDS = 5.0  # of a message that a killed server had begun to answer; until it expires, the next message waits
KILLS = (f"{ACCEPT}=before", f"{ACCEPT}=after", f"{ACCEPT}=after")
NAMES = ("ada", "grace")


def socket_config(folder: Path, environment: Environment) -> Path:
    """Write a configuration for a process that connects to this Slack and uses the offline model; return its path."""
    url = f"sqlite+aiosqlite:///{folder / 'killed.db'}"
    model = ModelSettings(base_url="http://127.0.0.1:9", model="none")
    config = write_config(folder / "config.yaml", environment, model, url, port=free_port())
    tree = yaml.safe_load(config.read_text())
    slack = tree["interfaces"]["slack"]
    del tree["models"], tree["agents"]["assistant"]["model"], slack["signing_secret"]
    tree.setdefault("delivery", {}).update(lease_seconds=LEASE_SECONDS, scan_seconds=0.5)
    slack |= {"mode": "socket", "app_token": environment.slack_sockets.app_token}
    config.write_text(yaml.safe_dump(tree))
    return config


async def test_envelopes_survive_a_kill_before_and_after_their_messages_are_stored(tmp_path: Path) -> None:
    """Messages are answered once after three kills: one before the first row, two before an acknowledgement."""
    async with open_environment(tmp_path) as environment, environment.slack_sockets.serving():
        slack, sockets = environment.slack, environment.slack_sockets
        servers = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.fakes.killed", *KILLS, "nowhere=never"),
            *("--", "serve", "-c", str(socket_config(tmp_path, environment))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert servers.stdin is not None
        assert servers.stdout is not None
        try:
            sent = [sockets.send(slack.event(user=user(name), text="help", channel=direct(name))) for name in NAMES]
            for _ in KILLS:
                died = await asyncio.wait_for(servers.stdout.readline(), 2 * PATIENCE_SECONDS)
                assert int(died) == -signal.SIGKILL
                servers.stdin.write(b"\n")
            async with asyncio.timeout(2 * PATIENCE_SECONDS):
                await asyncio.gather(*(delivery.acknowledged for delivery in sent))
            last = sockets.send(slack.event(user=user("ada"), text="help", channel=direct("ada")))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await last.acknowledged
            # Ada's second answer follows her first one, so a doubled first answer would be noticed.
            patience = PATIENCE_SECONDS + 2 * LEASE_SECONDS * len(KILLS)
            await eventually(lambda: [post.channel for post in slack.posts].count(direct("ada")) >= 2, patience)
            await eventually(lambda: [post for post in slack.posts if post.channel == direct("grace")], patience)
        finally:
            os.killpg(servers.pid, signal.SIGKILL)
            await servers.wait()

        answers = [post.channel for post in slack.posts if NOTICE not in post.text]
        assert sorted(answers) == [direct("ada"), direct("ada"), direct("grace")]
        assert max(len(delivery.envelopes) for delivery in sent) >= 3
