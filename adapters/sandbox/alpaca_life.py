"""The life of an order: it arrives, works, fills, and ends exactly once; and what its end does to its group.

A stop-loss leg whose take-profit works stays `held`: it is at no exchange, and becomes `new` when the market touches it. What
it then has left to sell is what the take-profit has not sold (docs.alpaca.markets, "Placing Orders": OCO).
"""

from __future__ import annotations

from decimal import Decimal

from ...actors.model import ZERO
from . import alpaca_ledger as ledger
from .alpaca_desk import Desk
from .alpaca_hours import DAY_NS
from .alpaca_state import Execution, Order

GTC_NS = 90 * DAY_NS
"""A GTC order is cancelled when it is 90 days old: docs.alpaca.markets, "Aged order policy"."""

LATE = "TOO_LATE_TO_CANCEL"
LEGS = ("take_profit", "stop_loss")
ENDED_AT = {"canceled": "canceled_ns", "expired": "expired_ns", "rejected": "failed_ns", "replaced": "replaced_ns"}


# --- Arriving -----------------------------------------------------------------------------------------------------------


def admit(desk: Desk, order: Order) -> None:
    """Take a new order: it works after a while, or from its next session on."""
    order.status, order.queued = ("pending_new", False) if _may_work(desk, order) else ("accepted", True)
    remember(desk, order)
    desk.tell(order, order.status)
    arm_at = desk.now_ns + desk.settings.new_delay_ns
    if order.queued:
        session = desk.session
        if desk.now_ns >= (session.ends_ns if order.extended_hours else session.closes_ns):
            session = desk.hours.at(session.ends_ns)
        arm_at = session.starts_ns if order.extended_hours else session.opens_ns
    desk.arrange(arm_at, "arm", order.id)


def admit_leg(desk: Desk, leg: Order) -> None:
    """Take an order that waits for another's fill."""
    leg.status = "held"
    remember(desk, leg)
    desk.tell(leg, "held")


def remember(desk: Desk, order: Order) -> None:
    """Enter an order into the books, and arrange its end."""
    state, now = desk.state, desk.now_ns
    order.created_ns = order.submitted_ns = order.updated_ns = now
    state.orders[order.id] = order
    state.open_ids[order.id] = None
    state.by_client_id[order.client_order_id] = order.id
    if order.expires_ns is None:
        order.expires_ns = _end_of(desk, order)
    desk.arrange(order.expires_ns, "close" if order.time_in_force == "cls" else "expire", order.id)


def _may_work(desk: Desk, order: Order) -> bool:
    session, now = desk.session, desk.now_ns
    return session.is_extended(now) if order.extended_hours else session.is_regular(now)


def _end_of(desk: Desk, order: Order) -> int:
    if order.time_in_force == "gtc":
        return desk.now_ns + GTC_NS
    session = desk.session
    if not order.extended_hours and desk.now_ns >= session.closes_ns:
        session = desk.hours.at(session.ends_ns)
    return session.ends_ns if order.extended_hours else session.closes_ns


def arm(desk: Desk, order: Order) -> None:
    """Let an order that has arrived work, and with the first order of an OCO its other leg."""
    if not order.is_open or order.armed or order.replaces is not None:
        return
    order.armed, order.queued = True, False
    start_trail(desk, order)
    if order.status in {"pending_new", "accepted"}:
        order.status = "new"
        desk.tell(order, "new")
    if order.order_class == "oco":
        for leg in desk.group(order):
            leg.armed = True


def start_trail(desk: Desk, order: Order) -> None:
    """Begin to follow the market with a trailing stop."""
    if order.type == "trailing_stop" and order.hwm is None:
        price = ledger.far_side(desk, order.symbol, order.is_buy)
        if price is not None:
            follow(order, price)


def follow(order: Order, price: Decimal) -> None:
    """Move a trailing stop after the market: `hwm` is the best price since it works."""
    best = min if order.is_buy else max
    order.hwm = price if order.hwm is None else best(order.hwm, price)
    trail = order.trail_price
    if trail is None:
        trail = order.hwm * (order.trail_percent or ZERO) / 100
    order.stop_price = order.hwm + trail if order.is_buy else order.hwm - trail


# --- Filling ------------------------------------------------------------------------------------------------------------


