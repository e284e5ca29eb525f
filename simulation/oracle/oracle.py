"""The oracle: tells every checker what it watches, and collects what they find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ...actors.actor import OrderEvent, Record
from ...actors.events import (
    ActorRestarted,
    OrderApproved,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    PositionAdjusted,
)
from ...actors.messages import SubmitOrders
from ...actors.model import Fill, Order
from .answers import Answers
from .books import Books
from .broker_truth import BrokerTruth, client_id_of
from .exposure import Exposure
from .fills import Fills
from .journal import Journal
from .prices import Prices
from .proofs import Proofs
from .rest import Rest
from .resting import Resting
from .sends import Sends
from .supervision import Supervision
from .violations import Violation, Violations
from .watch import OracleLimits, Written

ONE = Decimal(1)


def _no_clock() -> int:
    return 0


class Oracle:
    """Watches one account, the one that the broker calls `account`. Implements `Watch`.

    `violations` are what must never have been, in the order in which it was seen; the first few of `count`.
    """

    def __init__(self, account: str, limits: OracleLimits, clock: Callable[[], int] = _no_clock) -> None:
        self._found = found = Violations(clock)
        self._journal, self._truth = Journal(), BrokerTruth()
        self._sends = Sends(account, self._journal, self._truth, found)
        self._fills = Fills(self._journal, self._truth, found)
        self._proofs = Proofs(self._journal, self._truth, self._sends, found)
        self._prices = Prices(found)
        self._exposure = Exposure(limits, self._journal, self._truth, self._prices, found)
        self._answers = Answers(self._journal, found)
        self._supervision = Supervision(found)
        self._books = Books(self._journal, found)
        self._resting = Resting(self._journal, self._truth, found)
        self._before: dict[type, Callable[[Any, Record], None]] = {
            OrderRejected: self._proofs.rejected,
            OrderCancelled: self._proofs.cancelled,
        }
        self._after: dict[type, Callable[[Any, Record], None]] = {
            **dict.fromkeys(self._books.on_durable, self._books.durable),
            OrderFilled: self._fills.filled,
            OrderApproved: self._approval_booked,
            PositionAdjusted: self._adjustment_booked,
        }
        self._stated: dict[type, Callable[[Any], None]] = {
            **self._sends.on_stated,
            OrderApproved: self._prices.approved,
            ActorRestarted: self._supervision.restarted,
        }

    @property
    def violations(self) -> list[Violation]:
        return self._found.kept

    @property
    def count(self) -> int:
        """How many violations there were, those that were not kept included."""
        return self._found.count

    @property
    def clock(self) -> Callable[[], int]:
        return self._found.clock

    @clock.setter
    def clock(self, clock: Callable[[], int]) -> None:
        self._found.clock = clock

    # --- The wire --------------------------------------------------------------------------------------------------------

    def written(self, command: Written) -> None:
        self._sends.written(command)
        self._exposure.written(command)

    def session(self, up: bool, account: str = "") -> None:
        self._sends.session(up, account)

    def snapshot_told(self) -> None:
        self._sends.snapshot_told()

    # --- The truth -------------------------------------------------------------------------------------------------------

    def accepted(self, wire_id: str, order: Order) -> None:
        if wire_id:
            order_id = client_id_of(wire_id)
            self._truth.order(order_id).accept(wire_id, order, self._found.clock())
            self._sends.accepted(wire_id)
            self._exposure.refresh(order_id)

    def executed(self, wire_id: str, fill: Fill) -> None:
        if wire_id:
            order_id = client_id_of(wire_id)
            self._truth.order(order_id).execute(fill)
            self._exposure.refresh(order_id)

    def ended(self, wire_id: str, how: str) -> None:
        if wire_id:
            order_id = client_id_of(wire_id)
            self._truth.order(order_id).end(wire_id, how)
            self._exposure.refresh(order_id)

    def adjusted(self, symbol: str, quantity: Decimal, cash: Decimal, ratio: Decimal) -> None:
        if ratio != ONE:
            self._exposure.split(symbol)

    def manual(self, symbol: str, signed_quantity: Decimal, price: Decimal) -> None:
        """What a person trades past us is in the truth at rest, and binds nobody before."""

    # --- The process -----------------------------------------------------------------------------------------------------

    def booted(self, boot: int, restored_to: int | None) -> None:
        if restored_to is not None:
            self._journal.restore(restored_to)
            self._exposure.restored()
            self._books.restored()
        self._sends.booted()
        self._answers.booted()
        self._prices.booted()
        self._supervision.booted()

    def crashed(self, kind: str) -> None:
        self._answers.booted()

    def stated(self, records: Sequence[Record]) -> None:
        self._sends.look_for_doubled()
        self._prices.turned()
        kinds = set()
        for record in records:
            event = record.event
            kind = type(event)
            kinds.add(kind)
            check = self._stated.get(kind)
            if check is not None:
                check(event)
        self._answers.stated(kinds)
        self._sends.turned()

    def durable(self, records: Sequence[Record]) -> None:
        journal, before, after, exposure = self._journal, self._before, self._after, self._exposure
        self._answers.durable()
        for record in records:
            event = record.event
            kind = type(event)
            check = before.get(kind)
            if check is not None:
                check(event, record)
            journal.add(record)
            check = after.get(kind)
            if check is not None:
                check(event, record)
            if isinstance(event, OrderEvent):
                exposure.refresh(event.client_order_id)

    def _approval_booked(self, event: OrderApproved, record: Record) -> None:
        self._exposure.approved(event.client_order_id, record.number)
        self._books.durable(event, record)

    def _adjustment_booked(self, event: PositionAdjusted, record: Record) -> None:
        self._books.durable(event, record)
        self._truth.unsettled.pop(event.symbol, None)

    def asked(self, ask: int, request: Any) -> None:
        self._answers.asked(ask, request)
        if type(request) is SubmitOrders:
            self._sends.submitted(request)

    def answered(self, ask: int, answer: Any) -> None:
        self._answers.answered(ask, answer)

    def priced(self, symbol: str, price: float, is_bad: bool) -> None:
        self._prices.priced(symbol, price)

    # --- The end ---------------------------------------------------------------------------------------------------------

    def at_rest(self, rest: Rest) -> None:
        self._sends.look_for_doubled()
        self._answers.at_rest()
        self._resting.at_rest(rest)
