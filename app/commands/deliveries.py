"""`deputy deliveries`: list, show and retry accepted messages."""

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

deliveries = typer.Typer(no_args_is_help=True, help="List, show and retry accepted messages, without their texts.")

_MessageArgument = Annotated[str, typer.Argument(help="The message's id, or the beginning of it.")]
_UNANSWERED = (MessageState.NEW, MessageState.RUNNING, MessageState.PARKED, MessageState.FAILED)


@deliveries.command("list")
def list_(
    config: ConfigOption = CONFIG,
    state: Annotated[
        list[MessageState] | None,
        typer.Option(help="Only messages in these states; by default, all that are unfinished or lost a reply."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of messages, latest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List messages with their sender, state and the class of their last error."""
    found = run(_latest(configured(config), state, limit))
    if as_json:
        print(json.dumps([_as_json(each) for each in found], indent=2))
        return
    columns = ("message", "principal", "state", "reply", "attempts", "last error", "changed")
    print_table(columns, [_cells(each) for each in found])


@deliveries.command()
def show(message: _MessageArgument, config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Show the state of one message, its replies and its approvals, without any text or argument."""
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
    """Answer a failed message again from the start, in its original order; a running server does the work.

    If a message did not fail but its reply was dropped, the reply is sent again.
    """
    delivery = run(_retry(configured(config), message))
    if delivery.state is MessageState.NEW:
        print(f"{delivery.message_id} will be answered again")
    else:
        print(f"the undelivered replies to {delivery.message_id} will be sent again")


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
