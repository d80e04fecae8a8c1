"""`deputy deliveries`: accepted messages, without what was said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from app.commands.common import CONFIG, ConfigOption, JsonOption, configured, run
from app.commands.container import moment
from app.commands.database import opened_database
from app.commands.tables import print_table
from app.delivery.store.admin import Deliveries, Delivery, Step
from app.messages import MessageState
from app.settings import Settings

deliveries = typer.Typer(no_args_is_help=True, help="Accepted messages, without what was said.")

_MessageArgument = Annotated[str, typer.Argument(help="The message's id, or the beginning of it.")]
_UNANSWERED = (MessageState.NEW, MessageState.RUNNING, MessageState.PARKED, MessageState.FAILED)


@deliveries.command("list")
def list_(
    config: ConfigOption = CONFIG,
    state: Annotated[
        list[MessageState] | None,
        typer.Option(help="Only messages in this state. Unset: all that are not done or whose reply was not sent."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most this many, the latest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List messages: whose, where, how they stand, and the class of the last error."""
    found = run(_latest(configured(config), state, limit))
    if as_json:
        print(json.dumps([_as_json(each) for each in found], indent=2))
        return
    columns = ("message", "principal", "state", "reply", "attempts", "last error", "changed")
    print_table(columns, [_cells(each) for each in found])


@deliveries.command()
def show(message: _MessageArgument, config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Show how one message stands, with its replies and approvals; no text, no answer, no argument."""
    delivery, steps = run(_show(configured(config), message))
    if as_json:
        print(json.dumps({**_as_json(delivery), "steps": [asdict(step) for step in steps]}, indent=2))
        return
    for name, value in _as_json(delivery).items():
        print(f"{name:14} {'' if value is None else value}")
    for step in steps:
        print(f"{step.kind:14} {step.name}: {step.state}, tries {step.tries} {step.last_error or ''}".rstrip())


@deliveries.command()
def retry(message: _MessageArgument, config: ConfigOption = CONFIG) -> None:
    """Have a failed message answered after all, from its beginning and in its place; a running server takes it up.

    If a message did not fail but its reply was dropped, the reply is sent again.
    """
    delivery = run(_retry(configured(config), message))
    print(f"{delivery.message_id} is to be {'answered' if delivery.state is MessageState.NEW else 'told'} again")


async def _latest(settings: Settings, states: Sequence[MessageState] | None, limit: int) -> list[Delivery]:
    async with opened_database(settings) as database:
        return await Deliveries(database).latest(states or _UNANSWERED, at_most=limit, untold=not states)


async def _show(settings: Settings, message_id: str) -> tuple[Delivery, list[Step]]:
    async with opened_database(settings) as database:
        return await Deliveries(database).show(message_id)


async def _retry(settings: Settings, message_id: str) -> Delivery:
    async with opened_database(settings) as database:
        return await Deliveries(database).retry(message_id)


def _cells(each: Delivery) -> tuple[str | None, ...]:
    attempts = f"{each.attempt} ({each.interruptions} interrupted, {each.failures} failed)"
    reply = "dropped" if each.untold else "waiting to be sent" if each.owed else None
    return (each.message_id, str(each.principal), each.state, reply, attempts, each.last_error, moment(each.changed_at))


def _as_json(delivery: Delivery) -> dict[str, object]:
    times = {
        name: moment(getattr(delivery, name)) for name in ("next_try_at", "created_at", "changed_at", "replied_at")
    }
    return {**asdict(delivery), "principal": str(delivery.principal), **times}
