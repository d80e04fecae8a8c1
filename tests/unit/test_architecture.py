"""Imports point inward: deputy → entry points → containers → interfaces → app.

Modules are short, and public names are explained.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "containers", "deputy", "interfaces")
ENTRY_POINTS = ("app.main", "app.cli", "app.commands", "app.demo")
CHANNEL_SDKS = ("slack_sdk", "slack_bolt", "aiogram", "pywa")
WEB_FRAMEWORKS = ("fastapi", "starlette", "uvicorn")
CHANNELS = tuple(f"interfaces.{folder.parent.name}" for folder in sorted(ROOT.glob("interfaces/*/__init__.py")))


@dataclass(frozen=True)
class Rule:
    """Modules that some packages never import; a name includes everything below it."""

    within: tuple[str, ...]
    never: tuple[str, ...]
    besides: tuple[str, ...] = ()

    def binds(self, module: str) -> bool:
        return _below(module, self.within) and not _below(module, self.besides)

    def forbids(self, imported: str) -> bool:
        return _below(imported, self.never)


RULES = (
    Rule(within=("app",), besides=(*ENTRY_POINTS, "app.sandbox"), never=WEB_FRAMEWORKS),
    Rule(within=("app",), besides=ENTRY_POINTS, never=("containers", "interfaces", *CHANNEL_SDKS)),
    Rule(within=("interfaces",), never=("containers",)),
    Rule(within=PACKAGES, besides=("containers",), never=("dependency_injector",)),
    Rule(within=PACKAGES, besides=(*ENTRY_POINTS, "containers.testing", "deputy.command"), never=ENTRY_POINTS),
    Rule(within=PACKAGES, besides=("deputy",), never=("deputy",)),
    Rule(within=("deputy.packages",), never=("app", "containers", "interfaces")),
    Rule(within=PACKAGES, besides=(*ENTRY_POINTS, "app.sandbox", "containers.testing"), never=("app.sandbox",)),
    Rule(
        within=PACKAGES,
        besides=(
            *ENTRY_POINTS,
            "app.settings",
            "app.sections",
            "app.settings_checks",
            "app.settings_teams",
            "app.settings_faults",
            "app.settings_reference",
            "app.sandbox.attachment",
            "containers",
            *(f"{channel}.channel" for channel in CHANNELS),  # reads a channel's section to describe its parts
        ),
        never=("app.settings", "app.sections"),
    ),
    Rule(within=PACKAGES, besides=("interfaces.slack",), never=("slack_sdk", "slack_bolt")),
    Rule(within=PACKAGES, besides=("interfaces.telegram",), never=("aiogram", "telegramify_markdown")),
    Rule(within=PACKAGES, besides=("app.mcp",), never=("mcp", "mcp_types")),
    Rule(within=PACKAGES, besides=("app.agno_bridge",), never=("agno",)),
    # The web pages are not a channel: a channel may use them for pages in the same style.
    *(
        Rule(within=(one,), never=tuple(other for other in CHANNELS if other not in (one, "interfaces.web")))
        for one in CHANNELS
    ),
)


# The order inside `app`: a part imports only itself and the parts before it, so no two can import each other.
ORDER = (
    "audit_events sizes",
    "characters diagnosis durations",
    "errors principal",  # an error names the person whom it concerns
    "deadline frames hosts log_context log_once run",
    "proxies",
    "network",
    "repeating",
    "supervisor",
    "single_flight",
    "sent_files",
    "allow_list messages",
    "reply",
    "settings_file",
    "identities",
    "database",
    "oauth",
    "google",
    "audit",
    "keys",
    "users",
    "grants",
    "consent",
    "credentials",
    "connections",
    "api_tokens",
    "approvals",
    "conversations",
    "toolkits",
    "mcp",
    "agno_bridge",
    "llm",
    "attachments",
    "agents",
    "delivery",
    "delivery.store",
    "delivery.replies",
    "delivery.engines",
    "delivery.work",
    "chat",
    "offboarding",
    "janitor",
    "sections",
    "settings_faults",
    "settings_teams",
    "settings_checks",
    "settings",
    "settings_reference",
    "sandbox",
    "main cli commands demo",
)
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts.split()}


def _below(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield every module below a root with its dotted name."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            yield ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path


def imports(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield each import of a module with its line, including those in functions and for type checkers."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    yield from _imports(package, path.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _statements(parent: ast.AST) -> Iterator[ast.AST]:
    """Yield every statement below a node. Imports are among them, and expressions, most of the nodes, are not."""
    for child in _children(parent):
        yield child
        yield from _statements(child)


def _children(parent: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements of a node's own blocks."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        yield from getattr(parent, field, ())


@cache
def _imports(package: str, text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in _statements(_parsed(text)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{source}.{alias.name}") for alias in node.names]
    return found


def violations(root: Path) -> list[str]:
    """Return each import that a rule forbids, as ``module:line imports name``."""
    return [
        f"{module}:{line} imports {imported}"
        for module, path in modules(root)
        for rules in [[rule for rule in RULES if rule.binds(module)]]
        for line, imported in imports(module, path)
        if any(rule.forbids(imported) for rule in rules)
    ]


def test_imports_point_inward() -> None:
    """No module imports a module that lies further out."""
    assert violations(ROOT) == []


def part_of(module: str) -> str | None:
    """Return the part of `app` that a dotted name belongs to, or None outside `app`."""
    package, *names = module.split(".")
    if package != "app" or not names:
        return None
    return ".".join(names[:2]) if ".".join(names[:2]) in RANK else names[0]


def outward(root: Path) -> list[str]:
    """Return each import of a part of `app` that comes later in the order, as ``module:line imports name``."""
    return [
        f"{module}:{line} imports {imported}"
        for module, path in modules(root)
        if (part := part_of(module)) is not None
        for line, imported in imports(module, path)
        if (other := part_of(imported)) is not None and RANK[other] > RANK[part]
    ]


def test_the_parts_of_app_import_in_one_order() -> None:
    """No part of `app` imports a part that comes after it, so packages cannot form a cycle."""
    assert outward(ROOT) == []


def test_every_part_of_app_has_its_place_in_the_order() -> None:
    """Every part of `app` has a place in the order."""
    parts = {part for module, _ in modules(ROOT) if (part := part_of(module)) is not None}

    assert parts == RANK.keys()


@pytest.mark.parametrize(
    ("place", "statement"),
    [
        ("app/grants/grants.py", "from app.consent.links import ConsentLinks"),
        ("app/database/tables.py", "from app import grants"),
        ("app/delivery/store/inbox.py", "from ...chat import approvals"),
        ("app/delivery/store/inbox.py", "from app.delivery.work.intake import Intake"),
        ("app/messages.py", "def late():\n    from app.database.tables import messages"),
    ],
)
def test_a_planted_import_against_the_order_is_found(tmp_path: Path, place: str, statement: str) -> None:
    """One import of a later part is reported with its module and line."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(f"{statement}\n")

    assert len(outward(tmp_path)) == 1


