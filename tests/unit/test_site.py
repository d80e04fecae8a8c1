"""The documentation's site: every page has a place, every link a target, and every public name an entry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

import deputy
import deputy.testing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = {"changelog.md"}  # pages that `make site` copies from elsewhere
CODE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)


def places(nav: object) -> Iterator[str]:
    """Yield the pages of a navigation tree."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for below in nav.values():
            yield from places(below)
    elif isinstance(nav, list):
        for below in nav:
            yield from places(below)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site build them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_navigation_lists_pages_that_exist() -> None:
    """The navigation lists no page twice and none that does not exist; `make site` adds pages that are not listed."""
    listed = list(places(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}

    assert len(listed) == len(set(listed))
    assert set(listed) <= pages | MADE


def test_every_link_to_a_heading_finds_it() -> None:
    """A link with an anchor names a heading of the page that it leads to."""
    links = [
        (page, target, anchor)
        for page in [ROOT / "README.md", *DOCS.rglob("*.md")]
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text())
    ]
    lost = [
        f"{page.name}: {target}#{anchor}"
        for page, target, anchor in links
        if anchor not in anchors(page.parent / target if target else page)
    ]

    assert links
    assert lost == []


def test_every_public_name_is_in_the_reference() -> None:
    """docs/reference.md has an entry for each name of `deputy` and `deputy.testing`, and for no other."""
    entries = re.findall(r"^::: (\S+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)
    names = [f"deputy.{name}" for name in deputy.__all__]
    names += [f"deputy.testing.{name}" for name in deputy.testing.__all__]

    assert sorted(entries) == sorted([*names, "deputy.packages.own_packages_first"])


def test_nothing_on_the_site_comes_from_another_host() -> None:
    """The theme loads no fonts, and no page embeds a picture or a script of another host."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    embedded = [
        f"{page.name}: {match[0]}"
        for page in DOCS.rglob("*.md")
        for match in re.finditer(r"!\[[^]]*\]\(https?:|<(?:script|img|iframe|link)\b", CODE.sub("", page.read_text()))
    ]

    assert config["theme"]["font"] is False
    assert embedded == []
