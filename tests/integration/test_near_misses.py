"""Help, and messages that resemble a command: they are answered with what to write, without calling the model."""

from __future__ import annotations

import pytest
from pydantic_ai.messages import ModelMessage

from app.approvals.approvals import ApprovalState
from app.database.database import Database
from app.keys.ring import KeyRing
from app.principal import Principal
from containers.testing import answering, call, prompts, scripted
from tests.fakes.core_server import CoreServer
from tests.integration.test_confirming import signs_in

COMMANDS = ("connect google", "accounts", "disconnect google", "confirm", "approve", "stop", "new conversation")
SHOUT = scripted([call("letters_shout", "1", text="hey")])


class Asked:
    """A model that records its prompts.

    Attributes:
        prompts: The prompts, in order.
    """

    def __init__(self) -> None:
        self.prompts: list[str] = []

    async def model(self, messages: list[ModelMessage]) -> str:
        """Record the prompt, and answer."""
        self.prompts.append(prompts(messages)[-1])
        return "from the model"


@pytest.fixture
def asked() -> Asked:
    """Return a model that was not asked anything yet."""
    return Asked()


@pytest.fixture
def server(database: Database, key_ring: KeyRing, asked: Asked) -> CoreServer:
    """Return a server whose model calls no tools."""
    return CoreServer(database, key_ring, model=answering(asked.model))


async def reply(server: CoreServer, person: Principal, text: str) -> str:
    """Return the reply to this text."""
    return str((await server.ask(person, text, person.user)).answer)


async def asks_for_approval(database: Database, key_ring: KeyRing, *people: Principal) -> list[str]:
    """Let each of these people's assistants ask for one approval, and return the codes."""
    server = CoreServer(database, key_ring, model=SHOUT)
    return [(await server.codes(await server.ask(person, "go", f"{person.user}-go")))[0] for person in people]


@pytest.mark.parametrize("text", ["help", "Help!", "`help`", "*help*", "/help", "help?"])
async def test_help_is_a_command_beside_any_model(server: CoreServer, asked: Asked, ada: Principal, text: str) -> None:
    """`help` lists what the person's assistant can do and every command, without calling the model."""
    told = await reply(server, ada, text)

    assert "looking at the clock" in told
    assert all(f"`{command}`" in told for command in COMMANDS)
    assert asked.prompts == []


async def test_the_demo_model_is_introduced(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """With the demo model, `help` also says what that understands."""
    told = await reply(CoreServer(database, key_ring), ada, "help")

    assert "demo model" in told
    assert "letters_clock" in told
    assert "`new conversation`" in told


NEAR_AN_APPROVAL = ["approve", "`approve`", "*Approve*.", "deny", "yes", "Yes.", "ok", "no", "go ahead"]
WITH_ITS_CODE = [
    "{}",
    "`{}`",
    "**{}**.",
    "yes {}",
    "please approve {}, thanks",
    "aprove {}",
    "{}?",
    "approve {} now " * 40,
]


@pytest.mark.parametrize("text", [*NEAR_AN_APPROVAL, *WITH_ITS_CODE])
async def test_what_comes_near_a_decision_is_answered_with_how_to_decide(
    server: CoreServer, database: Database, key_ring: KeyRing, asked: Asked, ada: Principal, grace: Principal, text: str
) -> None:
    """A message that resembles a decision is answered with the person's own code, and decides nothing."""
    mine, hers = await asks_for_approval(database, key_ring, ada, grace)
    said = text.replace("{}", mine)
    told = await reply(server, ada, said)
    await server.ask(grace, f"deny {hers}", "d")
    to_grace = await reply(server, grace, said)

    assert f"To decide, send me only `approve {mine}` or `deny {mine}`." in told
    assert asked.prompts in ([], [said])
    assert [approval.state for approval in await server.approvals.pending(ada)] == [ApprovalState.PENDING]
    assert "To decide" not in to_grace


@pytest.mark.parametrize(
    ("text", "told"), [("approve", "Nothing waits"), ("yes", "from the model"), ("no", "from the")]
)
async def test_without_a_question_a_yes_is_for_the_assistant(
    server: CoreServer, ada: Principal, text: str, told: str
) -> None:
    """If nothing waits for a decision, only `approve` and `deny` are commands, and "yes" goes to the model."""
    assert told in await reply(server, ada, text)


async def test_several_questions_are_all_named(
    server: CoreServer, database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A vague "yes" is answered with all of the person's pending codes, and a decided code says that it was decided."""
    (hers,) = await asks_for_approval(database, key_ring, grace)
    codes = [(await asks_for_approval(database, key_ring, ada))[0]]
    second = CoreServer(database, key_ring, model=SHOUT)
    codes += await second.codes(await second.ask(ada, "go", "another"))
    told = await reply(server, ada, "yes")
    await reply(server, ada, f"deny {codes[0]}")

    assert all(f"`{code}`" in told for code in codes)
    assert hers not in told
    assert await reply(server, ada, codes[0]) == f"`{codes[0]}` is no longer open: you denied it a few seconds ago."


@pytest.mark.parametrize(
    "text",
    [
        "confirm", "`Confirm`.", "code", "here it is: K7P2-QX9M", "is it k7p2qx9m", "please confrim K7P2QX9M",
        "I was shown this on the page: K7P2-QX9M. " + "What shall I do with it? " * 20,
    ],
)  # fmt: skip
async def test_a_code_of_a_sign_in_reaches_no_model(
    server: CoreServer, database: Database, key_ring: KeyRing, asked: Asked, ada: Principal, grace: Principal, text: str
) -> None:
    """While a sign-in waits for its code, a near miss is answered with how to confirm, and uses up no try."""
    parking = CoreServer(database, key_ring)
    code = await signs_in(parking, await parking.ask(ada, "/letters_read", "elsewhere"))
    told, hers = await reply(server, ada, text), await reply(server, grace, text)

    assert told == "To finish connecting, send me only `confirm` and the code from the page, and nothing else."
    assert "To finish connecting" not in hers
    assert len(asked.prompts) == ("from the model" in hers)
    assert "Connected: ada@example.com." in await reply(parking, ada, f"confirm {code}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("confirm", "No sign-in of yours waits for a code."),
        ("connect", "who you are"),
        ("**connect**.", "who you are"),
        ("/connect google", "who you are"),
        ("connect gmail", "who you are"),
        ("accounts", "You have no Google account connected."),
        ("new chat", "send me `new conversation`"),
        ("Reset.", "send me `new conversation`"),
        ("`new conversation`", "I have forgotten what we said here."),
    ],
)
async def test_what_comes_near_another_command_is_understood_or_hinted_at(
    server: CoreServer, asked: Asked, ada: Principal, text: str, told: str
) -> None:
    """A near miss that can mean only one harmless thing is carried out; otherwise the reply names the command."""
    assert told in await reply(server, ada, text)
    assert asked.prompts == []


@pytest.mark.parametrize("text", ["connect the dots for me", "reset my expectations", "confirm the meeting with bob"])
async def test_sentences_are_for_the_assistant(server: CoreServer, asked: Asked, ada: Principal, text: str) -> None:
    """A sentence that contains a word of a command goes to the model."""
    assert await reply(server, ada, text) == "from the model"
    assert asked.prompts == [text]
