"""The people with an account at the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Person:
    """A person with a Google account at the sandbox.

    Attributes:
        name: The full name, as Google shows it.
        email: The account's verified address, in lower case.
        subject: Google's stable id of the account: 21 decimal digits.
    """

    name: str
    email: str
    subject: str

    @classmethod
    def named(cls, name: str, email: str) -> Person:
        """Return a person whose subject is derived from the address, so that it is the same at every start."""
        address = email.lower()
        digits = int.from_bytes(sha256(address.encode()).digest()) % 10**20
        return cls(name=name, email=address, subject=f"1{digits:020d}")


PEOPLE = (
    Person.named("Ada Lovelace", "ada@sandbox.example"),
    Person.named("Grace Hopper", "grace@sandbox.example"),
)


class SandboxPeople(dict[str, Person]):
    """The sandbox's people by address, in the order in which the consent page shows them. Lives with the sandbox."""

    def __init__(self, people: Sequence[Person]) -> None:
        super().__init__((person.email, person) for person in people)
        if not people or len(self) != len(people):
            raise ValueError("the sandbox needs at least one person, and no address twice")
