"""What a fill costs and how much of a bar it may take: slippage, rounding to the increment, the volume budget."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from math import inf

from ...actors.model import ZERO
from .rules import ExchangeRules

ONE = Decimal(1)
EXACT_INTEGERS = 1e15
"""Up to here a whole float and its shortest form are the same integer."""


@lru_cache(maxsize=8192, typed=True)
def as_decimal(value: float) -> Decimal:
    """Return the shortest decimal number that is read back as `value`: 10.1 is 10.1.

    Most prices come again, so the last ones are kept.
    """
    return Decimal(repr(value))


class Costs:
    """The fill model of one set of rules, its constants made once."""

    __slots__ = ("_buy_factor", "_increment", "_participation", "_sell_factor", "_slips")

    def __init__(self, rules: ExchangeRules) -> None:
        self._slips = bool(rules.slippage)
        self._buy_factor = ONE + rules.slippage
        self._sell_factor = ONE - rules.slippage
        self._increment = rules.price_increment
        self._participation = rules.participation

    def buy_price(self, reference: Decimal, limit: Decimal | None) -> Decimal:
        """Return what a buyer pays where the market is at `reference`: slipped, rounded up, never above `limit`."""
        increment = self._increment
        price = reference * self._buy_factor if self._slips else reference
        excess = price % increment
        if excess:
            price = (price - excess + increment).quantize(increment)
        return price if limit is None or price <= limit else limit

    def sell_price(self, reference: Decimal, limit: Decimal | None) -> Decimal:
        """Return what a seller gets where the market is at `reference`: slipped, rounded down, never below `limit`."""
        increment = self._increment
        price = reference * self._sell_factor if self._slips else reference
        excess = price % increment
        if excess:
            price = (price - excess).quantize(increment)
        return price if limit is None or price >= limit else limit

    def budget(self, volume: float, lot: Decimal) -> Decimal | None:
        """Return how much of a bar with `volume` may fill, in whole lots; None is no limit, as for a NaN volume."""
        participation = self._participation
        if participation is None or not volume < inf:
            return None
        if volume <= 0.0:
            return ZERO
        whole = int(volume)
        traded = Decimal(whole) if whole == volume and whole < EXACT_INTEGERS else Decimal(repr(volume))
        return traded * participation // lot * lot
