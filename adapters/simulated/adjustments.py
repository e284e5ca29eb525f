"""What a corporate action does to the terms of an open order.

The rules are FINRA's (rule 5330, Adjustment of Orders; before 2010 NASD rule 3220), where it has any:

- Cash dividend: buy limits and sell stops that stay open for more than a day are lowered by its amount and rounded down to
  the tick, unless it is less than a cent. Sell limits, buy stops and everything else stay. Brokers do this unless an order
  is marked "do not reduce"; at Alpaca all orders are (https://docs.alpaca.markets/docs/orders-at-alpaca).
- Split into more shares: quantities grow and are rounded down to the lot. The rule lowers the prices of buys and sell stops,
  rounded down to the tick, and leaves sells and buy stops to the firm; here theirs shrink too, rounded up, so that rounding
  never brings an order closer to its execution. As a split changes what a share is, DAY orders sent before it are adjusted too.
- Reverse split and change of symbol: the order is cancelled.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from ...actors.model import ZERO, Instrument, OrderType, Terms

CENT = Decimal("0.01")
SHARE_UNIT = Decimal("1E-9")
"""A ratio such as 1/3 is not exact: what it makes of a number is rounded to this before anything else."""

STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)


def times(number: Decimal, ratio: Decimal) -> Decimal:
    """Return `number * ratio`, rid of what an inexact ratio adds to it."""
    return (number * ratio).quantize(SHARE_UNIT, rounding=ROUND_HALF_EVEN).normalize() + ZERO


def through(number: Decimal, ratio: Decimal) -> Decimal:
    """Return `number / ratio`, rid of what an inexact ratio adds to it."""
    return (number / ratio).quantize(SHARE_UNIT, rounding=ROUND_HALF_EVEN).normalize() + ZERO


def whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """Return the part of a signed quantity that is whole lots."""
    return quantity // lot * lot


def on_tick(price: Decimal, tick: Decimal, up: bool) -> Decimal:
    """Return the next price on the tick, above or below."""
    return (price / tick).to_integral_value(rounding=ROUND_CEILING if up else ROUND_FLOOR) * tick


def split_terms(terms: Terms, is_buy: bool, filled: Decimal, ratio: Decimal, instrument: Instrument) -> Terms | None:
    """Return an order's terms in new shares after a split, None when no whole lot or no price is left of it.

    What has filled was old shares and is not counted anew: the new quantity is `filled` and what remains times `ratio`.
    """
    tick = instrument.tick
    remaining = whole_lots(times(terms.quantity - filled, ratio), instrument.lot)
    limit = terms.limit_price
    if limit is not None:
        limit = on_tick(through(limit, ratio), tick, not is_buy)
    stop = terms.stop_price
    if stop is not None:
        stop = on_tick(through(stop, ratio), tick, is_buy)
    trail = terms.trail_amount
    if trail is not None:
        trail = on_tick(through(trail, ratio), tick, up=True)
    if not remaining or ZERO in (limit, stop):
        return None
    return Terms(filled + remaining, limit, stop, trail, terms.trail_percent)


def is_lowered(order_type: OrderType, is_buy: bool, lasts: bool, amount: Decimal) -> bool:
    """Tell whether a cash dividend of `amount` a share lowers an order; `lasts` is that it stays open beyond its day."""
    if not lasts or amount < CENT:
        return False
    return order_type is OrderType.LIMIT if is_buy else order_type in STOPS


def dividend_terms(terms: Terms, amount: Decimal, tick: Decimal) -> Terms | None:
    """Return the terms of an order that a dividend lowers, None when no price is left of it."""
    limit, stop = (
        None if price is None else on_tick(price - amount, tick, up=False)
        for price in (terms.limit_price, terms.stop_price)
    )
    if any(price is not None and price <= ZERO for price in (limit, stop)):
        return None
    return Terms(terms.quantity, limit, stop, terms.trail_amount, terms.trail_percent)
