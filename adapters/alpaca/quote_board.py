"""The newest prices of every symbol, and which of them are due to be told: a pure machine, no clock of its own.

A symbol is told at most four times a second and the board as a whole at most twenty times: what comes faster is conflated, the
newest wins. Values pass as they came; who uses them judges them.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan

import msgspec

from ...actors.quotes import Quote
from .latest import Latest
from .stamps import believed_ns

SYMBOL_NS = 250_000_000
BOARD_NS = 50_000_000


class _Prices(msgspec.Struct):
    """What is known of a symbol. `quoted_ns` and `traded_ns` are the exchange's stamps as far as they are believed, the rest our own."""

    bid: float = nan
    ask: float = nan
    bid_size: float = nan
    ask_size: float = nan
    quoted_ns: int = 0
    last: float = nan
    traded_ns: int = 0
    at_ns: int = 0
    told_ns: int = 0


class QuoteBoard:
    """Takes what the stream and the REST answers say, gives `Quote`s."""

    def __init__(self, symbol_ns: int = SYMBOL_NS, board_ns: int = BOARD_NS) -> None:
        self._symbol_ns = symbol_ns
        self._board_ns = board_ns
        self._prices: dict[str, _Prices] = {}
        self._changed: dict[str, None] = {}
        self._told_ns = 0

    def quoted(
        self, symbol: str, bid: float, ask: float, bid_size: float, ask_size: float, stamp_ns: int, now_ns: int
    ) -> None:
        """Take a quote of the stream, which is in order."""
        prices = self._of(symbol)
        prices.bid, prices.ask, prices.bid_size, prices.ask_size = bid, ask, bid_size, ask_size
        prices.quoted_ns = believed_ns(stamp_ns, now_ns)
        self._seen(symbol, prices, now_ns)

    def traded(self, symbol: str, price: float, stamp_ns: int, now_ns: int) -> None:
        """Take a trade of the stream."""
        prices = self._of(symbol)
        prices.last, prices.traded_ns = price, believed_ns(stamp_ns, now_ns)
        self._seen(symbol, prices, now_ns)

    def confirmed(self, symbol: str, latest: Latest, asked_ns: int) -> None:
        """Take an answer to a question that was asked at `asked_ns`: it holds at least as of then.

        The stream may have said more while the answer was under way, so that of the two the later by the exchange counts.
        """
        prices = self._of(symbol)
        quoted_ns, traded_ns = believed_ns(latest.quoted_ns, asked_ns), believed_ns(latest.traded_ns, asked_ns)
        if quoted_ns > prices.quoted_ns:
            prices.bid, prices.ask, prices.bid_size, prices.ask_size = latest[:4]
            prices.quoted_ns = quoted_ns
        if traded_ns > prices.traded_ns:
            prices.last, prices.traded_ns = latest.last, traded_ns
        self._seen(symbol, prices, max(asked_ns, prices.at_ns))

    def seen_ns(self, symbol: str) -> int:
        """Return when the symbol's prices were last seen or confirmed; 0: never."""
        prices = self._prices.get(symbol)
        return 0 if prices is None else prices.at_ns

    def due(self, now_ns: int) -> tuple[Quote, ...]:
        """Return the quotes to tell now, and count them as told."""
        if not self._changed or now_ns < self._told_ns + self._board_ns:
            return ()
        symbols = [symbol for symbol in self._changed if now_ns >= self._prices[symbol].told_ns + self._symbol_ns]
        return self._tell(symbols, now_ns)

    def next_due_ns(self) -> int | None:
        """Return when `due` has something next; None: nothing has changed since it was told."""
        if not self._changed:
            return None
        soonest = min(self._prices[symbol].told_ns for symbol in self._changed) + self._symbol_ns
        return max(soonest, self._told_ns + self._board_ns)

    def _tell(self, symbols: Iterable[str], now_ns: int) -> tuple[Quote, ...]:
        quotes = []
        for symbol in symbols:
            del self._changed[symbol]
            prices = self._prices[symbol]
            prices.told_ns = self._told_ns = now_ns
            quotes.append(
                Quote(symbol, prices.bid, prices.ask, prices.bid_size, prices.ask_size, prices.last, prices.at_ns)
            )
        return tuple(quotes)

    def _of(self, symbol: str) -> _Prices:
        prices = self._prices.get(symbol)
        if prices is None:
            prices = self._prices[symbol] = _Prices()
        return prices

    def _seen(self, symbol: str, prices: _Prices, at_ns: int) -> None:
        prices.at_ns = at_ns
        self._changed[symbol] = None
