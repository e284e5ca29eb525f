"""What a workload must come to: its orders, its fills and its equity to the cent, computed in integers from the bars alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import accumulate
from pathlib import Path

import polars
from workloads import INITIAL_CASH, FillRule, Workload


@dataclass(frozen=True)
class Expected:
    """`equity` is None where the system's fill rule is not known."""

    orders: int
    fills: int
    equity: Decimal | None


@cache
def prices(path: Path) -> tuple[list[int], list[int]]:
    """Return a symbol's opens and closes in whole cents."""
    frame = polars.read_parquet(path, columns=["open", "close"])
    return tuple([round(price * 100) for price in frame[column].to_list()] for column in ("open", "close"))  # type: ignore[return-value]


def expected(workload: Workload, data: Path, bars: int, fill: FillRule | None, first_bar: int = 0) -> Expected:
    """Return what `workload` comes to over the first `bars` bars of each symbol, for a strategy called from `first_bar` on."""
    orders = fills = profit = 0
    for symbol in workload.symbols:
        opens, closes = (column[:bars] for column in prices(data / f"{symbol}.parquet"))
        for bar, quantity in signals(workload.kind, closes, first_bar):
            orders += 1
            price = fill_price(fill or "next open", bar, opens, closes)
            if price is not None and quantity:
                fills += 1
                profit += quantity * (closes[-1] - price)
    equity = None if fill is None else INITIAL_CASH + Decimal(profit) / 100
    return Expected(orders + workload.resting, fills, equity)


def fill_price(fill: FillRule, bar: int, opens: list[int], closes: list[int]) -> int | None:
    """Return where an order sent on `bar` fills, None after the last bar."""
    if fill == "same close":
        return closes[bar]
    if bar + 1 == len(closes):
        return None
    return opens[bar + 1] if fill == "next open" else closes[bar + 1]


def signals(kind: str, closes: list[int], first_bar: int) -> Iterator[tuple[int, int]]:
    """Yield (bar, signed quantity) of the orders sent one by one; quantity 0 is an order that cannot fill."""
    bars = range(first_bar, len(closes))
    if kind == "W1":
        yield from crosses(closes)
    elif kind == "W2":
        yield from ((bar, -1 if count & 1 else 1) for count, bar in enumerate(bars))
    elif kind == "W3":
        yield from ((bar, -1 if count & 1 else 1) for count, bar in enumerate(bars[::100]))
    elif kind == "W4":
        yield from ((bar, 0) for bar in bars)


def crosses(closes: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (bar, +-100) where the sum over 10 bars times five crosses the sum over 50."""
    sums = [0, *accumulate(closes)]
    side = 0
    for bar in range(49, len(closes)):
        end = sums[bar + 1]
        difference = 5 * (end - sums[bar - 9]) - (end - sums[bar - 49])
        if difference == 0:
            continue
        before, side = side, 1 if difference > 0 else -1
        if before and before != side:
            yield bar, 100 * side
