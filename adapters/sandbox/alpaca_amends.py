"""Executions made, taken back and corrected by hand, as a market's own officials do it, or a test."""

from __future__ import annotations

from decimal import Decimal

from ...actors.model import ZERO
from . import alpaca_ledger as ledger
from . import alpaca_life as life
from .alpaca_desk import Desk
from .alpaca_refusal import absent, malformed, unprocessable
from .alpaca_state import Execution, Json, Order


def fill(desk: Desk, order: Order, qty: Decimal, price: Decimal) -> None:
    """Fill an order without a market, at any hour; not more than it has left."""
    if qty <= ZERO or price <= ZERO:
        raise malformed("qty and price must be > 0")
    leaves = ledger.shares_for(order.leaves_notional, price) if order.qty is None else order.leaves
    if not order.is_open or qty > leaves:
        raise unprocessable(f"{qty} cannot be filled: the order is {order.status} and {leaves} are left of it")
    if not order.armed and (order.id != order.group or order.replaces is not None):
        raise unprocessable("the order waits for another, and cannot be filled before it")
    if order.status == "held":
        life.touch(desk, order)
    life.arm(desk, order)
    life.execute(desk, order, qty, price)


def find(desk: Desk, execution_id: str) -> Execution:
    """Return an execution by its id, or the last one of an order by the order's."""
    found = desk.state.executions.get(execution_id)
    if found is None:
        of_order = [
            each for each in desk.state.executions.values() if each.order_id == execution_id and not each.is_busted
        ]
        if not of_order:
            raise absent(f"execution not found for {execution_id}")
        found = of_order[-1]
    if found.is_busted:
        raise unprocessable(f"the execution {execution_id} is busted")
    return found


def bust(desk: Desk, execution: Execution) -> Json:
    """Take an execution back: the order has filled less, and will not fill that part again."""
    order = desk.order(execution.order_id)
    _undo(desk, order, execution)
    order.busted += execution.qty
    execution.is_busted = True
    return _tell(desk, order, execution, "trade_bust", reason="TRADE_BUST")


def correct(desk: Desk, execution: Execution, qty: Decimal, price: Decimal) -> Json:
    """Change what an execution was. It keeps its activity, and gets another execution id."""
    order = desk.order(execution.order_id)
    if qty <= ZERO or price <= ZERO:
        raise malformed("qty and price must be > 0; an execution of nothing is a bust")
    if qty > execution.qty and (order.qty is None or not order.is_open or qty - execution.qty >= order.leaves):
        raise unprocessable(f"qty {qty} is more than the order has left; the execution was of {execution.qty}")
    less = execution.qty - qty
    _undo(desk, order, execution)
    ledger.trade(desk, order.symbol, qty if order.is_buy else -qty, price)
    order.filled_qty += qty
    order.filled_value += qty * price
    order.busted += max(less, ZERO)
    execution.qty, execution.price = qty, price
    return _tell(desk, order, execution, "trade_correct")


def _undo(desk: Desk, order: Order, execution: Execution) -> None:
    ledger.trade(desk, order.symbol, -execution.qty if order.is_buy else execution.qty, execution.price)
    order.filled_qty -= execution.qty
    order.filled_value -= execution.qty * execution.price


def _tell(desk: Desk, order: Order, execution: Execution, event: str, **more: str | None) -> Json:
    previous, execution.execution_id = execution.execution_id, desk.chance.id()
    del desk.state.executions[previous]
    desk.state.executions[execution.execution_id] = execution
    return desk.tell_fill(
        order,
        event,
        execution.execution_id,
        execution.qty,
        execution.price,
        previous_execution_id=previous,
        **more,
    )
