"""Data and strategies for tests of who drives a run: the same orders by every way of driving."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from typing import Any

from ordersmith import Bars, Order, Strategy
from ordersmith.adapters.bar_feed import BarFeed

DAY_NS = 86_400_000_000_000
BARS = 12
SETTINGS: dict[str, Any] = {"execution": {"backtest": {"slippage": "0.001"}}}


def feed(bars: int = BARS) -> BarFeed:
    """Return daily bars of two symbols that open and close at 100, 101, 102 … and trade 1000 shares a bar."""
    days = [date(2022, 1, 3) + timedelta(days=index) for index in range(bars)]
    rows = [(day, 100.0 + n, 102.0 + n, 98.0 + n, 100.0 + n, 1000.0) for n, day in enumerate(days)]
    return BarFeed.from_rows({"A": rows, "B": rows})


class StreamFeed:
    """One symbol, A, whose end nobody knows; it has none unless `bars` says so. It counts what was taken of it."""

    symbols = ("A",)
    step_count = None
    start_ns = 0

    def __init__(self, bars: int | None = None) -> None:
        self.taken = 0
        self._bars = bars

    def __iter__(self) -> Iterator[Bars]:
        for session in count() if self._bars is None else range(self._bars):
            self.taken += 1
            start_ns = session * DAY_NS
            yield Bars(start_ns, start_ns + DAY_NS, session, True, {"A": (10.0, 11.0, 9.0, 10.0, 1000.0)})


def orders_on(bars: Bars) -> list[Order]:
    """Return what every test trades on a bar: something at the market and something that may not fill."""
    closes = {symbol: int(bars.close(symbol)) for symbol in bars}
    return [
        order
        for symbol, close in closes.items()
        for order in (Order.buy(symbol, 7), Order.buy(symbol, 3, str(close - 1)), Order.sell(symbol, 2))
    ]


class Hosted(Strategy):
    """Notes its bars and submits nothing, or what `orders_on` says."""

    def __init__(self, *, trades: bool = False) -> None:
        self.seen: list[int] = []
        self._trades = trades

    def on_bars(self, bars: Bars) -> None:
        self.seen.append(bars.end_ns)
        if self._trades:
            self.submit(orders_on(bars))
