"""The last prices, as the gate sees them and as strategies are shown them.

While bars are matched the two differ: who answers a fill inside of bars could have done so before they ended, and must not
see where they ended.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite

from ..actors.bars import Bars, CorporateActionKind, Row
from ..actors.model import ZERO
from ..adapters.simulated.costs import as_decimal


class LastPrices:
    """`MarketData` of a feed: the closes of the last bars. A float becomes a Decimal when somebody asks."""

    def __init__(self, rows: dict[str, Row] | None = None) -> None:
        self.rows: dict[str, Row] = {} if rows is None else rows

    def last_price(self, symbol: str) -> Decimal | None:
        row = self.rows.get(symbol)
        return None if row is None else as_decimal(row[3])

    def adjust(self, bars: Bars) -> None:
        """Carry the last prices over the corporate actions that `bars` come with, as an exchange does at the open.

        Until a symbol's first bar on the new terms they are all there is to value a holding by.
        """
        rows = self.rows
        for action in bars.actions:
            row = rows.get(action.symbol)
            if row is None:
                continue
            if action.kind is CorporateActionKind.SYMBOL_CHANGE:
                rows.setdefault(action.new_symbol, row)
            else:  # a split has no amount, a dividend the ratio 1
                rows[action.symbol] = _adjusted(row, action.ratio, action.amount)


class Prices:
    """The prices of a live core: `known` to the gate, `shown` to strategies."""

    def __init__(self) -> None:
        self.known = LastPrices()
        self.shown = LastPrices(self.known.rows)
        self._matched_ns = -1

    def match(self, bars: Bars) -> None:
        """Take the prices of bars that the broker has matched, before anybody is shown them."""
        self._matched_ns = bars.end_ns
        if bars.actions:
            self.known.adjust(bars)
        self.shown.rows = self.known.rows.copy()
        self.known.rows.update(bars.rows)

    def show(self, bars: Bars) -> None:
        """Show bars to everybody."""
        if self._matched_ns != bars.end_ns:
            self.match(bars)
        self.shown.rows = self.known.rows


def _adjusted(row: Row, ratio: Decimal, amount: Decimal) -> Row:
    """Return a bar on the terms after a split or a dividend; what is paid out is never more than the price."""
    open_, high, low, close = (
        float(max(Decimal(repr(price)) - amount, ZERO) / ratio) if isfinite(price) else price for price in row[:4]
    )
    return open_, high, low, close, row[4] * float(ratio)
