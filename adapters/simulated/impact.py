"""The square-root law of market impact: how far an order moves the price against itself.

The relative move is `coefficient * sigma * sqrt(quantity / volume)`, with sigma the volatility and volume the trading of
one session. It is the common finding of measurements on very different markets: Almgren, Thum, Hauptmann and Li, "Direct
Estimation of Equity Market Impact" (2005; they find a power of 0.6), Tóth et al., "Anomalous Price Impact and the Critical
Nature of Liquidity in Financial Markets" (Physical Review X 1, 2011), with a coefficient near 1.

Quantity is that of one execution: what an order traded in earlier bars is taken to have passed.

Volume is the mean of the last sessions, not that of the bar: sigma is a session's, so volume has to be one too, and at
the fill a bar's volume was not known yet. A session in progress does not count. Until three closes are known (two returns),
or without volumes, nothing is known of a symbol and its impact is zero; that is warned of once.

Closes and volumes are floats, as market data are; they are added one by one in order of time, so that every machine gets
the same, and only the result becomes a Decimal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from math import inf, sqrt

from ...actors.bars import Row
from ...actors.model import ZERO
from .rules import ExchangeRules

RETURNS_NEEDED = 2


class _Trading:
    """The last sessions of one symbol: closes, volumes, and the session in progress."""

    __slots__ = ("close", "closes", "scale", "traded", "volume", "volumes")

    def __init__(self, sessions: int) -> None:
        self.closes: deque[float] = deque(maxlen=sessions + 1)
        self.volumes: deque[float] = deque(maxlen=sessions)
        self.close = 0.0
        self.volume = 0.0
        self.traded = False
        self.scale: Decimal | None = None

    def end_session(self) -> None:
        """Add the session in progress to the past ones."""
        if self.traded:
            self.closes.append(self.close)
            self.volumes.append(self.volume)
            self.volume = 0.0
            self.traded = False
            self.scale = None

    def split(self, ratio: float) -> None:
        """Count in new shares from here on."""
        self.closes = deque([close / ratio for close in self.closes], self.closes.maxlen)
        self.volumes = deque([volume * ratio for volume in self.volumes], self.volumes.maxlen)
        self.scale = None

    def known_scale(self) -> Decimal | None:
        """Return sigma / sqrt(volume), None while that is not known."""
        if self.scale is None and len(self.closes) > RETURNS_NEEDED:
            volume = _mean(self.volumes)
            if volume > 0.0:
                self.scale = Decimal(repr(_deviation(self.closes) / sqrt(volume)))
        return self.scale


class Impact:
    """The impact of orders at one exchange. Tell it of all bars, and of each session's end."""

    __slots__ = ("_coefficient", "_sessions", "_symbols", "_warn", "_warned")

    def __init__(self, coefficient: Decimal, sessions: int, warn: Callable[[str], None]) -> None:
        self._coefficient = coefficient
        self._sessions = sessions
        self._symbols: dict[str, _Trading] = {}
        self._warned = False
        self._warn = warn

    def seeing(self, rows: dict[str, Row]) -> Callable[[dict[str, Row]], None]:
        """Return what keeps the last rows in `rows` and observes them."""

        def see(new: dict[str, Row]) -> None:
            rows.update(new)
            self.observe(new)

        return see

    def observe(self, rows: dict[str, Row]) -> None:
        """Take rows into the session in progress. What is no price or no volume is left out."""
        for symbol, row in rows.items():
            trading = self._symbols.get(symbol)
            if trading is None:
                trading = self._symbols[symbol] = _Trading(self._sessions)
            close, volume = row[3], row[4]
            if 0.0 < close < inf:
                trading.close = close
                trading.traded = True
            if 0.0 < volume < inf:
                trading.volume += volume

    def end_session(self) -> None:
        """End the session in progress for all symbols."""
        for trading in self._symbols.values():
            trading.end_session()

    def split(self, symbol: str, ratio: Decimal) -> None:
        """Count a symbol's past in new shares."""
        if symbol in self._symbols:
            self._symbols[symbol].split(float(ratio))

    def rename(self, symbol: str, new_symbol: str) -> None:
        """Let a symbol's past be that of its new name."""
        if symbol in self._symbols:
            self._symbols[new_symbol] = self._symbols.pop(symbol)

    def of(self, symbol: str, quantity: Decimal) -> Decimal:
        """Return the part of the price by which buying or selling `quantity` moves it."""
        trading = self._symbols.get(symbol)
        scale = None if trading is None else trading.known_scale()
        if scale is None:
            if not self._warned:
                self._warned = True
                needed = f"{RETURNS_NEEDED + 1} sessions with prices and volumes"
                self._warn(f"impact: zero until a symbol has had {needed}, as {symbol} when it was traded first")
            return ZERO
        return self._coefficient * scale * quantity.sqrt()


def impact_of(rules: ExchangeRules, warn: Callable[[str], None]) -> Impact | None:
    """Return the impact that the rules ask for, if any."""
    return None if rules.impact is None else Impact(rules.impact, rules.impact_sessions, warn)


def _mean(values: deque[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def _deviation(closes: deque[float]) -> float:
    """Return the standard deviation of the simple returns between the closes, of which there are three or more."""
    returns = deque(after / before - 1.0 for before, after in pairwise(closes))
    mean = _mean(returns)
    squares = 0.0
    for each in returns:
        squares += (each - mean) * (each - mean)
    return sqrt(squares / (len(returns) - 1))
