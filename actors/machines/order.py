"""The order machine: what is proved of one order, what was asked and not answered, and its fills by key.

Two axes instead of one product of states: `proof` rises with the facts that the broker states, `pending` holds our open
questions. The public state is derived by `order_table`. Fills are a set keyed by `fill_key`, the highest revision
counts, and a cumulative quantity above what the keyed fills cover makes an inferred fill for the gap, which the real
ones replace when they come: so any permutation and any duplication of the same facts ends in the same order.

`apply` changes everything or raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from ..actor import Record
from ..errors import ActorError
from ..events import (
    Arrival,
    CancelReason,
    Cumulative,
    OrderAccepted,
    OrderCancelled,
    OrderCancelRefused,
    OrderCancelRequested,
    OrderDenied,
    OrderFilled,
    OrderInDoubt,
    OrderIntended,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    OrderReplaceRequested,
    OrderRestated,
    OrderSubmitted,
)
from ..model import ZERO, Fill, Order, OrderState, OrderStatus, Terms
from ..ports import CommandKind
from .fills import Totals, merged, totals
from .order_table import PUBLIC_STATE, RANK, Extent, Proof

OrderChange = (
    OrderDenied
    | OrderIntended
    | OrderAccepted
    | OrderRejected
    | OrderFilled
    | OrderCancelRequested
    | OrderCancelled
    | OrderCancelRefused
    | OrderReplaceRequested
    | OrderReplaced
    | OrderReplaceRefused
    | OrderRestated
    | OrderInDoubt
)


class Pending(StrEnum):
    """One of our questions: not asked, asked, asked with an unknown outcome."""

    NO = "no"
    ASKED = "asked"
    IN_DOUBT = "in_doubt"


CLOSING = {
    CancelReason.REQUESTED: Proof.CANCELLED,
    CancelReason.BROKER: Proof.CANCELLED,
    CancelReason.EXPIRED: Proof.EXPIRED,
    CancelReason.NOT_SENT: Proof.NOT_SENT,
}

# Looked up once: a member of an enum costs more than what is done with it.
FILLED_ALL = Extent.ALL
FILLED_NONE = Extent.NONE
FILLED_PART = Extent.PART
ASKED = Pending.ASKED
IN_DOUBT = Pending.IN_DOUBT
NO = Pending.NO
DENIED = Proof.DENIED
INTENDED = Proof.INTENDED
NOTHING = Proof.NOTHING
REJECTED = Proof.REJECTED
WORKING = Proof.WORKING
R_REJECTED = RANK[Proof.REJECTED]
R_WORKING = RANK[Proof.WORKING]


class OrderMachine(msgspec.Struct, gc=False):
    """State of one order. Only `apply` changes it. `terms` is the order as submitted, `order` as replaced since.

    `cancel_wanted` remembers that we asked to cancel, when the question itself has long been settled.
    """

    order: Order
    terms: Order
    arrival: Arrival
    submitted_ns: int
    proof: Proof = Proof.NOTHING
    new: Pending = Pending.NO
    cancel: Pending = Pending.NO
    replace: Pending = Pending.NO
    cancel_wanted: bool = False
    reason: str = ""
    text: str = ""
    leg: int = 0
    wire_id: str = ""
    next_wire_id: str = ""
    next_terms: Terms | None = None
    broker_order_id: str = ""
    fills: dict[str, Fill] = msgspec.field(default_factory=dict)
    covers: dict[str, Fill] = msgspec.field(default_factory=dict)
    cumulative: Cumulative | None = None
    filled_quantity: Decimal = ZERO
    notional: Decimal = ZERO
    commission: Decimal = ZERO
    updated_ns: int = 0
    last_record: int = 0

    @classmethod
    def fold(cls, history: tuple[Record, ...] | list[Record]) -> OrderMachine:
        """Return the machine that the records of one order add up to."""
        machine = cls.begin(history[0])
        for record in history[1:]:
            machine.fold_in(record)
        return machine

    def fold_in(self, record: Record) -> None:
        """Apply a record if it is one that an order folds; the gate's approvals, for one, are not."""
        if type(record.event) in CHANGES:
            self.apply(record)

    @classmethod
    def begin(cls, record: Record) -> OrderMachine:
        """Return the machine of an order that was just submitted."""
        event = record.event
        if type(event) is not OrderSubmitted:
            raise ActorError(f"an order's history begins with OrderSubmitted, not {type(event).__name__}")
        return cls(
            event.order, event.order, event.arrival, record.at_ns, updated_ns=record.at_ns, last_record=record.number
        )

    def apply(self, record: Record) -> None:
        """Fold one record of this order."""
        event = record.event
        CHANGES[type(event)](self, event)
        self.updated_ns = record.at_ns
        self.last_record = record.number

    # --- Derived -----------------------------------------------------------------------------------------------------

    @property
    def extent(self) -> Extent:
        """How much is filled."""
        return _extent(self.filled_quantity, self.order.quantity)

    @property
    def state(self) -> OrderState:
        """The public state."""
        return PUBLIC_STATE[self.proof, self.extent]

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is expected of it."""
        ended = RANK[self.proof] >= R_REJECTED or self.proof is DENIED
        return ended or (self.filled_quantity > 0 and self.filled_quantity >= self.order.quantity)

    def question(self, kind: CommandKind) -> Pending:
        """Return where our question of that kind stands; the fields are called like the kinds."""
        pending: Pending = getattr(self, kind.value)
        return pending

    def status(self, *, quarantined: bool = False) -> OrderStatus:
        """Return what the outside is shown."""
        questions = (("new", self.new), ("cancel", self.cancel), ("replace", self.replace))
        return OrderStatus(
            client_order_id=self.order.client_order_id,
            order=self.order,
            state=self.state,
            filled_quantity=self.filled_quantity,
            notional=self.notional,
            commission=self.commission,
            reason=self.reason,
            text=self.text,
            broker_order_id=self.broker_order_id,
            pending=tuple(name for name, pending in questions if pending is not NO),
            in_doubt=any(pending is IN_DOUBT for _, pending in questions),
            quarantined=quarantined,
            submitted_ns=self.submitted_ns,
            updated_ns=self.updated_ns,
            last_record=self.last_record,
        )

    # --- Fills ---------------------------------------------------------------------------------------------------------

    def book(self, fill: Fill | None, cumulative: Cumulative | None = None) -> OrderFilled | None:
        """Return the record that these facts make, None if they are known already. Changes nothing."""
        fills, covers, cumulative = merged(self.fills, self.covers, self.cumulative, fill, cumulative)
        if fills == self.fills and covers == self.covers and cumulative == self.cumulative:
            return None
        after = totals(fills, covers, cumulative, self.terms.limit_price or self.arrival.last or ZERO)
        change = Totals(
            after.quantity - self.filled_quantity, after.notional - self.notional, after.commission - self.commission
        )
        made = fill or self._inferred(change, cumulative)
        return self._filled(made, change.quantity, change.notional, change.commission, after.quantity, cumulative)

    def book_execution(self, fill: Fill, cumulative_quantity: Decimal) -> OrderFilled | None:
        """Return what `book` would for one execution as a broker reports it."""
        quantity = fill.quantity
        filled = self.filled_quantity + quantity
        is_plain = (
            filled == cumulative_quantity
            and self.cumulative is None
            and fill.fill_key not in self.fills
            and not (fill.revision or fill.inferred or self.covers)
        )
        if is_plain:  # it is simply the next one: by far the most frequent case, and the cheapest
            return self._filled(fill, quantity, quantity * fill.price, fill.commission, filled, None)
        return self.book(fill, Cumulative(cumulative_quantity))

    def _filled(
        self,
        fill: Fill,
        quantity: Decimal,
        notional: Decimal,
        commission: Decimal,
        filled: Decimal,
        cumulative: Cumulative | None,
    ) -> OrderFilled:
        """Return the record of a fill that changes the totals by these, to `filled` in all."""
        order = self.order
        extent = FILLED_ALL if filled >= order.quantity > ZERO else _extent(filled, order.quantity)
        return OrderFilled(
            order.client_order_id,
            order.account,
            order.strategy,
            order.symbol,
            order.side,
            fill,
            quantity,
            notional,
            commission,
            PUBLIC_STATE[self.proof, extent],
            cumulative,
        )

    def _inferred(self, change: Totals, cumulative: Cumulative | None) -> Fill:
        assert cumulative is not None
        price = abs(change.notional / change.quantity) if change.quantity else ZERO
        key = f"inferred:{cumulative.quantity}"
        return Fill(
            fill_key=key,
            quantity=change.quantity,
            price=price,
            at_ns=self.updated_ns,
            commission=change.commission,
            recovered=True,
            inferred=True,
        )


def _extent(filled: Decimal, ordered: Decimal) -> Extent:
    if filled <= ZERO:
        return FILLED_NONE
    return FILLED_PART if filled < ordered else FILLED_ALL


# --- How each record changes the machine -------------------------------------------------------------------------------


def _prove(machine: OrderMachine, proof: Proof, reason: str = "", text: str = "") -> None:
    """Raise what is proved; of two facts of the same strength the text that sorts last stays, whichever came first."""
    known, new = RANK[machine.proof], RANK[proof]
    if new > known:
        machine.proof, machine.reason, machine.text = proof, reason, text
        known = new
    elif new == known:
        machine.reason, machine.text = max((machine.reason, machine.text), (reason, text))
    if known >= R_WORKING:
        machine.new = NO
        if known >= R_REJECTED:
            machine.cancel = machine.replace = NO


def _denied(machine: OrderMachine, event: OrderDenied) -> None:
    _prove(machine, DENIED, event.denial.code, event.denial.text)


def _intended(machine: OrderMachine, event: OrderIntended) -> None:
    if machine.proof is NOTHING:
        machine.proof = INTENDED
    else:
        _prove(machine, INTENDED)
    machine.wire_id = event.wire_id
    machine.new = ASKED


def _accepted(machine: OrderMachine, event: OrderAccepted) -> None:
    if machine.proof is INTENDED:
        machine.proof = WORKING
        machine.new = NO
    else:
        _prove(machine, WORKING)
    machine.broker_order_id = event.broker_order_id


def _rejected(machine: OrderMachine, event: OrderRejected) -> None:
    _prove(machine, REJECTED, event.code, event.text)


def _filled(machine: OrderMachine, event: OrderFilled) -> None:
    fill = event.fill
    quantity = machine.filled_quantity + event.quantity  # whatever can raise comes before the first change
    notional = machine.notional + event.notional
    commission = machine.commission + event.commission
    if fill.fill_key in machine.fills or fill.revision or fill.inferred or machine.covers:
        machine.fills, machine.covers, _ = merged(machine.fills, machine.covers, None, fill, None)
    else:
        machine.fills[fill.fill_key] = fill
    machine.cumulative = event.cumulative
    machine.filled_quantity, machine.notional, machine.commission = quantity, notional, commission
    machine.new = NO
    if quantity >= machine.order.quantity:
        machine.cancel = machine.replace = NO


def _cancel_requested(machine: OrderMachine, event: OrderCancelRequested) -> None:
    machine.cancel = ASKED
    machine.cancel_wanted = True


def _cancelled(machine: OrderMachine, event: OrderCancelled) -> None:
    _prove(machine, CLOSING[event.reason], event.reason.value, event.text)


def _cancel_refused(machine: OrderMachine, event: OrderCancelRefused) -> None:
    machine.cancel = NO


def _replace_requested(machine: OrderMachine, event: OrderReplaceRequested) -> None:
    machine.replace = ASKED
    machine.next_wire_id = event.wire_id
    machine.next_terms = event.terms


def _replaced(machine: OrderMachine, event: OrderReplaced) -> None:
    machine.order = event.terms.applied_to(machine.order)
    machine.wire_id, machine.next_wire_id = event.wire_id, ""
    machine.broker_order_id = event.broker_order_id
    machine.leg += 1
    machine.replace = NO
    if machine.is_closed:
        machine.cancel = NO  # the new total is filled already


def _replace_refused(machine: OrderMachine, event: OrderReplaceRefused) -> None:
    if not event.denied:
        machine.replace = NO
        machine.next_wire_id = ""


def _restated(machine: OrderMachine, event: OrderRestated) -> None:
    _prove(machine, WORKING)  # who changes it has it
    machine.order = event.terms.applied_to(machine.order)
    if machine.is_closed:
        machine.cancel = machine.replace = NO


def _in_doubt(machine: OrderMachine, event: OrderInDoubt) -> None:
    if machine.question(event.kind) is not NO:  # else it was answered meanwhile
        setattr(machine, event.kind.value, IN_DOUBT)


def _begun_twice(machine: OrderMachine, event: OrderSubmitted) -> None:
    raise ActorError(f"order {machine.order.client_order_id} was submitted twice")


CHANGES: dict[type, Callable[[OrderMachine, Any], None]] = {
    OrderSubmitted: _begun_twice,
    OrderDenied: _denied,
    OrderIntended: _intended,
    OrderAccepted: _accepted,
    OrderRejected: _rejected,
    OrderFilled: _filled,
    OrderCancelRequested: _cancel_requested,
    OrderCancelled: _cancelled,
    OrderCancelRefused: _cancel_refused,
    OrderReplaceRequested: _replace_requested,
    OrderReplaced: _replaced,
    OrderReplaceRefused: _replace_refused,
    OrderRestated: _restated,
    OrderInDoubt: _in_doubt,
}
