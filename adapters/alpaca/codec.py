"""Between our words and Alpaca's: the body of an order, the key of a fill, and an instant."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from ...actors.model import EPOCH, Fill, Order, OrderType, Side, Terms
from ...actors.ports import Executed
from .known_orders import Execution, KnownOrder
from .wire import WireOrder

TYPE_OF = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.STOP: "stop",
    OrderType.STOP_LIMIT: "stop_limit",
    OrderType.TRAILING_STOP: "trailing_stop",
}
PRICES = {
    "limit_price": "limit_price",
    "stop_price": "stop_price",
    "trail_amount": "trail_price",
    "trail_percent": "trail_percent",
}
"""Our names of an order's prices, and Alpaca's."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?")


def order_body(order: Order, wire_id: str) -> dict[str, Any]:
    """Return what is posted for a new order. Numbers are texts, so that they arrive as they are."""
    body = {
        "symbol": order.symbol,
        "qty": plain(order.quantity),
        "side": "buy" if order.side is Side.BUY else "sell",
        "type": TYPE_OF[order.order_type],
        "time_in_force": order.time_in_force.value.lower(),
        "client_order_id": wire_id,
        **_prices(order),
    }
    return {**body, "extended_hours": True} if order.extended_hours else body


def next_leg_body(before: WireOrder, terms: Terms, rest: Decimal, wire_id: str) -> dict[str, Any]:
    """Return what is posted for the leg that takes the place of the one `before`: its kind, the new prices, what is left."""
    body = {
        "symbol": before.symbol,
        "qty": plain(rest),
        "side": before.side,
        "type": before.type or before.order_type,
        "time_in_force": before.time_in_force,
        "client_order_id": wire_id,
        **_prices(terms),
    }
    return {**body, "extended_hours": True} if before.extended_hours else body


def fill_key(broker_order_id: str, cumulative: Decimal) -> str:
    """Return the key of a fill: the order and what has filled of it then, which the stream and the activities both say."""
    text = plain(cumulative)
    return f"{broker_order_id}:{text.rstrip('0').rstrip('.') if '.' in text else text}"


def executed(known: KnownOrder, cumulative: Decimal, execution: Execution, at_ns: int) -> Executed:
    """Return the report of an execution. `cumulative` is the leg's own; the report's is over all legs."""
    fill = Fill(
        fill_key=fill_key(known.broker_order_id, cumulative),
        quantity=execution.quantity,
        price=execution.price,
        at_ns=at_ns,
        revision=execution.revision,
    )
    earlier = known.earlier
    assert earlier is not None
    return Executed(known.wire_id, fill, earlier.quantity + cumulative)


def instant_ns(text: str | None, otherwise_ns: int = 0) -> int:
    """Return a time stamp, of up to nine digits of a second, as nanoseconds UTC; `otherwise_ns` for what is none."""
    found = _STAMP.fullmatch(text or "")
    if found is None:
        return otherwise_ns
    zone = "+00:00" if found[4] in (None, "Z") else found[4]
    try:
        at = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}")
    except ValueError:
        return otherwise_ns
    since = at - EPOCH
    fraction = int(((found[3] or "") + "000000000")[:9])
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + fraction


def plain(number: Decimal) -> str:
    """Return a number's digits, without an exponent."""
    return format(number, "f")


def is_amount(number: Decimal | None) -> bool:
    """Whether it is a number above zero."""
    return number is not None and number.is_finite() and number > 0


def _prices(terms: Order | Terms) -> dict[str, str]:
    return {theirs: plain(price) for ours, theirs in PRICES.items() if (price := getattr(terms, ours)) is not None}
