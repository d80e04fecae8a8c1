"""Markdown in WhatsApp's own markup: https://faq.whatsapp.com/539178204879377.

It knows bold, italic, strikethrough, code, lists and quotes. Anything else is put into words: headings are bold, links
show their address. It has no way to escape a mark; a zero-width space after one that would begin formatting keeps most
apps from taking it for one. Arguments to approve and questions of tools are shown as code, where no mark counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

_MARKS = {
    "strong_open": "*",
    "strong_close": "*",
    "em_open": "_",
    "em_close": "_",
    "s_open": "~",
    "s_close": "~",
    "softbreak": "\n",
    "hardbreak": "\n",
}
_ZERO_WIDTH = "\u200b"
_OPENS = re.compile(r"(?<![^\W_])[*_~`]+(?=\S)")  # a mark at the beginning of a word
_SCHEME = re.compile(r"https?$")
_URL = re.compile(r"://[^\s<>\"]+")
_URL_ENDS = ".,;:!?)]}'*`"
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
_FENCE = "```"
_INDENTED = 4  # blanks before a line of code


def load() -> None:
    """Import the parser before the first answer does; thread-safe."""
    _parser()


def rendered(text: str) -> str:
    """Return Markdown as WhatsApp shows it."""
    blocks = _Blocks(_parser().parse(_laid_out(text)))
    return "\n\n".join(block for block in blocks.until(None) if block.strip())


def exact(text: str) -> str:
    """Return a text by which a person decides; the indented lines, which others wrote, become code."""
    blocks = []
    for is_indented, lines in groupby(text.split("\n"), key=lambda line: line.startswith(" ")):
        block = "\n".join(lines)
        if block.strip():
            blocks.append(f"{_FENCE}\n{_code(_outdented(block))}\n{_FENCE}" if is_indented else rendered(block))
    return "\n\n".join(blocks)


class _Blocks:
    """Renders block tokens in order; lives while a text is rendered."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = iter(tokens)

    def until(self, end: str | None) -> Iterator[str]:
        """Yield the blocks up to the token of this type."""
        for token in self._tokens:
            if token.type == end:
                return
            match token.type:
                case "inline":
                    yield _inline(token.children or ())
                case "heading_open":
                    yield _heading(" ".join(self.until("heading_close")))
                case "paragraph_open":
                    yield "".join(self.until("paragraph_close"))
                case "fence" | "code_block":
                    yield f"{_FENCE}\n{_code(token.content)}\n{_FENCE}"
                case "hr":
                    yield "———"
                case "blockquote_open":
                    quoted = "\n\n".join(self.until("blockquote_close"))
                    yield "\n".join(f"> {line}" for line in quoted.split("\n"))
                case "bullet_list_open":
                    yield "\n".join(f"- {item}" for item in self._items("bullet_list_close"))
                case "ordered_list_open":
                    first = int(token.attrGet("start") or 1)
                    items = enumerate(self._items("ordered_list_close"), first)
                    yield "\n".join(f"{number}. {item}" for number, item in items)

    def _items(self, end: str) -> Iterator[str]:
        for token in self._tokens:
            if token.type == end:
                return
            yield "\n".join(self.until("list_item_close")).replace("\n", "\n  ")


def _inline(tokens: Sequence[Token]) -> str:
    parts: list[str] = []
    links: list[tuple[str, int]] = []
    for token in tokens:
        match token.type:
            case "link_open":
                links.append((str(token.attrGet("href") or ""), len(parts)))
            case "link_close":
                href, start = links.pop()
                label = "".join(parts[start:])
                parts[start:] = [href if label.replace(_ZERO_WIDTH, "") == href else f"{label} ({href})"]
            case "image":
                parts.append(f"{_escaped(token.content)} ({token.attrGet('src') or ''})")
            case "code_inline":
                parts.append(f"`{token.content.replace('`', _ZERO_WIDTH + chr(39))}`")
            case "bare_url":
                parts.append(token.content)
            case kind:
                parts.append(_MARKS.get(kind) or _escaped(token.content))
    return "".join(parts)


def _heading(text: str) -> str:
    """Return a heading in bold, which cannot be nested."""
    plain = text.replace("*", "")
    return f"*{plain}*" if plain.strip() else ""


def _escaped(text: str) -> str:
    return _OPENS.sub(lambda mark: _ZERO_WIDTH.join(mark[0]) + _ZERO_WIDTH, text)


def _code(content: str) -> str:
    """Return the contents of a block of code, in which no fence can end the block."""
    return content.rstrip("\n").replace(_FENCE, _ZERO_WIDTH.join(_FENCE))


def _outdented(block: str) -> str:
    """Return lines without the blanks, up to four, that all of them begin with."""
    lines = block.split("\n")
    blanks = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    return "\n".join(line[min(blanks, _INDENTED) :] for line in lines)


def _laid_out(text: str) -> str:
    """Return the text with blank lines where Markdown would take lines for a part of what stands before them.

    Indented lines after a paragraph, such as the arguments in a question, are code, and lines after a list are none of
    its last item's.
    """
    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        is_item, after_item = bool(_LIST_ITEM.match(line)), bool(_LIST_ITEM.match(before))
        after_paragraph = bool(before.strip()) and not before[0].isspace() and not after_item
        is_code = line.startswith("    ") and after_paragraph
        is_paragraph = bool(line[:1].strip()) and not is_item and after_item
        if not fenced and (is_code or is_paragraph):
            lines.append("")
        if line.lstrip().startswith(_FENCE):
            fenced = not fenced
        lines.append(line)
    return "\n".join(lines)


@cache
def _parser() -> MarkdownIt:
    """Return the parser, made with the first answer. HTML, entities and link definitions, which hide text, are off."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("strikethrough")
    parser.disable(["html_block", "html_inline", "entity", "reference"])
    parser.inline.ruler.before("link", "bare_url", _bare_url)
    return parser


def _bare_url(state: StateInline, silent: bool) -> bool:
    """Take an address as it is: an underscore in it is none of Markdown's."""
    scheme = _SCHEME.search(state.pending)
    found = _URL.match(state.src, state.pos)
    if state.src[state.pos] != ":" or scheme is None or found is None:
        return False
    rest = found[0].rstrip(_URL_ENDS)
    if not silent:
        state.pending = state.pending[: scheme.start()]
        token = state.push("bare_url", "", 0)
        token.content = scheme[0] + rest
    state.pos += len(rest)
    return True
