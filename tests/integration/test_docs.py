"""Tests that the documentation is true: its Python and its commands run, and its graph is the container's."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.fakes.ports import free_port
from tests.fakes.terminal import Terminal, on_terminal

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[Path, str]]:
    """Return the fenced blocks of one language, each with its page."""
    return [
        (page, match["code"])
        for page in PAGES
        for match in BLOCK.finditer(page.read_text())
        if match["language"] == language
    ]


def test_decisions_are_numbered_without_gaps() -> None:
    """Each decision has its own number, the same in its file name and its heading."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert [page.name[:5] for page in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
    headings = [page.read_text().splitlines()[0].partition(": ")[0] for page in pages]
    assert headings == [f"# {number:04}" for number in range(1, len(pages) + 1)]


@pytest.mark.parametrize(("page", "code"), blocks("python"), ids=lambda value: getattr(value, "name", ""))
def test_every_python_block_runs(page: Path, code: str) -> None:
    """A Python block of the documentation runs on its own, and its assertions hold."""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert run.returncode == 0, run.stderr


def test_the_drawing_is_the_containers() -> None:
    """docs/architecture.md shows what `deputy graph` prints."""
    page = (ROOT / "docs/architecture.md").read_text()
    drawn = page.split("<!-- deputy graph -->\n```mermaid\n")[1].split("```")[0]
    printed = subprocess.run([deputy(), "graph"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert drawn == printed.stdout


def test_the_configuration_page_is_made_from_the_settings() -> None:
    """docs/configuration.md is what `deputy config reference` prints, and describes every key."""
    page = (ROOT / "docs/configuration.md").read_text()
    printed = subprocess.run(
        [deputy(), "config", "reference"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert page == printed.stdout
    assert "|  |" not in page


def test_the_commands_page_is_made_from_the_commands() -> None:
    """docs/commands.md is what `make docs` writes: every command with its options, and the exit codes."""
    page = (ROOT / "docs/commands.md").read_text()
    command = [sys.executable, "-m", "typer", "app.cli", "utils", "docs", "--name", "deputy", "--title", "Commands"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert page == printed.stdout.removesuffix("\n")
    assert "Exit codes: 0, done; 1, " in page


def test_every_link_leads_somewhere() -> None:
    """Every relative link in the documentation names a file that exists."""
    links = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]

    assert links
    assert [target for page, target in links if not (page.parent / target).exists()] == []


def test_every_file_that_is_named_is_there() -> None:
    """Every module, folder and test that a page names exists."""
    text = "\n".join(page.read_text() for page in [*PAGES, ROOT / "CONTRIBUTING.md"])
    paths = set(re.findall(r"`((?:app|containers|interfaces|tests|benchmarks)/[\w./*-]*)`", text))
    tests = set(re.findall(r"`(test_\w+\.py)`", text))

    assert {"app/agents/guard.py", "tests/isolation/"} <= paths
    assert [path for path in sorted(paths) if not any(ROOT.glob(path))] == []
    assert [name for name in sorted(tests) if not any(ROOT.glob(f"tests/**/{name}"))] == []


def test_one_word_has_one_meaning() -> None:
    """The glossary explains no word twice."""
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    words = [word.strip() for row in rows for word in row.split(",")]

    assert "principal" in words
    assert [word for word in words if words.count(word) > 1] == []


def test_every_command_is_known() -> None:
    """The commands in shell blocks are those that the tests below run."""
    commands = {line for _, code in blocks("sh") for line in code.splitlines() if line}

    assert commands == {"make run", "make demo"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of the project with its own files and database, which shares the installed packages."""
    ignored = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", "*.egg-info")
    copy = Path(shutil.copytree(ROOT, tmp_path / "deputy", ignore=ignored))
    (copy / ".venv").mkdir()
    (copy / ".venv/bin").symlink_to(ROOT / ".venv/bin")
    (copy / ".venv/.ready").touch()  # newer than what it is made from, so that set-up leaves the shared packages alone
    config = (copy / "config.yaml").read_text()
    assert config.count("8080") == 2
    config = config.replace("8080", str(free_port()))  # a server of this machine may already listen on 8080
    (copy / "config.yaml").write_text(
        config.replace("  mode: sandbox ", "  sandbox: {port: 0}\n  mode: sandbox ").replace("8086", "0")
    )
    return copy


def test_make_demo_holds(clone: Path) -> None:
    """`make demo` exits with 0 and reports that the demonstration held."""
    run = subprocess.run(["make", "demo"], cwd=clone, capture_output=True, text=True, timeout=120)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "Held." in run.stdout


@pytest.fixture
def served(clone: Path) -> Iterator[Terminal]:
    """Yield a terminal on which `make run` has printed all of its start-up lines."""
    with on_terminal(["make", "run"], cwd=clone) as terminal:
        terminal.expect("valid until the next start")
        yield terminal


def test_make_run_prints_curl_lines_that_work(served: Terminal) -> None:
    """Each person's curl lines are answered with their own consent link, and nothing else is printed meanwhile."""
    if shutil.which("curl") is None:
        lacking("curl", package="curl")
    begun = served.printed
    named = re.findall(r"^# (.+)\n(curl .+)$", begun, re.MULTILINE)
    answers = [
        subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True).stdout
        for _, line in named
    ]
    links = [
        re.search(r'"consent_url":"(http://127\.0\.0\.1:\d+/connect/google/[\w-]+)"', answer) for answer in answers[::2]
    ]
    served.interrupt()
    served.end()

    assert [name for name, _ in named] == [
        "Ada",
        "Ada, with the code of the page",
        "Grace",
        "Grace, with the code of the page",
    ]
    assert all(links), answers
    assert len({link[1] for link in links if link}) == 2
    assert all('"message":' in answer for answer in answers[1::2]), answers
    assert served.printed.removeprefix(begun).strip().splitlines()[1:] == []


def test_make_run_begins_with_the_url(served: Terminal) -> None:
    """The first ten lines contain the address, and no line advertises another product."""
    lines = served.printed.strip().splitlines()

    assert any("http://127.0.0.1:" in line for line in lines[:10]), lines
    assert not re.search(r"pydantic|logfire|uvicorn|fastapi", served.printed, re.IGNORECASE)


def deputy() -> str:
    """Return the path of the command that is installed beside this Python."""
    return str(Path(sys.executable).with_name("deputy"))
