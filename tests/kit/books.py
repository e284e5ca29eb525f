"""What we believe against what the simulated exchange knows: cash, holdings, and the state of every order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from ordersmith.actors.model import OrderState, OrderStatus
from ordersmith.actors.ports import BrokerOrderState
from ordersmith.adapters.simulated.exchange import SimulatedExchange

PUBLIC_STATES = {
    BrokerOrderState.WORKING: {OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED},
    BrokerOrderState.DONE: {OrderState.FILLED},
    BrokerOrderState.REJECTED: {OrderState.REJECTED},
    BrokerOrderState.CANCELLED: {OrderState.CANCELLED},
    BrokerOrderState.EXPIRED: {OrderState.CANCELLED},
}
"""What an order may be called here that the exchange says this of."""


def disagreements(
    exchange: SimulatedExchange,
    cash: Decimal,
    positions: Mapping[str, Decimal],
    orders: Iterable[OrderStatus],
    under_way: Collection[str] = (),
) -> list[str]:
    """Name every difference. The broker need not know yet of the orders that have commands `under_way`."""
    found = [] if cash == exchange._account.cash else [f"cash {cash}, broker {exchange._account.cash}"]
    ours = {symbol: quantity for symbol, quantity in positions.items() if quantity}
    theirs = {position.symbol: position.quantity for position in exchange._account.positions()}
    found += [
        f"{symbol} {ours.get(symbol)}, broker {theirs.get(symbol)}"
        for symbol in sorted({*ours, *theirs})
        if ours.get(symbol) != theirs.get(symbol)
    ]
    for status in orders:
        if status.broker_order_id or status.client_order_id not in under_way:
            found += _differs(exchange, status)
    return found


def _differs(exchange: SimulatedExchange, status: OrderStatus) -> list[str]:
    order_id = status.client_order_id
    known = exchange._orders.summary(order_id)
    if known is None:
        sent = status.state not in {OrderState.REJECTED, OrderState.PENDING} and not status.in_doubt
        unsent = status.state is OrderState.CANCELLED and not status.filled_quantity
        return [f"{order_id} {status.state}, the broker does not know it"] if sent and not unsent else []
    ours = (status.filled_quantity, status.notional, status.commission)
    theirs = (known.filled, known.notional, known.commission)
    found = []
    if status.state not in PUBLIC_STATES[known.state] or ours != theirs:
        found.append(f"{order_id} {status.state} {ours}, broker {known.state} {theirs}")
    working = exchange._orders.open.get(order_id)
    if working is not None and (working.quantity, working.limit) != (status.quantity, status.order.limit_price):
        found.append(
            f"{order_id} {status.quantity} at {status.order.limit_price}, broker {working.quantity} at {working.limit}"
        )
    return found
