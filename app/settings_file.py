"""A YAML file as the settings see it: its structure, its texts with ``${NAME}`` put in, and the line of each value.

YAML gives the structure only. Every value stays the text that was written, so that ``no``, ``0123`` and ``1:30`` are
what they look like; the settings make numbers of texts. The file is parsed first and the variables are put in after,
so that a quote or a newline in a secret can never add a key. ``$${`` stands for a literal ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from app.errors import SettingsError

Place = tuple[str | int, ...]
Tree = dict[str, "Tree"] | list["Tree"] | str

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_NO_VARIABLE = "${…} holds the name of a variable only, without a default; write $${ for a literal ${"
_KEY = re.compile(r"([a-z_]+(?:\.[\w-]+)*): ")  # at the beginning of an error's text
_YAML_WORDS = (  # by how PyYAML's message begins; its own words may quote the file
    ("found character '\\t'", "a tab stands here; indent with spaces"),
    ("found character", "quote a text that begins with @, % or `"),
    ("mapping values are not allowed", "the indentation is wrong here, or a text with a colon in it needs quotes"),
    ("expected <block end>", "the indentation is wrong here: the keys of a section begin in the same column"),
    ("found unexpected end of stream", "a quote is opened here and never closed"),
    ("found unknown escape character", "in double quotes a backslash begins an escape; use single quotes"),
    ("could not find expected ':'", "a key needs a colon and a value; a text of several lines needs quotes"),
    ("expected ',' or", "a bracket that is opened before is not closed here, or a comma is missing"),
    ("expected the node content", "a bracket is closed here that was not opened"),
    ("but found another document", "--- begins a second document here; keep one"),
    ("aliases are not used", "aliases are not used; write the value out"),
)
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A file that was read without a fault.

    Attributes:
        path: Where it is.
        tree: Mappings, lists and texts.
        lines: The line on which each value stands, by its place in the tree.
        variables: The environment variables that were put into a text, by its place in the tree.
    """

    path: Path
    tree: Tree
    lines: Mapping[Place, int]
    variables: Mapping[Place, tuple[str, ...]]

    def locate(self, place: Place, fault: str) -> str:
        """Return a fault as ``file:line: path: what to do``."""
        known = next((place[:end] for end in range(len(place), -1, -1) if place[:end] in self.lines), ())
        if place[-1:] == ("[key]",):  # pydantic's mark for a bad key, which may be a secret that stands in its place
            place = place[:-2]
        return _written(self.path, self.lines.get(known, 1), place, fault)

    def located(self, text: str) -> str:
        """Return the text of an error, with file and line before it if it begins with the key of a section here."""
        key = _KEY.match(text)
        place: Place = tuple(key[1].split(".")) if key else ()
        if key is None or place[:1] not in self.lines:
            return text
        return self.locate(place, text[key.end() :])


def read_settings_file(path: Path, environ: Mapping[str, str]) -> SettingsFile:
    """Read a file and put the variables in.

    Args:
        path: The YAML file.
        environ: Where ``${NAME}`` is looked up.

    Raises:
        SettingsError: The file cannot be read, is empty or not YAML, uses an alias or a tag, has a key twice or one
            without a value, or names a variable that is unset or empty. The message quotes no value.
    """
    reading = _Reading(environ)
    tree = reading.value(_composed(path), ())
    if reading.faults:
        raise SettingsError("\n".join(_written(path, *fault) for fault in reading.faults))
    return SettingsFile(path, tree, reading.lines, reading.variables)


class _Loader(yaml.SafeLoader):
    """Composes nodes, and refuses aliases: a few of them can stand for more values than memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, "aliases are not used; write the value out", alias.start_mark)
        return super().compose_node(parent, index)


class _Reading:
    """One walk over the file, which collects the lines and the faults."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.lines: dict[Place, int] = {}
        self.variables: dict[Place, tuple[str, ...]] = {}
        self.faults: list[tuple[int, Place, str]] = []

    def value(self, node: yaml.Node, place: Place) -> Tree:
        self.lines.setdefault(place, _line(node))
        if node.tag not in _PLAIN_TAGS:
            self._fault(node, place, "tags are not used; quote a text that starts with an exclamation mark")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        if node.tag == "tag:yaml.org,2002:null":
            self._fault(node, place, "has no value; write one ({} for a section of defaults), or take this key out")
        return self._text(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Tree:
        tree: dict[str, Tree] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(key, place, "a key is a text, not a list or a mapping")
            elif key.value in tree:
                self._fault(key, (*place, key.value), "this key is there twice; take one out")
            else:
                self.lines[*place, key.value] = _line(key)
                tree[key.value] = self.value(value, (*place, key.value))
        return tree

    def _text(self, node: yaml.Node, place: Place) -> str:
        def variable(match: re.Match[str]) -> str:
            name, end = match.groups()
            if name is None:
                return "${"
            value = self._environ.get(name, "")
            if not end or not _VARIABLE.fullmatch(name):
                self._fault(node, place, _NO_VARIABLE)
            elif not value.strip():
                state = "is empty" if name in self._environ else "is not set"
                self._fault(node, place, f"the environment variable {name} {state}; set it, or take this key out")
            self.variables[place] = (*self.variables.get(place, ()), name)
            return value

        if _SHELL_VARIABLE.fullmatch(node.value):
            self._fault(node, place, "write ${NAME}, with braces, for an environment variable")
        return _PLACEHOLDER.sub(variable, node.value)

    def _fault(self, node: yaml.Node, place: Place, fault: str) -> None:
        self.faults.append((_line(node), place, fault))


def _composed(path: Path) -> yaml.Node:
    """Return the parsed file. It raises outside of `except`, because an error handled there holds parts of the file."""
    text = _text_of(path)
    line = 1
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        problem = error.problem or ""
        mark = error.context_mark if "end of stream" in problem else error.problem_mark
        line = mark.line + 1 if mark else 1
        fault = next((words for start, words in _YAML_WORDS if problem.startswith(start)), "this is not YAML")
    except RecursionError:
        fault = "lists or mappings are nested too deep"
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        fault = "a control character is in the file; take it out"
    else:
        if isinstance(node, yaml.MappingNode):
            return node
        fault = "keys with values are needed here, such as those of the config.yaml that ships with Deputy"
        fault = f"the file is empty: {fault}" if node is None else fault
    raise SettingsError(_written(path, line, (), fault))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        fault = f"cannot be read ({error.strerror}); name another file, or let Deputy read this one"
    except UnicodeDecodeError:
        fault = "is not UTF-8; save it as UTF-8"
    raise SettingsError(f"{path}: {fault}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _written(path: Path, line: int, place: Place, fault: str) -> str:
    return f"{path}:{line}: {'.'.join(map(str, place)) or 'the file'}: {fault}"
