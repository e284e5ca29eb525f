"""Exits in the bar of their entry: which rest of a bar an order may still meet that answers a fill inside of it.

Whoever is told of an entry's fill when its bar has ended, and protects it at once, would in a market have been told when
it filled. So such an exit meets what came of the bar after the last execution that made its position greater, at prices
after that point alone. A market order does not: like every other it waits for the next open. And nothing does once
the bar has been shown: that would be trading on its own prices.
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
        self._rests: dict[str, tuple[bool, Path]] = {}

    def rest(self, order: WorkingOrder, bars: Bars) -> Path | None:
        """Return what of the bars that end now a new exit may meet, None for nothing."""
        listing = order.listing
        if (order.stop is None and order.limit is None) or order.moment is not None:
            return None
        if order.asked.purpose not in EXITS or not (bars.regular or order.asked.extended_hours):
            return None
        if bars is not self._bars:
            self._bars, self._rests = bars, self._find(bars)
        position, found = listing.holding.quantity, self._rests.get(listing.symbol)
        if found is None or not position or order.is_buy is (position > ZERO):
            return None
        if self._matching.traded_at_close(listing, bars):  # nothing comes after the close
            return None
        entry_buys, path = found
        return (
            path if entry_buys is not order.is_buy else None
        )  # else the position is what an exit before has made of it

    def _find(self, bars: Bars) -> dict[str, tuple[bool, Path]]:
        """Return, by symbol, the last execution that made a position greater: whether it bought, and the path from it on."""
        found: dict[str, tuple[bool, Path]] = {}
        by_symbol: dict[str, list[Trade]] = {}
        for trade in self._matching.trades(bars):
            by_symbol.setdefault(trade[0].listing.symbol, []).append(trade)
        for symbol, trades in by_symbol.items():
            position = trades[0][0].listing.holding.quantity
            for order, report in reversed(trades):
                if position and order.is_buy is (position > ZERO):
                    found[symbol] = order.is_buy, self._from(order, report, position, bars)
                    break
                position -= report.fill.quantity if order.is_buy else -report.fill.quantity
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
