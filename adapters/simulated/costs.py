"""What a fill costs and how much of a bar it may take: slippage, rounding to the increment, the volume budget."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import inf

from ...actors.model import ZERO
from .rules import INFINITY, ExchangeRules

ONE = Decimal(1)
EXACT_INTEGERS = 1e15
"""Up to here a whole float and its shortest form are the same integer."""
SURELY = 1.0 - 1e-9
"""Takes more off a product of floats than rounding can have added."""


KEPT = 8192


class Shortest(dict[float, Decimal]):
    """The shortest decimal number that is read back as a float: 10.1 for 10.1. Most prices come again, so some are kept.

    A whole number counts as its float: what is made of it does not depend on which of the two came first.
    """

    __slots__ = ()

    def __missing__(self, value: float) -> Decimal:
        if len(self) >= KEPT:
            self.clear()
        self[value] = number = Decimal(repr(float(value)))
        return number


SHORTEST = Shortest()
as_decimal: Callable[[float], Decimal] = SHORTEST.__getitem__
"""Return the shortest decimal number that is read back as a float."""


class Costs:
    """The fill model of one set of rules, its constants made once.

    `sure_part` of a volume, less a lot, is certainly within its budget: most orders are, and so spare the exact one.
    """

    __slots__ = ("_buy_factor", "_increment", "_participation", "_sell_factor", "_slips", "sure_part")

    def __init__(self, rules: ExchangeRules) -> None:
        self._slips = bool(rules.slippage)
        self._buy_factor = ONE + rules.slippage
        self._sell_factor = ONE - rules.slippage
        self._increment = rules.price_increment
        self._participation = rules.participation
        self.sure_part = float(rules.participation or 0) * SURELY

    def market_price(self, reference: Decimal, is_buy: bool, limit: Decimal | None) -> Decimal:
        """Return what is paid or got where the market is at `reference`: slipped and rounded against the order.

        It is never beyond `limit`.
        """
        increment = self._increment
        price = reference
        if self._slips:
            price = reference * (self._buy_factor if is_buy else self._sell_factor)
        excess = price % increment
        if excess:
            price = (price - excess + increment if is_buy else price - excess).quantize(increment)
        if limit is None or (price <= limit if is_buy else price >= limit):
            return price
        return limit

    def budget(self, volume: float, lot: Decimal) -> Decimal:
        """Return how much of a bar with `volume` may fill, in whole lots; infinity is no limit, as for a NaN volume."""
        participation = self._participation
        if participation is None or not volume < inf:
            return INFINITY
        if volume <= 0.0:
            return ZERO
        whole = int(volume)
        traded = Decimal(whole) if whole == volume and whole < EXACT_INTEGERS else Decimal(repr(volume))
        return traded * participation // lot * lot


class DetailedCosts(Costs):
    """The fill model with all that an order may cost: slippage a share, too, and the move that it makes itself."""

    __slots__ = ("_slippage_fixed",)

    def __init__(self, rules: ExchangeRules) -> None:
        super().__init__(rules)
        self._slippage_fixed = rules.slippage_fixed

    def market_price(self, reference: Decimal, is_buy: bool, limit: Decimal | None, impact: Decimal = ZERO) -> Decimal:
        """Return what is paid or got where the market is at `reference` and the order moves it by `impact`, a share.

        It is rounded against the order, never beyond `limit` and never below zero.
        """
        increment = self._increment
        worse = self._slippage_fixed + impact
        price = reference * self._buy_factor + worse if is_buy else reference * self._sell_factor - worse
        excess = price % increment
        if excess:
            price = (price - excess + increment if is_buy else price - excess).quantize(increment)
        if limit is not None and (price > limit if is_buy else price < limit):
            return limit
        return max(price, ZERO)


def costs_of(rules: ExchangeRules) -> Costs:
    """Return the fill model of the rules: the plain one while a flat commission and a fraction are all that is charged."""
    by_size = rules.commission_per_share or rules.commission_fraction or rules.commission_minimum
    charges = by_size or rules.commission_maximum is not None or rules.regulatory_fees
    detailed = charges or rules.slippage_fixed or rules.impact is not None
    return DetailedCosts(rules) if detailed else Costs(rules)
