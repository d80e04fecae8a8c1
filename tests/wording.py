"""Lists everything that a person can read from the source: ``python -m tests.wording > docs/wording.md``.

The sentences of the chat and the pages are the string literals of the modules that speak to people, with braces around
the parts that a program fills in. Those of the command line are its help.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from app.cli import cli

ROOT = Path(__file__).parents[1]

CHAT = (
    "app/chat/*.py",
    "app/agents/agent.py",
    "app/agents/guard.py",
    "app/agents/run.py",
    "app/agents/shell.py",
    "app/agents/team.py",
    "app/agents/work.py",
    "app/agents/wording.py",
    "app/agents/writes.py",
    "app/approvals/question.py",
    "app/attachments/*.py",
    "app/delivery/replies/files.py",
    "app/delivery/replies/status.py",
    "app/delivery/store/parked_run.py",
    "app/delivery/store/stops.py",
    "app/delivery/work/answering.py",
    "app/delivery/work/backlog.py",
    "app/delivery/work/signs.py",
    "app/delivery/work/worker.py",
    "app/durations.py",
    "app/credentials/workspace.py",
    "app/consent/revocation.py",
    "app/llm/commands.py",
    "app/llm/entries.py",
    "app/llm/offline.py",
    "app/llm/rendering.py",
    "app/llm/transcription.py",
    "app/toolkits/toolkit.py",
    "app/toolkits/asides.py",
    "app/toolkits/gmail/*.py",
    "app/toolkits/calendar/*.py",
    "app/toolkits/drive/*.py",
    "app/toolkits/issues/*.py",
    "interfaces/*/blocks.py",
    "interfaces/*/client.py",
    "interfaces/*/click.py",
    "interfaces/*/home.py",
    "interfaces/*/outgoing.py",
    "interfaces/*/slash.py",
    "interfaces/*/uploads.py",
    "interfaces/*/wording.py",
)
PAGES = (
    "interfaces/web/templates/*.html",
    "interfaces/web/static/**/*.js",
    "interfaces/web/*.py",
    "interfaces/slack/pages.py",
    "app/consent/*.py",
)
# Calls whose texts do not appear in a chat or on a page.
_FOR_OPERATORS = frozenset(["debug", "info", "warning", "error", "exception", "log", "log_about", "guarded", "run"])
_NOT_SHOWN = frozenset(
    ["compile", "Field", "text", "removeprefix", "removesuffix", "startswith", "endswith", "partition", "replace"]
)
_FOR_OTHERS = frozenset({"SettingsError", "ValueError", "TypeError", "AssertionError", "RuntimeError", "LifetimeError"})
_WORDS = re.compile(r"[A-Za-z][a-z']* [A-Za-z{`$]")
_JINJA = re.compile(r"\{%.*?%\}", re.DOTALL)
_OF_SCRIPT = re.compile(r"""(["'`])((?:(?!\1)[^\\\n]|\\.)*)\1""")
_BLOCKS = (
    "p",
    "li",
    "h1",
    "h2",
    "h3",
    "title",
    "button",
    "label",
    "dt",
    "dd",
    "td",
    "th",
    "figcaption",
    "legend",
    "summary",
)
_ATTRIBUTES = ("aria-label", "placeholder", "title", "alt")


class _Sentences(ast.NodeVisitor):
    """Collects the texts of one module that may be shown."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in _FOR_OPERATORS | _NOT_SHOWN | _FOR_OTHERS:
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Skip the assertion."""

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring otherwise
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for each in [*node.body, *node.args.defaults, *node.args.kw_defaults, *node.decorator_list]:
            if each is not None:
                self.visit(each)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)  # type: ignore[arg-type]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.append(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.found.append("".join(map(_part, node.values)))
        for each in node.values:
            if isinstance(each, ast.FormattedValue):
                self.visit(each.value)


def _part(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    value = node.value if isinstance(node, ast.FormattedValue) else node
    while isinstance(value, (ast.Subscript, ast.Call, ast.Await)):
        value = value.func if isinstance(value, ast.Call) else value.value
    name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "…")
    return f"{{{name.strip('_').lower()}}}"


def of_module(source: str) -> list[str]:
    """Return the sentences of a module, in order."""
    sentences = _Sentences()
    sentences.visit(ast.parse(source))
    return _readable(sentences.found)


def of_template(source: str) -> list[str]:
    """Return the texts of a page, in order."""
    page = BeautifulSoup(_JINJA.sub("", source), "html.parser")
    found = []
    for tag in page.find_all(True):
        found += [str(tag[name]) for name in _ATTRIBUTES if name in tag.attrs]
        if tag.name in _BLOCKS and tag.find(_BLOCKS) is None:
            found.append(tag.get_text())
    return [text for text in _plain(found) if re.search("[A-Za-z]{2}", text)]


def of_script(source: str) -> list[str]:
    """Return the texts that one of Deputy's scripts shows."""
    return _readable([match[2] for match in _OF_SCRIPT.finditer(source)])


def _readable(texts: list[str]) -> list[str]:
    return [
        text for text in _plain(texts) if _WORDS.search(text) and "(?" not in text and not text.startswith("https://")
    ]


def _plain(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))


def of_commands(command: Any = None, name: str = "deputy") -> Iterator[tuple[str, list[str]]]:
    """Yield each command with its help, and the help of its options."""
    command = command or get_command(cli)
    options = [str(each.help) for each in command.params if getattr(each, "help", None)]
    yield name, _plain([str(command.help or ""), *options])
    if isinstance(command, TyperGroup):
        context = Context(command)
        for each in command.list_commands(context):
            yield from of_commands(command.get_command(context, each), f"{name} {each}")


def _of_files(patterns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield each file with its texts.

    Raises:
        LookupError: A pattern finds no file.
    """
    readers = {".py": of_module, ".html": of_template, ".js": of_script}
    for pattern in patterns:
        paths = sorted(ROOT.glob(pattern))
        if not paths:
            raise LookupError(f"{pattern} finds no file")
        for path in paths:
            yield path.relative_to(ROOT).as_posix(), readers[path.suffix](path.read_text(encoding="utf-8"))


def page() -> str:
    """Return docs/wording.md."""
    told: set[str] = set()
    lines = [
        "# Everything that people read",
        "",
        "Written by `make docs` from the source, to be read in one sitting: does it speak with one voice? What a",
        "program fills in stands in braces. A reply in the chat is made of one or more of these.",
    ]
    for title, parts in (
        ("In the chat", _of_files(CHAT)),
        ("On pages", _of_files(PAGES)),
        ("On the command line", of_commands()),
    ):
        lines += ["", f"## {title}"]
        for place, texts in parts:
            if new := [text for text in texts if text not in told]:
                told |= set(new)
                lines += ["", f"`{place}`", "", *(f"- {_as_markdown(text)}" for text in new)]
    return "\n".join(lines) + "\n"


def _as_markdown(text: str) -> str:
    return text.replace("<", "\\<").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
