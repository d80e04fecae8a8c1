"""The names that a project may import from Deputy: one public module, and one for test support."""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from importlib.machinery import PathFinder
from importlib.metadata import metadata
from pathlib import Path

import pytest

import containers.testing
import deputy
import deputy.testing
from app.cli import DISTRIBUTION
from deputy.packages import OWN_PACKAGES, own_packages_first, refuse_other_packages

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def seen_by_type_checkers() -> dict[str, str]:
    """Return each public name with the module in which type checkers find it, read from the source."""
    tree = ast.parse(Path(deputy.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_a_type_checker_sees_what_is_imported() -> None:
    """The names of `__all__` are those that type checkers see, and each is the same object."""
    seen = seen_by_type_checkers()

    assert sorted(seen) == sorted(deputy.__all__)
    for name, module in seen.items():
        assert getattr(deputy, name) is getattr(importlib.import_module(module), name)


def test_the_names_of_test_support_are_all_there() -> None:
    """`deputy.testing` exports what `containers.testing` exports."""
    assert sorted(deputy.testing.__all__) == sorted(containers.testing.__all__)
    assert all(getattr(deputy.testing, name) is getattr(containers.testing, name) for name in deputy.testing.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """A misspelt name raises an AttributeError, and `dir()` lists the public names."""
    with pytest.raises(AttributeError, match="Toolkitt"):
        getattr(deputy, "Toolkitt")  # noqa: B009  # mypy would report it

    assert set(deputy.__all__) <= set(dir(deputy))


def test_the_metadata_says_what_an_index_shows() -> None:
    """The distribution has its own name, a licence, an author, addresses and classifiers; the command is `deputy`."""
    told = metadata(DISTRIBUTION)

    assert PROJECT["name"] == DISTRIBUTION == told["Name"]
    assert told["License-Expression"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert told["Author"]
    assert told.get_all("Project-URL")
    assert told.get_all("Classifier")
    assert PROJECT["scripts"] == {"deputy": "deputy.command:main"}


@pytest.mark.parametrize("name", OWN_PACKAGES)
def test_another_package_of_the_same_name_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The error names the package that hides Deputy's and its place; looking for Deputy's own first avoids it."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(ROOT)])
    monkeypatch.delitem(sys.modules, name)

    with pytest.raises(ImportError, match=f"the package `{name}` at {tmp_path / name} hides Deputy's package"):
        refuse_other_packages()
    own_packages_first()
