"""How much of an order may still fill, also of one that is for an amount of money and has no quantity.

We send quantities, and nothing else. A person, or another program, may send an amount (`notional`), and Alpaca says how many
shares that was once they are filled. Until then they count as one share for each dollar, or for each of the limit price's if that
is lower: too many for most stocks, and not too few for any that trades at a dollar or more, or is limited. For a stock below a
dollar at the market it may be too few, since no price is known here; and of the sum of money it is never too little.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from ...actors.model import ZERO, OrderType
from .wire import WireOrder

ONE = Decimal(1)
FINEST = Decimal("1e-9")
"""Alpaca counts fractions of shares to nine decimals."""

TYPES = {kind.value.lower(): kind for kind in OrderType}


def open_quantity(order: WireOrder) -> Decimal:
    """Return how much of the order may still fill, at most."""
    if order.qty is None and order.notional is not None:
        left = order.notional - order.filled * (order.filled_avg_price or ZERO)
        return max(left / _lowest(order), ZERO).quantize(FINEST, ROUND_CEILING)
    return max((order.qty or ZERO) - order.filled, ZERO)


def price_of(order: WireOrder) -> Decimal | None:
    """Return the price that what is open counts with, None for the market's: of a purchase for an amount, such that it costs that."""
    if order.qty is None and order.notional is not None and order.side == "buy":
        return _lowest(order)
    return order.limit_price


def lone_type(order: WireOrder) -> OrderType | None:
    """Return the type of an order that stands by itself; None of one that works together with others, or of a type unheard of."""
    if order.legs or order.order_class not in (None, "", "simple"):
        return None
    return TYPES.get(order.type or order.order_type or "")


def _lowest(order: WireOrder) -> Decimal:
    limit = order.limit_price
    return min(limit, ONE) if limit else ONE
