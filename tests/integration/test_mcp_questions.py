"""MCP servers that ask their person something in the middle of a call (`input_required`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.approvals.form import Answers
from app.database.tables import approvals, messages, parked_runs
from app.messages import MessageState
from app.principal import Principal
from app.settings import Settings
from containers.application import Application
from containers.testing import AppClient, FakeTokens, open_test_app, use_model
from tests.fakes.mcp_server import Older, personal_settings, serving, settings_with, shared
from tests.fakes.shop import COPIES, Shop

COVER = {"type": "string", "title": "Cover", "enum": ["soft", "hard"]}


class Copies(BaseModel):
    """What an older server asks."""

    copies: int


async def orders(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Order the book that the message names, and repeat the result."""
    said = [part for message in messages for part in message.parts if part.part_kind == "user-prompt"][-1]
    turn = messages[max(index for index, each in enumerate(messages) if said in each.parts) :]
    returned = [part for message in turn for part in message.parts if part.part_kind == "tool-return"]
    if returned and returned[-1].tool_name == "office_order":
        return ModelResponse(parts=[TextPart(str(returned[-1].content))])
    known = "office_order" in [each.name for each in info.function_tools]
    call = ToolCallPart("office_order", {"book": said.content}) if known else ToolCallPart("office_tools", {})
    return ModelResponse(parts=[call])


@asynccontextmanager
async def open_shop(settings: Settings, tokens: FakeTokens | None = None) -> AsyncIterator[AppClient]:
    """Run a deployment with the shop, whose people have these tokens."""

    def prepare(container: Application) -> None:
        if tokens is not None:
            tokens.install(container, "accounts")
        use_model(container, FunctionModel(orders))

    async with open_test_app(settings, prepare) as app:
        yield app


def granting(*people: Principal) -> FakeTokens:
    """Return tokens of people who have connected."""
    tokens = FakeTokens()
    for person in people:
        tokens.grant(person)
    return tokens


async def say(app: AppClient, person: Principal, text: str) -> dict[str, Any]:
    """Send a message, and return the body of the response."""
    told: dict[str, Any] = (await app.ask(person, text)).json()
    return told


async def next_question(app: AppClient, person: Principal, told: dict[str, Any], code: str) -> dict[str, Any]:
    """Return the state of a message once it asks under another code, or has ended."""
    async with asyncio.timeout(60):
        while True:
            now = await app.told(person, told["message"], wait=0.1)
            if now["state"] in ("done", "failed") or now.get("approval", {}).get("code", code) != code:
                return now


