"""A person's word on an order that nobody can prove: which is accepted when, and what it makes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ..doubt_events import OrderResolved, Verdict
from ..events import CancelReason, Cumulative, OrderCancelled, OrderFilled, OrderRejected
from ..model import ZERO, Fill
from .doubt import NOT_FOUND

if TYPE_CHECKING:
    from .order import OrderMachine

BY_HAND = "by-hand:"
Outcome = OrderResolved | OrderRejected | OrderFilled | OrderCancelled


class Word(msgspec.Struct, frozen=True):
    """What a person says. Without `quantity` an order filled all that was missing, without `price` at its limit."""

    verdict: str
    reason: str
    quantity: Decimal | None = None
    price: Decimal | None = None


def refusal(machine: OrderMachine, word: Word, *, quarantined: bool) -> str | None:
    """Return why a person's word is not taken, and what would be; None if it is."""
    order_id = machine.order.client_order_id
    if word.verdict not in tuple(Verdict):
        return f"verdict {word.verdict!r} of order {order_id}: give one of {', '.join(Verdict)}"
    if not word.reason.strip():
        return f"reason: say why order {order_id} is {word.verdict}; it is written into the journal"
    taken = _taken(machine, quarantined=quarantined)
    if not taken:
        return f"order {order_id} is {machine.state} and neither in doubt nor quarantined: there is nothing to resolve"
    if word.verdict not in taken:
        return f"order {order_id} ({machine.state}) cannot be resolved as {word.verdict}, only as {' or '.join(taken)}"
    if word.verdict != Verdict.FILLED:
        given = word.quantity is not None or word.price is not None
        return f"order {order_id}: quantity and price are for the verdict filled only" if given else None
    return _bad_fill(machine, word)


def _taken(machine: OrderMachine, *, quarantined: bool) -> tuple[str, ...]:
    """Return the verdicts that an order can be given."""
    release = (Verdict.RELEASE.value,) if quarantined else ()
    open_and_unproved = machine.may_be_open and (quarantined or machine.in_doubt)
    return (Verdict.ABSENT.value, Verdict.FILLED.value, *release) if open_and_unproved else release


def _bad_fill(machine: OrderMachine, word: Word) -> str | None:
    missing = machine.order.quantity - machine.filled_quantity
    order_id, quantity, price = machine.order.client_order_id, word.quantity, word.price
    if quantity is not None and not (quantity.is_finite() and ZERO < quantity <= missing):
        return f"quantity {quantity} of order {order_id}: give one above 0 and up to {missing}, which is missing"
    if price is None and machine.order.limit_price is None:
        return f"price of order {order_id}: it has no limit, so give the price that it filled at"
    if price is not None and not (price.is_finite() and price > ZERO):
        return f"price {price} of order {order_id}: give a price above 0"
    return None


def outcome(machine: OrderMachine, word: Word, now_ns: int) -> list[Outcome]:
    """Return the records that a person's word makes; it must be one that is taken."""
    order_id, text = machine.order.client_order_id, f"resolved by hand: {word.reason}"
    verdict = Verdict(word.verdict)
    made: list[Outcome] = [OrderResolved(order_id, verdict, word.reason)]
    missing = machine.order.quantity - machine.filled_quantity
    if verdict is Verdict.FILLED:
        made.append(_fill(machine, word, now_ns))
    if verdict is Verdict.RELEASE:
        if machine.may_be_open and not machine.wire_id:
            made.append(OrderCancelled(order_id, CancelReason.NOT_SENT, text))
    elif verdict is Verdict.ABSENT or (word.quantity is not None and word.quantity < missing):
        made.append(OrderRejected(order_id, NOT_FOUND, text, True))
    return made


def _fill(machine: OrderMachine, word: Word, now_ns: int) -> OrderFilled:
    """Return the fill that a person states: an inferred one, so that the broker's own replace it if they come after all."""
    quantity = word.quantity or machine.order.quantity - machine.filled_quantity
    price = word.price or machine.order.limit_price
    assert price is not None
    fill = Fill(
        fill_key=f"{BY_HAND}{machine.filled_by_hand + 1}",
        quantity=quantity,
        price=price,
        at_ns=now_ns,
        recovered=True,
        inferred=True,
    )
    stated = Cumulative(machine.filled_quantity + quantity, machine.notional + quantity * price, machine.commission)
    event = machine.book(fill, stated)
    assert event is not None
    return event
