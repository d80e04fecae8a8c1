"""The metadata documents by which authorization servers know Deputy that have never met it."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse

from app.connections.discovery_registration import client_document
from interfaces.web.interface import callback_url

DOCUMENT_PATH = "/oauth/{provider}/client.json"
_CACHE = {"Cache-Control": "public, max-age=3600"}


def document_url(public_url: str, provider: str) -> str:
    """Return the address of a client's metadata document, which is the client's id."""
    return public_url.rstrip("/") + DOCUMENT_PATH.format(provider=provider)


class ClientDocuments:
    """Serves one document for each provider that may ask for it. Lives as long as the process and is nobody's.

    Args:
        providers: The names of the providers.
        public_url: Where people reach this server.
    """

    def __init__(self, providers: Collection[str], public_url: str) -> None:
        self._documents = {
            name: client_document(document_url(public_url, name), callback_url(public_url, name), public_url)
            for name in providers
        }

    def router(self) -> APIRouter:
        """Return the route."""
        routes = APIRouter()
        routes.add_api_route(DOCUMENT_PATH, self.show, methods=["GET"])
        return routes

    async def show(self, provider: str) -> JSONResponse:
        """Return a provider's document."""
        if provider not in self._documents:
            raise HTTPException(404)
        return JSONResponse(self._documents[provider], headers=_CACHE)
