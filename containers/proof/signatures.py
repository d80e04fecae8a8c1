"""Whether the arguments of every provider fit what it makes; neither the library nor mypy looks."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

from dependency_injector import providers

from ..scopes import Scoped, Seed
from .findings import Finding
from .graph import AnyProvider, Edge, Graph, effective, product

_CALLED_AS_DECLARED = (Scoped, providers.BaseSingleton, providers.BaseResource)
# Errors of evaluating an annotation in which a name is imported for the type checker only.
_UNRESOLVED = (NameError, AttributeError, TypeError, SyntaxError, ImportError)


def faults(graph: Graph) -> Iterator[Finding]:
    """Yield every missing, unknown and provably wrong argument in the declared graph; overridden providers are skipped.

    Only a class that is no subclass of the annotated one, or that lacks a method of the annotated protocol, is provably
    wrong: type variables, annotations that cannot be resolved, and what functions return are given the benefit of the
    doubt.
    """
    for provider in graph.edges:
        makes = product(provider)
        if provider.last_overriding is not None or isinstance(provider, Seed) or isinstance(makes, providers.Provider):
            continue
        try:
            signature = inspect.signature(makes)  # type: ignore[arg-type]  # what is not callable raises TypeError
        except (TypeError, ValueError):
            continue  # not a provider that calls something, or a builtin that does not tell
        yield from _misfits(graph, provider, signature)


def _misfits(graph: Graph, provider: Any, signature: inspect.Signature) -> Iterator[Finding]:
    # A plain Factory or Callable may be given its other arguments when it is called.
    bind = signature.bind if isinstance(provider, _CALLED_AS_DECLARED) else signature.bind_partial
    name, makes = graph.label(provider), provider.provides
    try:
        bound = bind(*provider.args, **provider.kwargs)
    except TypeError as error:
        drawn = graph.draw((Edge(provider, "", called=True),))
        wants = f"{getattr(makes, '__name__', 'it')}{signature}"
        yield Finding(f"the arguments of `{name}` do not fit: {error}", drawn, f"it is declared as {wants}", provider)
        return
    for parameter, value in _given(signature, bound):
        wanted, given = _annotated(makes, parameter), _given_type(value)
        if wanted and given and not any(_accepts(one, given) for one in wanted):
            wants = " or ".join(one.__qualname__ for one in wanted)
            path = [Edge(provider, "", called=True)]
            if isinstance(value, providers.Provider):
                path.append(Edge(value, f"argument {parameter.name}", called=True))
            yield Finding(
                f"argument {parameter.name} of `{name}` must be {wants}, and is given {given.__qualname__}",
                graph.draw(tuple(path)),
                "give it the provider that it asks for, or correct the annotation",
                provider,
            )


def _given(signature: inspect.Signature, bound: inspect.BoundArguments) -> Iterator[tuple[inspect.Parameter, object]]:
    """Yield each argument with its parameter; those of ``*args`` and ``**kwargs`` one by one."""
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((parameter, one) for one in value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            yield from ((parameter, one) for one in value.values())
        else:
            yield parameter, value


def _annotated(makes: Any, parameter: inspect.Parameter) -> tuple[type, ...]:
    """Return the classes that a parameter accepts, or none if they are not certain."""
    function = inspect.unwrap(getattr(makes, "__init__") if isinstance(makes, type) else makes)  # noqa: B009
    holder = types.SimpleNamespace(__annotations__={"wanted": parameter.annotation})
    if parameter.annotation is parameter.empty:
        return ()
    try:
        # One parameter at a time, so that an import for the type checker hides that parameter only.
        hint = typing.get_type_hints(holder, getattr(function, "__globals__", {}))["wanted"]
    except _UNRESOLVED:
        return ()
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    wanted = [typing.get_origin(one) or one for one in (typing.get_args(hint) if is_union else [hint])]
    return tuple(wanted) if all(_is_certain(one) for one in wanted) else ()


def _is_certain(wanted: object) -> bool:
    if not isinstance(wanted, type) or wanted is Any:
        return False
    return wanted is not typing.Protocol and not typing.is_typeddict(wanted)


def _given_type(value: object) -> type | None:
    """Return the class that an argument will have, or None if only a call of the provider would tell."""
    if not isinstance(value, providers.Provider):
        return type(value)
    if getattr(type(value), "__IS_DELEGATED__", False):
        return None
    answering: AnyProvider = effective(value)
    if isinstance(answering, providers.List | providers.Dict):
        return list if isinstance(answering, providers.List) else dict
    if type(answering) is providers.Object:
        return type(answering.provides)
    makes = product(answering)
    if isinstance(makes, type) and (isinstance(answering, Seed) or _makes_itself(makes)):
        return makes
    return None


def _makes_itself(makes: Any) -> bool:
    """Return whether calling a class gives its instance: neither a metaclass nor a `__new__` may give another."""
    return type(makes).__call__ is type.__call__ and makes.__new__ is object.__new__


def _accepts(wanted: type, given: type) -> bool:
    if getattr(wanted, "_is_protocol", False):
        return _has_methods_of(wanted, given)
    # https://typing.python.org/en/latest/spec/special-types.html: an int is accepted where a float is asked for.
    return (
        issubclass(given, wanted) or (wanted is float and given is int) or (wanted is complex and given in (int, float))
    )


def _has_methods_of(protocol: type, given: type) -> bool:
    """Return whether a class has every method of a protocol, as far as can be seen without an instance of it."""
    if hasattr(given, "__getattr__"):
        return True
    has = {name for cls in given.__mro__ for name in (*vars(cls), *vars(cls).get("__annotations__", ()))}
    return _methods(protocol) <= has


def _methods(protocol: type) -> set[str]:
    return {
        name
        for cls in protocol.__mro__
        if getattr(cls, "_is_protocol", False) and cls is not typing.Protocol
        for name, member in vars(cls).items()
        if isinstance(member, types.FunctionType) and (name == "__call__" or not name.startswith("_"))
    }
