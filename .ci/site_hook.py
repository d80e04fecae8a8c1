"""A hook of mkdocs for `make site`: pages from outside docs/, drawn diagrams, and a check that no host is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mermaidx
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {"changelog.md": "CHANGELOG.md", "benchmarks/growth.svg": "benchmarks/growth.svg"}
MOST_LINES = 60  # drawing takes a minute for the container's graph, and nobody can read the picture
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
_NOT_LOADED = re.compile(r"rel=[\"']?(?:canonical|next|prev|alternate)\b")
_STYLE_URL = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")


def on_config(config: Any) -> Any:
    """Add the decisions to the navigation, and a last section of pages that it does not list."""
    docs = Path(config["docs_dir"])
    pages = sorted(str(page.relative_to(docs)) for page in docs.rglob("*.md"))
    decisions = [page for page in pages if page.startswith("decisions/")]
    config["nav"].append({"Decisions": [{_title(docs / page): page} for page in decisions]})
    listed = re.findall(r"[\w/.-]+\.md", str(config["nav"]))
    if others := [page for page in pages if page not in listed]:
        config["nav"].append({"More": [{_title(docs / page): page} for page in others]})
    return config


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures that are kept elsewhere in the repository."""
    for place, source in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Return the page with its diagrams as pictures, drawn here, and a diagram that is too large for that as text."""

    def drawn(match: re.Match[str]) -> str:
        if match[1].count("\n") > MOST_LINES:
            return f"```text title='a diagram in Mermaid'\n{match[1]}```"
        place = f"diagrams/{page.file.name}-{match.start()}.svg"
        picture = mermaidx.render(match[1]).svg().replace("background-color: transparent", "background-color: white", 1)
        files.append(File.generated(config, place, content=picture))
        return f"![The diagram of this section]({place})"

    return _DIAGRAM.sub(drawn, markdown.replace("](../benchmarks/", "](benchmarks/"))


def on_post_build(config: Any) -> None:
    """Fail if a page would load anything from another host."""
    site = Path(config["site_dir"])
    found = [
        f"{page.relative_to(site)}: {tag[0]}"
        for page in site.rglob("*.html")
        for tag in _LOADED.finditer(page.read_text(encoding="utf-8"))
        if not _NOT_LOADED.search(tag[0])
    ]
    found += [
        f"{style.relative_to(site)}: {match[0]}"
        for style in site.rglob("*.css")
        for match in _STYLE_URL.finditer(style.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError("these would be loaded from another host:\n" + "\n".join(found))
