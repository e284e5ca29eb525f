"""Exits in the bar of their entry: which rest of a bar an order may still meet that answers a fill inside of it.

Whoever is told of an entry's fill when its bar has ended, and protects it at once, would in a market have been told when
it filled. So such an exit meets what came of the bar after the entry, at prices after that alone. A market order does not:
like every other it waits for the next open.

Who answers must not know what came later in the bar. So there is a rest only where the entry was the symbol's one order
while the bar traded: each other one, filled or not, would tell how far prices went. It is met once, by the first exit,
whose own fate would tell the same. And nothing meets it once the bar has been shown.
"""

from __future__ import annotations

from decimal import Decimal

from ...actors.bars import Bars
from ...actors.model import ZERO, Purpose
from ...actors.ports import Executed
from .matching import Matching, Trade
from .orders import WorkingOrder
from .path import Path

EXITS = (Purpose.EXIT, Purpose.PROTECTIVE)


class SameBar:
    """The rests of the last bars by symbol, found when the first exit asks for one."""

    __slots__ = ("_bars", "_matching", "_rests")

    def __init__(self, matching: Matching) -> None:
        self._matching = matching
        self._bars: Bars | None = None
        self._rests: dict[str, Path] = {}

    def rest(self, order: WorkingOrder, bars: Bars) -> Path | None:
        """Return what of the bars that end now a new exit may meet, None for nothing."""
        listing = order.listing
        if (order.stop is None and order.limit is None) or order.moment is not None:
            return None
        if order.asked.purpose not in EXITS or not (bars.regular or order.asked.extended_hours):
            return None
        if bars is not self._bars:
            self._bars, self._rests = bars, self._find(bars)
        position = listing.holding.quantity
        if not position or order.is_buy is (position > ZERO):
            return None
        path = self._rests.pop(listing.symbol, None)
        if path is None or self._matching.traded_at_close(listing, bars):  # nothing comes after the close
            return None
        return path

    def _find(self, bars: Bars) -> dict[str, Path]:
        """Return, by symbol whose one order has made its position greater, the path from there on."""
        found: dict[str, Path] = {}
        trades: dict[str, Trade | None] = {}
        for trade in self._matching.trades(bars):
            symbol = trade[0].listing.symbol
            trades[symbol] = None if symbol in trades else trade
        for symbol, alone in trades.items():
            if alone is None:
                continue
            order, report = alone
            position = order.listing.holding.quantity
            if position and order.is_buy is (position > ZERO) and order.listing.was_alone(order, bars.end_ns):
                found[symbol] = self._from(order, report, position, bars)
        return found

    def _from(self, order: WorkingOrder, report: Executed, position: Decimal, bars: Bars) -> Path:
        """Return the path from an execution on, after which the position was as given."""
        listing, at_open = order.listing, report.fill.at_ns == bars.start_ns
        walk = listing.walk
        if walk is not None and walk.bars is bars:
            return walk.path if at_open else walk.points[order.wire_id]
        if at_open:
            return self._matching.path(listing, position, order.is_buy)
        before = position - (report.fill.quantity if order.is_buy else -report.fill.quantity)
        return _from_limit(order, self._matching.path(listing, before, order.is_buy))


def _from_limit(order: WorkingOrder, path: Path) -> Path:
    """Return the path from where it first reaches the one limit order that waited."""
    limit = order.limit
    for index, to in enumerate(path[1:], 1):
        if limit is not None and (to <= limit if order.is_buy else to >= limit):
            return (limit, *path[index:])
    return path[-1:]
