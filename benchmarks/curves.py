"""Draws curves as an SVG picture: one small chart for each, all with the same vertical scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

_WIDTH, _HEIGHT, _MARGIN = 240, 160, 40  # pixels, of one chart and around it
_STYLE = "font-family='sans-serif' font-size='11' fill='#333'"


def draw(curves: Mapping[str, Mapping[int, float]], unit: str) -> str:
    """Return the picture of curves by their titles; the horizontal axis is logarithmic."""
    most = max(value for curve in curves.values() for value in curve.values()) * 1.1
    charts = [_chart(title, curve, most, place) for place, (title, curve) in enumerate(curves.items())]
    width, height = len(curves) * (_WIDTH + _MARGIN) + _MARGIN, _HEIGHT + 2 * _MARGIN
    head = f"<text x='{_MARGIN}' y='14' {_STYLE}>{escape(unit)}</text>"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'>"
        f"<rect width='100%' height='100%' fill='white'/>{head}{''.join(charts)}</svg>\n"
    )


def _chart(title: str, curve: Mapping[int, float], most: float, place: int) -> str:
    left, bottom = _MARGIN + place * (_WIDTH + _MARGIN), _MARGIN + _HEIGHT
    low, high = math.log(min(curve)), math.log(max(curve))
    points = [
        (left + (math.log(size) - low) / (high - low) * _WIDTH, bottom - value / most * _HEIGHT, size, value)
        for size, value in curve.items()
    ]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y, *_ in points)
    marks = "".join(
        f"<circle cx='{x:.0f}' cy='{y:.0f}' r='3' fill='#26c'/>"
        f"<text x='{x:.0f}' y='{y - 6:.0f}' text-anchor='middle' {_STYLE}>{value:.1f}</text>"
        f"<text x='{x:.0f}' y='{bottom + 14}' text-anchor='middle' {_STYLE}>{size}</text>"
        for x, y, size, value in points
    )
    return (
        f"<path d='M{left} {_MARGIN}V{bottom}H{left + _WIDTH}' stroke='#999' fill='none'/>"
        f"<polyline points='{line}' stroke='#26c' fill='none' stroke-width='2'/>{marks}"
        f"<text x='{left + _WIDTH / 2:.0f}' y='{bottom + 30}' text-anchor='middle' {_STYLE}>{escape(title)}</text>"
    )
