"""What clients ask for orders: to place one, to replace one, to cancel one; and what becomes of it when it is time.

A replacement is a new order with an id of its own. Its quantity is what was sent, or the old order's: what that has filled is
not subtracted (alpacahq/Alpaca-API#165), so that both together may trade more than was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ...actors.model import ZERO
from ..alpaca.rules import broken_class_rule
from . import alpaca_ledger as ledger
from . import alpaca_life as life
from .alpaca_desk import Desk
from .alpaca_form import LONGEST_ID, TIMES_IN_FORCE, Form, read_form, sub_penny
from .alpaca_json import order_row, read_number
from .alpaca_refusal import Refusal, forbidden, malformed, unprocessable
from .alpaca_rules_applied import (
    Asked,
    ask,
    client_id_taken,
    insufficient_buying_power,
    insufficient_quantity,
)
from .alpaca_state import OPEN, REPLACEABLE, Json, Order

CHANGES = {
    "qty": ("market", "limit", "stop", "stop_limit", "trailing_stop"),
    "limit_price": ("limit", "stop_limit"),
    "stop_price": ("stop", "stop_limit"),
    "trail": ("trailing_stop",),
}
"""Which numbers of an order can be replaced, by its type."""


# --- Placing ------------------------------------------------------------------------------------------------------------


def place(desk: Desk, body: Mapping[str, Any]) -> Order:
    """Take an order with its legs, or raise the Refusal."""
    form = read_form(body)
    asked = ask(desk, form)
    if form.order_class == "oco":
        order = _exit(desk, form, asked.intent, "take_profit")
        order.client_order_id = form.client_order_id or order.client_order_id
        order.group = order.id
        legs = [_exit(desk, form, asked.intent, "stop_loss")]
    else:
        order = _first(desk, asked)
        exits = [role for role, price in (("take_profit", form.take_profit), ("stop_loss", form.stop_loss)) if price]
        intent = "sell_to_close" if form.is_buy else "buy_to_close"
        legs = [_exit(desk, form, intent, role) for role in exits]
    life.admit(desk, order)
    for leg in legs:
        leg.group = order.id
        order.legs.append(leg.id)
        life.admit_leg(desk, leg)
    return order


def _first(desk: Desk, asked: Asked) -> Order:
    form, order_id = asked.form, desk.chance.id()
    return Order(
        id=order_id,
        client_order_id=form.client_order_id or desk.chance.id(),
        number=desk.chance.number(),
        asset_id=asked.asset.id,
        symbol=asked.asset.terms.symbol,
        side=form.side,
        type=form.type,
        time_in_force=form.time_in_force,
        order_class="" if form.order_class == "simple" else form.order_class,
        qty=form.qty,
        notional=form.notional,
        limit_price=form.limit_price,
        stop_price=form.stop_price,
        trail_price=form.trail_price,
        trail_percent=form.trail_percent,
        extended_hours=form.extended_hours,
        position_intent=asked.intent,
        group=order_id,
        role="entry" if form.is_complex else "simple",
    )


def _exit(desk: Desk, form: Form, intent: str, role: str) -> Order:
    """Make a leg: it has a client order id that nobody has chosen."""
    asset = desk.asset(form.symbol)
    assert asset is not None
    if role == "take_profit":
        kind, limit, stop = "limit", form.take_profit, None
    else:
        kind = "stop" if form.stop_loss_limit is None else "stop_limit"
        limit, stop = form.stop_loss_limit, form.stop_loss
    return Order(
        id=desk.chance.id(),
        client_order_id=desk.chance.id(),
        number=desk.chance.number(),
        asset_id=asset.id,
        symbol=asset.terms.symbol,
        side=intent.split("_", maxsplit=1)[0],
        type=kind,
        time_in_force=form.time_in_force,
        order_class=form.order_class,
        qty=form.qty,
        limit_price=limit,
        stop_price=stop,
        position_intent=intent,
        role=role,
    )


# --- Cancelling ---------------------------------------------------------------------------------------------------------


def cancel(desk: Desk, order: Order) -> None:
    """Take the wish to cancel an order: it is cancelled after a while, unless it ends first."""
    if order.status not in OPEN or order.status in {"pending_cancel", "pending_replace"} or _replaces_one(desk, order):
        status = order.status if not _replaces_one(desk, order) else "pending_replace"
        raise unprocessable(f'order is already in "{status}" state')
    if not desk.settings.cancel_delay_ns:
        life.end(desk, order, "canceled")
        return
    order.status = "pending_cancel"
    desk.tell(order, "pending_cancel")
    desk.arrange(desk.now_ns + desk.settings.cancel_delay_ns, "cancel", order.id)


def _replaces_one(desk: Desk, order: Order) -> bool:
    """Tell whether an order has yet to replace another."""
    return order.is_open and order.replaces is not None and desk.order(order.replaces).is_open


def cancel_all(desk: Desk) -> list[Json]:
    """Cancel every open order, and return what became of each request."""
    rows: list[Json] = []
    for order in desk.open_orders():
        if not order.is_open:  # its group has ended with another
            rows.append({"id": order.id, "status": 200})
            continue
        try:
            cancel(desk, order)
        except Refusal as refusal:
            rows.append({"id": order.id, "status": refusal.status, "body": refusal.body})
        else:
            rows.append({"id": order.id, "status": 200})
    return rows


# --- Replacing ----------------------------------------------------------------------------------------------------------


def replace(desk: Desk, old: Order, body: Mapping[str, Any]) -> Order:
    """Take the wish to replace an order, and return the new one, which works once the old is out of the way."""
    if old.status not in REPLACEABLE or _replaces_one(desk, old):
        raise unprocessable(f'cannot replace order in "{old.status}" state')
    if old.notional is not None:
        raise unprocessable("notional orders cannot be replaced")
    changes = _changes(desk, old, body)
    client_order_id = str(body.get("client_order_id") or "")
    if len(client_order_id) > LONGEST_ID:
        raise malformed(f"client_order_id must be no more than {LONGEST_ID} characters")
    taken = client_id_taken(desk, client_order_id)
    if taken is not None:
        raise taken
    new = msgspec.structs.replace(old, **changes)
    refusal = _cannot_afford(desk, new)
    if refusal is not None:
        raise refusal
    _make_new(desk, new, old, client_order_id, "time_in_force" in changes)
    life.remember(desk, new)
    old.status = "pending_replace"
    if desk.settings.replace_delay_ns:
        desk.tell(old, "pending_replace")
        desk.tell(new, "pending_new")
    desk.arrange(desk.now_ns + desk.settings.replace_delay_ns, "replace", new.id)
    return new


def _changes(desk: Desk, old: Order, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be another than it was."""
    wanted = {field: read_number(body.get(field), field) for field in CHANGES}
    for field, value in wanted.items():
        if value is None:
            continue
        if old.type not in CHANGES[field]:
            raise unprocessable(f"{field} of {old.type} orders cannot be replaced")
        if field == "qty" and old.order_class:
            raise unprocessable(f"qty of {old.order_class} orders cannot be replaced")
        if value <= ZERO:
            raise malformed(f"{field} must be > 0")
    refusal = sub_penny(limit_price=wanted["limit_price"], stop_price=wanted["stop_price"])
    if refusal is not None:
        raise refusal
    trail = wanted.pop("trail")
    if trail is not None:
        wanted["trail_price" if old.trail_price is not None else "trail_percent"] = trail
    changes: dict[str, Any] = {
        field: value for field, value in wanted.items() if value not in {None, getattr(old, field)}
    }
    changes |= _other_time_in_force(old, body)
    if not changes and not body.get("client_order_id"):
        raise forbidden("order parameters are not changed")
    return changes


