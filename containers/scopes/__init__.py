"""The request scope: what lives for one request, on dependency-injector.

It imports nothing but dependency-injector, and works when this folder is copied into another project under any name::

    class Container(DeclarativeContainer):
        database = ThreadSafeSingleton(Database)
        principal = Seed(Principal)
        credentials = Scoped(Credentials, principal, database)

    async with Scope(Principal("ada")) as scope:
        credentials = scope.get(container.credentials)  # the same object until the scope closes, and then a dead one

See docs/scopes.md for what holds and what does not.
"""

from .kinds import KINDS, Kind, kind_of
from .observed import ObservedScope, ScopeObserver
from .providers import Scoped, Seed, is_async, kin, name_of
from .scope import Scope
from .threads import THREADS_OF_A_SCOPE, open_threads
from .tombstone import OutsideScopeError, ScopeError, is_dead

__all__ = [
    "KINDS",
    "THREADS_OF_A_SCOPE",
    "Kind",
    "ObservedScope",
    "OutsideScopeError",
    "Scope",
    "ScopeError",
    "ScopeObserver",
    "Scoped",
    "Seed",
    "is_async",
    "is_dead",
    "kin",
    "kind_of",
    "name_of",
    "open_threads",
]
