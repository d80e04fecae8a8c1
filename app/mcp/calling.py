"""One call of one tool over a client, and what its failure means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import anyio
import mcp_types
from mcp import Client, MCPError
from pydantic import Field, TypeAdapter, ValidationError

from app.errors import ToolError
from app.mcp.step_up import WANTS_SCOPES
from app.oauth.challenge import scopes_in
from app.toolkits.asides import with_aside
from app.toolkits.untrusted import Quotes

_Result = Annotated[
    mcp_types.InputRequiredResult | mcp_types.CallToolResult, Field(union_mode="left_to_right")
]  # the first takes only what says that it is one
_RESULT: TypeAdapter[mcp_types.InputRequiredResult | mcp_types.CallToolResult] = TypeAdapter(_Result)
_NOT_RUN = frozenset({mcp_types.METHOD_NOT_FOUND, mcp_types.INVALID_PARAMS, mcp_types.HEADER_MISMATCH})
_SESSION_OVER = "Session terminated"  # the SDK's words for a 404 in a session of an older protocol
_MAX_REASON = 300  # characters


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
    """

    server: str
    tool: str
    arguments: dict[str, Any]
    acts: bool
    seconds: float
    steps_up: bool = False

    @property
    def maybe_done(self) -> str:
        """Return the words about the effect of a call that was interrupted."""
        return " I do not know whether it took effect, and did not repeat it." if self.acts else ""


async def call(client: Client, asked: ToolCall) -> mcp_types.CallToolResult:
    """Make a call once and return the server's result, which may say that the tool failed.

    Raises:
        LostError: The connection ended; the client is of no further use.
        MoreScopesError: The person can be asked for what the token lacks.
        ToolError: The server refused the call, gave no answer in time, or asks for more first.
    """
    request = mcp_types.CallToolRequest(
        params=mcp_types.CallToolRequestParams(name=asked.tool, arguments=asked.arguments)
    )
    try:
        # Not `session.call_tool`: that runs the server's output schema, whose patterns may take for ever.
        result = await client.session.send_request(request, _RESULT, request_read_timeout_seconds=asked.seconds)
    except MCPError as error:
        raise _failure(asked, error) from None
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        raise LostError(is_undone=True) from None
    except (ValidationError, ValueError):
        raise ToolError(f"The server {asked.server} gave an answer that I cannot read.{asked.maybe_done}") from None
    if isinstance(result, mcp_types.InputRequiredResult):
        raise ToolError(_asks(asked, result))
    return result


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


def _asks(asked: ToolCall, result: mcp_types.InputRequiredResult) -> str:
    questions = [
        request.params.message
        for request in (result.input_requests or {}).values()
        if isinstance(request, mcp_types.ElicitRequest)
    ]
    return _cannot_answer(asked, Quotes().quote(" ".join(" ".join(questions)[:_MAX_REASON].split())))


def _cannot_answer(asked: ToolCall, question: str = "") -> str:
    return with_aside(
        f"The server {asked.server} asks something before it goes on, and I cannot answer such questions yet"
        + (f": {question}" if question else "")
        + ". Nothing was done.",
        "Tell the person; the tool may take the answer as an argument.",
    )
