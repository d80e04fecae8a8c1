"""The buttons below messages that one person sees alone, on each channel that has groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import httpx2

from app.sandbox.slack.blocks import buttons_in
from app.sandbox.slack.clicks import post_interaction, press
from app.sandbox.telegram.chats import BotMessage
from tests.contract.channels import Sender, telegram_id, whatsapp_person
from tests.fakes.server import Server, direct, user


class Buttons(Protocol):
    """The buttons of a channel."""

    def labels(self, sender: Sender) -> list[str]:
        """Return the labels of the buttons that this person was shown last, alone with the assistant."""
        ...

    async def press(self, sender: Sender, label: str, *, of: Sender | None = None) -> httpx2.Response:
        """Press the button with this label on the person's last card, or as if they had been shown the card of `of`."""
        ...


class SlackButtons:
    """Slack: buttons in the blocks of a post."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def labels(self, sender: Sender) -> list[str]:
        post = next(post for post in reversed(self._server.posted(direct(sender.name))) if [*buttons_in(post.blocks)])
        return [button["text"]["text"] for button in buttons_in(post.blocks)]

    async def press(self, sender: Sender, label: str, *, of: Sender | None = None) -> httpx2.Response:
        posts = self._server.posted(direct((of or sender).name))
        post = next(post for post in reversed(posts) if [*buttons_in(post.blocks)])
        seen = replace(post, channel=direct(sender.name))
        payload = press(self._server.slack, seen, label, user=user(sender.name))
        return await post_interaction(self._server.slack, self._server.client, "/slack/interactions", payload)


class TelegramButtons:
    """Telegram: an inline keyboard below a message."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._telegram = server.telegram

    def labels(self, sender: Sender) -> list[str]:
        return [button["text"] for row in self._card(sender).keyboard for button in row]

    async def press(self, sender: Sender, label: str, *, of: Sender | None = None) -> httpx2.Response:
        seen = replace(self._card(of or sender), chat_id=telegram_id(sender.name))
        update = self._telegram.people.press(telegram_id(sender.name), seen, label)
        return await self._telegram.people.post(self._server.client, update)

    def _card(self, sender: Sender) -> BotMessage:
        shown = self._telegram.chats.in_chat(telegram_id(sender.name))
        return next(message for message in reversed(shown) if message.keyboard)


class WhatsAppButtons:
    """WhatsApp: up to three buttons or a list, which are not shown in groups."""

    def __init__(self, server: Server) -> None:
        self._whatsapp = server.whatsapp
        self._client = server.client

    def labels(self, sender: Sender) -> list[str]:
        return [*self._replies(sender)]

    async def press(self, sender: Sender, label: str, *, of: Sender | None = None) -> httpx2.Response:
        person = whatsapp_person(sender)
        kind, button_id = self._replies(of or sender)[label]
        message = self._whatsapp.pressed(person, button_id, label, kind=kind)
        return await self._whatsapp.post(self._client, "/whatsapp/webhook", self._whatsapp.batch(([person], [message])))

    def _replies(self, sender: Sender) -> dict[str, tuple[str, str]]:
        """Return the kind and the id of each reply that the person's last card offers, by its title."""
        person = whatsapp_person(sender)
        cards: list[Mapping[str, Any]] = [
            each.request["interactive"]["action"]
            for each in self._whatsapp.shown
            if each.recipient in (person.number, person.bsuid) and "interactive" in each.request
        ]
        buttons = [("button_reply", button["reply"]) for button in cards[-1].get("buttons", ())]
        rows = [("list_reply", row) for section in cards[-1].get("sections", ()) for row in section["rows"]]
        return {reply["title"]: (kind, reply["id"]) for kind, reply in (*buttons, *rows)}


BUTTONS: Mapping[str, Callable[[Server], Buttons]] = {
    "slack": SlackButtons,
    "telegram": TelegramButtons,
    "whatsapp": WhatsAppButtons,
}
