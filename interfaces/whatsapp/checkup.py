"""Asks Meta about the business number: whether the token is accepted, and whether messages arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages
from app.diagnosis import Diagnosis, fault, ok, remark
from app.errors import UnavailableError, UndeliverableError
from interfaces.whatsapp.graph import GraphApi

TITLE = "WhatsApp"
_TERMS = "Meta forbids a general-purpose assistant as the main purpose of a number, and may close it"
_REMEDIES = {
    "190": "the access token is wrong or has expired: make one of a system user, which does not expire",
    "10": "give the system user's token the permission whatsapp_business_messaging, and the number to the system user",
    "200": "give the system user's token the permission whatsapp_business_messaging, and the number to the system user",
    "100": "no such number belongs to this token: compare interfaces.whatsapp.phone_number_id in the WhatsApp Manager",
    "33": "no such number belongs to this token: compare interfaces.whatsapp.phone_number_id in the WhatsApp Manager",
}
_SUBSCRIBE = (
    "look at WhatsApp, Configuration, in the Meta app: the callback URL has to be verified and messages subscribed"
)


class WhatsAppCheckup:
    """Examines the business number. Lives for one command.

    Args:
        graph: Calls Meta.
        database: Where messages from WhatsApp are kept.
    """

    def __init__(self, graph: GraphApi, database: Database) -> None:
        self._graph = graph
        self._database = database

    async def look(self) -> AsyncIterator[Diagnosis]:
        """Yield what is found: the terms, the token with its number, and whether a message has arrived."""
        yield remark(TITLE, _TERMS, "read docs/whatsapp.md")
        yield await self._number()
        yield await self._webhook()

    async def _number(self) -> Diagnosis:
        try:
            quality = await self._graph.quality()
        except UndeliverableError as error:
            remedy = _REMEDIES.get(error.reason, f"see Meta's page about the error code {error.reason}")
            return fault(TITLE, f"Meta refuses the access token or the number: {error.reason}", remedy)
        except UnavailableError as error:
            return fault(TITLE, f"Meta gave no answer ({error.reason})", "look at the network and HTTPS_PROXY")
        if quality == "RED":
            return remark(TITLE, "Meta rates the number's quality as low", "people blocked or reported it; write less")
        return ok(TITLE, "the access token is accepted for the business number")

    async def _webhook(self) -> Diagnosis:
        last = sa.select(sa.func.max(messages.c.created_at)).where(messages.c.platform == "whatsapp")
        async with self._database.reading() as connection:
            at = (await connection.execute(last)).scalar()
        if at is None:
            return remark(TITLE, "no message has arrived yet; Meta does not say what is subscribed", _SUBSCRIBE)
        return ok(TITLE, "messages have arrived, so the webhook is subscribed")
