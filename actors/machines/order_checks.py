"""The gate's checks of an order by itself: its symbol, its numbers, and whether the broker takes such an order at all.

A stop price on the market's other side (a sell stop above the last price, a buy stop below) passes: such an order
triggers at once and risks no more than a market order, and to refuse it could leave a position without its protection.
Whether a broker takes it is the broker's to say.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from ..events import Denial
from ..model import ZERO, Order, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from ..ports import Capabilities
    from .risk import Case

# Looked up once: a member of an enum costs more than what is done with it.
MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
TRAILING_STOP = OrderType.TRAILING_STOP
BUY = Side.BUY

WAITING = (TimeInForce.DAY, TimeInForce.GTC)
ONE = Decimal(1)
HUNDRED = Decimal(100)
CENT = Decimal("0.01")

PRICES = ("limit_price", "stop_price", "trail_amount", "trail_percent")
NEEDED: dict[OrderType, tuple[str, ...]] = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("limit_price", "stop_price"),
    OrderType.TRAILING_STOP: ("trail_amount",),  # or the percentage instead
}
"""The prices that an order of each type has; it takes no others."""


def known_symbol(case: Case) -> Denial | None:
    instrument, symbol = case.instrument, case.order.symbol
    if instrument is not None and instrument.tradable:
        return None
    if instrument is not None:
        text = f"{symbol} cannot be traded at the broker now: it is halted for good, delisted, or not offered there"
        return Denial("NOT_TRADABLE", text, {"symbol": symbol})
    text = f"{symbol!r} is not tradable here; {case.limits.tradable}"
    return Denial("UNKNOWN_SYMBOL", text, {"symbol": symbol})


def quantity(case: Case) -> Denial | None:
    amount = case.order.quantity
    lot = case.instrument.lot if case.instrument is not None else ONE
    if not amount.is_finite() or amount <= ZERO:
        return Denial("BAD_QUANTITY", f"quantity {amount} is not a positive number", {"quantity": str(amount)})
    if not _is_multiple(amount, lot):
        return Denial(
            "LOT_SIZE",
            f"quantity {amount} is not a multiple of the lot {lot}",
            {"quantity": str(amount), "lot": str(lot)},
        )
    return None


def _is_multiple(value: Decimal, unit: Decimal) -> bool:
    try:
        return not value % unit
    except InvalidOperation:  # more units than the context has digits: no order is that large on purpose
        return False


def price(case: Case) -> Denial | None:
    order = case.order
    if order.stop_price is None and order.trail_amount is None and order.trail_percent is None:
        if order.order_type is MARKET and order.limit_price is None:
            return None
        if order.order_type is LIMIT:
            return _bad_price("limit_price", order.limit_price, case)
    return _bad_prices(case)


def _bad_prices(case: Case) -> Denial | None:
    """Look at every price, those that the order's type does not take too."""
    order = case.order
    needed = NEEDED[order.order_type]
    if order.order_type is TRAILING_STOP and order.trail_percent is not None and order.trail_amount is None:
        needed = ("trail_percent",)
    for field in PRICES:
        value = getattr(order, field)
        denial = _bad_price(field, value, case) if field in needed else None
        if value is not None and field not in needed:
            also = f" besides its {needed[0]}" if order.order_type is TRAILING_STOP else ""
            text = f"a {_called(order.order_type)} order takes no {field}{also}, {value} was given"
            denial = Denial("BAD_PRICE", text, {field: str(value)})
        if denial is not None:
            return denial
    return None


def _bad_price(field: str, value: Decimal | None, case: Case) -> Denial | None:
    if value is None or not value.is_finite() or value <= ZERO:
        kind = case.order.order_type
        wanted = "positive trail_amount or trail_percent" if kind is TRAILING_STOP else f"positive {field}"
        return Denial("BAD_PRICE", f"a {_called(kind)} order needs a {wanted}, not {value}", {field: str(value)})
    if field == "trail_percent":
        if value < HUNDRED:
            return None
        text = f"trail_percent {value} is not below 100: 5 is 5 % of the price"
        return Denial("BAD_PRICE", text, {field: str(value)})
    tick = case.instrument.tick_at(value) if case.instrument is not None else CENT
    if _is_multiple(value, tick):
        return None
    text = f"{field} {value} is not a multiple of the tick {tick}"
    return Denial("PRICE_TICK", text, {field: str(value), "tick": str(tick)})


def _called(kind: OrderType) -> str:
    return kind.value.lower().replace("_", "-")


def capability(case: Case) -> Denial | None:
    can, order = case.account.capabilities, case.order
    if can is None:
        return None
    if (order.order_type, order.time_in_force) in can.taken and not order.extended_hours:
        return None
    return _unsupported(can, order)


def _unsupported(can: Capabilities, order: Order) -> Denial | None:
    """Say precisely what of the order the broker does not take."""
    kind, time_in_force = order.order_type, order.time_in_force
    if kind not in can.order_types:
        text = f"the broker takes {', '.join(can.order_types)} orders, not {kind}"
    elif time_in_force not in can.times_in_force:
        text = f"the broker takes orders as {', '.join(can.times_in_force)}, not {time_in_force}"
    elif (kind, time_in_force) in can.excluded:
        others = [other for other in can.times_in_force if (kind, other) not in can.excluded]
        text = f"the broker takes a {kind} order as {', '.join(others)}, not {time_in_force}"
    elif not can.extended_hours:
        text = "the broker trades in the session's regular hours only: extended_hours must be false"
    elif kind is not LIMIT or time_in_force not in WAITING:
        text = f"only a LIMIT order as {' or '.join(WAITING)} works in extended hours, not {kind} {time_in_force}"
    else:
        return None
    return Denial("UNSUPPORTED", text, {"order": f"{kind} {time_in_force}"})


def worst_price(order: Order, last: Decimal) -> Decimal:
    """Return what a share is reserved at.

    Its limit; without one a stop order's stop price, if that is above the last price; a trailing buy's stop as it stands
    now, which only ever falls; else the last price.
    """
    if order.limit_price:
        return order.limit_price
    if order.stop_price:
        return max(order.stop_price, last)
    if order.order_type is TRAILING_STOP and order.side is BUY:
        return last + (order.trail_amount or last * (order.trail_percent or ZERO) / HUNDRED)
    return last


def intent_key(order: Order) -> str:
    """Return what makes two orders the same intent.

    The parent is part of it, so that slices of one parent are not duplicates, and so is when an order works: one for the
    opening auction and one for the closing are two.
    """
    limit = order.limit_price
    numbers = (
        f"{order.quantity.normalize()} {None if limit is None else limit.normalize()}"  # 10 and 10.0 are one quantity
    )
    for value in (order.stop_price, order.trail_amount, order.trail_percent):
        numbers += " -" if value is None else f" {value.normalize()}"
    hours = f"{order.time_in_force} extended" if order.extended_hours else order.time_in_force
    return f"{order.symbol} {order.side} {numbers} {order.order_type} {hours} {order.strategy} {order.parent}"
