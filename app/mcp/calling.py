"""One call of one tool over a client, and what its failure means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
import mcp_types
from mcp import Client, MCPError
from pydantic import Field, TypeAdapter, ValidationError

from app.errors import ToolError
from app.mcp.open_questions import UNANSWERED, OpenQuestions
from app.mcp.questions import question_in, responses
from app.mcp.step_up import WANTS_SCOPES
from app.oauth.challenge import scopes_in
from app.toolkits.asides import with_aside
from app.toolkits.questions import Resumption
from app.toolkits.untrusted import Quotes

_Result = Annotated[
    mcp_types.InputRequiredResult | mcp_types.CallToolResult, Field(union_mode="left_to_right")
]  # the first takes only what says that it is one
_RESULT: TypeAdapter[mcp_types.InputRequiredResult | mcp_types.CallToolResult] = TypeAdapter(_Result)
_NOT_RUN = frozenset({mcp_types.METHOD_NOT_FOUND, mcp_types.INVALID_PARAMS, mcp_types.HEADER_MISMATCH})
_SESSION_OVER = "Session terminated"  # the SDK's words for a 404 in a session of an older protocol
_MAX_REASON = 300  # characters
_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)  # before a call that a server has answered with its state alone


class LostError(Exception):
    """The connection ended during a call.

    Attributes:
        is_undone: The call certainly did not reach the server's tool.
    """

    def __init__(self, *, is_undone: bool) -> None:
        super().__init__()
        self.is_undone = is_undone


class MoreScopesError(Exception):
    """The server has refused a call, because the token permits too little.

    Attributes:
        oauth_scopes: The scopes that it would need.
    """

    def __init__(self, oauth_scopes: frozenset[str]) -> None:
        super().__init__()
        self.oauth_scopes = oauth_scopes


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as a server is sent it.

    Attributes:
        server: The server's name in the settings.
        tool: The tool's name at the server.
        acts: The call may change something.
        seconds: Maximum time for it.
        steps_up: The person can be asked for the OAuth scopes that the server wants.
        goes_on: The server's state and the person's answers, if this is the same call made again with them.
        url: The server's address, if it has one.
        knows_people: The call carries its person's own token.
    """

    server: str
    tool: str
    arguments: dict[str, Any]
    acts: bool
    seconds: float
    steps_up: bool = False
    goes_on: Resumption | None = None
    url: str | None = None
    knows_people: bool = False

    @property
    def maybe_done(self) -> str:
        """Return the words about the effect of a call that was interrupted."""
        return " I do not know whether it took effect, and did not repeat it." if self.acts else ""


async def call(client: Client, asked: ToolCall) -> mcp_types.CallToolResult:
    """Make a call once and return the server's result, which may say that the tool failed.

    Raises:
        LostError: The connection ended; the client is of no further use.
        MoreScopesError: The person can be asked for what the token lacks.
        AnswerNeededError: The server asks the person something first.
        ToolError: The server refused the call, gave no answer in time, or asks for what nobody is asked for.
    """
    questions = client.elicitation_callback
    before = questions.count if isinstance(questions, OpenQuestions) else 0
    given, state = (responses(asked.goes_on), asked.goes_on.state) if asked.goes_on else (None, None)
    for leg, pause in enumerate((*_PAUSES_SECONDS, None)):
        try:
            result = await _send(client, asked, given, state)
        except LostError as lost:
            raise LostError(is_undone=lost.is_undone and leg == 0) from None
        if isinstance(result, mcp_types.CallToolResult):
            asked_now = isinstance(questions, OpenQuestions) and questions.count > before
            return result.model_copy(update={"meta": {UNANSWERED: asked_now}})
        if result.input_requests:
            raise question_in(asked.server, result, url=asked.url, knows_people=asked.knows_people)
        if pause is not None:  # nothing is asked: the protocol lets the same call be made again with this state
            await asyncio.sleep(pause)
        given, state = None, result.request_state
    raise ToolError(f"The server {asked.server} did not come to an end.{asked.maybe_done}")


async def _send(
    client: Client, asked: ToolCall, given: dict[str, mcp_types.InputResponse] | None, state: str | None
) -> mcp_types.CallToolResult | mcp_types.InputRequiredResult:
    request = mcp_types.CallToolRequest(
        params=mcp_types.CallToolRequestParams(
            name=asked.tool, arguments=asked.arguments, input_responses=given, request_state=state
        )
    )
    try:
        # Not `session.call_tool`: that runs the server's output schema, whose patterns may take for ever.
        return await client.session.send_request(request, _RESULT, request_read_timeout_seconds=asked.seconds)
    except MCPError as error:
        raise _failure(asked, error) from None
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        raise LostError(is_undone=True) from None
    except (ValidationError, ValueError):
        raise ToolError(f"The server {asked.server} gave an answer that I cannot read.{asked.maybe_done}") from None


def _failure(asked: ToolCall, error: MCPError) -> LostError | MoreScopesError | ToolError:
    if error.code == WANTS_SCOPES and (scopes := scopes_in(error.message)):
        return MoreScopesError(frozenset(scopes)) if asked.steps_up else ToolError(_lacks(asked, scopes))
    if error.message == _SESSION_OVER:
        return LostError(is_undone=True)
    if error.code == mcp_types.CONNECTION_CLOSED:
        return LostError(is_undone=False)
    if error.code == mcp_types.REQUEST_TIMEOUT:
        return ToolError(f"The server {asked.server} gave no answer in {asked.seconds:.0f} seconds.{asked.maybe_done}")
    if error.code == mcp_types.MISSING_REQUIRED_CLIENT_CAPABILITY:
        return ToolError(_cannot_answer(asked))
    if error.code == mcp_types.URL_ELICITATION_REQUIRED:
        return ToolError(
            f"The server {asked.server} wants you to open a web page first. I do not pass such links on, because "
            "nobody could tell whose they are. Nothing was done."
        )
    reason = Quotes().quote(" ".join(error.message[:_MAX_REASON].split()))
    undone = error.code in _NOT_RUN
    return ToolError(f"The server {asked.server} refused this: {reason}.{'' if undone else asked.maybe_done}")


def _lacks(asked: ToolCall, scopes: tuple[str, ...]) -> str:
    wanted = Quotes().quote(" ".join(scopes)[:_MAX_REASON])
    return with_aside(
        f"The server {asked.server} wants more permissions for this than I may ask you for: {wanted}. Nothing was "
        f"done. My administrator can add them to `mcp.{asked.server}.oauth_scopes`.",
        "Tell the person; do not try it again.",
    )


def _cannot_answer(asked: ToolCall) -> str:
    return with_aside(
        f"The server {asked.server} asks for more than I give to servers before it does this. Nothing was done.",
        "Tell the person; do not try it again.",
    )
