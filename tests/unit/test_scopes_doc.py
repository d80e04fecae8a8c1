"""The code on the page about scopes runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "scopes.md"


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The Python on the page runs and prints what its comment says."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    exec(compile(code, str(PAGE), "exec"), {"__name__": "scopes"})

    assert capsys.readouterr().out.strip() in code


def test_every_property_has_its_test() -> None:
    """Each line of the table has a test of that name."""
    table = re.findall(r"^\| ([a-z ]+) \|", PAGE.read_text(), re.MULTILINE)
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_scope_*.py"))

    assert len(table) == 11
    for line in table:
        assert f"def test_{line.rstrip('s').replace(' ', '_')}" in tests, line
