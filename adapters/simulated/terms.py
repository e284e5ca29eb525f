"""The terms on which the exchange takes orders: which type has which prices and which times in force.

As at Alpaca, a stop waits for its price, so that it is DAY or GTC, and only limit orders that wait (DAY, GTC) may work
outside of a session's regular hours (https://docs.alpaca.markets/docs/orders-at-alpaca).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from ...actors.model import ZERO, Instrument, Order, OrderType, TimeInForce
from ...actors.ports import Capabilities
from .rules import Refusal, RefusalCode, refusal

MARKET, LIMIT, TRAILING_STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.TRAILING_STOP
DAY, GTC = TimeInForce.DAY, TimeInForce.GTC
ONE, HUNDRED = Decimal(1), Decimal(100)

WAITING = (DAY, GTC)
ANY_TIME = (DAY, GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.OPG, TimeInForce.CLS)
TIMES_IN_FORCE: dict[OrderType, tuple[TimeInForce, ...]] = {
    MARKET: ANY_TIME,
    LIMIT: ANY_TIME,
    OrderType.STOP: WAITING,
    OrderType.STOP_LIMIT: WAITING,
    TRAILING_STOP: WAITING,
}
PRICES: dict[OrderType, tuple[str, ...]] = {
    MARKET: (),
    LIMIT: ("limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("limit_price", "stop_price"),
    TRAILING_STOP: ("trail_amount", "trail_percent"),  # one of them
}
ALL_PRICES = ("limit_price", "stop_price", "trail_amount", "trail_percent")

CAPABILITIES = Capabilities(
    order_types=tuple(TIMES_IN_FORCE),
    times_in_force=ANY_TIME,
    excluded=tuple((kind, each) for kind, taken in TIMES_IN_FORCE.items() for each in ANY_TIME if each not in taken),
    extended_hours=True,
)


def terms_refusal(instrument: Instrument, order: Order, plain: bool = False) -> Refusal | None:
    """Return why these terms cannot be traded in `instrument`, None when they can.

    What is no finite number is refused, not raised. `plain` says that it is a market or limit order and DAY or GTC.
    """
    if not plain:
        refused = _unsupported(order)
        if refused is not None:
            return refused
    quantity = order.quantity
    try:
        whole_lots = quantity > ZERO and not quantity % instrument.lot
    except InvalidOperation:  # no finite number, or more lots than the context has digits
        whole_lots = False
    if not whole_lots:
        text = f"quantity: {quantity} is not a positive multiple of the lot {instrument.lot}"
        return refusal(RefusalCode.BAD_QUANTITY, text)
    if order.stop_price is None and order.trail_amount is None and order.trail_percent is None:
        limit = order.limit_price
        if limit is None and order.order_type is MARKET and not order.extended_hours:
            return None
        if limit is not None and order.order_type is LIMIT and (plain or not order.extended_hours):
            return _price_refusal("limit_price", limit, instrument)
    return _extended_refusal(order) or _prices_refusal(order, instrument)


def _unsupported(order: Order) -> Refusal | None:
    kind, in_force = order.order_type, order.time_in_force
    taken = TIMES_IN_FORCE.get(kind) if type(kind) is OrderType else None
    if taken is None:
        text = f"order_type: {kind} is not taken here; give one of {', '.join(TIMES_IN_FORCE)}"
        return refusal(RefusalCode.UNSUPPORTED_ORDER_TYPE, text)
    if type(in_force) is TimeInForce and in_force in taken:
        return None
    text = f"time_in_force: {in_force} is not taken here of a {kind} order; give one of {', '.join(taken)}"
    return refusal(RefusalCode.UNSUPPORTED_TIME_IN_FORCE, text)


def _extended_refusal(order: Order) -> Refusal | None:
    if not order.extended_hours or (order.order_type is LIMIT and order.time_in_force in WAITING):
        return None
    text = "extended_hours: only a LIMIT order that is DAY or GTC works outside of a session's regular hours"
    return refusal(
        RefusalCode.UNSUPPORTED_EXTENDED_HOURS, f"{text}, not a {order.order_type} order {order.time_in_force}"
    )


def _prices_refusal(order: Order, instrument: Instrument) -> Refusal | None:
    """Look at every price, those that the order's type does not have too."""
    kind, needed = order.order_type, PRICES[order.order_type]
    for field in ALL_PRICES:
        value: Decimal | None = getattr(order, field)
        if value is not None and field not in needed:
            return refusal(RefusalCode.BAD_PRICE, f"{field}: a {_called(kind)} order takes none, not {value}")
        if kind is TRAILING_STOP:
            continue
        if field in needed and (refused := _price_refusal(field, value, instrument)) is not None:
            return refused
    return _trail_refusal(order, instrument) if kind is TRAILING_STOP else None


def _price_refusal(field: str, price: Decimal | None, instrument: Instrument) -> Refusal | None:
    tick = instrument.tick
    try:
        if price is not None and price > ZERO and not price % tick:
            return None
        if price is not None and ZERO < price < ONE:
            tick = instrument.tick_at(price)
            if not price % tick:
                return None
    except InvalidOperation:
        pass
    return refusal(RefusalCode.BAD_PRICE, f"{field}: {price} is not a positive multiple of the tick {tick}")


def _trail_refusal(order: Order, instrument: Instrument) -> Refusal | None:
    amount, percent = order.trail_amount, order.trail_percent
    if (amount is None) is (percent is None):
        text = f"trail_amount: give it or trail_percent, not {'none' if amount is None else 'both'}"
        return refusal(RefusalCode.BAD_PRICE, text)
    if percent is None:
        return _price_refusal("trail_amount", amount, instrument)
    if percent.is_finite() and ZERO < percent < HUNDRED:
        return None
    return refusal(RefusalCode.BAD_PRICE, f"trail_percent: {percent} is not above 0 and below 100; 5 is 5 %")


def trail_of(order: Order, mark: Decimal) -> Decimal:
    """Return the distance at which a trailing stop follows the market's best price."""
    amount = order.trail_amount
    return mark * (order.trail_percent or ZERO) / HUNDRED if amount is None else amount


def _called(kind: OrderType) -> str:
    return kind.value.lower().replace("_", "-")
