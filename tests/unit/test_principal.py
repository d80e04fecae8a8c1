"""The principal that a message is from."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from app.errors import PrincipalError
from app.principal import MAX_PART_LENGTH, Principal

ADA = ("http", "demo", "ada")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "part", ["", " ", "\t", None, 7, b"ada", "a\nb", "a\0b", "a\u200bb", "\ud800", "a" * (MAX_PART_LENGTH + 1)]
)
def test_a_part_that_is_no_identity_is_refused(place: int, part: Any) -> None:
    """Every part must be a text of 1 to 255 visible characters, without a default and not None."""
    parts: list[Any] = [*ADA]
    parts[place] = part

    with pytest.raises(PrincipalError):
        Principal(*parts)


@pytest.mark.parametrize("platform", ["slack", "telegram", "whatsapp"])
@pytest.mark.parametrize("user", ["U1 ", " U1", "U\u00a01", "U1\u3164", "U1\ufe0f", "Zoe\u0308", "U\u115f1", "U  1"])
def test_an_id_of_a_platform_that_could_look_like_another_is_refused(platform: str, user: str) -> None:
    """An id that could look like another one is refused, and not replaced by the one that it looks like."""
    with pytest.raises(PrincipalError):
        Principal(platform, "T1", user)
    with pytest.raises(PrincipalError):
        Principal(platform, user, "U1")
    assert Principal(platform, "T1", "Zo\u00eb").user == "Zo\u00eb"


def test_all_three_parts_are_required() -> None:
    """A principal needs all three parts."""
    with pytest.raises(TypeError):
        Principal("http", "demo")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "other",
    [("slack", "demo", "ada"), ("http", "acme", "ada"), ("http", "demo", "grace"), ("http", "ada", "demo")],
)
def test_principals_are_the_same_only_when_all_parts_are(other: tuple[str, str, str]) -> None:
    """Equality and hash use platform, tenant and user, each in its own place."""
    both = {Principal(*ADA), Principal(*other), Principal(*ADA)}

    assert len(both) == 2
    assert Principal(*other) != Principal(*ADA)


def test_a_principal_does_not_change() -> None:
    """No part of a principal can be set, and no attribute added."""
    ada: Any = Principal(*ADA)

    with pytest.raises(FrozenInstanceError):
        ada.user = "grace"
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        ada.tenants = "acme"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (ADA, "http:demo:ada"),
        (("http", "demo:ada", "x"), "http:demo%3Aada:x"),
        (("http", "demo", "ada:x"), "http:demo:ada%3Ax"),
        (("slack", "T1", "50% off/ä"), "slack:T1:50%25%20off%2F%C3%A4"),
        (("a" * MAX_PART_LENGTH, "b", "c"), f"{'a' * MAX_PART_LENGTH}:b:c"),
    ],
)
def test_the_text_form_reads_back(parts: tuple[str, str, str], text: str) -> None:
    """The text form of a principal is unique and can be parsed again, for any characters in its parts."""
    assert str(Principal(*parts)) == text
    assert Principal.parse(text) == Principal(*parts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "http:demo",
        "http:demo:",
        ":demo:ada",
        "http:demo:ada:x",
        "http:demo:%61da",
        "http:demo:a%3ab",
        "http:demo:a b",
        "http:demo:ä",
        "http:demo:%",
        "http:demo:%ff",
        "http:demo:%00",
        "http:demo:%20",
        "http:demo:ada\n",
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    """A text that `str()` would not have written is refused, so that each person has only one name."""
    with pytest.raises(PrincipalError):
        Principal.parse(text)
