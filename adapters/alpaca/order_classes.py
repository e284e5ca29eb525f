"""Orders with exits, as Alpaca takes them: their body, and what Alpaca would refuse of them, found before anything is sent.

docs.alpaca.markets, "Orders at Alpaca" (bracket, OCO and OTO orders). The rows of `rules.CLASS_RULES` say which terms go together;
here is what those cannot say: which exits a class has, what prices they need, and how the prices lie to each other. A group that is
refused, not sent or in doubt is so with each of its orders: each of them hears it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from ...actors.model import ZERO, Order, OrderType, Side
from ...actors.order_class import ExitLeg, ExitRole, Exits, OrderClass, exit_wire_id
from ...actors.ports import NewOrder
from .codec import TYPE_OF, order_body, plain
from .known_orders import KnownOrders, leg_of
from .rules import BAD_FIELD, BAD_TERMS, broken_class_rule

CENT, FINE_CENT, ONE = Decimal("0.01"), Decimal("0.0001"), Decimal(1)
TOO_HIGH = Decimal(1_000_000_000)
"""No share costs as much. Far above it a price has more digits than can be reckoned with."""


class Objection(NamedTuple):
    """Why Alpaca would refuse an order: with which code, and what is wrong with it."""

    code: str
    text: str


def wire_ids(command: NewOrder) -> tuple[str, ...]:
    """Return the names of all orders that the command makes, that of its own order first."""
    exits = command.exits
    return (command.wire_id,) if exits is None else (command.wire_id, *(leg.wire_id for leg in exits.legs))


def body_of(command: NewOrder) -> dict[str, Any]:
    """Return what is posted for an order, with its exits. The limit of an OCO stands in its take profit, and there alone."""
    body, exits = order_body(command.order, command.wire_id), command.exits
    if exits is None:
        return body
    profit, stop = exits.take_profit, exits.stop_loss
    body["order_class"] = exits.order_class.value.lower()
    if exits.order_class is OrderClass.OCO:
        body["take_profit"] = {"limit_price": body.pop("limit_price")}
    elif profit is not None:
        body["take_profit"] = _prices(profit)
    return body if stop is None else {**body, "stop_loss": _prices(stop)}


def _prices(leg: ExitLeg) -> dict[str, str]:
    prices = {"stop_price": leg.stop_price, "limit_price": leg.limit_price}
    return {name: plain(price) for name, price in prices.items() if price is not None}


# --- What would be refused ---------------------------------------------------------------------------------------------


def objection_to(command: NewOrder) -> Objection | None:
    """Return why an order with exits cannot be sent as it is, None if it can. A simple order is the gate's to judge."""
    exits = command.exits
    if exits is None:
        return None
    for rule in (_class, _names, _terms, _numbers, _order_of_prices):
        found = rule(command, exits)
        if found is not None:
            return found
    return None


def objection_to_names(names: tuple[str, ...], known: KnownOrders) -> Objection | None:
    """Return why an order of these names (`wire_ids`) would be mistaken for another one, None if it would not."""
    taken = known.knows_other(names)
    if not taken:
        return None
    text = f"client_order_id: {taken!r} is the name of another order, or of an exit of one; give this one another"
    return Objection(BAD_FIELD, text)


HAS = {
    OrderClass.BRACKET: ((True, True),),
    OrderClass.OTO: ((True, False), (False, True)),
    OrderClass.OCO: ((False, True),),
}
"""Which exits a class may have: a take profit and a stop loss, or only one of the two."""

WANTS = {
    OrderClass.BRACKET: "needs both a take profit and a stop loss",
    OrderClass.OTO: "needs one exit, a take profit or a stop loss",
    OrderClass.OCO: "is itself the take profit, and needs a stop loss besides",
}


