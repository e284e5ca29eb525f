"""What the market has shown so far: the newest quote, trade and bars of each symbol, and the messages that tell of them.

Messages are those of Alpaca's stock stream (docs.alpaca.markets, "Real-time Stock Data"), with `t` in ns until they are encoded.
A bar is stamped with the wall time at which it began, whatever time its prices are from.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from .stamps import day_of, midnight_ns, rfc3339

Message = dict[str, Any]
KEPT = 20_000
EXCHANGE = "V"
TICK = 0.01
HALF_SPREAD = 0.0001
UPDATED_ONE_IN = 20
"""A late trade changes one bar of so many; then it is sent again as an `updatedBar`."""


class Quote(NamedTuple):
    """The best prices of both sides, with their sizes in shares."""

    bid: float
    ask: float
    bid_size: float
    ask_size: float
    at_ns: int

    def told(self) -> Message:
        return {
            "ax": EXCHANGE,
            "ap": self.ask,
            "as": _whole(self.ask_size),
            "bx": EXCHANGE,
            "bp": self.bid,
            "bs": _whole(self.bid_size),
            "c": ["R"],
            "z": "C",
            "t": self.at_ns,
        }


class Trade(NamedTuple):
    """One trade of the market."""

    price: float
    size: float
    at_ns: int
    number: int

    def told(self) -> Message:
        return {
            "i": self.number,
            "x": EXCHANGE,
            "p": self.price,
            "s": _whole(self.size),
            "c": ["@"],
            "z": "C",
            "t": self.at_ns,
        }


class Row(NamedTuple):
    """A bar as the market data API has it."""

    at_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    average: float

    def told(self) -> Message:
        return {
            "o": self.open,
            "h": self.high,
            "l": self.low,
            "c": self.close,
            "v": _whole(self.volume),
            "n": self.trades,
            "vw": self.average,
            "t": self.at_ns,
        }


def _whole(size: float) -> float:
    """Return a size as a whole number where it is one, as the wire has it."""
    return int(size) if size.is_integer() else size


def row(at_ns: int, open_: float, high: float, low: float, close: float, volume: float) -> Row:
    """Return a bar with what its prices do not say filled in."""
    shares = 0.0 if volume != volume else volume  # noqa: PLR0124 (NaN: the source has none)
    return Row(at_ns, open_, high, low, close, shares, max(int(shares // 100), 1), round((high + low + close) / 3, 6))


def merged(at_ns: int, rows: Iterable[Row]) -> Row:
    """Return one bar over several that follow each other."""
    parts = list(rows)
    volume = sum(part.volume for part in parts)
    weighted = sum(part.average * part.volume for part in parts) / volume if volume else parts[-1].average
    return Row(
        at_ns,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        volume,
        sum(part.trades for part in parts),
        round(weighted, 6),
    )


class Market:
    """The newest of everything, and a stretch of what came before."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"{seed}/market")  # noqa: S311 (prices, not secrets)
        self._trades_so_far = 0
        self.quotes: dict[str, deque[Quote]] = {}
        self.trades: dict[str, deque[Trade]] = {}
        self.bars: dict[str, deque[Row]] = {}
        self.days: dict[str, Row] = {}
        self.last_days: dict[str, Row] = {}

    # --- What happens ------------------------------------------------------------------------------------------------------

    def around(self, price: float, now_ns: int) -> Quote:
        """Return a quote around a price, a basis point to each side and a cent at the least."""
        half = max(price * HALF_SPREAD, TICK / 2)
        bid, ask = round(price - half, 2 if price >= 1 else 4), round(price + half, 2 if price >= 1 else 4)
        if ask <= bid:
            ask = round(bid + (TICK if price >= 1 else TICK / 100), 4)
        return Quote(bid, ask, 100.0 * self._chance.randint(5, 60), 100.0 * self._chance.randint(5, 60), now_ns)

    def quote(self, symbol: str, quote: Quote) -> Message:
        """Take a quote; return the message that tells of it."""
        self.quotes.setdefault(symbol, deque(maxlen=KEPT)).append(quote)
        return {"T": "q", "S": symbol, **quote.told()}

    def trade(self, symbol: str, price: float, size: float, now_ns: int) -> Message:
        self._trades_so_far += 1
        trade = Trade(price, size, now_ns, self._trades_so_far)
        self.trades.setdefault(symbol, deque(maxlen=KEPT)).append(trade)
        return {"T": "t", "S": symbol, **trade.told()}

    def bar(self, symbol: str, bar: Row) -> list[Message]:
        """Take a minute bar; return it, the day's so far and, at times, the one before as a late trade has left it."""
        bars = self.bars.setdefault(symbol, deque(maxlen=KEPT))
        told = [{"T": "b", "S": symbol, **bar.told()}]
        if bars and self._chance.randrange(UPDATED_ONE_IN) == 0:
            late = bars[-1]
            bars[-1] = late._replace(volume=late.volume + 100, trades=late.trades + 1)
            told.insert(0, {"T": "u", "S": symbol, **bars[-1].told()})
        bars.append(bar)
        day = self._day(symbol, bar)
        return [*told, {"T": "d", "S": symbol, **day.told()}]

    def _day(self, symbol: str, bar: Row) -> Row:
        begins = midnight_ns(day_of(bar.at_ns))
        before = self.days.get(symbol)
        if before is not None and before.at_ns != begins:
            self.last_days[symbol], before = before, None
        day = merged(begins, [bar] if before is None else [before, bar])
        self.days[symbol] = day
        return day

    # --- What is asked for -------------------------------------------------------------------------------------------------

    def last_quote(self, symbol: str) -> Quote | None:
        return self.quotes[symbol][-1] if self.quotes.get(symbol) else None

    def last_trade(self, symbol: str) -> Trade | None:
        return self.trades[symbol][-1] if self.trades.get(symbol) else None

    def last_bar(self, symbol: str) -> Row | None:
        return self.bars[symbol][-1] if self.bars.get(symbol) else None


def worded(message: Message) -> Message:
    """Return a message with its time as text, as JSON has it."""
    return {**message, "t": rfc3339(message["t"])}
