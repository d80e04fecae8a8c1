"""`deputy audit`: what was done in whose name."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from app.audit.audit import Audit, AuditEntry
from app.commands.common import CONFIG, WRONG, ConfigOption, JsonOption, configured, fail, principal, run
from app.commands.container import moment
from app.commands.database import opened_database
from app.commands.tables import print_table
from app.principal import Principal
from app.settings import Settings


def audit(
    config: ConfigOption = CONFIG,
    principal_text: Annotated[str | None, typer.Option("--principal", help="Whose, such as http:demo:ada.")] = None,
    message: Annotated[str | None, typer.Option(help="For which message, by its id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what was done for one person or one message, oldest first; it holds no secret and no text."""
    if (principal_text is None) == (message is None):
        fail("give either --principal or --message", WRONG)
    whose = principal(principal_text) if principal_text is not None else None
    entries = run(_entries(configured(config), whose, message or ""))
    if as_json:
        print(json.dumps([_as_json(entry) for entry in entries], indent=2))
        return
    columns = ("when (UTC)", "who", "what", "message", "tool", "credential", "Google's method", "answered")
    print_table(columns, [_cells(entry) for entry in entries])


async def _entries(settings: Settings, whose: Principal | None, message_id: str) -> list[AuditEntry]:
    async with opened_database(settings) as database:
        trail = Audit(database)
        return await (trail.of_principal(whose) if whose is not None else trail.of_message(message_id))


def _as_json(entry: AuditEntry) -> dict[str, Any]:
    return {**asdict(entry), "principal": str(entry.principal), "at": moment(entry.at)}


def _cells(entry: AuditEntry) -> tuple[str, ...]:
    what = f"{entry.event} {entry.outcome}" if entry.outcome else str(entry.event)
    answered = str(entry.status or ("not seen" if entry.method else ""))
    cells = (entry.message_id, entry.tool, entry.credential, entry.method)
    return (moment(entry.at) or "", str(entry.principal), what, *(cell or "" for cell in cells), answered)
