"""All style sheets of a page together, and what of them holds for an element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.toolkits.html_text.colours import read_attribute
from app.toolkits.html_text.css import Declaration, media_applies, read_declarations, read_sheet
from app.toolkits.html_text.effort import Effort
from app.toolkits.html_text.look import hides, settled
from app.toolkits.html_text.selectors import Element, Selector, read_selectors
from app.toolkits.html_text.tokens import StyleElement

# How browsers show these elements: https://html.spec.whatwg.org/multipage/rendering.html
_BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "a": {"color": "#0000ee"},
    "mark": {"background-color": "yellow", "color": "black"},
    "small": {"font-size": "smaller"},
    "sub": {"font-size": "smaller"},
    "sup": {"font-size": "smaller"},
    "big": {"font-size": "larger"},
    "h1": {"font-size": "2em"},
    "h2": {"font-size": "1.5em"},
    "h3": {"font-size": "1.17em"},
}
_FONT_SIZES = {"1": "10px", "2": "13px", "3": "16px", "4": "18px", "5": "24px", "6": "32px", "7": "48px"}


@dataclass(frozen=True, slots=True)
class _Rule:
    selector: Selector
    declarations: tuple[Declaration, ...]
    order: int


class Styles:
    """The rules of a page's style sheets, found by what their selectors end in. Lives for one conversion."""

    def __init__(self, sheets: Iterable[StyleElement], effort: Effort) -> None:
        self._effort = effort
        self._by_key: dict[str, list[_Rule]] = {}
        self._variables: dict[str, str] = {}
        self._is_by_place = False  # whether a selector also looks at what an element is in
        self._alike: dict[
            tuple[str, frozenset[tuple[str, str]]], dict[str, str]
        ] = {}  # what holds, by name and attributes
        order = 0
        for sheet in sheets:
            for block in read_sheet(sheet.css) if media_applies(sheet.media) else ():
                self._note_variables(block.declarations)
                effort.spend(len(block.declarations))
                text = block.selector.replace("&", " ").lstrip(" \t\r\n>+~") if block.nested else block.selector
                alone = tuple(each for each in block.declarations if hides(each))
                for selector in read_selectors(text):
                    order += 1
                    # Of a rule that may not apply, what could make hidden text visible is not believed.
                    exact = selector.exact and not block.nested
                    declarations = tuple(block.declarations) if exact else alone
                    if declarations:
                        self._is_by_place = self._is_by_place or len(selector.compounds) > 1
                        rule = _Rule(selector, declarations, order)
                        self._by_key.setdefault(_key(selector), []).append(rule)

    def holding(self, path: Sequence[Element]) -> dict[str, str]:
        """Return the declarations that hold for the last element of a path from the root, by property."""
        element = path[-1]
        if self._is_by_place or element.attributes.get("style"):
            return self._look_up(path)
        alike = (element.name, frozenset(element.attributes.items()))
        if (known := self._alike.get(alike)) is None:
            known = self._alike[alike] = self._look_up(path)
        return known

    def _look_up(self, path: Sequence[Element]) -> dict[str, str]:
        element = path[-1]
        own = read_declarations(element.attributes["style"]) if element.attributes.get("style") else []
        self._note_variables(own)
        matched = list(self._matching(path)) if self._by_key else []
        presented = _presented(element)
        if not own and not matched:
            return presented
        matched.sort(key=lambda rule: (rule.selector.specificity, rule.order))
        of_sheets = [declaration for rule in matched for declaration in rule.declarations]
        ordered = [
            *(Declaration(name, value, important=False) for name, value in presented.items()),
            *(each for each in of_sheets if not each.important),
            *(each for each in own if not each.important),
            *(each for each in of_sheets if each.important),
            *(each for each in own if each.important),
        ]
        return settled(ordered, self._variables)

    def _matching(self, path: Sequence[Element]) -> Iterator[_Rule]:
        element = path[-1]
        keys = ["*", element.name, f"#{element.id}", *(f".{name}" for name in element.classes)]
        self._effort.spend(len(keys))
        for key in keys:
            for rule in self._by_key.get(key, ()):
                if rule.selector.matches(path, self._effort):
                    self._effort.spend(len(rule.declarations))
                    yield rule

    def _note_variables(self, declarations: Iterable[Declaration]) -> None:
        for each in declarations:
            if each.property.startswith("--"):
                self._variables[each.property] = each.value
                self._alike.clear()


def _key(selector: Selector) -> str:
    """Return what a selector's subject must have: an id, a class, a tag, or nothing."""
    subject = selector.subject
    if subject.id:
        return f"#{subject.id}"
    return f".{min(subject.classes)}" if subject.classes else subject.tag or "*"


def _presented(element: Element) -> dict[str, str]:
    """Return what an element's name and its attributes of the old kind say of its look."""
    held = dict(_BUILT_IN.get(element.name, {}))
    if element.name == "font" and (size := _FONT_SIZES.get(element.attributes.get("size", "").strip())):
        held["font-size"] = size
    names = {"bgcolor": "background-color"}
    names |= {"color": "color"} if element.name in ("font", "basefont") else {}
    names |= {"text": "color"} if element.name == "body" else {}
    for name, property_name in names.items():
        if name in element.attributes and (colour := read_attribute(element.attributes[name])):
            parts = (round(part * 255) for part in (colour.red, colour.green, colour.blue))
            held[property_name] = "#" + "".join(f"{part:02x}" for part in parts)
    return held
