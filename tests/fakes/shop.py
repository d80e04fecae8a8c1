"""An MCP server that asks its person something in the middle of a call (`input_required`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mcp_types
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context

from tests.fakes.mcp_server import PersonalOffice, owner_in

COPIES = {"type": "integer", "title": "Copies", "minimum": 1, "maximum": 10}


class Shop(PersonalOffice):
    """A server whose tool `order` asks for the number of copies before it orders, and does not store the answers.

    Attributes:
        orders: The person, the book and the answers of each order.
        rounds: The fields to ask for, one item for each round.
        message: The question.
        pages: The address of a page to open instead of answering; None to ask for fields.
        seen: Each request state that came back.
    """

    def __init__(self, whose: Callable[[str], str | None] = owner_in) -> None:
        super().__init__(whose)
        self.orders: list[tuple[str, str, list[Any]]] = []
        self.rounds: list[dict[str, Any]] = [{"copies": COPIES}]
        self.message = "How many?"
        self.pages: str | None = None
        self.seen: list[str] = []

    def server(self) -> MCPServer:
        """Return a new server that knows people and their orders."""
        server = super().server()
        self.add_to(server)
        return server

    def add_to(self, server: MCPServer, *, known: bool = True) -> None:
        """Give a server the tool; one that does not know people calls everybody ``somebody``."""

        async def order(book: str, context: Context[Any, Any]) -> str | mcp_types.InputRequiredResult:
            name = self.caller() if known else "somebody"
            state = context.request_state or f"{name}|{book}|"
            if context.request_state is not None:
                self.seen.append(state)
            whose, what, said = state.split("|")
            given = (context.input_responses or {}).get("ask")
            if isinstance(given, mcp_types.ElicitResult):
                said += f"{given.action}{given.content};"
            answers = said.split(";")[:-1]
            if (whose, what) != (name, book):
                return "that is another order"
            if len(answers) < (1 if self.pages else len(self.rounds)):
                ask = mcp_types.ElicitRequest(params=self._params(len(answers)))
                return mcp_types.InputRequiredResult(input_requests={"ask": ask}, request_state=f"{name}|{book}|{said}")
            self.orders.append((name, book, answers))
            return f"{name} ordered {book}: {answers}"

        server.add_tool(order, description="Order a book.")

    def caller(self) -> str:
        """Return the person whose call this is."""
        token = get_access_token()
        assert token is not None
        return token.subject or ""

    def _params(self, number: int) -> mcp_types.ElicitRequestParams:
        if self.pages:
            return mcp_types.ElicitRequestURLParams(message=self.message, url=self.pages)
        schema = {"type": "object", "properties": self.rounds[number], "required": [*self.rounds[number]]}
        return mcp_types.ElicitRequestFormParams(message=self.message, requested_schema=schema)
