"""Names of repositories and issues, which become parts of GitHub's addresses."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from app.toolkits.issues.toolkit import IssueName, Repository

REPOSITORIES: TypeAdapter[str] = TypeAdapter(Repository)
ISSUES: TypeAdapter[str] = TypeAdapter(IssueName)


@pytest.mark.parametrize("name", ["ada/..", "ada/.", "ada/notes/../..", "../notes", "ada/no tes", "ada", "ada/"])
def test_a_name_leads_nowhere_else(name: str) -> None:
    """A step upwards would make another address of it."""
    with pytest.raises(ValidationError):
        REPOSITORIES.validate_python(name)
    with pytest.raises(ValidationError):
        ISSUES.validate_python(f"{name}#1")


@pytest.mark.parametrize("name", ["ada/notes", "ada-b/.github", "ada/_x.y", "ada/" + "x" * 100])
def test_a_repository_has_its_name(name: str) -> None:
    """Among them one that begins with a dot, as GitHub's own settings do."""
    assert (REPOSITORIES.validate_python(name), ISSUES.validate_python(f"{name}#12")) == (name, f"{name}#12")
