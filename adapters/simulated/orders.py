"""The orders of the exchange: what one is, those that work, and a short memory of those that are finished.

A broker remembers an id after the order is gone: it refuses the id a second time and still answers for it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ...actors.model import ZERO
from ...actors.ports import BrokerOrderState, OrderFound
from .rules import Refusal, RefusalCode, refusal

if TYPE_CHECKING:
    from .book import Listing

REMEMBERED = 10_000
"""The last so many finished orders are always remembered; at most twice as many are held."""

WORKING, REJECTED = BrokerOrderState.WORKING, BrokerOrderState.REJECTED


def base_id_of(wire_id: str) -> str:
    """Return the part that all legs of an order share: what stands before the last `.n`."""
    return wire_id.rpartition(".")[0] or wire_id


class OrderSummary(msgspec.Struct, eq=False, gc=False):
    """What is told of an order when asked. `wire_id` is its last leg."""

    wire_id: str
    state: BrokerOrderState = WORKING
    broker_order_id: str = ""
    earlier_wire_ids: tuple[str, ...] = ()
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    commission: Decimal = ZERO

    def report(self) -> OrderFound:
        """Return this as an answer to a status request."""
        average = self.notional / self.filled if self.filled else None
        return OrderFound(self.wire_id, self.broker_order_id, self.state, self.filled, average, self.commission)


class WorkingOrder(OrderSummary, kw_only=True, gc=True):
    """The last leg of an order at the exchange, and what it still claims of the account. A replacement makes another.

    `quantity` and `filled` count all legs. `key` is the limit price as a float, negated for a sell. `sequence` is the
    place in the queue and `arrived_ns` the instant from which the leg is live. A buy in a cash account claims `claim`,
    made of `claim_price` a share and the commission due.
    """

    base_id: str
    listing: Listing
    is_buy: bool
    is_day: bool
    quantity: Decimal
    remaining: Decimal
    limit: Decimal | None
    key: float
    claim_price: Decimal
    commission_due: Decimal
    sequence: int
    arrived_ns: int
    claim: Decimal = ZERO


def leg_refusal(order: WorkingOrder, wire_id: str) -> Refusal | None:
    """Return why the order's next leg cannot have this id, None when it can."""
    if base_id_of(wire_id) != order.base_id:
        return refusal(RefusalCode.UNKNOWN_ORDER, f"new_wire_id: {wire_id} is not a leg of {order.base_id}")
    if wire_id in (order.wire_id, order.base_id, *order.earlier_wire_ids):
        return refusal(RefusalCode.DUPLICATE_ORDER_ID, f"new_wire_id: the leg {wire_id} was made before")
    return None


class OrderIndex:
    """Orders by base id. The finished are kept in two generations: when the younger is full, the elder is forgotten.

    So remembering costs the same at any size, and an id passes as new only after `size` more orders have finished.
    """

    __slots__ = ("_elder", "_size", "_younger", "open")

    def __init__(self, size: int = REMEMBERED) -> None:
        self.open: dict[str, WorkingOrder] = {}
        self._size = size
        self._younger: dict[str, OrderSummary] = {}
        self._elder: dict[str, OrderSummary] = {}

    def knows(self, base_id: str) -> bool:
        """Tell whether the id was used, as far as is remembered."""
        return base_id in self.open or base_id in self._younger or base_id in self._elder

    def working(self, wire_id: str) -> WorkingOrder | Refusal:
        """Return the order whose working leg this is, or why there is none."""
        order = self.open.get(wire_id.rpartition(".")[0] or wire_id)
        if order is not None and order.wire_id == wire_id:
            return order
        found = self.summary(wire_id)
        if found is None or wire_id not in (found.wire_id, *found.earlier_wire_ids):
            return refusal(RefusalCode.UNKNOWN_ORDER, f"wire_id: no order {wire_id} is known")
        if found.wire_id != wire_id:
            return refusal(RefusalCode.TOO_LATE, f"wire_id: {wire_id} was replaced, its last leg is {found.wire_id}")
        return refusal(RefusalCode.TOO_LATE, f"wire_id: {wire_id} is {found.state}, with {found.filled} filled")

    def summary(self, asked: str) -> OrderSummary | None:
        """Return what is known of the order with this base id or leg, None for an id or a leg that never was."""
        base_id = base_id_of(asked)
        found = self.open.get(base_id) or self._younger.get(base_id) or self._elder.get(base_id)
        if found is None or asked not in (base_id, found.wire_id, *found.earlier_wire_ids):
            return None
        return found

    def finish(self, order: WorkingOrder, state: BrokerOrderState) -> None:
        """Take the order off the open ones and remember how it ended."""
        base_id = order.base_id
        del self.open[base_id]
        if len(self._younger) >= self._size:
            self._elder, self._younger = self._younger, {}
        # Not the order itself: thousands of them would cost the garbage collector more than their summaries cost here.
        self._younger[base_id] = OrderSummary(
            order.wire_id,
            state,
            order.broker_order_id,
            order.earlier_wire_ids,
            order.filled,
            order.notional,
            order.commission,
        )

    def reject(self, base_id: str, wire_id: str) -> None:
        """Remember an order that never worked."""
        if len(self._younger) >= self._size:
            self._elder, self._younger = self._younger, {}
        self._younger[base_id] = OrderSummary(wire_id, REJECTED)
