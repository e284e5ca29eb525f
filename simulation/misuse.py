"""Requests that nobody should make. Each must be refused or denied, and none may break anything.

They are such as pass an executor: its own checks (a side that is no side, a quantity that is text) are tested with it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ..actors.messages import (
    CancelOrders,
    Change,
    GetOrderStatus,
    ReplaceOrder,
    SetTargets,
    SubmitOrders,
)
from ..actors.model import Order, OrderType, Purpose, TimeInForce
from .door import NO_ANSWER

Request = tuple[str, Any]
"""An actor, and what it is asked."""

Make = Callable[[str, str, str], Request]
"""From a symbol, a new id and an id that is known."""

NAN = Decimal("NaN")
LIMIT, STOP, TRAILING_STOP = OrderType.LIMIT, OrderType.STOP, OrderType.TRAILING_STOP


def _submit(new_id: str, symbol: str, quantity: Decimal | int | str, **terms: Any) -> Request:
    order = Order.buy(symbol, quantity, client_order_id=new_id, **terms)
    return "desk", SubmitOrders((order,))


MISUSES: tuple[Make, ...] = (
    # Quantities
    lambda symbol, new, _: _submit(new, symbol, 0),
    lambda symbol, new, _: _submit(new, symbol, -5),
    lambda symbol, new, _: _submit(new, symbol, NAN),
    lambda symbol, new, _: _submit(new, symbol, Decimal("Infinity")),
    lambda symbol, new, _: _submit(new, symbol, "0.5"),
    lambda symbol, new, _: _submit(new, symbol, Decimal("1E+30")),
    lambda symbol, new, _: _submit(new, symbol, 50_000_000),
    # Symbols
    lambda _, new, __: _submit(new, "NOPE", 10),
    lambda _, new, __: _submit(new, "", 10),
    # Prices
    lambda symbol, new, _: _submit(new, symbol, 10, order_type=LIMIT),
    lambda symbol, new, _: _submit(new, symbol, 10, limit_price=NAN),
    lambda symbol, new, _: _submit(new, symbol, 10, limit_price="-3"),
    lambda symbol, new, _: _submit(new, symbol, 10, limit_price="10.001"),
    lambda symbol, new, _: _submit(new, symbol, 10, limit_price="9999999"),
    lambda symbol, new, _: _submit(new, symbol, 10, stop_price="0"),
    lambda symbol, new, _: _submit(new, symbol, 10, order_type=STOP, limit_price="10"),
    lambda symbol, new, _: _submit(new, symbol, 10, order_type=TRAILING_STOP),
    lambda symbol, new, _: _submit(new, symbol, 10, trail_percent="250"),
    # Other terms
    lambda symbol, new, _: _submit(new, symbol, 10, time_in_force=TimeInForce.OPG, limit_price=NAN),
    lambda symbol, new, _: _submit(new, symbol, 10, extended_hours=True),
    lambda symbol, new, _: _submit(new, symbol, 10, purpose=Purpose.CANCEL),
    lambda symbol, new, _: _submit(new, symbol, 50_000, purpose=Purpose.EXIT),
    lambda symbol, new, _: _submit(new, symbol, 10, account="nobody"),
    # Ids
    lambda symbol, _, __: _submit("no such form!", symbol, 10),
    lambda symbol, new, _: _submit(new + "-" * 40, symbol, 10),
    lambda symbol, _, __: _submit("", symbol, 10),
    lambda _, new, known: ("desk", CancelOrders((new, known + "0", new))),
    lambda _, new, __: ("desk", ReplaceOrder(new, Change(Decimal(1)))),
    lambda _, new, known: ("desk", GetOrderStatus((new, known, ""), NO_ANSWER)),
    lambda _, __, ___: ("desk", SubmitOrders(())),
    lambda _, __, ___: ("desk", CancelOrders(())),
    # Changes of an order that is there
    lambda _, __, known: ("desk", ReplaceOrder(known, Change(Decimal(0)))),
    lambda _, __, known: ("desk", ReplaceOrder(known, Change(NAN))),
    lambda _, __, known: ("desk", ReplaceOrder(known, Change(limit_price=Decimal(-1)))),
    lambda _, __, known: ("desk", ReplaceOrder(known, Change(Decimal(90_000_000)))),
    lambda _, __, known: ("desk", ReplaceOrder(known, Change())),
    # Targets
    lambda symbol, _, __: ("rebalancer", SetTargets({symbol: NAN})),
    lambda _, __, ___: ("rebalancer", SetTargets({"NOPE": Decimal(5)})),
    lambda symbol, _, __: ("rebalancer", SetTargets({symbol: Decimal("1E+12")})),
    lambda _, __, ___: ("rebalancer", SetTargets({})),
)
