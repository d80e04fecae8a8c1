"""Names of repositories and issues, which become parts of GitHub's addresses."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from app.toolkits.issues.toolkit import IssueName, Repository

REPOSITORIES: TypeAdapter[str] = TypeAdapter(Repository)
ISSUES: TypeAdapter[str] = TypeAdapter(IssueName)


@pytest.mark.parametrize("name", ["ada/..", "ada/.", "ada/notes/../..", "../notes", "ada/no tes", "ada", "ada/"])
def test_a_name_leads_nowhere_else(name: str) -> None:
    """A name that would change the address, such as by a step upwards, is refused."""
    with pytest.raises(ValidationError):
        REPOSITORIES.validate_python(name)
    with pytest.raises(ValidationError):
        ISSUES.validate_python(f"{name}#1")


@pytest.mark.parametrize("name", ["ada/notes", "ada-b/.github", "ada/_x.y", "ada/" + "x" * 100])
def test_a_repository_has_its_name(name: str) -> None:
    """A repository's name is accepted, even if it begins with a dot like that of GitHub's own settings."""
    assert (REPOSITORIES.validate_python(name), ISSUES.validate_python(f"{name}#12")) == (name, f"{name}#12")
