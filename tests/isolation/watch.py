"""Watches a server's requests from within: the objects they made, and the tokens that people's credentials gave."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.log import fingerprint
from containers.application import Application
from containers.scopes import Scope, Scoped
from tests.fakes.fading import fading
from tests.fakes.server import own_markers


class Watch:
    """Notes the objects that a container's requests make, by weak references. Install it before the container serves.

    Attributes:
        used: How often the credentials of a principal gave out an access token, by its fingerprint.
    """

    def __init__(self) -> None:
        self.used: Counter[tuple[Principal, str | None]] = Counter()
        self._made: list[tuple[str, weakref.ref[Any]]] = []

    def install(self, container: Application) -> None:
        """Replace each scoped class by one that notes its instances."""
        for provider in (container.google, container.toolkits.gmail, *container.agents.providers.values()):
            self._replace(provider, lambda cls: _noting(cls, self.note))
        self._replace(container.credentials, lambda cls: self._telling(_noting(cls, self.note)))

    def note(self, *objects: object) -> None:
        """Note these objects of one request, and the scope if it is one of them."""
        self._made += [(type(each).__qualname__, weakref.ref(each)) for each in objects]

    @property
    def made(self) -> Counter[str]:
        """Return the number of objects made, by class."""
        return Counter(name for name, _ in self._made)

    async def alive(self, seconds: float) -> Counter[str]:
        """Return the number of objects still alive, by class; allow ending tasks and threads this many seconds."""
        await fading((reference for _, reference in self._made), seconds)
        return Counter(name for name, reference in self._made if reference() is not None)

    @staticmethod
    def _replace(provider: Any, with_: Callable[[Any], type]) -> None:
        current = provider.last_overriding or provider
        provider.override(Scoped(with_(current.provides), *current.args, **current.kwargs))

    def _telling(self, credentials: Any) -> type:
        """Return a class of credentials that records which token each instance gave to its principal."""
        used = self.used

        class Telling(credentials):  # type: ignore[misc]  # the base is found at run time
            def __init__(self, principal: Principal, *args: Any, **kwargs: Any) -> None:
                super().__init__(principal, *args, **kwargs)
                self._told_principal = principal

            def for_google(self) -> Any:
                handed = super().for_google()
                used[self._told_principal, fingerprint(handed.token)] += 1
                return handed

        Telling.__name__ = Telling.__qualname__ = credentials.__name__
        return Telling


def _noting(cls: Any, note: Callable[..., None]) -> type:
    """Return a class like this one whose instances are noted, together with the scope that they are given."""

    class Noting(cls):  # type: ignore[misc]  # the base is found at run time
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            note(self, *(each for each in (*args, *kwargs.values()) if type(each) is Scope))

    Noting.__name__ = Noting.__qualname__ = cls.__name__
    return Noting


@dataclass(frozen=True)
class Verdict:
    """The faults of a run; each field is empty if people were kept apart.

    Attributes:
        alive: Objects of finished requests that were not freed, by class.
        foreign_tokens: People whose credentials gave out a token that is not in their own grant.
        foreign_calls: The number of Gmail calls with a token that nobody has.
        foreign_letters: People who were shown letters that are not in their own mailbox.
        public_letters: The number of letters shown to a whole group.
    """

    alive: Counter[str]
    foreign_tokens: set[Principal]
    foreign_calls: int
    foreign_letters: set[Principal]
    public_letters: int


async def judge(
    watch: Watch,
    container: Application,
    google: GoogleSandbox,
    emails: Mapping[Principal, str],
    shown: Iterable[tuple[Principal | None, str]],
    fading_seconds: float = 30.0,
) -> Verdict:
    """Return the verdict on a run that has finished.

    Args:
        watch: The objects and tokens noted during the run.
        container: Has the grants.
        google: Its log says which tokens were used.
        emails: Each person's Google account.
        shown: Each text shown on a channel and its reader, or None for a whole group.
        fading_seconds: How long to wait for tasks and threads that are ending.
    """
    grants = [await container.grants().find(person) for person in emails]
    tokens = {grant.principal: fingerprint(grant.access_token) for grant in grants if grant}
    calls = [call for call in google.calls if call.method_id.startswith("gmail.")]
    letters = own_markers(google, set(emails.values()))
    seen: dict[Principal, set[str]] = {person: set() for person in emails}
    public = 0
    for person, text in shown:
        found = {marker.lower() for marker in MARKER.findall(text)}
        if person is None:
            public += len(found)
        else:
            seen[person] |= found
    return Verdict(
        alive=await watch.alive(fading_seconds),
        foreign_tokens={person for person, token in watch.used if token != tokens.get(person)},
        foreign_calls=sum(call.bearer_sha256 not in tokens.values() for call in calls),
        foreign_letters={person for person, found in seen.items() if found - letters[emails[person]]},
        public_letters=public,
    )
