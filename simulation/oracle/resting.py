"""How everything must stand at the end.

Nothing is lost (I2), everything is booked once (I3), the books are the broker's (I6), bounds were kept (I10), the journal folds
to the same (I11), every order is over or with a person, and trading possible or halted for a stated reason (I18).
"""

from __future__ import annotations

from decimal import Decimal

from ...actors.actor import Record
from ...actors.events import Booted, Escalated
from ...actors.model import ZERO, OrderStatus
from .broker_truth import BrokerTruth, client_id_of
from .journal import Journal
from .rest import OpenOrder, Rest
from .violations import Violations

READY = "READY"
CASH = ""
CENT = Decimal("0.01")


class Resting:
    """Judges once, at the end."""

    def __init__(self, journal: Journal, truth: BrokerTruth, violations: Violations) -> None:
        self._journal, self._truth, self._violations = journal, truth, violations

    def at_rest(self, rest: Rest) -> None:
        """Judge everything."""
        statuses = {status.client_order_id: status for status in rest.statuses}
        self._all_known(rest, statuses)
        for status in rest.statuses:
            self._order(rest, status)
        for order in rest.truth.open_orders:
            self._open_at_broker(rest, statuses, order)
        self._trading(rest)
        if rest.is_up:
            self._books(rest)
            self._externals(rest)
            self._bounds(rest)

    def _all_known(self, rest: Rest, statuses: dict[str, OrderStatus]) -> None:
        for order_id in self._journal.orders:
            if order_id not in statuses:
                self._violations.add("I2", f"order {order_id} is in the journal and has no status")
        for order_id, filled in rest.truth.filled.items():
            if order_id not in statuses and order_id not in self._journal.lost:
                self._violations.add("I2", f"the broker filled {filled} of order {order_id}, which is not known")

    # --- Orders --------------------------------------------------------------------------------------------------------------

    def _with_person(self, rest: Rest, status: OrderStatus) -> bool:
        """Tell whether a person was called to the order, or to its symbol."""
        order = self._journal.orders.get(status.client_order_id)
        called = order is not None and (order.needs_person or order.is_quarantined)
        return called or status.quarantined or status.symbol in rest.frozen

    def _order(self, rest: Rest, status: OrderStatus) -> None:
        order_id = status.client_order_id
        if order_id in self._journal.lost or self._with_person(rest, status):
            return
        if not status.is_closed:
            doubt = ", in doubt" if status.in_doubt else ""
            text = f"order {order_id} is {status.state}{doubt} (asked: {', '.join(status.pending) or 'nothing'}), and nobody was called"
            self._violations.add("I18", text)
            return
        journaled = self._journal.orders.get(order_id)
        if (
            journaled is not None
            and journaled.filled > ZERO
            and journaled.filled > journaled.most
            and not journaled.alarmed
        ):
            text = f"order {order_id} has {journaled.filled} filled, at most {journaled.most} were ordered, and no alarm was raised"
            self._violations.add("I4", text)
        true = self._truth.order(order_id)
        filled = rest.truth.filled.get(order_id, ZERO)
        if filled != status.filled_quantity:
            text = f"order {order_id} ({status.state}) has {status.filled_quantity} filled, at the broker {filled}"
            self._violations.add("I3", text)
        elif filled != true.filled:
            text = f"the executions of order {order_id} add up to {true.filled}, the broker says {filled}"
            self._violations.add("I3", text)

    def _open_at_broker(self, rest: Rest, statuses: dict[str, OrderStatus], order: OpenOrder) -> None:
        order_id = client_id_of(order.wire_id)
        status = statuses.get(order_id)
        what = f"{order.side} {order.open_quantity} {order.symbol}, {order.broker_order_id}"
        is_ours = status is not None and order_id not in self._journal.lost
        if not is_ours:
            is_counted = order.broker_order_id in rest.externals or order.symbol in rest.frozen
            if rest.is_up and not is_counted and status is None:
                self._violations.add(
                    "I2", f"order {order.wire_id or 'of a person'} ({what}) is open at the broker, uncounted"
                )
        elif status is not None and status.is_closed and not self._with_person(rest, status):
            text = f"order {order_id} is {status.state} and works at the broker as {order.wire_id} ({what})"
            self._violations.add("I2", text)

    # --- Books ---------------------------------------------------------------------------------------------------------------

    def _books(self, rest: Rest) -> None:
        journaled = self._journal.positions
        for symbol in dict.fromkeys((*journaled, *rest.positions, *rest.truth.positions)):
            ours, brokers = rest.positions.get(symbol, ZERO), rest.truth.positions.get(symbol, ZERO)
            if ours != journaled.get(symbol, ZERO):
                text = f"{symbol}: the books hold {ours}, the records add up to {journaled.get(symbol, ZERO)}"
                self._violations.add("I6", text)
            if ours != brokers and symbol not in rest.frozen:
                self._violations.add(
                    "I6", f"{symbol}: the books hold {ours}, the broker {brokers}, and it is not frozen"
                )
        if self._journal.is_opened and rest.cash != self._journal.cash:
            self._violations.add("I6", f"cash: the books have {rest.cash}, the records add up to {self._journal.cash}")
        if abs(rest.cash - rest.truth.cash) > CENT and CASH not in rest.frozen:
            text = f"cash: the books have {rest.cash}, the broker {rest.truth.cash}, and it is not frozen"
            self._violations.add("I6", text)

    # --- The system ------------------------------------------------------------------------------------------------------------

    def _trading(self, rest: Rest) -> None:
        gave_up = any(type(record.event) is Escalated for record in _since_boot(self._journal.records))
        if not rest.is_up or gave_up:
            if not gave_up:
                self._violations.add("I18", "the process is gone, and no record says why")
            return
        stated = self._journal.trading_state
        if rest.trading_state is not stated:
            self._violations.add("I18", f"trading is {rest.trading_state}, the last record of it says {stated}")
        if rest.session != READY:
            self._violations.add("I18", f"the session is {rest.session} although nothing has failed for long")

    def _externals(self, rest: Rest) -> None:
        """Look for orders that are not ours, that are gone, and that bind what we may hold for ever."""
        still_open = {order.broker_order_id for order in rest.truth.open_orders}
        for broker_order_id in sorted(rest.externals):
            if rest.session == READY and broker_order_id not in still_open:
                text = f"order {broker_order_id}, which is not ours, is counted, and is not open at the broker"
                self._violations.add("I18", text)

    def _bounds(self, rest: Rest) -> None:
        for name, queue in rest.queues.items():
            if queue.most > queue.bound:
                self._violations.add("I10", f"queue {name} held {queue.most}, its bound is {queue.bound}")
        for name in dict.fromkeys((*rest.digests, *rest.folded)):
            live, folded = rest.digests.get(name), rest.folded.get(name)
            if live != folded:
                self._violations.add("I11", f"the state of {name} is {live}, folded from the journal it is {folded}")


def _since_boot(records: list[Record]) -> list[Record]:
    """Return the records of the last process."""
    for index in range(len(records) - 1, -1, -1):
        if type(records[index].event) is Booted:
            return records[index:]
    return records
