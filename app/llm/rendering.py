"""Rendering a tool's result as text for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import is_multi_modal_content

from app.llm.entries import document, entry, is_entry, is_utc
from app.toolkits.asides import without_asides
from app.toolkits.untrusted import unquoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pydantic_ai.messages import ToolReturnPart

# An outcome that is missing here is no success either: https://ai.pydantic.dev/api/messages/
_OUTCOMES = {
    "failed": "That did not work",
    "denied": "I did not do it",
    "retried": "I cannot do it like that",
    "interrupted": "I was interrupted, and I don't know whether it took effect",
}
_DOCUMENTS = ("body",)  # the fields that hold a long text


def render(results: Sequence[ToolReturnPart], now: datetime) -> str:
    """Return all results of one turn, each under its tool's name when there are several.

    Args:
        results: The results.
        now: The present, which days are named by.
    """
    if len(results) == 1:
        return _render_result(results[0], now)
    return "\n\n".join(f"`{result.tool_name}`:\n{_render_result(result, now)}" for result in results)


def listed_ids(content: object) -> list[str]:
    """Return the ids of the things that a result lists, in the order in which `render` numbers them."""
    if isinstance(content, dict):
        content = next((item for item in content.values() if _is_list_of_entries(item)), None)
    if not _is_list_of_entries(content):
        return []
    assert isinstance(content, list)
    return [str(item.get("message_id") or item.get("id") or "") for item in content]


def _render_result(result: ToolReturnPart, now: datetime) -> str:
    """Return the content of a successful result; for any other, say first that it did not succeed."""
    items = [_file_name(item) for item in result.content_items(mode="jsonable", wrap_if_error=False)]
    content = items if isinstance(result.content, list) else items[0]
    if result.outcome == "success":
        return _render_value(unquoted(content), now)
    what = _OUTCOMES.get(result.outcome, "That did not work")
    problems = items[0] if items and isinstance(items[0], list) else items  # validation errors come as one item
    reason = without_asides("\n".join(_render_problem(problem) for problem in problems)).strip()
    if result.outcome == "denied" and reason:
        return reason
    return f"{what}: {reason}" if reason else f"{what}."


def _file_name(item: Any) -> Any:
    return f"[a file, {item.media_type}]" if is_multi_modal_content(item) else item


def _render_problem(problem: Any) -> str:
    """Return a validation error as `parameter: what is wrong`, without the input, and any other reason as it is."""
    if isinstance(problem, dict) and "msg" in problem:
        place = ".".join(str(step) for step in problem.get("loc", ()))
        what = str(problem["msg"]).removeprefix("Value error, ")  # pydantic's prefix, of no use to a person
        return f"{place}: {what}" if place else what
    return _inline(problem)


def _render_value(value: Any, now: datetime) -> str:
    if _is_list_of_entries(value):
        return _render_entries(value, now)
    if isinstance(value, list):
        return "\n".join(f"- {_inline(item)}" for item in value) or "Nothing found."
    for text in ("summary", "answer"):
        if isinstance(value, dict) and isinstance(value.get(text), str):
            return str(value[text])
    if isinstance(value, dict):
        return _render_object(value, now)
    return _inline(value).strip() or "Done."


def _render_object(value: dict[str, Any], now: datetime) -> str:
    lists = {name: items for name, items in value.items() if _is_list_of_entries(items)}
    if body := _body(value):
        return document(value, now, body)
    if is_entry(value):
        return entry(value, now)
    if len(lists) == 1:
        (name, items), more = next(iter(lists.items())), bool(value.get("next_page"))
        return _headed(name, items, now) + ("\n\nThere are more." if more else "")
    if len(value) == 1 and [*value.values()] == [[]]:
        return f"No {_label(next(iter(value)))} found."
    return "\n".join(_render_field(name, item, now) for name, item in value.items()) or "Nothing found."


def _headed(name: str, items: list[dict[str, Any]], now: datetime) -> str:
    """Return a list under what it is a list of; times are another clock's than the person's, which is said once."""
    label = _label(name)
    count = f"1 {label.removesuffix('s')}" if len(items) == 1 else f"{len(items)} {label}"
    clock = " (times in UTC)" if any(map(is_utc, items)) else ""
    return f"{count}{clock}:\n{_render_entries(items, now)}"


def _render_entries(items: list[dict[str, Any]], now: datetime) -> str:
    if any(map(_body, items)):
        parts = [document(item, now, body) if (body := _body(item)) else entry(item, now) for item in items]
        return "\n\n---\n\n".join(parts)
    return "\n".join(f"{number}. {entry(item, now)}" for number, item in enumerate(items, 1))


def _is_list_of_entries(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_entry, value))


def _body(value: Mapping[str, Any]) -> str | None:
    if not is_entry(value):
        return None
    return next((key for key in _DOCUMENTS if isinstance(value.get(key), str)), None)


def _render_field(name: str, value: Any, now: datetime) -> str:
    """Return `name: value`, a list of objects below its name."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return f"{_label(name)}:\n{_render_value(value, now)}"
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
