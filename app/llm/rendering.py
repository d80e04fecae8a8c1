"""Rendering a tool's result as text for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import is_multi_modal_content

from app.toolkits.asides import without_asides
from app.toolkits.untrusted import unquoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_ai.messages import ToolReturnPart

# An outcome that is missing here is no success either: https://ai.pydantic.dev/api/messages/
_OUTCOMES = {
    "failed": "failed",
    "denied": "was not done",
    "retried": "could not be done as asked",
    "interrupted": "was interrupted, and I don't know whether it took effect",
}


def render(results: Sequence[ToolReturnPart]) -> str:
    """Return all results of one turn, each under its tool's name when there are several."""
    if len(results) == 1:
        return _render_result(results[0])
    return "\n\n".join(f"{result.tool_name}:\n{_render_result(result)}" for result in results)


def _render_result(result: ToolReturnPart) -> str:
    """Return the content of a successful result; for any other, say first that it did not succeed."""
    items = [_file_name(item) for item in result.content_items(mode="jsonable", wrap_if_error=False)]
    content = items if isinstance(result.content, list) else items[0]
    if result.outcome == "success":
        return _render_value(unquoted(content))
    what = f"{result.tool_name} {_OUTCOMES.get(result.outcome, 'did not succeed')}"
    problems = items[0] if items and isinstance(items[0], list) else items  # validation errors come as one item
    reason = without_asides("\n".join(_render_problem(problem) for problem in problems))
    if result.outcome == "denied" and reason.strip():
        return reason
    return f"{what}: {reason}" if reason.strip() else f"{what}."


def _file_name(item: Any) -> Any:
    return f"[a file, {item.media_type}]" if is_multi_modal_content(item) else item


def _render_problem(problem: Any) -> str:
    """Return a validation error as `parameter: what is wrong`, without the input, and any other reason as it is."""
    if isinstance(problem, dict) and "msg" in problem:
        place = ".".join(str(step) for step in problem.get("loc", ()))
        what = str(problem["msg"]).removeprefix("Value error, ")  # pydantic's prefix, of no use to a person
        return f"{place}: {what}" if place else what
    return _inline(problem)


def _render_value(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"- {_inline(item)}" for item in value) or "Nothing found."
    if isinstance(value, dict) and isinstance(value.get("summary"), str):
        return str(value["summary"])
    if isinstance(value, dict):
        return "\n".join(_render_field(name, item) for name, item in value.items()) or "Nothing found."
    return _inline(value).strip() or "Done."


def _render_field(name: str, value: Any) -> str:
    """Return `name: value`, a list of objects below its name."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return f"{_label(name)}:\n{_render_value(value)}"
    return f"{_label(name)}: {_inline(value) or 'none'}"


def _inline(value: Any) -> str:
    """Return a value on one line, empty fields left out; text keeps its own line breaks."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            fields = ((_label(name), _inline(item)) for name, item in value.items())
            return ", ".join(f"{name}: {text}" for name, text in fields if text)
        case list():
            return ", ".join(_inline(item) for item in value)
        case _:
            return str(value)


def _label(name: str) -> str:
    return name.replace("_", " ")
