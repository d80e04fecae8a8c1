"""Commands that begin with a slash, translated into the words of Deputy's own commands."""

from __future__ import annotations

_WORDS = {
    "start": "help",
    "help": "help",
    "new": "new conversation",
    "connect": "connect google",
    "disconnect": "disconnect google",
    "accounts": "accounts",
    "stop": "stop",
}


def command_in_words(name: str, rest: str) -> str | None:
    """Return the words that a command stands for; None if there is no such command.

    Without a provider, Google is meant: ``/connect``, ``/connect as work``. Other commands ignore the rest.

    Args:
        name: The command without its slash, in any case.
        rest: The words that follow it.
    """
    name, rest = name.lower(), " ".join(rest.split())
    words = _WORDS.get(name)
    if words is None or not rest or name not in ("connect", "disconnect"):
        return words
    return f"{words} {rest}" if rest.lower().startswith("as ") else f"{name} {rest}"