def _class(command: NewOrder, exits: Exits) -> Objection | None:
    profit, stop = exits.take_profit, exits.stop_loss
    if (profit is not None, stop is not None) not in HAS[exits.order_class]:
        return Objection(BAD_TERMS, f"exits: an order of class {exits.order_class} {WANTS[exits.order_class]}")
    if exits.order_class is OrderClass.OCO and command.order.limit_price is None:
        return Objection(BAD_TERMS, "limit_price: the order of an OCO is its take profit; give its limit_price")
    if profit is not None and (profit.limit_price is None or profit.stop_price is not None):
        return Objection(BAD_TERMS, "exits.take_profit: it is a limit order; give its limit_price, and no stop_price")
    if stop is not None and stop.stop_price is None:
        return Objection(BAD_TERMS, "exits.stop_loss: give its stop_price, and a limit_price only to limit it")
    return None


def _names(command: NewOrder, exits: Exits) -> Objection | None:
    """Only names that follow from the order's own are found again by another process."""
    for role, leg in ((ExitRole.TAKE_PROFIT, exits.take_profit), (ExitRole.STOP_LOSS, exits.stop_loss)):
        wanted = exit_wire_id(command.wire_id, role)
        if leg is not None and leg.wire_id != wanted:
            return Objection(
                BAD_FIELD, f"exits: {leg.wire_id!r} would not be found again; its wire id must be {wanted!r}"
            )
        if leg_of(wanted) is None:
            return Objection(
                BAD_FIELD, f"exits: {wanted!r} is no wire id; give the order an id of at most 37 characters"
            )
    return None


def _terms(command: NewOrder, exits: Exits) -> Objection | None:
    order = command.order
    rule = broken_class_rule(
        exits.order_class.value.lower(),
        TYPE_OF[order.order_type],
        order.time_in_force.value.lower(),
        order.extended_hours,
        is_fractional=order.quantity != order.quantity.to_integral_value(),
        side=order.side.value.lower(),
    )
    return None if rule is None else Objection(rule.code, rule.text)


def _numbers(command: NewOrder, exits: Exits) -> Objection | None:
    for name, price in _named_prices(command.order, exits):
        if not (price.is_finite() and ZERO < price < TOO_HIGH):
            return Objection(BAD_FIELD, f"{name} {price} is no price; it must be above 0, and below {TOO_HIGH}")
        unit = CENT if price >= ONE else FINE_CENT
        if price % unit:
            return Objection(BAD_TERMS, f"{name} {price} is no multiple of {unit}")
    return None


def _named_prices(order: Order, exits: Exits) -> Iterator[tuple[str, Decimal]]:
    places = (("", order), ("take_profit.", exits.take_profit), ("stop_loss.", exits.stop_loss))
    for place, terms in places:
        for field in ("limit_price", "stop_price"):
            price = getattr(terms, field, None)
            if price is not None:
                yield place + field, price


def _order_of_prices(command: NewOrder, exits: Exits) -> Objection | None:
    """The profit lies beyond the entry's limit and the stop before it, by a cent at least; of an OCO its order is the profit."""
    order, is_oco = command.order, exits.order_class is OrderClass.OCO
    sells = (order.side is Side.BUY) is not is_oco
    profit = exits.take_profit.limit_price if exits.take_profit is not None else order.limit_price if is_oco else None
    stop = exits.stop_loss.stop_price if exits.stop_loss is not None else None
    base = order.limit_price if order.order_type is OrderType.LIMIT and not is_oco else None
    above, below = ("above", "below") if sells else ("below", "above")
    lies: Callable[[Decimal | None, Decimal | None], bool] = partial(_beyond, 1 if sells else -1)
    if not lies(profit, stop):
        return Objection(BAD_TERMS, f"the take profit {profit} must be {above} the stop loss {stop}, by 0.01 at least")
    if not lies(profit, base):
        return Objection(
            BAD_TERMS, f"the take profit {profit} must be {above} the limit price {base}, by 0.01 at least"
        )
    if not lies(base, stop):
        return Objection(BAD_TERMS, f"the stop loss {stop} must be {below} the limit price {base}, by 0.01 at least")
    return None


def _beyond(sign: int, farther: Decimal | None, nearer: Decimal | None) -> bool:
    return farther is None or nearer is None or (farther - nearer) * sign >= CENT
