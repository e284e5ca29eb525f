"""Curves that stay viewable: a long one is drawn by fewer points, and never loses an extreme.

A curve is thinned by taking of every stretch its first, lowest, highest and last point (M4: Jugel et al., "M4: A
Visualization-Oriented Time Series Data Aggregation", VLDB 2014): drawn as a line it looks as the whole would. Prices are
summed up as bars are: first to last with the lowest low and the highest high.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from ..actors.bars import Row

CURVE_POINTS = 4000
"""Points of a curve, at most: more than a screen has columns, so that zooming in still shows something."""
PRICE_POINTS = 120_000
"""Points of the prices of all symbols together, about, within these bounds a symbol."""
FEWEST_A_SYMBOL, MOST_A_SYMBOL = 800, 4000


class Curve(NamedTuple):
    """Points to draw: `x` in ms UTC, `y` None where there is no value. `whole` is how many there were."""

    x: list[int]
    y: list[float | None]
    whole: int

    @property
    def is_thinned(self) -> bool:
        return len(self.x) < self.whole


def thinned(x: Sequence[int], y: Sequence[float], points: int = CURVE_POINTS) -> Curve:
    """Return the curve by at most `points` of its points, with the first, the last and every stretch's extremes. NaN is a gap."""
    whole = len(y)
    kept = range(whole) if whole <= points else _kept(y, max(points // 4, 1))
    return Curve([x[at] for at in kept], [_or_none(y[at]) for at in kept], whole)


def _kept(y: Sequence[float], stretches: int) -> list[int]:
    whole, kept = len(y), []
    has_gaps = any(map(math.isnan, y))
    for stretch in range(stretches):
        begin, end = stretch * whole // stretches, (stretch + 1) * whole // stretches
        part = y[begin:end]
        values = [value for value in part if not math.isnan(value)] if has_gaps else part
        extremes = (min(values), max(values)) if values else ()
        chosen = {begin, end - 1, *(begin + part.index(value) for value in extremes)}
        kept += sorted(chosen)
    return kept


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def drawdown(equity: Sequence[float], initial: float) -> array[float]:
    """Return how far each point is below the highest so far, as a fraction of that; the start counts as one."""
    highest, depths = initial, array("d")
    for value in equity:
        highest = max(highest, value)
        depths.append(value / highest - 1 if highest > 0 else math.nan)
    return depths


class PriceCurve:
    """The prices of one symbol, summed up while they pass."""

    __slots__ = ("_point", "close", "high", "low", "x")

    def __init__(self) -> None:
        self.x = array("q")
        self.low, self.high, self.close = array("d"), array("d"), array("d")
        self._point = -1

    def add(self, point: int, x: int, row: Row) -> None:
        """Add a bar to the point that it belongs to, the last or a new one."""
        _, high, low, close, _ = row
        if point != self._point:
            self._point = point
            self.x.append(x)
            self.low.append(low)
            self.high.append(high)
            self.close.append(close)
            return
        self.x[-1], self.close[-1] = x, close
        # Not min and max: this is done for every bar of a run.
        if low < self.low[-1]:  # noqa: PLR1730
            self.low[-1] = low
        if high > self.high[-1]:  # noqa: PLR1730
            self.high[-1] = high


def steps_a_point(steps: int, symbols: int) -> int:
    """Return how many steps of the run one point of a price curve sums up."""
    points = min(max(PRICE_POINTS // max(symbols, 1), FEWEST_A_SYMBOL), MOST_A_SYMBOL)
    return max(1, -(-steps // points))
