"""How orders end: by what the broker has done, by proof that they are not there, or by a person's word (I2, I5)."""

from __future__ import annotations

from ...actors.actor import Record
from ...actors.events import CancelReason, OrderCancelled, OrderRejected
from .broker_truth import BrokerTruth
from .journal import Journal
from .sends import Sends
from .violations import Violations

LOOK_UPS = 2
"""How many look-ups in vain, begun after the send's deadline, are the least that proves anything."""

HIDDEN_NS = 600_000_000_000
"""For how long a broker may not find an order that it has taken."""


class Proofs:
    """Looks at every record that ends an order, before the journal has taken it in."""

    def __init__(self, journal: Journal, truth: BrokerTruth, sends: Sends, violations: Violations) -> None:
        self._journal, self._truth, self._sends, self._violations = journal, truth, sends, violations

    def rejected(self, event: OrderRejected, record: Record) -> None:
        """Judge a rejection: said by the broker, or concluded."""
        order_id = event.client_order_id
        order, true = self._journal.orders.get(order_id), self._truth.order(order_id)
        if order_id in self._journal.lost or order is None or order.resolved:
            return
        if not event.concluded:
            if true.accepted_ns:
                self._violations.add(
                    "I2", f"order {order_id} is booked as rejected ({event.code}), and the broker took it"
                )
            return
        if order.looked < LOOK_UPS or not order.looked_all:
            text = f"order {order_id} was given up after {order.looked} look-ups in vain (a complete read: {order.looked_all})"
            self._violations.add("I2", text)
        elif true.working and self._violations.clock() - true.accepted_ns > HIDDEN_NS:
            legs = ", ".join(true.working)
            self._violations.add("I2", f"order {order_id} was given up, and works at the broker for long as {legs}")

    def cancelled(self, event: OrderCancelled, record: Record) -> None:
        """Judge an end that the broker, or the port, is said to have told."""
        order_id = event.client_order_id
        true = self._truth.order(order_id)
        if order_id in self._journal.lost:
            return
        if event.reason is CancelReason.NOT_SENT:
            written = [wire_id for wire_id in self._legs(order_id) if wire_id in self._sends.wire_ids]
            if written:
                text = f"order {order_id} is booked as never sent ({event.text}), and {', '.join(written)} was written"
                self._violations.add("I2", text)
        elif true.working:
            text = (
                f"order {order_id} is booked as over ({event.reason} {event.text}), and {', '.join(true.working)} works"
            )
            self._violations.add("I5", text)

    def _legs(self, order_id: str) -> list[str]:
        return [f"{order_id}.{number}" for number in range(3)]
