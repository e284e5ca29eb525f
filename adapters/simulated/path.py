"""The path of a bar: in which order its prices came, and what of the orders that wait it reaches on its way.

A bar tells its open, high, low and close, and not whether the high or the low was first. That is assumed:

- `pessimistic`: what hurts comes first. With a long position after the open the low, with a short one the high. Without
  a position what the first order of those that wait would not want to miss: the high for a buy, the low for a sell, so
  that a limit fills late and little of the bar is left that could be to its good.
- `optimistic`: the opposite.
- `adaptive`: the extreme that is nearer to the open, of two as near the low.

Between two points of a path the market goes straight.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ...actors.bars import Bars, Row
from ...actors.model import ZERO
from .costs import as_decimal
from .orders import WorkingOrder

Path = tuple[Decimal, ...]
LowFirst = Callable[[Row, Decimal, bool], bool]
"""Tells whether the low came first, of a bar, the position after its open, and whether the first order that waits buys."""


def _hurts(row: Row, position: Decimal, is_buy: bool) -> bool:
    return position > ZERO if position else not is_buy


def _pleases(row: Row, position: Decimal, is_buy: bool) -> bool:
    return not _hurts(row, position, is_buy)


def _is_nearer(row: Row, position: Decimal, is_buy: bool) -> bool:
    opened, high, low = as_decimal(row[0]), as_decimal(row[1]), as_decimal(row[2])
    return opened - low <= high - opened


LOW_FIRST: dict[str, LowFirst] = {"pessimistic": _hurts, "optimistic": _pleases, "adaptive": _is_nearer}


def path_of(row: Row, low_first: bool) -> Path:
    """Return the points of a bar in their order. A close that is no price of the bar is left out."""
    opened, high, low, close, _ = row
    extremes = (low, high) if low_first else (high, low)
    points = (opened, *extremes, close) if low <= close <= high else (opened, *extremes)
    return tuple(as_decimal(point) for point in points)


class Walk:
    """How the bar of one symbol was followed: its path, and the point of each execution, by wire id."""

    __slots__ = ("bars", "path", "points")

    def __init__(self, bars: Bars, path: Path) -> None:
        self.bars = bars
        self.path = path
        self.points: dict[str, Path] = {}  # what was left of the path, the point itself first


def reached_at(order: WorkingOrder, to: Decimal, falling: bool, at_touch: bool) -> Decimal | None:
    """Return the price at which the market reaches an order on its way to `to`, None where it does not.

    A stop is reached by a touch, a limit where the market trades through it, or to it if that is enough. The market is on
    its near side: whoever could trade before has done so.
    """
    price, meets_falling = order.stop, not order.is_buy
    is_limit = price is None
    if price is None:
        price, meets_falling = order.limit, order.is_buy
    if price is None or meets_falling is not falling:
        return None
    beyond = to < price if falling else to > price
    return price if beyond or (to == price and (at_touch or not is_limit)) else None


def reached(
    orders: list[WorkingOrder], to: Decimal, falling: bool, at_touch: bool
) -> list[tuple[Decimal, WorkingOrder]]:
    """Return the orders that the market reaches on its way to `to`, with the prices, in the order in which it does."""
    met = [(price, order) for order in orders if (price := reached_at(order, to, falling, at_touch)) is not None]
    if len(met) > 1:
        met.sort(key=lambda each: (-each[0] if falling else each[0], each[1].sequence))
    return met
