"""A cache of values that are fetched once for everybody and kept while they are valid."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import pytest

from app.credentials.token_cache import TokenCache
from tests.fakes.sandbox import Clock


@dataclass
class Well:
    """A source that gives ``value-ada-1``, ``value-ada-2`` … for the key ``ada``.

    Attributes:
        gate: An answer waits until it is set.
        failure: Raised instead of an answer.
        asked: The keys, in order.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failure: type[Exception] | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    async def fetch(self, key: str) -> str:
        self.asked.append(key)
        number = self.asked.count(key)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return f"value-{key}-{number}"


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> TokenCache[str, str]:
    """Return a cache of two values that expire 60 seconds after the start."""
    end = clock() + 60
    return TokenCache(lambda _: end, at_most=2, now=clock)


async def test_who_asks_meanwhile_shares_the_fetch(kept: TokenCache[str, str]) -> None:
    """Concurrent requests for two keys cost one fetch per key, and nobody gets the other key's value."""
    well = Well()
    keys = ["ada", "grace"] * 8
    values = await asyncio.gather(*(kept.get(key, partial(well.fetch, key)) for key in keys))

    assert values == [f"value-{key}-1" for key in keys]
    assert sorted(well.asked) == ["ada", "grace"]


async def test_a_value_is_kept_until_it_is_no_longer_good(kept: TokenCache[str, str], clock: Clock) -> None:
    """A value is given out again until it expires, and fetched again from then on."""
    well = Well()
    ask = partial(kept.get, "ada", partial(well.fetch, "ada"))
    first = [await ask(), await ask()]
    clock.now += 60

    assert first == ["value-ada-1"] * 2
    assert await ask() == "value-ada-2"


async def test_a_value_that_is_refused_is_fetched_again(kept: TokenCache[str, str]) -> None:
    """A caller that cannot use the kept value gets a new one, which is kept from then on."""
    well = Well()
    fetch = partial(well.fetch, "ada")
    await kept.get("ada", fetch)
    renewed = await kept.get("ada", fetch, acceptable=lambda value: value != "value-ada-1")

    assert renewed == await kept.get("ada", fetch) == "value-ada-2"


async def test_the_one_used_longest_ago_goes_first(kept: TokenCache[str, str]) -> None:
    """The cache never exceeds its bound: the value used longest ago is dropped first."""
    well = Well()
    for key in ("ada", "grace", "ada", "alan"):
        await kept.get(key, partial(well.fetch, key))
    await kept.get("ada", partial(well.fetch, "ada"))

    assert len(kept) == 2
    assert well.asked == ["ada", "grace", "alan"]


async def test_a_caller_who_is_cancelled_takes_nothing_along(kept: TokenCache[str, str]) -> None:
    """When a caller is cancelled, the others who wait for the same fetch get its value."""
    well = Well()
    well.gate.clear()
    one, other = (asyncio.create_task(kept.get("ada", partial(well.fetch, "ada"))) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait([one])
    well.gate.set()

    assert one.cancelled()
    assert await other == "value-ada-1"


async def test_a_failure_is_kept_for_nobody(kept: TokenCache[str, str]) -> None:
    """All who waited for a fetch that failed get its error, and the next caller fetches again."""
    well = Well(failure=LookupError)
    ask = partial(kept.get, "ada", partial(well.fetch, "ada"))
    failed = await asyncio.gather(ask(), ask(), return_exceptions=True)
    well.failure = None

    assert [type(error) for error in failed] == [LookupError] * 2
    assert await ask() == "value-ada-2"


async def test_a_failure_leaves_nothing_to_the_collector(kept: TokenCache[str, str]) -> None:
    """After a failed fetch the objects in the caller's frame are freed without the collector."""

    class Personal:
        pass

    async def ask() -> weakref.ref[Personal]:
        personal = Personal()
        with suppress(LookupError):
            await kept.get("ada", partial(Well(failure=LookupError).fetch, "ada"))
        return weakref.ref(personal)

    gc.collect()
    gc.disable()
    try:
        left = await ask()
        await asyncio.sleep(0)
        alive = left()
    finally:
        gc.enable()

    assert alive is None
