"""`deputy telegram`: tell Telegram where to post updates, and show what it knows of the bot."""

from __future__ import annotations

import json
from typing import Annotated, Any

import httpx2
import typer

from app.commands.common import CONFIG, WRONG, ConfigOption, JsonOption, configured, fail, run
from app.errors import UnavailableError
from app.network import open_client
from app.sections.telegram import TelegramSettings
from app.settings import Settings
from interfaces.telegram.inbound import ALLOWED_UPDATES
from interfaces.telegram.interface import WEBHOOK_PATH

_TIMEOUT_SECONDS = 20.0

telegram = typer.Typer(no_args_is_help=True, help="Tell Telegram where to post, and show what it knows of the bot.")


@telegram.command(name="set-webhook")
def set_webhook(
    config: ConfigOption = CONFIG,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Where Telegram reaches the server; by default public_url."),
    ] = None,
) -> None:
    """Have Telegram post updates to this server; with `mode: polling`, have it post none."""
    settings = configured(config)
    section = _section(settings)
    if section.mode == "polling":
        run(_call(section, "deleteWebhook"))
        print("Telegram posts nothing; `deputy serve` asks for updates.")
        return
    address = (url or settings.server.public_url).rstrip("/") + WEBHOOK_PATH
    if not address.startswith("https://"):
        fail("Telegram posts to https:// only; set server.public_url, give --url, or use mode: polling", WRONG)
    secret = section.webhook_secret.get_secret_value() if section.webhook_secret else ""
    run(_call(section, "setWebhook", url=address, secret_token=secret, allowed_updates=list(ALLOWED_UPDATES)))
    print(f"Telegram posts to {address}")


@telegram.command()
def status(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Show the bot's name, where Telegram posts, how many updates wait, and the last error."""
    section = _section(configured(config))
    bot, webhook = run(_both(section))
    shown = {
        "bot": f"@{bot.get('username')}",
        "id": bot.get("id"),
        "reads all group messages": bool(bot.get("can_read_all_group_messages")),
        "mode": section.mode,
        "webhook": webhook.get("url") or None,
        "updates waiting": webhook.get("pending_update_count"),
        "last error": webhook.get("last_error_message"),
    }
    if as_json:
        print(json.dumps(shown, indent=2))
    else:
        for name, value in shown.items():
            print(f"{name}: {'none' if value is None else value}")


def _section(settings: Settings) -> TelegramSettings:
    if settings.interfaces.telegram is None:
        fail("config.yaml has no section interfaces.telegram; docs/telegram.md says what belongs there", WRONG)
    return settings.interfaces.telegram


async def _both(section: TelegramSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    return await _call(section, "getMe"), await _call(section, "getWebhookInfo")


async def _call(section: TelegramSettings, method: str, **arguments: object) -> Any:
    """Call a method of the Bot API and return its result.

    Raises:
        UnavailableError: Telegram did not answer, or refuses it; its words are shown, the token is not.
    """
    url = f"{section.api_base_url.rstrip('/')}/bot{section.bot_token.get_secret_value()}/{method}"
    async with open_client(_TIMEOUT_SECONDS) as client:
        try:
            body = (await client.post(url, json=arguments)).json()
        except (httpx2.HTTPError, ValueError) as error:
            raise UnavailableError(f"Telegram gave no answer ({type(error).__name__})") from None
    if not isinstance(body, dict) or not body.get("ok"):
        words = body.get("description") if isinstance(body, dict) else None
        raise UnavailableError(f"Telegram refused {method}: {words or 'no reason given'}")
    return body["result"]