def execute(desk: Desk, order: Order, qty: Decimal, price: Decimal) -> Execution:
    """Fill an order, wholly or in part, and let its group know."""
    ledger.trade(desk, order.symbol, qty if order.is_buy else -qty, price)
    order.filled_qty += qty
    order.filled_value += qty * price
    leaves = ledger.shares_for(order.leaves_notional, price) if order.qty is None else order.leaves
    before, was = order.status, "partially_filled" if leaves else "filled"
    if not leaves:
        order.status, order.filled_ns = "filled", desk.now_ns
    elif before not in {"pending_cancel", "pending_replace"}:
        order.status = "partially_filled"
    execution = Execution(
        execution_id=desk.chance.id(),
        activity_id=desk.activity_id(desk.now_ns),
        order_id=order.id,
        symbol=order.symbol,
        side=order.side,
        at_ns=desk.now_ns,
        qty=qty,
        price=price,
        cum_qty=order.filled_qty,
        leaves_qty=leaves,
        order_status=was,
    )
    desk.state.executions[execution.execution_id] = execution
    event = "partial_fill" if leaves else "fill"
    desk.tell_fill(order, event, execution.execution_id, qty, price)
    if not leaves:
        _leave(desk, order, before)
    _fill_in_group(desk, order, qty)
    return execution


def _fill_in_group(desk: Desk, order: Order, qty: Decimal) -> None:
    if order.role in LEGS:
        for other in list(desk.group(order)):
            if other.role != order.role and other.is_open:
                _lessen(desk, other, qty)
    elif order.role == "entry" and order.status == "filled":
        _arm_legs(desk, order)


def _lessen(desk: Desk, leg: Order, qty: Decimal) -> None:
    """Take from an exit what the other exit has traded."""
    leg.qty = (leg.qty or ZERO) - qty
    if leg.leaves <= ZERO:
        end(desk, leg, "canceled")
    else:
        desk.tell(leg, "restated")


def _arm_legs(desk: Desk, entry: Order) -> None:
    """Let the legs of an entry that is filled work: one at the exchange, a stop beside a take-profit held.

    Shares that other orders are closing already are not sold twice: the legs are for what those leave.
    """
    legs = list(desk.group(entry))
    free = abs(desk.held(entry.symbol)) - ledger.quantity_claimed(desk, entry.symbol, apart_from=entry.group)
    has_profit = any(leg.role == "take_profit" for leg in legs)
    for leg in legs:
        if leg.leaves > free:
            _lessen(desk, leg, leg.leaves - max(free, ZERO))
        if not leg.is_open:
            continue
        leg.armed = True
        if leg.status == "held" and not (leg.role == "stop_loss" and has_profit):
            leg.status = "new"
            desk.tell(leg, "new")


def touch(desk: Desk, order: Order) -> None:
    """Trigger a stop; a held one first takes the place of the exit beside it."""
    order.triggered = True
    was_held = order.status == "held"
    if was_held:
        order.status = "new"
    if order.role == "stop_loss":
        for other in list(desk.group(order)):
            if other.role == "take_profit" and other.is_open:
                end(desk, other, "canceled", alone=True)
    if was_held:
        desk.tell(order, "new")


# --- Ending -------------------------------------------------------------------------------------------------------------


def end(desk: Desk, order: Order, status: str, *, alone: bool = False, reason: str | None = None) -> None:
    """End an order that is not filled, and with it the rest of its group, unless it is `alone`."""
    before = order.status
    order.status = status
    setattr(order, ENDED_AT[status], desk.now_ns)
    desk.tell(order, status, **({} if reason is None else {"reason": reason}))
    if status == "replaced":
        _forget(desk, order)
        return
    _leave(desk, order, before)
    if alone or status == "rejected":
        return
    for other in list(desk.group(order)):
        if other.is_open:
            end(desk, other, "canceled")


def _leave(desk: Desk, order: Order, before: str) -> None:
    """Take an order that has ended out of the open ones, and answer what was asked of it and came too late."""
    _forget(desk, order)
    if before == "pending_cancel" and order.status == "filled":
        desk.tell(order, "order_cancel_rejected", reason=LATE)
    if before == "pending_replace":
        successor = desk.successor(order)
        if successor is not None:
            end(desk, successor, "rejected")
        desk.tell(order, "order_replace_rejected", reason=LATE)


def _forget(desk: Desk, order: Order) -> None:
    desk.state.open_ids.pop(order.id, None)
    order.armed = order.queued = False


def status_at_work(desk: Desk, order: Order) -> str:
    """Return the status of an open order of which nothing is asked."""
    if order.filled_qty:
        return "partially_filled"
    if order.role in LEGS and (not order.armed or _waits_beside_profit(desk, order)):
        return "held"
    return "new"


def _waits_beside_profit(desk: Desk, order: Order) -> bool:
    beside = any(other.role == "take_profit" and other.is_open for other in desk.group(order))
    return order.role == "stop_loss" and not order.triggered and beside
