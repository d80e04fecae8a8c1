"""`deputy audit`: search the audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from app.audit.audit import Audit, AuditEntry, AuditSearch
from app.commands.common import CONFIG, WRONG, ConfigOption, JsonOption, configured, fail, principal, run
from app.commands.container import moment
from app.commands.database import opened_with_keys
from app.commands.tables import print_table
from app.database.prefix import whole_id
from app.database.tables import audit_events
from app.grants.former_accounts import account_addresses
from app.settings import Settings

_FORMATS = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]


def audit(
    config: ConfigOption = CONFIG,
    principal_text: Annotated[str | None, typer.Option("--principal", help="A person, such as http:demo:ada.")] = None,
    message: Annotated[str | None, typer.Option(help="A message's id, or the beginning of it.")] = None,
    account: Annotated[str | None, typer.Option(help="A Google account, such as ada@acme.example.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="From this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Before this time, UTC.")] = None,
    tool: Annotated[str | None, typer.Option(help="A tool, such as gmail_send.")] = None,
    method: Annotated[
        str | None, typer.Option(help="A method of Google's, or a group of them, such as gmail.users.messages.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print who did what with which account, oldest first, without any secret or text.

    Give at least one option to search by. A row must match all options.
    """
    search = AuditSearch(
        principal=principal(principal_text) if principal_text is not None else None,
        message_id=message,
        since=since.replace(tzinfo=UTC).timestamp() if since else None,
        until=until.replace(tzinfo=UTC).timestamp() if until else None,
        tool=tool,
        method=method,
    )
    if search == AuditSearch() and account is None:
        fail("give --principal, --message, --account, --since, --until, --tool or --method to search by", WRONG)
    entries, addresses = run(_find(configured(config), search, account))
    if as_json:
        print(json.dumps([_as_json(entry, addresses) for entry in entries], indent=2))
        return
    columns = (
        "when",
        "principal",
        "event",
        "message",
        "tool",
        "member",
        "account",
        "credential",
        "method",
        "status",
        "call",
    )
    print_table(columns, [_cells(entry, addresses) for entry in entries])


async def _find(
    settings: Settings, search: AuditSearch, account: str | None
) -> tuple[list[AuditEntry], Mapping[str, str]]:
    """Return the rows, and the address of each account by its name in the rows."""
    async with opened_with_keys(settings) as (database, key_ring):
        addresses = await account_addresses(database, key_ring)
        if search.message_id is not None:
            search = replace(
                search, message_id=await whole_id(database, audit_events.c.message_id, search.message_id, "message")
            )
        if account is not None:
            same = [name for name, address in addresses.items() if address.casefold() == account.casefold()]
            search = replace(search, credentials=(account, *same))  # in workspace mode the address is the name
        return await Audit(database).find(search), addresses


def _account(entry: AuditEntry, addresses: Mapping[str, str]) -> str | None:
    if entry.credential is None or "@" in entry.credential:
        return entry.credential
    return addresses.get(entry.credential)


def _as_json(entry: AuditEntry, addresses: Mapping[str, str]) -> dict[str, Any]:
    values = {"principal": str(entry.principal), "at": moment(entry.at), "account": _account(entry, addresses)}
    return {**asdict(entry), **values}


def _cells(entry: AuditEntry, addresses: Mapping[str, str]) -> tuple[str | None, ...]:
    event = f"{entry.event} {entry.outcome}" if entry.outcome else entry.event
    status = str(entry.status or "no answer seen") if entry.method else None
    return (
        *(moment(entry.at), str(entry.principal), event, entry.message_id, entry.tool, entry.member),
        *(_account(entry, addresses), entry.credential, entry.method, status, entry.tool_call),
    )
