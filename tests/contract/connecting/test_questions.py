"""Questions that an MCP server asks in the middle of a call (`input_required`), on each channel that has groups."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.contract.buttons import Buttons
from tests.contract.channels import ChannelDriver, Sender, pair
from tests.fakes.server import Server, eventually
from tests.fakes.shop import COPIES, Shop

pytestmark = pytest.mark.asyncio(loop_scope="package")

GIFT = {"type": "boolean", "title": "Gift"}
PASSED_ON = "Thank you, I'm passing it on."
_CODE = re.compile(r"\b(?:answer|deny) ([0-9a-f]{4,8})\b")


@pytest.fixture(autouse=True)
def orders(shop: Shop) -> None:
    """Forget earlier orders."""
    shop.orders.clear()


async def test_two_people_who_are_asked_at_once_answer_in_words(
    server: Server, channel: ChannelDriver, buttons: Buttons, shop: Shop
) -> None:
    """Two people see only their own question and answer it in words; one person's code does nothing for the other."""
    shop.rounds = [{"copies": COPIES}]
    people = pair()
    ada, grace = people
    told = await _asked_in_a_group(server, channel, people)
    codes = [_code(each) for each in told]
    labels = [buttons.labels(sender) for sender in people]
    await channel.say(grace, f"answer {codes[0]} 9")
    foreign = await channel.next(grace)
    before = [*shop.orders]
    await asyncio.gather(channel.say(ada, f"answer {codes[0]} 3"), channel.say(grace, f"answer {codes[1]} 4"))
    heard = [{await channel.next(sender) for _ in range(2)} for sender in people]

    for words, code in zip(told, codes, strict=True):
        assert words.startswith("The server office asks you, in its own words:\n")
        assert "How many?" in words
        assert "Copies (a whole number from 1 up to 10)" in words
        assert f"`answer {code}` and your answer" in words
    assert labels == [["No answer"]] * 2
    assert (_plain(foreign), before) == (f"You have no pending approval {codes[0]}.", [])
    assert [PASSED_ON in each for each in heard] == [True, True]
    for sender, account, each in zip(people, ("ada", "grace"), heard, strict=True):
        assert any(f"{account} ordered {sender.name}" in words for words in each)
    assert sorted(shop.orders) == [
        ("ada", ada.name, ["accept{'copies': 3}"]),
        ("grace", grace.name, ["accept{'copies': 4}"]),
    ]
    assert channel.public(f"shop{ada.name}") == []


async def test_a_press_answers_only_for_the_person_asked(
    server: Server, channel: ChannelDriver, buttons: Buttons, shop: Shop
) -> None:
    """Pressing another person's button answers nothing; two people's own presses answer their own questions."""
    shop.rounds = [{"gift": GIFT}]
    people = pair()
    ada, grace = people
    codes = [_code(each) for each in await _asked_in_a_group(server, channel, people)]
    labels = [buttons.labels(sender) for sender in people]
    await buttons.press(grace, "Yes", of=ada)
    foreign = await channel.next(grace)
    before = [*shop.orders]
    await asyncio.gather(buttons.press(ada, "Yes"), buttons.press(grace, "No"))
    heard = [{await channel.next(sender) for _ in range(2)} for sender in people]

    assert labels == [["Yes", "No", "No answer"]] * 2
    assert (_plain(foreign), before) == (f"You have no pending approval {codes[0]}.", [])
    assert [PASSED_ON in each for each in heard] == [True, True]
    assert sorted(shop.orders) == [
        ("ada", ada.name, ["accept{'gift': True}"]),
        ("grace", grace.name, ["accept{'gift': False}"]),
    ]
    assert channel.public(f"shop{ada.name}") == []


async def test_choices_are_shown_to_the_letter_and_pressed(
    server: Server, channel: ChannelDriver, buttons: Buttons, shop: Shop
) -> None:
    """No channel reads a server's words as its own markup, and a choice without a title is shown by its value."""
    named = {"init": "__init__", "link": "*b* [c](//d.example)", "head": "# e", "plain": ""}
    shop.rounds = [{"paper": {"type": "string", "oneOf": [{"const": each, "title": named[each]} for each in named]}}]
    people = pair()
    ada, grace = people
    told = await _asked_in_a_group(server, channel, people)
    shown = ["__init__", "*b* [c](//d.example)", "# e", "plain"]
    labels = [buttons.labels(sender) for sender in people]
    await asyncio.gather(buttons.press(ada, shown[1]), buttons.press(grace, shown[3]))
    heard = [{await channel.next(sender) for _ in range(2)} for sender in people]

    for words in told:
        assert [f"  {number}. {each}\n" in words for number, each in enumerate(shown, 1)] == [True] * 4
    assert labels == [[*shown, "No answer"]] * 2
    assert [PASSED_ON in each for each in heard] == [True, True]
    assert sorted(shop.orders) == [
        ("ada", ada.name, ["accept{'paper': 'link'}"]),
        ("grace", grace.name, ["accept{'paper': 'plain'}"]),
    ]


async def _asked_in_a_group(server: Server, channel: ChannelDriver, people: tuple[Sender, Sender]) -> list[str]:
    """Let two people with accounts order a book at once in one group, and return the questions each is asked alone."""
    group = f"shop{people[0].name}"
    for sender, account in zip(people, ("ada", "grace"), strict=True):
        await server.connect(channel.principal(sender), account, ("repo",), provider="github")
    await asyncio.gather(*(channel.say(each, f"/office_order book={each.name}", group=group) for each in people))
    told = [await channel.next(sender) for sender in people]
    assert await eventually(lambda: len(channel.directed(group)) == 2)
    return told


def _code(told: str) -> str:
    found = _CODE.search(told)
    assert found is not None, told
    return found[1]


def _plain(told: str) -> str:
    """Return the text without the backticks around a code, which Telegram's messages do not contain."""
    return told.replace("`", "")
