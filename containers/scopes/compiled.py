"""How the objects of a scope are built fast: the graph below a provider, compiled once into straight Python.

The first `scope.get(provider)` of a scope finds nothing built and usually asks for everything. The code that is
generated for it reads like code written by hand::

    def build(scope):
        try:
            v0 = ...                           # principal = Seed(Principal): looked up among the seeds
            v1 = k1()                          # google_auth = ThreadSafeSingleton(GoogleAuth): asked every time
            v2 = k2(v0, v1)                    # credentials = Scoped(Credentials, principal, google_auth)
            v3 = k3(v2)                        # gmail = Scoped(Gmail, credentials)
        except BaseException:
            scope._keep(plan, locals())
            raise
        scope._plan = plan
        scope._values = v0, v1, v2, v3
        return v3

    def kill(values):
        v0, v1, v2, v3 = values
        v2.__class__ = k4                      # the tombstone of Credentials
        v3.__class__ = k5

Graphs that cannot be compiled, and every later `get` of another provider, are left to `resolve`, which builds the
same objects. A plan looks no further than scoped providers: all others are called, so that their overrides count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from dependency_injector import providers
from dependency_injector.providers import is_provider

from .kinds import is_steady
from .objects import check, enter_generator, finish_by_method, has_end, is_generator
from .providers import Scoped, Seed, graph_lock, keep_plan, kin, name_of, tombstone_of
from .resolve import Provider, is_injected_as_is, twins
from .tombstone import OutsideScopeError, ScopeError, bury

if TYPE_CHECKING:
    from .scope import Scope


class NotPlanned(Exception):  # noqa: N818  # not an error: resolve() takes over
    """The graph holds what a plan cannot build; what it had built so far is kept in the scope."""


class Plan:
    """The compiled functions of one provider; good until the graph changes.

    Attributes:
        keys: The providers whose values `build` leaves in the scope, in the order in which they are built.
        mortal: The positions of the values that die with the scope.
        build: Builds all values in a scope that has none and returns the last; None if the graph cannot be compiled.
        kill: Gives the mortal ones of these values their tombstones.
    """

    __slots__ = ("build", "keys", "kill", "mortal")

    keys: tuple[Provider, ...]
    mortal: tuple[int, ...]
    build: Callable[[Scope], Any] | None
    kill: Callable[[tuple[Any, ...]], None]

    def __init__(self, provider: Scoped[Any]) -> None:
        try:
            _Compiler(provider).compile_into(self)
        except NotPlanned:
            self.build = None


def plan_of(provider: Scoped[Any]) -> Plan:
    """Return the provider's plan for the graph as it is now."""
    with graph_lock:
        plan = provider.plan or Plan(provider)
        keep_plan(provider, plan)
        return plan


