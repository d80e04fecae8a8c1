"""Markdown that is safe in a markdown block (https://docs.slack.dev/reference/block-kit/blocks/markdown-block)."""

from __future__ import annotations

import re

_WORD_JOINER = "\u2060"
_CALL = re.compile(r"<(?=!(?:channel|here|everyone|group|subteam|date)\b|@[UW][A-Z0-9]|#[CG][A-Z0-9])", re.IGNORECASE)
_TARGET = r"[ \t\n]*<?[ \t]*(?:[a-z][a-z0-9+.-]*:|//|www\.)"
_HIDDEN_LINK = re.compile(rf"\](?=\({_TARGET})", re.IGNORECASE)
_LINK_DEFINITION = re.compile(rf"^([ \t>*+-]*\[[^\]\n]+\])(?=:{_TARGET})", re.IGNORECASE | re.MULTILINE)


def safe_markdown(text: str) -> str:
    """Return Markdown that calls nobody and whose links show where they lead.

    An answer may quote a mail. ``<!channel>`` in it would notify everybody, and ``[your bank](https://evil.example)``
    would hide its target; both are written apart, so that people see them as they are.
    """
    text = _CALL.sub(f"<{_WORD_JOINER}", text)
    return _LINK_DEFINITION.sub(r"\1 ", _HIDDEN_LINK.sub("] ", text))
