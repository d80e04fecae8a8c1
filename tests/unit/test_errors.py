"""The tree of errors matches the drawing in its docstring."""

from __future__ import annotations

import re

from app import errors
from app.errors import ConsentError, ConsentRequiredError, DeputyError, GrantRevokedError, MessageError
from app.principal import Principal

_NODE = re.compile(r"^((?:[│ ]   )*)(?:[├└]── )?(\w+Error)\b(?:.*\(HTTP (\d+)\))?")


def drawn() -> dict[str, tuple[str, int | None]]:
    """Return each error of the drawing with its parent and its HTTP status."""
    found: dict[str, tuple[str, int | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := _NODE.match(line):
            indent, name, status = match.groups()
            depth = len(indent) // 4 + ("── " in line)
            above[depth:] = [name]
            found[name] = (above[depth - 1] if depth else "Exception", int(status) if status else None)
    return found


def defined() -> dict[str, str]:
    """Return each error of the module with its parent."""
    return {
        name: kind.__base__.__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__base__ is not None
    }


def test_the_drawn_tree_is_the_tree() -> None:
    """The drawing shows every class below its parent, and nothing else."""
    assert {name: parent for name, (parent, _) in drawn().items()} == defined()
    assert len(defined()) > 10


def test_the_drawn_statuses_are_the_statuses() -> None:
    """The drawing gives each error's HTTP status, and none to an error without one."""
    for name, (_, status) in drawn().items():
        kind = getattr(errors, name)
        abstract = kind in (MessageError, ConsentError)

        assert abstract or getattr(kind, "status", None) == status
        assert issubclass(kind, DeputyError)


def test_an_error_about_a_principal_keeps_them_and_says_what_to_do(ada: Principal) -> None:
    """An error about a principal keeps its objects, and its text says what to do."""
    required = ConsentRequiredError(ada, frozenset({"b", "a"}))
    revoked = GrantRevokedError(ada)

    assert (required.principal, required.oauth_scopes, revoked.principal) == (ada, frozenset({"a", "b"}), ada)
    assert str(required) == "http:demo:ada has not granted a, b; send a consent link"
    assert str(revoked) == "the grant of http:demo:ada at google has ended; ask for consent again"
