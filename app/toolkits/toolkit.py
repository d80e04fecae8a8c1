"""Toolkits: classes whose marked methods are the tools of one request's agent."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import FunctionType, MappingProxyType, MethodType
from typing import Any, ClassVar, TypeVar

from pydantic_ai import RunContext, Tool, ToolFailed
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets.abstract import SchemaValidatorProt
from pydantic_core import SchemaValidator

from app.approvals.question import Question
from app.errors import ProviderError, SettingsError, ToolError
from app.oauth.provider import GOOGLE
from app.toolkits.google_faults import describe
from app.toolkits.input_file import TakesFiles
from app.toolkits.rules import check_files, check_given, check_parameters, check_phrases, refuse_shared_state

TOOL_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")  # what every model provider takes as the name of a function
MARK = "__deputy_tool__"

AsyncMethod = TypeVar("AsyncMethod", bound=Callable[..., Awaitable[Any]])


class Effect(StrEnum):
    """How far a tool's changes reach, which decides whether the person is asked first."""

    READ = "read"  # nothing
    ORGANISE = "organise"  # reversibly, and only in the person's own data: label, star, archive, draft
    ACT = "act"  # send, reply, invite, share, delete, trash, and anything else that others can see


@dataclass(frozen=True, slots=True)
class ToolMark:
    """The declaration that `@tool` leaves on a method."""

    effect: Effect
    connection: str | None
    oauth_scopes: tuple[str, ...]
    phrases: tuple[str, ...]
    repeatable: bool
    asks: Question | None
    doing: str
    files: TakesFiles | None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool of a toolkit class. It is made once per class, shared by all requests, and never changed.

    Attributes:
        name: The name that the model calls it by: ``{toolkit}_{method}``, such as ``gmail_search``.
        method: The method's name; of a given tool, its name at its origin.
        effect: How far its changes reach.
        connection: The connection whose access it needs: ``google``, or a name in the settings; None if it needs none.
        oauth_scopes: The OAuth scopes it needs there, all of them; Google's are URLs.
        phrases: Regular expressions by which the offline demo model finds it.
        repeatable: Running it twice has the same result as running it once.
        asks: How a person is asked for approval, or None for the tool's name and its arguments.
        doing: The words for a person while it runs for long: ``searching your mail``.
        definition: The model's description of it. Its metadata has ``effect``, ``oauth_scopes`` and ``phrases``.
        validator: Checks the model's arguments; stateless.
        takes_context: Whether the method's first argument is pydantic-ai's RunContext.
        function: The plain function, not bound to anybody's toolkit; None for a given tool, which `run_tool` runs.
        files: The files that it takes, which the guard fetches for each call; None if it takes none.
    """

    name: str
    method: str
    effect: Effect
    connection: str | None
    oauth_scopes: tuple[str, ...]
    phrases: tuple[str, ...]
    repeatable: bool
    asks: Question | None
    doing: str
    definition: ToolDefinition
    validator: SchemaValidator | SchemaValidatorProt
    takes_context: bool = False
    function: Callable[..., Awaitable[Any]] | None = None
    files: TakesFiles | None = None


def tool(
    *,
    effect: Effect = Effect.READ,
    connection: str | None = None,
    oauth_scopes: tuple[str, ...] | None = None,
    phrases: tuple[str, ...] = (),
    repeatable: bool = False,
    asks: Question | None = None,
    doing: str = "",
    files: TakesFiles | None = None,
) -> Callable[[AsyncMethod], AsyncMethod]:
    r"""Mark an ``async`` method of a toolkit as a tool; the model reads its docstring.

    Args:
        effect: How far the tool's changes reach.
        connection: The connection whose access the tool needs, by its name in the settings: ``github``. Without it, a
            tool with OAuth scopes needs Google's, and one without any needs nobody's.
        oauth_scopes: The least OAuth scopes that it cannot do without, Google's as URLs. ``()`` says that it needs
            none; a tool with a `connection` may leave them out, and needs the person's access all the same.
        phrases: Regular expressions for the offline demo model, matched against the whole message without regard
            to case. Named groups are arguments: ``(?:last|latest) (?P<limit>\d+) mails``.
        repeatable: Of a tool that organises: done twice it leaves the same as done once, as a label does and a draft
            does not. A message that was interrupted is not begun again after one that is not.
        asks: How a person is asked for approval: ``Question("Send this mail?", {"body": "Text"})``.
        doing: The words for a person while it runs for long, after "I'm": ``searching your mail``; else its name.
        files: The files that it takes: parameters of the types `OneFile` or `SeveralFiles`.

    Raises:
        SettingsError: The method is not ``async def``, a bare string stands where a tuple should, or neither a
            connection nor OAuth scopes are given.
    """
    if oauth_scopes is None and connection is None:
        raise SettingsError("@tool takes oauth_scopes=(…), or connection=…; write oauth_scopes=() if it needs neither")
    scopes = () if oauth_scopes is None else oauth_scopes
    for option, value in (("oauth_scopes", scopes), ("phrases", phrases)):
        if not isinstance(value, tuple):
            raise SettingsError(f"@tool({option}=…) takes a tuple of strings; got {type(value).__name__}")

    def mark(marked: AsyncMethod) -> AsyncMethod:
        method: object = marked  # the check below would narrow the type that is promised
        if not inspect.iscoroutinefunction(method):
            name = getattr(method, "__qualname__", repr(method))
            raise SettingsError(f"the tool {name} has to be `async def`: blocking calls belong into a client's threads")
        needs = connection or (GOOGLE if scopes else None)
        setattr(method, MARK, ToolMark(effect, needs, scopes, phrases, repeatable, asks, doing, files))
        return marked

    return mark


class Toolkit:
    """The tools of one subject, bound to one person. An instance lives for one request, its class for the process.

    A subclass sets `name`, takes what it needs in its constructor, and marks its tools with `@tool`. Mistakes are
    found when the class is made. `ToolError` and `ProviderError` become reasons that the model reads; all others,
    those about consent and approval included, are for the caller.

    Tools that are no methods, because they come from another framework, are given as specs: ``class Issues(Toolkit,
    given=specs)``, with `given_tool` making each one. Such a class overrides `run_tool`.

    Attributes:
        name: The first half of every tool's name; lower case, such as ``gmail``.
    """

    name: ClassVar[str]
    __tools: ClassVar[Mapping[str, ToolSpec]] = MappingProxyType({})

    def __init_subclass__(cls, *, given: Iterable[ToolSpec] = (), **options: Any) -> None:
        """Check the class and make its schemas; those of a base class are reused.

        Args:
            given: Tools that are no methods of the class.
            options: Handed on to other bases.

        Raises:
            SettingsError: The class breaks a rule; the message names the attribute and how to fix it.
        """
        super().__init_subclass__(**options)
        refuse_shared_state(cls.__mro__[: cls.__mro__.index(Toolkit)])
        inherited = cls.__tools
        specs = [spec for spec in inherited.values() if spec.function is None]
        specs += [_spec(cls, method, function, inherited) for method, function in _marked(cls, inherited)]
        if given := tuple(given):
            place = cls.__qualname__
            check_given(place, f"{getattr(cls, 'name', '')}_", [spec.name for spec in specs], [it.name for it in given])
            if cls.run_tool is Toolkit.run_tool:
                raise SettingsError(f"{place} is given tools and has no `run_tool` to run them")
        cls.__tools = MappingProxyType({spec.name: spec for spec in (*specs, *given)})

    @classmethod
    def tools(cls) -> Mapping[str, ToolSpec]:
        """Return all tools of the class by name; read-only."""
        return cls.__tools

    def known(self) -> Mapping[str, ToolSpec]:
        """Return the tools that this toolkit can be asked to run, by name; those of its class by default."""
        return self.tools()

    def offered(self) -> Mapping[str, ToolSpec]:
        """Return the tools that the model is offered with its next request; all known ones by default.

        A toolkit whose tools come and go returns another mapping when they do, never a changed one.
        """
        return self.known()

    def notice(self) -> str | None:
        """Return a sentence for the model about tools that are left out at the moment, or None."""
        return None

    async def approval_details(self, tool: str, arguments: Mapping[str, Any]) -> Sequence[str]:
        """Return lines that tell a person who is asked to approve a call about its arguments; none by default.

        They are shown below the arguments, which are shown in any case: a mail's subject beside its id, for example.

        Args:
            tool: The tool's name, such as ``gmail_trash``.
            arguments: The call's arguments, checked.
        """
        del tool, arguments
        return ()

    async def read_file(self, reference: str) -> bytes:
        """Return the contents of a file that a tool has `promised`; a toolkit whose tools do so overrides this.

        Args:
            reference: The reference that the tool gave.

        Raises:
            ToolError: There is no such file, or it cannot be read.
        """
        del reference
        raise ToolError("this toolkit has no files")

    async def run_tool(self, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run one tool, here its marked method; a class with given tools overrides this.

        Args:
            spec: The tool.
            tool_args: Arguments that its validator passed.
            ctx: The context of the run.

        Raises:
            ToolError: The tool failed, in words for the model and the person.
        """
        method = getattr(self, spec.method)
        return await (method(ctx, **tool_args) if spec.takes_context else method(**tool_args))

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run one tool with arguments that its validator passed.

        Raises:
            ToolFailed: The tool or Google said no; the model reads why and need not repeat the call. Arguments that
                the model could correct are refused earlier, by the parameters' types.
        """
        try:
            return await self.run_tool(self.known()[name], tool_args, ctx)
        except ToolError as error:
            raise ToolFailed(str(error)) from error
        except ProviderError as error:
            raise ToolFailed(describe(error)) from error


def _marked(cls: type[Toolkit], inherited: Mapping[str, ToolSpec]) -> Iterator[tuple[str, FunctionType]]:
    """Yield the tool methods of a class, those of its bases first.

    Raises:
        SettingsError: A method hides a tool or a part of Toolkit without saying so.
    """
    methods = {spec.method: None for spec in inherited.values() if spec.function is not None}
    methods |= {name: None for name, value in vars(cls).items() if hasattr(value, MARK)}
    for method in methods:
        function = inspect.getattr_static(cls, method)
        if not hasattr(function, MARK):
            raise SettingsError(f"{cls.__qualname__}.{method} hides a tool of its base class; mark it with @tool too")
        if hasattr(Toolkit, method):
            raise SettingsError(f"{cls.__qualname__}.{method} hides what every toolkit has; give the tool another name")
        yield method, function


def _spec(cls: type[Toolkit], method: str, function: FunctionType, inherited: Mapping[str, ToolSpec]) -> ToolSpec:
    place = f"{cls.__qualname__}.{method}"
    name = f"{getattr(cls, 'name', '')}_{method}"
    if not TOOL_NAME.fullmatch(name):
        raise SettingsError(
            f"{place} would be called {name!r}: set `name` on {cls.__qualname__} to a short word in lower case"
        )
    if (known := inherited.get(name)) is not None and known.function is function:
        return known
    mark: ToolMark = getattr(function, MARK)
    metadata = {"effect": mark.effect.value, "oauth_scopes": mark.oauth_scopes, "phrases": mark.phrases}
    # Bound to an object that is nobody's toolkit: that takes `self` out of the signature.
    made = Tool[Any](MethodType(function, object()), name=name, metadata=metadata, docstring_format="google")
    check_parameters(place, function, made)
    check_phrases(place, mark.phrases, made.function_schema.json_schema)
    check_files(place, mark.files.parameters if mark.files else (), made.function_schema.json_schema)
    return ToolSpec(
        name=name,
        method=method,
        effect=mark.effect,
        connection=mark.connection,
        oauth_scopes=mark.oauth_scopes,
        phrases=mark.phrases,
        repeatable=mark.repeatable,
        asks=mark.asks,
        doing=mark.doing or f"using {name}",
        definition=made.tool_def,
        validator=made.function_schema.validator,
        takes_context=made.takes_ctx,
        function=function,
        files=mark.files,
    )
