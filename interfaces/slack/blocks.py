"""Posts as blocks: Markdown for answers, and cards with buttons (https://docs.slack.dev/reference/block-kit)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.reply import Button, ButtonStyle, ReplyContent
from interfaces.slack.markdown import safe_markdown

Block = dict[str, Any]

ACTION = "deputy"  # begins the ids of our buttons
_CARD = "deputy_card"  # begins the id of a card's row of buttons
_LABEL_LENGTH = 75  # characters
_BUTTONS_AT_MOST = 25
_STYLES = {ButtonStyle.PRIMARY: "primary", ButtonStyle.DANGER: "danger"}


def blocks_of(content: ReplyContent, posts: Sequence[str], user: str) -> list[list[Block]]:
    """Return the blocks of each post of a reply.

    A reply with buttons is a card: its text is shown character by character, because a person decides by it, and the
    buttons are below its last post. Any other reply is Markdown.

    Args:
        content: The reply.
        posts: Its text, cut into posts.
        user: The id of the person whom it is for.
    """
    if not content.buttons:
        return [[{"type": "markdown", "text": safe_markdown(post)}] for post in posts]
    urls = [button.url for button in content.buttons if button.url is not None]
    cards: list[list[Block]] = [[_exact(post, urls)] for post in posts]
    cards[-1].append(buttons_of(content.buttons, user))
    return cards


def buttons_of(buttons: Sequence[Button], user: str) -> Block:
    """Return a row of buttons for a person."""
    return {
        "type": "actions",
        "block_id": f"{_CARD}:{user}",
        "elements": [_button(button, number) for number, button in enumerate(buttons[:_BUTTONS_AT_MOST])],
    }


def is_for(block_id: object, user: str) -> bool:
    """Return whether a row of buttons is for this person."""
    return block_id == f"{_CARD}:{user}"


def decided(blocks: object, words: str) -> list[Block]:
    """Return the blocks of a card with these words in place of its buttons."""
    kept = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    rest = [block for block in kept if block.get("type") != "actions"]
    return [*rest, {"type": "context", "elements": [{"type": "plain_text", "text": words, "emoji": False}]}]


def _button(button: Button, number: int) -> Block:
    # Slack cuts nothing, but refuses what is too long.
    label = button.label if len(button.label) <= _LABEL_LENGTH else f"{button.label[: _LABEL_LENGTH - 1]}…"
    goes_to: Mapping[str, str] = {"url": button.url} if button.url is not None else {"value": str(button.command)}
    style = {"style": _STYLES[button.style]} if button.style in _STYLES else {}
    text = {"type": "plain_text", "text": label, "emoji": False}
    return {"type": "button", "action_id": f"{ACTION}_{number}", "text": text, **goes_to, **style}


def _exact(post: str, urls: Sequence[str]) -> Block:
    """Return a block that shows a text as it is: no markup, no emoji and no escapes are read in it."""
    elements = [*_elements(post, urls)]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def _elements(text: str, urls: Sequence[str]) -> Iterator[Block]:
    """Yield the text, in which only the addresses of buttons are links."""
    url = next((url for url in urls if url in text), None)
    if url is None:
        if text:
            yield {"type": "text", "text": text}
        return
    before, _, after = text.partition(url)
    yield from _elements(before, urls)
    yield {"type": "link", "url": url}
    yield from _elements(after, urls)
