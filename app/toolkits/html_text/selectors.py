"""CSS selectors, as far as they decide to which elements of a mail a rule applies.

https://drafts.csswg.org/selectors-4/. What cannot be decided while a page is read from its beginning, such as
``:last-child``, is taken to hold and makes a selector inexact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.toolkits.html_text.css import QUOTED
from app.toolkits.html_text.effort import Effort
from app.toolkits.html_text.tokens import names

MAX_COMPOUNDS = 12  # in one selector; of a longer one only the end is looked at

_NAME = rf"(?:[\w-]|[^\x00-\x7f{QUOTED}]|{QUOTED}.)++"
_PART = re.compile(
    rf"(?P<space>\s++)|(?P<combinator>[>+~]|\|\|)|(?P<comma>,)|(?P<tag>\*|{_NAME})|\.(?P<class>{_NAME})|\#(?P<id>{_NAME})"
    rf"|\[(?P<attribute>(?:{QUOTED}.|[^\[\]])*+)\]|(?P<pseudo>::?)(?P<state>{_NAME})|(?P<open>\()|(?P<close>\))|(?P<other>.)",
    re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(rf"\s*+({_NAME})\s*+(?:([~|^$*]?=)\s*+(?:\"((?:{QUOTED}.|[^\"])*+)\"|({_NAME})))?", re.DOTALL)
# Never true in a mail that is only read, or about text that the mail does not hold.
_NEVER = names(
    "hover active focus focus-within focus-visible visited target checked disabled before after first- "
    "line first-letter selection placeholder marker backdrop"
)


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """The parts of one element that selectors look at; its name, id and classes are in lower case."""

    name: str
    attributes: Mapping[str, str]
    id: str
    classes: frozenset[str]

    @classmethod
    def of(cls, name: str, attributes: Mapping[str, str]) -> Element:
        """Return the element of a start tag."""
        classes = frozenset(attributes["class"].lower().split()) if "class" in attributes else frozenset()
        return cls(name, attributes, attributes.get("id", "").lower(), classes)


@dataclass(slots=True)
class Compound:
    """The conditions on one element, such as ``td.total[align]``."""

    tag: str = ""
    id: str = ""
    classes: set[str] = field(default_factory=set)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)  # name, operator, value

    def matches(self, element: Element) -> bool:
        """Return whether an element is it."""
        return (
            (not self.tag or self.tag == element.name)
            and (not self.id or self.id == element.id)
            and self.classes <= element.classes
            and all(_attribute_is(element.attributes, *each) for each in self.attributes)
        )


@dataclass(slots=True)
class Selector:
    """One selector of a rule.

    Attributes:
        compounds: From left to right, the element itself last.
        children: For each compound whether it is a child of the one before it, or else anywhere in it.
        exact: Whether it applies to just these elements; an inexact one may apply to fewer.
        specificity: How strong it is: ids, then classes and attributes, then tags.
    """

    compounds: list[Compound] = field(default_factory=lambda: [Compound()])
    children: list[bool] = field(default_factory=lambda: [False])
    exact: bool = True
    specificity: tuple[int, int, int] = (0, 0, 0)

    @property
    def subject(self) -> Compound:
        """The conditions on the element itself."""
        return self.compounds[-1]

    def matches(self, path: Sequence[Element], effort: Effort) -> bool:
        """Return whether the last element of a path from the root is meant."""
        effort.spend(1)
        if not self.subject.matches(path[-1]):
            return False
        places = [len(path) - 1]
        for index in range(len(self.compounds) - 2, -1, -1):
            wanted = self.compounds[index]
            candidates = [place - 1 for place in places if place] if self.children[index + 1] else range(max(places))
            effort.spend(len(candidates))
            places = [place for place in candidates if wanted.matches(path[place])]
            if not places:
                return False
        return True


def read_selectors(text: str) -> Iterator[Selector]:
    """Yield the selectors of a list that can apply to an element of a mail."""
    selector: Selector | None = Selector()
    combinator = ""
    depth = 0
    empty = True
    for part in _PART.finditer(text):
        kind, value = part.lastgroup, part[0]
        if kind == "state":
            value = part["state"]
        if kind in ("open", "close"):
            depth = max(0, depth + (1 if kind == "open" else -1))
        elif depth:
            continue
        elif kind == "comma":
            if selector and not empty:
                yield selector
            selector, combinator, empty = Selector(), "", True
        elif selector is None or kind == "other":
            selector = None  # not a selector: the rest up to the comma is left out
        elif kind == "space":
            combinator = combinator or " "
        elif kind == "combinator":
            combinator = value
        else:
            if combinator and not empty:
                _begin(selector, combinator)
            combinator, empty = "", False
            if not _add(selector, str(kind), _plain(part[str(kind)])):
                selector = None
    if selector and not empty:
        yield selector


def _begin(selector: Selector, combinator: str) -> None:
    if combinator not in (" ", ">"):  # beside something else: which siblings there are is not known here
        selector.compounds[:], selector.children[:] = [Compound()], [False]
        selector.exact = False
        return
    selector.compounds.append(Compound())
    selector.children.append(combinator == ">")
    if len(selector.compounds) > MAX_COMPOUNDS:
        del selector.compounds[0], selector.children[0]
        selector.exact = False


def _add(selector: Selector, kind: str, value: str) -> bool:
    """Add a part to the selector's last compound; return False when it can never match."""
    compound = selector.subject
    ids, classes, tags = selector.specificity
    if kind == "tag":
        compound.tag = "" if value == "*" else value
        selector.specificity = (ids, classes, tags + (value != "*"))
    elif kind == "id":
        selector.exact = selector.exact and compound.id in ("", value)
        compound.id = value
        selector.specificity = (ids + 1, classes, tags)
    else:
        selector.specificity = (ids, classes + 1, tags)
        if kind == "class":
            compound.classes.add(value)
        elif kind == "attribute":
            _add_attribute(selector, value)
        elif value in _NEVER:
            return False
        elif value == "root":
            compound.tag = "html"
        else:
            selector.exact = False
    return True


def _add_attribute(selector: Selector, text: str) -> None:
    match = _ATTRIBUTE.match(text)
    if match is None:
        selector.exact = False
        return
    name, operator, quoted, bare = match.groups("")
    selector.subject.attributes.append((name, operator, _plain(quoted or bare)))


def _attribute_is(attributes: Mapping[str, str], name: str, operator: str, wanted: str) -> bool:
    if name not in attributes:
        return False
    value = attributes[name].lower()
    match operator:
        case "":
            return True
        case "=":
            return value == wanted
        case "~=":
            return wanted in value.split()
        case "|=":
            return value == wanted or value.startswith(f"{wanted}-")
        case "^=":
            return bool(wanted) and value.startswith(wanted)
        case "$=":
            return bool(wanted) and value.endswith(wanted)
        case _:
            return bool(wanted) and wanted in value


def _plain(text: str) -> str:
    return text.replace(QUOTED, "").lower()
