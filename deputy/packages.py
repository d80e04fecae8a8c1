"""Where Deputy's own packages are, for projects that have a package of the same name, such as `app`.

It imports nothing of Deputy's, because those imports are what could go wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

OWN_PACKAGES = ("app", "containers", "interfaces")
_ROOT = Path(__file__).resolve().parents[1]


class _OwnPackages:
    """Finds these packages beside this one, wherever Python would look first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(_ROOT)], target) if fullname in OWN_PACKAGES else None


def own_packages_first() -> None:
    """Make imports find Deputy's own packages, even if a folder earlier on the path has one of the same name.

    From then on, the other package of that name cannot be imported in this process. The command `deputy` calls this
    first. In tests of a toolkit, call it at the top of conftest.py.

    Raises:
        ImportError: A package of the same name has already been imported.
    """
    if not any(isinstance(finder, _OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnPackages())
    refuse_other_packages()


def refuse_other_packages() -> None:
    """Do nothing if imports find Deputy's own packages.

    Raises:
        ImportError: They find another package of the same name; the message names it and says what to do.
    """
    for name in OWN_PACKAGES:
        if (other := _other_place(name)) is not None:
            way_out = (
                "Deputy must be imported first"
                if name in sys.modules
                else "call deputy.packages.own_packages_first() before other imports"
            )
            raise ImportError(
                f"the package `{name}` at {other} hides Deputy's package of the same name; rename it, or, if this "
                f"process does not need it, {way_out}",
                name=name,
                path=other,
            )


def _other_place(name: str) -> str | None:
    """Return where a package of this name is found, unless it is Deputy's own or there is none."""
    try:
        spec = find_spec(name)
    except ValueError:  # it is imported and does not say from where
        return "an unknown place"
    if spec is None:
        return None
    folders = [Path(folder).resolve() for folder in spec.submodule_search_locations or ()]
    if _ROOT / name in folders:
        return None
    return str(folders[0]) if folders else spec.origin or "an unknown place"