def _other_time_in_force(old: Order, body: Mapping[str, Any]) -> dict[str, Any]:
    wanted = body.get("time_in_force")
    if not wanted or wanted == old.time_in_force:
        return {}
    if wanted not in TIMES_IN_FORCE:
        raise malformed(f"invalid time_in_force: {wanted!r}; give one of {', '.join(TIMES_IN_FORCE)}")
    fractional = old.qty is not None and bool(old.qty % 1)
    rule = broken_class_rule(
        old.order_class, old.type, wanted, old.extended_hours, is_fractional=fractional, side=old.side
    )
    if rule is not None:
        raise Refusal(422, int(rule.code), rule.text)
    return {"time_in_force": wanted}


def _make_new(desk: Desk, new: Order, old: Order, client_order_id: str, ends_anew: bool) -> None:
    """Let the copy of an order be one of its own that has done nothing yet."""
    new.id = desk.chance.id()
    new.client_order_id = client_order_id or desk.chance.id()
    new.number = desk.chance.number()
    new.replaces, new.replaced_by = old.id, None
    new.status, new.armed = "pending_new", False
    new.filled_qty = new.filled_value = new.busted = ZERO
    new.filled_ns = None
    new.legs = list(old.legs)
    if ends_anew:
        new.expires_ns = None


def _cannot_afford(desk: Desk, new: Order) -> Refusal | None:
    """Weigh a replacement in place of the order, and of the group, that it belongs to."""
    if ledger.opens(new):
        return insufficient_buying_power(desk, ledger.value(desk, _unfilled(new)), apart_from=new.group)
    if new.role in life.LEGS:
        return None
    return insufficient_quantity(desk, new.symbol, new.qty or ZERO, apart_from=new.group)


def _unfilled(order: Order) -> Order:
    return msgspec.structs.replace(order, filled_qty=ZERO, filled_value=ZERO, busted=ZERO)


def put_in_place(desk: Desk, new: Order) -> None:
    """Let a replacement take the place of the old order, if both are still open and the account can bear it."""
    if not new.is_open or new.replaces is None:
        return
    old = desk.order(new.replaces)
    refusal = _cannot_afford(desk, new)
    if refusal is not None:
        life.end(desk, new, "rejected")
        old.status = life.status_at_work(desk, old)
        desk.tell(old, "order_replace_rejected", reason=refusal.message)
        return
    was_armed, old.replaced_by = old.armed, new.id
    new.triggered, new.hwm = old.triggered, old.hwm
    if old.role in life.LEGS:
        new.qty = _less_of(new.qty, old.leaves)
    life.end(desk, old, "replaced")
    new.armed = was_armed
    if new.type == "trailing_stop" and new.hwm is not None:
        life.follow(new, new.hwm)
    new.status = life.status_at_work(desk, new)
    _move_in_group(desk, old, new)
    desk.tell(new, "held" if new.status == "held" else "new")


def _less_of(qty: Decimal | None, leaves: Decimal) -> Decimal | None:
    return leaves if qty is not None and qty > leaves else qty


def _move_in_group(desk: Desk, old: Order, new: Order) -> None:
    """Let the order that the legs hang on know its new leg."""
    for order in desk.state.orders.values():
        if order.group == new.group and old.id in order.legs:
            order.legs[order.legs.index(old.id)] = new.id


# --- Showing ------------------------------------------------------------------------------------------------------------


def rows_with_legs(desk: Desk, order: Order) -> Json:
    """Return an order with its legs beneath it."""
    return order_row(order, [order_row(desk.order(leg)) for leg in order.legs])
