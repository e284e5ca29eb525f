"""A result in a notebook: the summary as a small table, and the equity as a line that needs no library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from .presenting import summary_rows
from .report_curves import thinned

if TYPE_CHECKING:
    from .result import BacktestResult

WIDTH, HEIGHT, MARGIN = 460, 72, 2
POINTS = 400

# The notebook's own colours: it may be dark or light.
TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
NAME = "text-align:left;opacity:.65;padding:2px 16px 2px 0"
VALUE = "text-align:left;padding:2px 0"


def small_html(result: BacktestResult) -> str:
    """Return the HTML that a notebook shows for a result."""
    rows = "".join(
        f'<tr><td style="{NAME}">{escape(name)}</td><td style="{VALUE}">{escape(value)}</td></tr>'
        for name, value in summary_rows(result.summary)
    )
    values = [float(result.summary.initial_cash), *(equity for _, equity in result.equity_curve())]
    return f'<div>{sparkline(values)}<table style="{TABLE}"><tbody>{rows}</tbody></table></div>'


def sparkline(values: Sequence[float]) -> str:
    """Return an SVG line through the values; nothing for fewer than two."""
    if len(values) < 2:
        return ""
    curve = thinned(range(len(values)), values, POINTS)
    heights = [value for value in curve.y if value is not None]
    low, high = min(heights), max(heights)
    across, up = (WIDTH - 2 * MARGIN) / (len(values) - 1), (HEIGHT - 2 * MARGIN) / ((high - low) or 1.0)
    points = " ".join(
        f"{MARGIN + at * across:.1f},{HEIGHT - MARGIN - (value - low) * up:.1f}"
        for at, value in zip(curve.x, curve.y, strict=True)
        if value is not None
    )
    start = HEIGHT - MARGIN - (values[0] - low) * up
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Equity">'
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{start:.1f}" y2="{start:.1f}" stroke="currentColor" stroke-opacity=".25"/>'
        f'<polyline points="{points}" fill="none" stroke="#3a7ebf" stroke-width="1.4"/></svg>'
    )
