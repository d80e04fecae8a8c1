"""Long texts in pages."""

from __future__ import annotations

PAGE_LENGTH = 10_000  # characters


def pages(text: str) -> list[str]:
    """Return the text in pages of at most `PAGE_LENGTH` characters, cut between lines or words where there are any."""
    cut: list[str] = []
    start = 0
    while len(text) - start > PAGE_LENGTH:
        window = text[start : start + PAGE_LENGTH]
        end = max(window.rfind("\n"), window.rfind(" ", PAGE_LENGTH * 9 // 10)) + 1
        end = end if end > PAGE_LENGTH * 9 // 10 else PAGE_LENGTH
        cut.append(window[:end].rstrip())
        start += end
    return [*cut, text[start:]]
