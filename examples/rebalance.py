"""A strategy to start from: hold every symbol in inverse proportion to how much its price moves, rebalanced once a month."""

from __future__ import annotations

from collections import defaultdict, deque
from decimal import Decimal
from itertools import pairwise
from math import fsum, sqrt

from ordersmith import Bars, CorporateAction, Strategy


class InverseVolatility(Strategy):
    """Give calm symbols more of the money than restless ones, so that each brings about the same risk.

    `sessions` is how many daily returns the volatility is measured over, `invested` the share of the equity that is held in
    stocks. The rest is cash, so that prices may rise a little until the orders fill.
    """

    def __init__(self, sessions: int = 60, invested: Decimal = Decimal("0.95")) -> None:
        self.invested = invested
        self.closes: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=sessions + 1))
        self.month = 0

    def on_bars(self, bars: Bars) -> None:
        """Look at the closing prices of a session; in the first one of a month, set new targets."""
        for symbol in bars:
            self.closes[symbol].append(bars.close(symbol))
        ready = {symbol: closes for symbol, closes in self.closes.items() if len(closes) == closes.maxlen}
        if not ready or bars.time.month == self.month:
            return
        self.month = bars.time.month

        calmness = {symbol: 1 / volatility(closes) for symbol, closes in ready.items()}
        money = float(self.account.equity * self.invested) / fsum(calmness.values())
        # Whole shares. The orders this takes go out by themselves: sales first, purchases when the cash for them is there.
        self.set_targets({symbol: int(money * calmness[symbol] / closes[-1]) for symbol, closes in ready.items()})

    def on_corporate_action(self, action: CorporateAction) -> None:
        """Keep the past comparable: put it in today's shares, without the dividend that today's price has no claim to any more.

        This runs before `on_bars` of the first session under the action.
        """
        closes = self.closes[action.symbol]
        if closes:
            paid = float(action.amount) / closes[-1]  # 0 for a split, whose ratio is 1 for a dividend
            scale = (1 - paid) / float(action.ratio)
            self.closes[action.symbol] = deque((close * scale for close in closes), maxlen=closes.maxlen)


def volatility(closes: deque[float]) -> float:
    """Return the root of the mean squared daily return."""
    returns = [after / before - 1 for before, after in pairwise(closes)]
    return sqrt(fsum(change * change for change in returns) / len(returns))