class _Compiler:
    """Writes `build` and `kill` for one provider. In a line, ``$`` stands for the variable that it sets."""

    def __init__(self, provider: Scoped[Any]) -> None:
        self._build: list[str] = []
        self._kill: list[str] = []
        self._mortal: list[int] = []
        self._path: list[Provider] = []
        self._variables: dict[Provider, str] = {}
        self._names: dict[str, Any] = {
            "NotPlanned": NotPlanned,
            "OutsideScopeError": OutsideScopeError,
            "bury": bury,
            "call_outside": _call_outside,
            "check": check,
            "enter_generator": enter_generator,
            "finish_by_method": finish_by_method,
        }
        self._file = f"<plan of {name_of(provider)}>"
        self._variable(provider)

    def compile_into(self, plan: Plan) -> None:
        """Give the plan its functions."""
        *_, last = self._variables.values()
        variables = ", ".join(self._variables.values()) + ","
        seen_types = [name for name in self._names if name.startswith("type")]
        source = [
            "def build(scope):",
            *_indented(f"global {name}" for name in seen_types),
            " try:",
            *_indented(_indented(self._build)),
            " except BaseException:",
            "  scope._keep(plan, locals())",
            "  raise",
            " scope._plan = plan",
            f" scope._values = {variables}",
            f" return {last}",
            "def kill(values):",
            f" {variables} = values",
            *_indented(self._kill),
        ]
        self._names["plan"] = plan
        exec(compile("\n".join(source), self._file, "exec"), self._names)  # noqa: S102  # holds names, no input
        plan.keys = tuple(self._variables)
        plan.mortal = tuple(self._mortal)
        plan.build = self._names["build"]
        plan.kill = self._names["kill"]

    def _name(self, value: object, prefix: str = "k") -> str:
        name = f"{prefix}{len(self._names)}"
        self._names[name] = value
        return name

    def _variable(self, provider: Provider) -> str:
        """Return the variable that holds the provider's value, after writing what sets it."""
        if provider in self._path:
            cycle = [*self._path[self._path.index(provider) :], provider]
            raise ScopeError(f"providers need each other to be built: {' -> '.join(map(name_of, cycle))}")
        if provider not in self._variables:
            if isinstance(provider, Scoped):
                self._refuse_twins(provider)
            self._path.append(provider)
            lines = self._scoped(provider) if isinstance(provider, Scoped) else self._steady(provider)
            self._path.pop()
            variable = self._variables[provider] = f"v{len(self._variables)}"
            self._build += [line.replace("$", variable) for line in lines]
            if isinstance(provider, Scoped) and provider.last_overriding is None and _is_mortal(provider):
                self._mortal.append(len(self._variables) - 1)
                self._kill.append(self._death(provider).replace("$", variable))
        return self._variables[provider]

    def _refuse_twins(self, provider: Scoped[Any]) -> None:
        if any(isinstance(other, Scoped) and kin(provider, other) for other in self._variables):
            raise ScopeError(twins(provider))

    def _scoped(self, provider: Scoped[Any]) -> list[str]:
        if provider.last_overriding is not None:
            return [f"$ = {self._variable(provider.last_overriding)}"]
        call = self._name(provider.provides)
        if isinstance(provider, Seed):
            return [
                "seed = scope._seeds[0] if scope._seeds else None",
                f"$ = seed if type(seed) is {call} else scope._seed({call})",
            ]
        if is_provider(provider.provides) or provider.attributes or not all(map(_is_name, provider.kwargs)):
            raise NotPlanned
        arguments = [self._expression(value) for value in provider.args]
        arguments += [f"{name}={self._expression(value)}" for name, value in provider.kwargs.items()]
        made = f"{call}({', '.join(arguments)})"
        if is_generator(provider):
            return [f"$ = enter_generator(scope, {self._name(provider)}, {made})"]
        if not isinstance(provider.provides, type):
            return [f"made = {made}", *self._checked(provider)]
        closed = f"finish_by_method(scope, {self._name(provider)}, $)"
        return [f"$ = {made}", *([closed] if has_end(provider) else [])]

    def _steady(self, provider: Provider) -> list[str]:
        call = f"try: made = {self._name(provider)}()"
        return [call, "except OutsideScopeError: raise NotPlanned from None", *self._checked(provider)]

    def _checked(self, provider: Provider) -> list[str]:
        seen = self._name(None, "type")  # one comparison, as long as the type stays the same
        return [f"if type(made) is not {seen}: {seen} = check({self._name(provider)}, made)", "$ = made"]

    def _expression(self, value: Any) -> str:
        """Return the text of an argument, after writing what it needs."""
        if is_injected_as_is(value):
            return self._name(value)
        if isinstance(value, Scoped) or is_steady(value):
            return self._variable(value)
        if type(value) is providers.List:
            self._watch(value)
            return f"[{', '.join(map(self._expression, value.args))}]"
        if type(value) is providers.Dict and not any(map(is_provider, value.kwargs)):
            self._watch(value)
            items = (f"{self._name(key)}: {self._expression(item)}" for key, item in value.kwargs.items())
            return f"{{{', '.join(items)}}}"
        if any(value.traverse(types=[Scoped])):
            raise NotPlanned
        return f"call_outside({self._name(value)})"

    def _watch(self, provider: Provider) -> None:
        # A List or a Dict does not tell when it is overridden, so it is asked.
        self._build.append(f"if {self._name(provider)}.last_overriding is not None: raise NotPlanned")

    def _death(self, provider: Scoped[Any]) -> str:
        cls: Any = provider.provides
        is_plain = cls.__setattr__ is object.__setattr__ and _makes_itself(cls)
        return f"$.__class__ = {self._name(tombstone_of(provider))}" if is_plain else "bury($)"


def _is_mortal(provider: Scoped[Any]) -> bool:
    cls = provider.provides
    if isinstance(provider, Seed) or not isinstance(cls, type):
        return False
    return tombstone_of(provider) is not None or not _makes_itself(cls)


def _makes_itself(cls: Any) -> bool:
    """Tell whether calling a class gives its own instance: neither a metaclass nor a `__new__` may give another."""
    return cls.__new__ is object.__new__ and type(cls).__call__ is type.__call__


def _call_outside(provider: Provider) -> Any:
    try:
        value = provider()
    except OutsideScopeError:  # an override has put a scoped provider below it
        raise NotPlanned from None
    check(provider, value)
    return value


def _indented(lines: Iterable[str]) -> list[str]:
    return [f" {line}" for line in lines]


def _is_name(keyword: str) -> bool:
    return keyword.isidentifier() and not iskeyword(keyword)
