"""`deputy telegram` sets, replaces and removes the webhook and shows the bot's status, without secrets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import cli
from app.sandbox.server import serve_loopback
from app.sandbox.telegram.sandbox import TelegramSandbox
from interfaces.telegram.inbound import ALLOWED_UPDATES

TOKEN, SECRET = "700:" + "t" * 35, "s" * 32
WEBHOOK = "https://deputy.example.com/telegram/webhook"


@dataclass
class Commands:
    """The command line, and the Telegram that its configuration leads to."""

    telegram: TelegramSandbox
    config: Path
    tree: dict[str, Any]

    async def run(self, *arguments: str, **telegram: str | None) -> Result:
        """Run `deputy telegram` with changed settings of Telegram; None removes one."""
        section = {**self.tree["interfaces"]["telegram"], **telegram}
        given = {key: value for key, value in section.items() if value is not None}
        self.config.write_text(yaml.safe_dump({**self.tree, "interfaces": {"telegram": given}}))
        command = ["telegram", *arguments, "--config", str(self.config)]
        return await asyncio.to_thread(CliRunner().invoke, cli, command)


@pytest.fixture
async def commands(tmp_path: Path) -> AsyncIterator[Commands]:
    """Yield the commands of a bot without a webhook."""
    telegram = TelegramSandbox(token=TOKEN, secret=SECRET)
    async with serve_loopback(telegram.app) as url:
        tree = {
            "server": {"public_url": "https://deputy.example.com"},
            "key_ring": {"file": str(tmp_path / "keys.yaml")},
            "agents": {"assistant": {"toolkits": ["gmail"]}},
            "default_agent": "assistant",
            "interfaces": {"telegram": {"bot_token": TOKEN, "webhook_secret": SECRET, "api_base_url": url}},
        }
        yield Commands(telegram, tmp_path / "config.yaml", tree)


async def test_the_webhook_is_set_and_replaced(commands: Commands) -> None:
    """`set-webhook` sends the URL, the secret and the kinds of updates, by default with the public URL."""
    first = await commands.run("set-webhook")
    by_default = dict(commands.telegram.webhook)
    second = await commands.run("set-webhook", "--url", "https://other.example.com:8443/")

    assert first.stdout == f"Telegram posts to {WEBHOOK}\n"
    assert (by_default["url"], by_default["secret_token"]) == (WEBHOOK, SECRET)
    assert by_default["allowed_updates"] == list(ALLOWED_UPDATES)
    assert second.exit_code == 0
    assert commands.telegram.webhook["url"] == "https://other.example.com:8443/telegram/webhook"


async def test_a_bot_that_polls_has_no_webhook(commands: Commands) -> None:
    """With `mode: polling` the webhook is removed."""
    await commands.run("set-webhook")
    removed = await commands.run("set-webhook", mode="polling", webhook_secret=None)

    assert "Telegram posts nothing" in removed.stdout
    assert commands.telegram.webhook == {}


async def test_the_status_names_the_bot_and_its_webhook(commands: Commands) -> None:
    """The status names the bot and its webhook as text or JSON, without the token or the secret."""
    before = await commands.run("status")
    await commands.run("set-webhook")
    after = await commands.run("status", "--json")
    shown = json.loads(after.stdout)

    assert {"bot: @deputy_bot", "webhook: none", "updates waiting: 0", "last error: none"} <= set(
        before.stdout.splitlines()
    )
    assert (shown["bot"], shown["id"], shown["mode"], shown["webhook"]) == ("@deputy_bot", 700, "webhook", WEBHOOK)
    assert TOKEN not in before.output + after.output
    assert SECRET not in before.output + after.output


@pytest.mark.parametrize(
    ("arguments", "changes", "words"),
    [
        (("set-webhook", "--url", "http://deputy.example.com"), {}, "https:// only"),
        (("set-webhook", "--url", "https://deputy.example.com:1234"), {}, "only on ports 80, 88, 443 or 8443"),
        (("status",), {"bot_token": "700:" + "x" * 35}, "Telegram refused getMe: Unauthorized"),
        (("status",), {"api_base_url": "http://127.0.0.1:9"}, "Telegram gave no answer"),
    ],
)
async def test_what_is_wrong_is_said(
    commands: Commands, arguments: tuple[str, ...], changes: dict[str, str], words: str
) -> None:
    """On an error the command fails and says why, without the token."""
    result = await commands.run(*arguments, **changes)

    assert result.exit_code != 0
    assert words in result.stderr
    assert "700:" not in result.output
