"""The last prices, as the gate sees them and as strategies are shown them.

While bars are matched the two differ: who answers a fill inside of bars could have done so before they ended, and must not
see where they ended. Quotes everybody sees at once; of a symbol's last bar and its last quote the newer says the price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite
from types import MappingProxyType

from ..actors.bars import Bars, CorporateActionKind, Row
from ..actors.model import ZERO
from ..actors.quotes import Quote
from ..adapters.simulated.costs import as_decimal


class LastPrices:
    """`MarketData` of a feed: the closes of the last bars. A float becomes a Decimal when somebody asks."""

    quotes: Mapping[str, Quote] = MappingProxyType({})

    def __init__(self, rows: dict[str, Row] | None = None) -> None:
        self.rows: dict[str, Row] = {} if rows is None else rows

    def last_price(self, symbol: str) -> Decimal | None:
        try:
            return as_decimal(self.rows[symbol][3])
        except KeyError:
            return None

    def seen_ns(self, symbol: str) -> int | None:
        """Past prices do not grow old."""
        return None

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


class Quotes:
    """The newest quote of each symbol, what it says the price is, and when the last bars of each have ended.

    A stamp ahead of our clock counts as now: nothing was seen in the future, and a price is not fresh for longer by its stamp.
    """

    def __init__(self) -> None:
        self.newest: dict[str, Quote] = {}
        self.ended_ns: dict[str, int] = {}
        self._prices: dict[str, tuple[int, Decimal]] = {}

    def take(self, quotes: Iterable[Quote], now_ns: int) -> None:
        """Take quotes; one that is older than what is here says nothing, and an absurd one says no price."""
        for quote in quotes:
            quote = quote.seen_by(now_ns)
            known = self.newest.get(quote.symbol)
            if known is not None and known.at_ns > quote.at_ns:
                continue
            self.newest[quote.symbol] = quote
            price = quote.price
            if price is not None:
                self._prices[quote.symbol] = (quote.at_ns, price)

    def ended(self, symbols: Iterable[str], end_ns: int, now_ns: int) -> None:
        """Take note that bars of these symbols have ended."""
        self.ended_ns.update(dict.fromkeys(symbols, min(end_ns, now_ns)))

    def price(self, symbol: str) -> Decimal | None:
        """Return the price that a quote said, None where a bar has said one since."""
        at_ns, price = self._prices.get(symbol, (-1, None))
        return price if at_ns >= self.ended_ns.get(symbol, 0) else None

    def seen_ns(self, symbol: str) -> int | None:
        """Return when a bar or a quote of the symbol was last seen."""
        quote, ended_ns = self.newest.get(symbol), self.ended_ns.get(symbol)
        if quote is None or ended_ns is None:
            return ended_ns if quote is None else quote.at_ns
        return max(quote.at_ns, ended_ns)


class QuotedPrices(LastPrices):
    """`MarketData` of a live core, which knows quotes, too, and when a price was last seen."""

    def __init__(self, rows: dict[str, Row], quoted: Quotes) -> None:
        super().__init__(rows)
        self._quoted = quoted
        self.quotes = quoted.newest

    def last_price(self, symbol: str) -> Decimal | None:
        price = self._quoted.price(symbol) if self.quotes else None
        return super().last_price(symbol) if price is None else price

    def seen_ns(self, symbol: str) -> int | None:
        return self._quoted.seen_ns(symbol)


class Prices:
    """The prices of a live core: `known` to the gate, `shown` to strategies."""

    def __init__(self) -> None:
        self._quoted = Quotes()
        self.known = QuotedPrices({}, self._quoted)
        self.shown = QuotedPrices(self.known.rows, self._quoted)
        self._matched_ns = -1

    def quote(self, quotes: Iterable[Quote], now_ns: int) -> None:
        """Take quotes, which everybody sees at once."""
        self._quoted.take(quotes, now_ns)

    def match(self, bars: Bars, now_ns: int) -> None:
        """Take the prices of bars that the broker has matched, before anybody is shown them."""
        self._matched_ns = bars.end_ns
        if bars.actions:
            self.known.adjust(bars)
        self.shown.rows = self.known.rows.copy()
        self.known.rows.update(bars.rows)
        self._quoted.ended(bars.rows, bars.end_ns, now_ns)

    def show(self, bars: Bars, now_ns: int) -> None:
        """Show bars to everybody."""
        if self._matched_ns != bars.end_ns:
            self.match(bars, now_ns)
        self.shown.rows = self.known.rows


def _adjusted(row: Row, ratio: Decimal, amount: Decimal) -> Row:
    """Return a bar on the terms after a split or a dividend; what is paid out is never more than the price."""
    open_, high, low, close = (
        float(max(Decimal(repr(price)) - amount, ZERO) / ratio) if isfinite(price) else price for price in row[:4]
    )
    return open_, high, low, close, row[4] * float(ratio)