def test_the_walk_sees_every_module() -> None:
    """The rules are checked against modules and imports that really exist."""
    seen = {module: {imported for _, imported in imports(module, path)} for module, path in modules(ROOT)}

    assert {"app.principal", "app.database", "interfaces.slack.client", "containers.application"} <= seen.keys()
    assert "dependency_injector.providers" in seen["containers.application"]
    assert "app.errors.PrincipalError" in seen["app.principal"]
    assert set(CHANNELS) >= {"interfaces.http", "interfaces.slack", "interfaces.web"}


@pytest.mark.parametrize(
    ("place", "statement"),
    [
        ("app/principal.py", "import dependency_injector"),
        ("app/google/apis.py", "from dependency_injector import providers"),
        ("app/google/apis.py", "from app.sandbox.google.sandbox import GoogleSandbox"),
        ("app/google/apis.py", "from app import sandbox"),
        ("app/google/apis.py", "from ..sandbox import google"),
        ("app/google/__init__.py", "from .. import settings"),
        ("app/delivery/work/worker.py", "def late():\n    import fastapi"),
        ("app/delivery/work/worker.py", "if TYPE_CHECKING:\n    from starlette.requests import Request"),
        ("app/delivery/work/worker.py", "from slack_sdk.errors import SlackClientError"),
        ("app/delivery/work/worker.py", "import containers.scopes"),
        ("app/delivery/work/worker.py", "from interfaces import edge"),
        ("app/delivery/work/worker.py", "from app import main"),
        ("app/grants/grants.py", "from app.settings import Settings"),
        ("app/main.py", "from dependency_injector import providers"),
        ("app/commands/serve.py", "from dependency_injector import providers"),
        ("app/sandbox/google/sandbox.py", "from interfaces.middleware import install"),
        ("app/sandbox/google/sandbox.py", "from app.settings import Settings"),
        ("interfaces/middleware.py", "from dependency_injector.wiring import inject"),
        ("interfaces/middleware.py", "from containers.scopes import Scope"),
        ("interfaces/middleware.py", "from app.settings import Settings"),
        ("interfaces/http/interface.py", "from interfaces.slack import client"),
        ("interfaces/http/interface.py", "import slack_sdk"),
        ("containers/application.py", "from app.cli import main"),
        ("app/toolkits/gmail/toolkit.py", "from deputy import Toolkit"),
        ("deputy/packages.py", "from app.errors import DeputyError"),
        ("containers/application.py", "from app.sandbox.google.sandbox import GoogleSandbox"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, place: str, statement: str) -> None:
    """An import that breaks a rule is reported with its module and line, wherever in the module it stands."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(f"from __future__ import annotations\n\n{statement}\n")
    found = violations(tmp_path)

    assert len(found) == 1
    assert found[0].startswith(place.removesuffix(".py").removesuffix("/__init__").replace("/", ".") + ":")


@pytest.mark.parametrize(
    ("place", "statement"),
    [
        ("app/keys/ring.py", "from app.settings_file import read_settings_file"),
        ("app/main.py", "from containers.application import Application"),
        ("app/commands/serve.py", "from app.main import serving"),
        ("app/sandbox/google/sandbox.py", "from starlette.routing import Route"),
        ("interfaces/slack/client.py", "import slack_sdk"),
        ("interfaces/http/interface.py", "from interfaces.http.client import HttpChannel"),
        ("containers/scopes/scope.py", "from dependency_injector import providers"),
        ("containers/testing/app.py", "from app.main import running"),
    ],
)
def test_an_import_that_points_inward_is_fine(tmp_path: Path, place: str, statement: str) -> None:
    """An import of a module further in, or of a name that only resembles a forbidden one, is allowed."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(statement)

    assert violations(tmp_path) == []


MAX_LINES = 300


def long_modules(root: Path) -> list[str]:
    """Return each module that is longer than `MAX_LINES` and whose docstring does not say why."""
    return [
        module
        for module, path in modules(root)
        for text in [path.read_text(encoding="utf-8")]
        if text.count("\n") > MAX_LINES and f"{MAX_LINES} lines" not in (ast.get_docstring(_parsed(text)) or "")
    ]


def unexplained(root: Path) -> list[str]:
    """Return each module, and each public class, function and method in it, without a docstring."""
    return [
        name
        for module, path in modules(root)
        for name, node in _public_names(module, _parsed(path.read_text(encoding="utf-8")))
        if not ast.get_docstring(node)
    ]


NO_VERB = "A An As Every Everything How It No Nothing Something That The This What When Where Whether"


def without_verb(root: Path) -> list[str]:
    """Return each function, as ``module:line``, whose docstring does not begin with a verb; properties may be nouns."""
    return [
        f"{module}:{node.lineno}"
        for module, path in modules(root)
        for node in _statements(_parsed(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
        and (docstring := ast.get_docstring(node)) is not None
        and (docstring.split()[0].rstrip(",:;.") in NO_VERB.split() or docstring.startswith("http"))
    ]


def kept_errors(root: Path) -> list[str]:
    """Return each ``module:line`` that raises an error which a variable of its function, or an object in one, keeps.

    The traceback of the error leads to the function's frame, and that one to its callers': the cycle keeps whatever
    they hold until the garbage collector runs. The name of an `except` is deleted by Python, and ``del`` in a `finally`
    deletes others; entry points, the sandbox and what only tests use hold nothing of a person's.
    """
    return [
        f"{module}:{line}"
        for module, path in modules(root)
        if not _below(module, ("app.sandbox", "containers.testing", *ENTRY_POINTS))
        for line in _raises_of_kept(_parsed(path.read_text(encoding="utf-8")), frozenset())
    ]


def _raises_of_kept(parent: ast.AST, dropped: frozenset[str]) -> Iterator[int]:
    for node in _children(parent):
        if isinstance(node, ast.Raise) and (name := _name_of(node.exc)) is not None and name not in dropped:
            yield node.lineno
        also = frozenset[str]()
        if isinstance(node, ast.Try):
            deleted = (target for last in node.finalbody if isinstance(last, ast.Delete) for target in last.targets)
            also = frozenset(target.id for target in deleted if isinstance(target, ast.Name))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            also = frozenset({node.name})
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            dropped = frozenset()
        yield from _raises_of_kept(node, dropped | also)


def _name_of(raised: ast.expr | None) -> str | None:
    """Return the variable that is raised, or whose attribute is; None for a class, a call, and an attribute of self."""
    if isinstance(raised, ast.Name):
        return raised.id if raised.id.islower() else None
    if isinstance(raised, ast.Attribute) and isinstance(raised.value, ast.Name) and raised.value.id != "self":
        return f"{raised.value.id}.{raised.attr}" if raised.attr[0].islower() or raised.attr[0] == "_" else None
    return None


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public_names(name: str, node: Documented) -> Iterator[tuple[str, Documented]]:
    yield name, node
    if isinstance(node, ast.Module | ast.ClassDef):
        for below in node.body:
            if isinstance(below, Documented) and not below.name.startswith("_"):
                yield from _public_names(f"{name}.{below.name}", below)


def ambiguous(root: Path) -> dict[str, list[str]]:
    """Return the public class names that several modules define, with those modules."""
    defined: dict[str, list[str]] = {}
    for module, path in modules(root):
        for node in _parsed(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined.setdefault(node.name, []).append(module)
    return {name: found for name, found in defined.items() if len(found) > 1}


def test_a_class_name_means_one_class() -> None:
    """No two modules define a public class of the same name."""
    assert ambiguous(ROOT) == {}


def test_a_class_name_that_is_used_twice_is_found(tmp_path: Path) -> None:
    """A class name that is used twice is reported with both modules; private classes may share a name."""
    for folder in ("app", "containers"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "some.py").write_text("class Name: ...\nclass _Name: ...\n")

    assert ambiguous(tmp_path) == {"Name": ["app.some", "containers.some"]}


def test_a_long_module_says_why() -> None:
    """No module has more than 300 lines, unless its docstring gives the reason."""
    assert long_modules(ROOT) == []


def test_every_public_name_is_explained() -> None:
    """Every public module, class, function and method has a docstring."""
    assert unexplained(ROOT) == []


def test_a_functions_docstring_begins_with_a_verb() -> None:
    """No docstring of a function is a noun, a question or a bare link."""
    assert without_verb(ROOT) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('def name():\n    """The name."""', ["app.some:1"]),
        ('def name():\n    """Whether it is named."""', ["app.some:1"]),
        ('def name():\n    """https://example.org/name"""', ["app.some:1"]),
        ('class Name:\n    """A name."""\n    def _name(self):\n        """A name."""', ["app.some:3"]),
        ('def outer():\n    async def inner():\n        """A name."""', ["app.some:2"]),
        ('class Name:\n    @property\n    def name(self):\n        """The name."""', []),
        ('def name():\n    """Return the name."""', []),
        ("def name(): ...", []),
    ],
)
def test_a_docstring_without_a_verb_is_found(tmp_path: Path, code: str, found: list[str]) -> None:
    """A function is reported with its place, wherever it is defined."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/some.py").write_text(code)

    assert without_verb(tmp_path) == found


def test_no_frame_keeps_the_error_that_leaves_it() -> None:
    """No function raises an error that one of its variables still refers to."""
    assert kept_errors(ROOT) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("try: x()\nexcept OSError as error: kept = error\nraise kept", ["app.some:3"]),
        ("try: x()\nexcept OSError as error: raise error.__cause__ from None", ["app.some:2"]),
        ("if line.failure: raise line.failure", ["app.some:1"]),
        ("try: x()\nexcept OSError as error: raise error", []),
        ("try: raise kept\nfinally: del kept", []),
        ("raise OSError", []),
        ("raise sa.exc.TimeoutError", []),
        ("raise kept.pop()", []),
        ("raise", []),
    ],
)
def test_an_error_that_its_frame_keeps_is_found(tmp_path: Path, code: str, found: list[str]) -> None:
    """An error in a variable or an attribute is reported with its place, unless the frame gives it up."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/some.py").write_text(code)

    assert kept_errors(tmp_path) == found


@pytest.mark.parametrize(
    ("head", "lines", "found"),
    [
        ('"""Much."""', 301, ["app.much"]),
        ("", 301, ["app.much"]),
        ('"""Much."""', 300, []),
        ('"""Much, in more than 300 lines, as it is a table."""', 900, []),
    ],
)
def test_a_module_that_is_too_long_is_found(tmp_path: Path, head: str, lines: int, found: list[str]) -> None:
    """A module with one line too many is reported, unless its docstring gives a reason."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/much.py").write_text(f"{head}\n" + "pass\n" * (lines - 1))

    assert long_modules(tmp_path) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("pass", ["app.some"]),
        ('"""Some."""\ndef name(): ...', ["app.some.name"]),
        ('"""Some."""\nasync def name(): ...', ["app.some.name"]),
        ('"""Some."""\nclass Name:\n    def method(self): ...', ["app.some.Name", "app.some.Name.method"]),
        (
            '"""Some."""\nclass Name:\n    """A name."""\n    @property\n    def method(self): ...',
            ["app.some.Name.method"],
        ),
        ('"""Some."""\ndef _name(): ...\nclass _Name:\n    def method(self): ...', []),
        ('"""Some."""\nclass Name:\n    """A name."""\n    def __init__(self): ...', []),
        ('"""Some."""\ndef name():\n    """Name."""\n    def inner(): ...', []),
    ],
)
def test_a_name_that_nobody_explained_is_found(tmp_path: Path, code: str, found: list[str]) -> None:
    """A public name without a docstring is reported with its place; a private one needs none."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/some.py").write_text(code)

    assert unexplained(tmp_path) == found
