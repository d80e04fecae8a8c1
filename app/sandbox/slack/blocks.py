"""The blocks of posts and views, held to the documented limits (https://docs.slack.dev/reference/block-kit/blocks)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.sandbox.slack.places import SlackError

MAX_BLOCKS = {"message": 50, "home": 100}
MAX_MARKDOWN = 12_000  # characters of all markdown blocks together
MAX_BLOCKS_LENGTH = 13_200  # characters of JSON; not documented, but reported: github.com/slackapi/bolt-js/issues/2509
_TEXT_LENGTH = {"section": 3000, "header": 150, "context": 2000, "button": 75}
_ID_LENGTH, _VALUE_LENGTH, _URL_LENGTH = 255, 2000, 3000
_ELEMENTS = {"actions": 25, "context": 10}
_KEYS = {
    "actions": {"elements"},
    "context": {"elements"},
    "divider": set[str](),
    "header": {"text"},
    "markdown": {"text"},
    "rich_text": {"elements"},
    "section": {"text"},
}
_BUTTON_KEYS = {"type", "action_id", "text", "value", "url", "style"}
_RICH_TEXT = {"text": {"type", "text", "style"}, "link": {"type", "url", "text", "style"}}


def check_blocks(blocks: object, surface: str = "message") -> list[dict[str, Any]]:
    """Return blocks that Slack accepts.

    Args:
        blocks: The value of the argument.
        surface: ``message`` or ``home``.

    Raises:
        SlackError: Slack would refuse them.
    """
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    if len(blocks) > MAX_BLOCKS[surface]:
        raise SlackError("invalid_blocks")
    for block in blocks:
        _check_block(block)
    markdown = [block["text"] for block in blocks if block["type"] == "markdown"]
    if markdown and surface != "message":
        raise SlackError("invalid_blocks")
    if sum(map(len, markdown)) > MAX_MARKDOWN or len(json.dumps(blocks, ensure_ascii=False)) > MAX_BLOCKS_LENGTH:
        raise SlackError("msg_blocks_too_long")
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    actions = [button["action_id"] for button in buttons_in(blocks)]
    if len(set(ids)) != len(ids) or len(set(actions)) != len(actions):
        raise SlackError("invalid_blocks")
    return blocks


def buttons_in(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield every button, with the id of its block as ``block_id``."""
    for block in blocks:
        if block["type"] == "actions":
            yield from ({**element, "block_id": block.get("block_id", "")} for element in block["elements"])


def shown_text(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return the text that people read in blocks: Markdown as it is written, buttons in brackets."""
    lines = []
    for block in blocks:
        match block["type"]:
            case "markdown":
                lines.append(block["text"])
            case "section" | "header":
                lines.append(block["text"]["text"])
            case "context":
                lines += [element["text"] for element in block["elements"]]
            case "rich_text":
                lines += ["".join(map(_rich, part["elements"])) for part in block["elements"]]
            case "actions":
                lines.append(" ".join(f"[{element['text']['text']}]" for element in block["elements"]))
    return "\n".join(lines)


def _rich(element: Mapping[str, Any]) -> str:
    return str(element.get("text") or element.get("url") or "")


def _require(condition: bool) -> None:
    if not condition:
        raise SlackError("invalid_blocks")


def _check_block(block: Mapping[str, Any]) -> None:
    kind = block.get("type")
    _require(kind in _KEYS)
    assert isinstance(kind, str)
    _require(set(block) - {"type", "block_id"} == _KEYS[kind])
    _require(len(str(block.get("block_id", ""))) <= _ID_LENGTH)
    if kind == "markdown":
        _require(isinstance(block["text"], str) and bool(block["text"]))
    elif "text" in block:
        _check_text(block["text"], kind, plain=kind == "header")
    elif kind == "rich_text":
        _check_rich_text(block["elements"])
    elif kind in _ELEMENTS:
        _require(isinstance(block["elements"], list) and 0 < len(block["elements"]) <= _ELEMENTS[kind])
        for element in block["elements"]:
            if kind == "actions":
                _check_button(element)
            else:
                _check_text(element, kind)


def _check_text(text: object, kind: str, *, plain: bool = False) -> None:
    _require(isinstance(text, dict) and text.get("type") in (("plain_text",) if plain else ("plain_text", "mrkdwn")))
    assert isinstance(text, dict)
    _require(set(text) <= ({"type", "text", "emoji"} if text["type"] == "plain_text" else {"type", "text", "verbatim"}))
    _require(isinstance(text.get("text"), str) and 0 < len(text["text"]) <= _TEXT_LENGTH[kind])


def _check_button(button: object) -> None:
    _require(isinstance(button, dict) and button.get("type") == "button" and set(button) <= _BUTTON_KEYS)
    assert isinstance(button, dict)
    _check_text(button.get("text"), "button", plain=True)
    _require(isinstance(button.get("action_id"), str) and 0 < len(button["action_id"]) <= _ID_LENGTH)
    _require(0 < len(button.get("value", "x")) <= _VALUE_LENGTH)
    _require(len(button.get("url", "https://")) <= _URL_LENGTH and button.get("url", "https://").startswith("http"))
    _require(button.get("style", "primary") in ("primary", "danger"))


def _check_rich_text(sections: object) -> None:
    _require(isinstance(sections, list) and bool(sections))
    assert isinstance(sections, list)
    for section in sections:
        _require(isinstance(section, dict) and set(section) == {"type", "elements"})
        _require(section["type"] in ("rich_text_section", "rich_text_preformatted", "rich_text_quote"))
        _require(isinstance(section["elements"], list) and bool(section["elements"]))
        for element in section["elements"]:
            _require(isinstance(element, dict) and element.get("type") in _RICH_TEXT)
            _require(set(element) <= _RICH_TEXT[element["type"]])
            required = element.get("url" if element["type"] == "link" else "text")
            _require(isinstance(required, str) and bool(required))
