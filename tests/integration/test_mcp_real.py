"""Real MCP servers, as their authors publish them, over stdin and stdout."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

from app.principal import Principal
from app.sections.mcp import McpSettings
from containers.testing import call, open_test_app, scripted, use_model
from tests.fakes.mcp_server import settings_with


def program(name: str) -> str:
    """Return the path of an installed program."""
    return str(Path(sysconfig.get_path("scripts")) / name)


async def test_the_time_server(tmp_path: Path, ada: Principal) -> None:
    """mcp-server-time converts a time for a person."""
    server = McpSettings(command=program("mcp-server-time"), identity="none", reads=("*",), connect_seconds=60.0)
    model = scripted(
        [
            call(
                "time_convert_time",
                "1",
                source_timezone="Europe/Berlin",
                time="12:30",
                target_timezone="Asia/Tokyo",
            )
        ]
    )
    async with open_test_app(
        settings_with(tmp_path, time=server), lambda container: use_model(container, model)
    ) as app:
        answer = (await app.ask(ada, "what time is it in Tokyo?")).json()["answer"]

    assert "T19:30:00+09:00" in answer or "T20:30:00+09:00" in answer


async def test_the_git_server(tmp_path: Path, ada: Principal) -> None:
    """mcp-server-git reads at once, and creates a branch after its person's approval."""
    repository = made_repository(tmp_path / "repository")
    server = McpSettings(
        command=program("mcp-server-git"),
        args=("--repository", str(repository)),
        identity="none",
        reads=("git_log",),
        connect_seconds=60.0,
    )
    model = scripted(
        [call("git_git_log", "1", repo_path=str(repository))],
        [call("git_git_create_branch", "2", repo_path=str(repository), branch_name="second")],
    )
    async with open_test_app(settings_with(tmp_path, git=server), lambda container: use_model(container, model)) as app:
        asked = (await app.ask(ada, "make a branch")).json()
        before = branches(repository)
        await app.ask(ada, f"approve {asked['approval']['code']}")
        answer = (await app.told(ada, asked["message"]))["answer"]

    assert "second" not in before
    assert "second" in branches(repository)
    assert "first" in answer


def made_repository(folder: Path) -> Path:
    """Make a repository with one commit."""
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run((*git, "init", "--quiet", str(folder)), check=True)
    subprocess.run((*git, "-C", str(folder), "commit", "--quiet", "--allow-empty", "-m", "first"), check=True)
    return folder


def branches(repository: Path) -> str:
    """Return the branches of a repository."""
    listed = subprocess.run(("git", "-C", str(repository), "branch"), check=True, capture_output=True, text=True)
    return listed.stdout