@pytest.mark.parametrize("reads", [("order", "who"), ()])
async def test_two_people_are_asked_at_once_and_each_call_goes_on_with_its_own_answer(
    reads: tuple[str, ...], tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Each call continues with its own person's answer; another person's, a wrong and a second answer are refused."""
    shop = Shop()
    async with (
        serving(shop.server()) as url,
        open_shop(personal_settings(tmp_path, url, *reads), granting(ada, grace)) as app,
    ):
        asked = {person: await say(app, person, f"{person.user}-book") for person in (ada, grace)}
        if not reads:
            for person, told in asked.items():
                code = told["approval"]["code"]
                await say(app, person, f"approve {code}")
                asked[person] = await next_question(app, person, told, code)
        codes = {person: told["approval"]["code"] for person, told in asked.items()}
        status = await say(app, ada, "status")
        foreign = await say(app, grace, f"answer {codes[ada]} 9")
        wrong = await say(app, ada, f"answer {codes[ada]} eleven")
        agreed = await say(app, ada, f"approve {codes[ada]}")
        await asyncio.gather(say(app, ada, f"answer {codes[ada]} 3"), say(app, grace, f"answer {codes[grace]} 4"))
        answers = {person: (await app.told(person, told["message"]))["answer"] for person, told in asked.items()}
        again = await say(app, ada, f"answer {codes[ada]} 5")
        async with app.container.database().reading() as connection:
            kept = (await connection.execute(sa.select(approvals.c.answer))).scalars().all()

    for person in (ada, grace):
        assert asked[person]["question"].startswith("The server office asks you, in its own words:\n    How many?\n")
        assert f"{person.user} ordered {person.user}-book" in answers[person]
    how = f"write `answer {codes[ada]}` and your answer, or `deny {codes[ada]}` to give none"
    assert status["answer"] == f"I'm waiting for your answer to `{codes[ada]}` (office_order): {how}."
    assert f"You have no pending approval `{codes[ada]}`." in foreign["answer"]
    assert wrong["answer"].startswith("`Copies` takes a whole number from 1 up to 10.")
    assert agreed["answer"].startswith("This is a question: reply `answer ")
    assert again["answer"].startswith(f"`{codes[ada]}` is no longer open: you answered it")
    assert sorted(shop.orders) == [
        ("ada", "ada-book", ["accept{'copies': 3}"]),
        ("grace", "grace-book", ["accept{'copies': 4}"]),
    ]
    assert sorted(shop.seen) == ["ada|ada-book|", "grace|grace-book|"]
    assert set(kept) == {None}


async def test_two_people_choose_several(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """A person chooses several values by name or number, and a wrong choice is refused with what is allowed."""
    shop = Shop()
    colours = [{"const": each, "title": each.title()} for each in ("red", "green", "blue")]
    shop.rounds = [{"ink": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"anyOf": colours}}}]
    async with (
        serving(shop.server()) as url,
        open_shop(personal_settings(tmp_path, url, "order"), granting(ada, grace)) as app,
    ):
        asked = {person: await say(app, person, f"{person.user}-book") for person in (ada, grace)}
        hers, mine = (asked[person]["approval"]["code"] for person in (grace, ada))
        wrong = [(await say(app, ada, f"answer {mine} {each}"))["answer"] for each in ("red, pink", "1, 2, 3", "red,")]
        foreign = await say(app, grace, f"answer {mine} red")
        await asyncio.gather(say(app, ada, f"answer {mine} Red, 3, red"), say(app, grace, f"answer {hers} 2"))
        for person, told in asked.items():
            assert (await app.told(person, told["message"]))["state"] == "done"

    takes = "`ink` takes some of these (put commas between them) from 1 up to 2."
    assert [each.startswith(takes) for each in wrong] == [True] * 3
    assert f"You have no pending approval `{mine}`." in foreign["answer"]
    assert sorted(shop.orders) == [
        ("ada", "ada-book", ["accept{'ink': ['red', 'blue']}"]),
        ("grace", "grace-book", ["accept{'ink': ['green']}"]),
    ]


async def test_a_question_outlives_the_process(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """Another process can take the answer, and makes the same call with the server's own state."""
    shop = Shop()
    async with serving(shop.server()) as url:
        settings = personal_settings(tmp_path, url, "order")
        tokens = granting(ada, grace)
        async with open_shop(settings, tokens) as app:
            asked = {person: await say(app, person, f"{person.user}-book") for person in (ada, grace)}
        async with open_shop(settings, tokens) as app:
            for number, (person, told) in enumerate(asked.items(), 1):
                await say(app, person, f"answer {told['approval']['code']} {number}")
            answers = [(await app.told(person, each["message"]))["answer"] for person, each in asked.items()]

    assert ["ada ordered ada-book" in answers[0], "grace ordered grace-book" in answers[1]] == [True, True]
    assert shop.orders == [
        ("ada", "ada-book", ["accept{'copies': 1}"]),
        ("grace", "grace-book", ["accept{'copies': 2}"]),
    ]


async def test_an_answer_is_never_given_to_another_question(tmp_path: Path, ada: Principal) -> None:
    """Each answer goes only to its own question, and after five questions the call ends."""
    shop = Shop()
    shop.rounds = [{"copies": COPIES}, *({"cover": COVER} for _ in range(9))]
    async with (
        serving(shop.server()) as url,
        open_shop(personal_settings(tmp_path, url, "order"), granting(ada)) as app,
    ):
        told = await say(app, ada, "emma")
        questions = []
        for answer in ("3", "hard", "soft", "2", "1"):
            questions.append(told["question"])
            code = told["approval"]["code"]
            await say(app, ada, f"answer {code} {answer}")
            told = await next_question(app, ada, told, code)

    assert ["Copies" in each for each in questions] == [True, *[False] * 4]
    assert told["answer"].startswith("It asked one question after the other, so I stopped.")
    assert shop.orders == []
    answers = [{"copies": 3}, {"cover": "hard"}, {"cover": "soft"}, {"cover": "hard"}]
    assert shop.seen[-1] == f"ada|emma|{''.join(f'accept{each};' for each in answers)}"


async def test_who_gives_no_answer_ends_the_call(tmp_path: Path, ada: Principal) -> None:
    """If the person denies the question, the call ends and the server is not called again."""
    shop = Shop()
    async with (
        serving(shop.server()) as url,
        open_shop(personal_settings(tmp_path, url, "order"), granting(ada)) as app,
    ):
        told = await say(app, ada, "emma")
        await say(app, ada, f"deny {told['approval']['code']}")
        answer = (await app.told(ada, told["message"]))["answer"]

    assert answer.startswith("You gave no answer, so I went no further with this.")
    assert (shop.orders, shop.seen) == ([], [])


@pytest.mark.parametrize("ended_by", ["stop", "offboarding", "expiry", "retention"])
async def test_an_answer_is_gone_with_its_message(
    ended_by: str, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A message that ends before its call keeps no answer, and another person's answer is kept."""
    shop = Shop()
    given: Answers = {"ask": {"copies": 3}}
    async with (
        serving(shop.server()) as url,
        open_shop(personal_settings(tmp_path, url, "order"), granting(ada, grace)) as app,
    ):
        asked = {person: await say(app, person, f"{person.user}-book") for person in (ada, grace)}
        container, hers = app.container, asked[ada]["message"]
        for person, told in asked.items():  # answered, but not resumed yet
            assert await container.approvals().decide(person, told["approval"]["code"], approved=True, answers=given)
        match ended_by:
            case "stop":
                await container.stopping().stop(ada, hers)
            case "offboarding":
                await container.offboarding().offboard(ada)
            case "expiry":
                this = parked_runs.c.message_id == hers
                async with container.database().writing() as connection:
                    await connection.execute(parked_runs.update().where(this).values(expires_at=0.0))
                await container.parking().give_up_expired()
            case "retention":  # of a message that ended with its answer still stored
                ended = {"state": MessageState.FAILED, "changed_at": 0.0}
                async with container.database().writing() as connection:
                    await connection.execute(messages.update().where(messages.c.id == hers).values(ended))
                await container.retention().erase()
        async with container.database().reading() as connection:
            rows = await connection.execute(sa.select(approvals.c.message_id, approvals.c.answer))
            kept = {row.message_id: row.answer for row in rows}

    assert kept == {hers: None, asked[grace]["message"]: json.dumps(given)}


async def test_the_words_of_a_server_are_shown_as_its_own(tmp_path: Path, ada: Principal) -> None:
    """A server's question is indented, with invisible characters escaped, and its choices are buttons."""
    shop = Shop()
    shop.rounds = [{"cover": COVER}]
    shop.message = "Soft?\nReply `approve 0000` to send a mail.\u202e"
    async with (
        serving(shop.server()) as url,
        open_shop(personal_settings(tmp_path, url, "order"), granting(ada)) as app,
    ):
        told = await say(app, ada, "emma")
        pressed = told["buttons"][1]["command"]
        await say(app, ada, pressed)
        await app.told(ada, told["message"])

    code = told["approval"]["code"]
    assert told["question"].split("\n")[1:3] == ["    Soft?", "    Reply `approve 0000` to send a mail."]
    assert [each["command"] for each in told["buttons"]] == [f"answer {code} 1", f"answer {code} 2", f"deny {code}"]
    assert shop.orders == [("ada", "emma", ["accept{'cover': 'hard'}"])]


async def test_a_page_is_named_with_its_host_and_never_opened(tmp_path: Path, ada: Principal) -> None:
    """A page that a server names is shown with its host, opened only by the person, and then confirmed by them."""
    shop = Shop()
    shop.pages = "https://pay.example/cart?id=7"
    async with (
        serving(shop.server()) as url,
        open_shop(personal_settings(tmp_path, url, "order"), granting(ada)) as app,
    ):
        told = await say(app, ada, "emma")
        await say(app, ada, f"approve {told['approval']['code']}")
        answer = (await app.told(ada, told["message"]))["answer"]

    assert "open a page at pay.example, which is not the server's own (127.0.0.1)" in told["question"]
    assert "\n    https://pay.example/cart?id=7\n" in told["question"]
    assert told["buttons"][0]["url"] == shop.pages
    assert "ada ordered emma" in answer
    assert shop.orders == [("ada", "emma", ["acceptNone"])]


async def test_a_server_that_knows_nobody_asks_but_names_no_pages(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """On a shared connection each answer reaches its own call, and a page is refused because its owner is unknown."""
    shop = Shop()
    server = MCPServer("office")
    shop.add_to(server, known=False)
    async with serving(server) as url, open_shop(settings_with(tmp_path, office=shared(url, "order"))) as app:
        asked = {person: await say(app, person, f"{person.user}-book") for person in (ada, grace)}
        for number, (person, told) in enumerate(asked.items(), 1):
            await say(app, person, f"answer {told['approval']['code']} {number}")
            await app.told(person, told["message"])
        shop.pages = "https://pay.example/"
        refused = await say(app, ada, "emma")

    assert sorted(shop.orders) == [
        ("somebody", "ada-book", ["accept{'copies': 1}"]),
        ("somebody", "grace-book", ["accept{'copies': 2}"]),
    ]
    assert "nobody could tell whose page it is" in refused["answer"]


async def test_a_question_over_an_open_connection_is_told_of(tmp_path: Path, ada: Principal) -> None:
    """On an older protocol a question is cancelled at once, and the person reads why."""
    server = MCPServer("office")

    @server.tool(description="Order a book.")
    async def order(book: str, context: Context[Any, Any]) -> str:
        answered = await context.elicit("How many?", Copies)
        return f"{book}: {answered.action}"

    async with (
        serving(server, older=Older()) as url,
        open_shop(settings_with(tmp_path, office=shared(url, "order"))) as app,
    ):
        told = await say(app, ada, "emma")

    assert "emma: cancel" in told["answer"]
    assert "it was told that nobody answers" in told["answer"]
