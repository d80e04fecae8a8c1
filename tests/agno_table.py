"""Writes docs/agno-toolkits.md: which of agno's toolkit classes Deputy accepts, tried with the installed agno.

`make agno-table` runs it, with the packages that the most used classes need in a separate folder.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from importlib.metadata import version
from typing import Any

PACKAGES = "build/agno-packages"
URL = "https://example.com"
_ADDRESSES = ("url", "host", "server", "endpoint")
_IDENTITIES = ("id", "name", "phone", "region", "workspace", "number")
_BASES = frozenset({"agno.tools.toolkit:Toolkit", "agno.tools.google.base:GoogleToolkit"})
_HEAD = """# agno's toolkits, one by one

Made by `make agno-table` against agno {version}: every class is built as [docs/agno.md](agno.md) says, with made-up
credentials as arguments. {summary}

*passes*: two instances shared nothing and were dead at once. *refused*: the start stops, with this reason; often an
argument or `allow_environment` changes that. *not tried*: a package that the class imports is not installed here.

| class in `agno.tools` | outcome | tools |
|---|---|---|
"""


def main() -> None:
    """Print the page."""
    sys.path.append(PACKAGES)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with redirect_stdout(sys.stderr):  # some packages print when they are imported
        rows = sorted(tried())
    counted = Counter(row[1].partition(":")[0] for row in rows)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common())
    sys.stdout.write(_HEAD.format(version=version("agno"), summary=f"Of {len(rows)}: {summary}."))
    sys.stdout.writelines(f"| `{name}` | {outcome} | {tools or ''} |\n" for name, outcome, tools in rows)


def tried() -> Iterator[tuple[str, str, int]]:
    """Yield each class, or each module that cannot be imported, with its outcome and the number of its tools."""
    import agno.tools
    from agno.tools.toolkit import Toolkit

    for found in pkgutil.walk_packages(agno.tools.__path__, "agno.tools."):
        short = found.name.removeprefix("agno.tools.")
        try:
            module = importlib.import_module(found.name)
        except (ImportError, SystemExit) as error:
            yield short, f"not tried: {_one_line(error)}", 0
            continue
        except Exception as error:
            yield short, f"not tried: {type(error).__name__} as it is imported", 0
            continue
        for name, cls in vars(module).items():
            path = f"{found.name}:{name}"
            if (
                inspect.isclass(cls)
                and issubclass(cls, Toolkit)
                and cls.__module__ == found.name
                and path not in _BASES
            ):
                yield f"{short}:{name}", *outcome_of(path, cls)


def outcome_of(path: str, cls: type) -> tuple[str, int]:
    """Return the outcome of a class as a toolkit, and the number of its tools."""
    from app.agno_bridge.declaration import Argument, ForeignDeclaration
    from app.agno_bridge.probe import toolkit_of
    from app.errors import DeputyError

    arguments = {name: Argument(value) for name, value in _made_up(cls).items()}
    try:
        made = toolkit_of("table", ForeignDeclaration(path, arguments))
    except DeputyError as error:
        return f"refused: {_one_line(error)}", 0
    return "passes", len(made.tools())


def _made_up(cls: type) -> dict[str, Any]:
    """Return a value for each argument that is required or looks like a credential."""
    from app.agno_bridge.confinement import looks_like_credential

    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        kind, needed = str(parameter.annotation), parameter.default is parameter.empty
        wanted = needed or (parameter.default is None and (looks_like_credential(name) or _says(name, _IDENTITIES)))
        if "str" in kind and parameter.default in (None, parameter.empty) and _says(name, _ADDRESSES):
            given[name] = "sqlite://" if name == "db_url" else URL
        elif "str" in kind and wanted and not _says(name, ("path", "file", "dir")):
            given[name] = "made-up-1234567890"
        elif needed and "int" in kind:
            given[name] = 1
    return given


def _says(name: str, words: Iterable[str]) -> bool:
    return any(word in name.split("_") for word in words)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).replace("|", "\\|")[:220]


if __name__ == "__main__":
    main()
