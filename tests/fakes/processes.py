"""Real `deputy` processes on one database, which a test stops, kills and freezes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from app.sections.agents import ModelSettings
from app.settings import Settings
from tests.fakes.environment import Environment
from tests.fakes.server import NO_REUSE, PATIENCE_SECONDS

_START_SECONDS = 120.0  # a start takes two seconds of CPU, and other processes compete for it


def write_config(
    path: Path, environment: Environment, model: ModelSettings, database_url: str, *, port: int, **delivery: Any
) -> Path:
    """Write the configuration of a process in this environment, with Slack, HTTP, a model and a database; return it."""
    settings: Settings = environment.settings
    google, slack, keys = settings.google, settings.interfaces.slack, settings.key_ring.file
    assert google.client_secret is not None
    assert slack is not None
    assert slack.bot_token is not None
    assert slack.signing_secret is not None
    tree = {
        "server": {"port": port, "public_url": settings.server.public_url},
        "database": {"url": database_url},
        "key_ring": {"file": str(keys)},
        "google": {
            "mode": "google",
            "client_id": google.client_id,
            "client_secret": google.client_secret.get_secret_value(),
            "endpoints": google.endpoints.model_dump(),
            "api_root": google.api_root,
        },
        "models": {"test": {"base_url": model.base_url, "model": model.model, "api_key": "none"}},
        "agents": {"assistant": {"toolkits": ["gmail"], "model": "test"}},
        "default_agent": "assistant",
        "interfaces": {
            "http": {"wait_seconds": 1},
            "slack": {
                "signing_secret": slack.signing_secret.get_secret_value(),
                "bot_token": slack.bot_token.get_secret_value(),
                "api_base_url": slack.api_base_url,
            },
        },
        "delivery": delivery,
    }
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


@dataclass
class DeputyProcess:
    """A running process.

    Attributes:
        running: The process.
        client: An HTTP client for its server; useless for a worker.
    """

    running: asyncio.subprocess.Process
    client: httpx2.AsyncClient

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.running.pid

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        os.kill(self.pid, number)

    async def end(self, number: signal.Signals) -> int:
        """Send the process a signal, wait for its end, and return its exit code."""
        self.send(number)
        return await asyncio.wait_for(self.running.wait(), PATIENCE_SECONDS)


@asynccontextmanager
async def deputy_process(command: str, config: Path) -> AsyncIterator[DeputyProcess]:
    """Run ``deputy serve`` or ``deputy worker``, and yield it once it is ready; kill it when the block ends."""
    port = yaml.safe_load(config.read_text())["server"]["port"]
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from app.cli import main; main()", command, "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=None,
    )
    try:
        assert running.stdout is not None
        line = await asyncio.wait_for(running.stdout.readline(), _START_SECONDS)
        assert line.startswith(b"Deputy"), f"deputy {command} ended before it was at work"
        base_url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=base_url, timeout=PATIENCE_SECONDS, limits=NO_REUSE) as client:
            yield DeputyProcess(running, client)
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
