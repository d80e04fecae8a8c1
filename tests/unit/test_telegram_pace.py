"""The bot's pace in Telegram, with two chats at once."""

from __future__ import annotations

from interfaces.telegram.pace import Pace


async def test_the_next_message_waits_from_the_arrival_of_the_last() -> None:
    """The pause is counted from the arrival of the last message, and separately for each chat."""
    clock = [100.0]
    pace = Pace(chat_seconds=1.0, group_seconds=3.0, now=lambda: clock[0])

    async with pace.turn(1):
        clock[0] += 0.4
        async with pace.turn(-2):
            clock[0] += 0.4

    assert pace.seconds_until_free(1) == 1.0
    assert pace.seconds_until_free(-2) == 3.0
    assert pace.take_if_free(3)


async def test_a_longer_wait_of_telegrams_stays() -> None:
    """A message that arrives during a wait that Telegram asked for does not shorten that wait."""
    pace = Pace(now=lambda: 100.0)

    pace.rest(1, 30.0)
    pace.arrived(1)

    assert pace.seconds_until_free(1) == 30.0
    assert pace.seconds_until_free(2) == 0.0
