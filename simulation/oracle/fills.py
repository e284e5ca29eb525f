"""What the journal books as filled: executions that happened, each once (I3), no more than ordered (I4), never taken back alone (I5)."""

from __future__ import annotations

from ...actors.actor import Record
from ...actors.events import OrderFilled
from ...actors.model import CLOSED_STATES, ZERO
from .broker_truth import BrokerTruth, TrueOrder
from .journal import Journal, Journaled
from .violations import Violations


class Fills:
    """Looks at every fill that is written down, after the journal has added it up."""

    def __init__(self, journal: Journal, truth: BrokerTruth, violations: Violations) -> None:
        self._journal, self._truth, self._violations = journal, truth, violations

    def filled(self, event: OrderFilled, record: Record) -> None:
        """Judge a fill."""
        order_id = event.client_order_id
        order = self._journal.orders.get(order_id)
        if order is None:
            self._violations.add("I2", f"record {record.number} fills order {order_id}, which no record has begun")
            return
        true = self._truth.order(order_id)
        self._happened(event, true)
        if not order.resolved:
            self._not_above(order_id, order, true)
        if event.quantity < ZERO and not true.is_revised and not order.resolved:
            text = f"order {order_id} has {-event.quantity} less filled by {event.fill.fill_key}, and nothing was corrected or busted"
            self._violations.add("I5", text)
        if order.is_over and event.state not in CLOSED_STATES:
            self._violations.add("I5", f"order {order_id} was over, and a fill makes it {event.state}")

    def _happened(self, event: OrderFilled, true: TrueOrder) -> None:
        fill = event.fill
        if fill.inferred:
            return
        real = true.revisions.get((fill.fill_key, fill.revision))
        what = f"{fill.quantity} at {fill.price} as {fill.fill_key} revision {fill.revision}"
        if real is None:
            self._violations.add("I3", f"order {event.client_order_id} books {what}, which never happened")
        elif real.quantity != fill.quantity or real.price != fill.price:
            text = f"order {event.client_order_id} books {what}; it was {real.quantity} at {real.price}"
            self._violations.add("I3", text)

    def _not_above(self, order_id: str, order: Journaled, true: TrueOrder) -> None:
        ordered = max(order.most, true.most)
        if order.filled > ordered >= true.upper:
            text = f"order {order_id} has {order.filled} filled, {ordered} were ordered, the broker filled {true.upper}"
            self._violations.add("I4", text)
        elif order.filled > true.upper:
            text = f"order {order_id} has {order.filled} filled, its executions never were more than {true.upper}"
            self._violations.add("I3", text)
        elif order.filled < ZERO:
            self._violations.add("I3", f"order {order_id} has {order.filled} filled")
