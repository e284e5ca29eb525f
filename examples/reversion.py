"""A strategy that trades on every bar: more of what has fallen below its mean, less of what has risen above it."""

from __future__ import annotations

from collections import defaultdict, deque
from decimal import Decimal
from math import fsum, sqrt

from ordersmith import Bars, Strategy


class MeanReversion(Strategy):
    """Hold between nothing and twice an equal share of the money, by how far a price is from its mean.

    `bars` is how many closes the mean is taken over, `invested` the share of the equity that is held when all prices are
    at their means. A price two standard deviations above its mean is not held at all.
    """

    def __init__(self, bars: int = 10, invested: Decimal = Decimal("0.4")) -> None:
        self.bars = bars
        self.invested = invested
        self.closes: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=bars))

    def on_bars(self, bars: Bars) -> None:
        """Move every symbol that came to what its price calls for."""
        for symbol in bars:
            self.closes[symbol].append(bars.close(symbol))
        ready = [symbol for symbol in bars if len(self.closes[symbol]) == self.bars]
        if not ready:
            return
        share = float(self.account.equity * self.invested) / len(self.closes)
        self.set_targets({symbol: int(share * appeal(self.closes[symbol]) / bars.close(symbol)) for symbol in ready})


def appeal(closes: deque[float]) -> float:
    """Return from 0 (two standard deviations above the mean, or more) to 2 (two below it, or more)."""
    mean = fsum(closes) / len(closes)
    deviation = sqrt(fsum((close - mean) ** 2 for close in closes) / len(closes))
    return min(max(1 - (closes[-1] - mean) / (2 * deviation), 0.0), 2.0) if deviation else 1.0
