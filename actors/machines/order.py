"""The order machine: what is proved of one order, what was asked and not answered, and its fills by key.

Two axes instead of one product of states: `proof` rises with the facts that the broker states, `pending` holds our open
questions. The public state is derived by `order_table`. Fills are a set keyed by `fill_key`, the highest revision
counts, and a cumulative quantity above what the keyed fills cover makes an inferred fill for the gap, which the real
ones replace when they come: so any permutation and any duplication of the same facts ends in the same order.

`apply` changes everything or raises and changes nothing.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..actor import Record
from ..errors import ActorError
from ..events import Arrival, Cumulative, OrderFilled, OrderSubmitted
from ..model import ZERO, Fill, Order, OrderState, OrderStatus, Terms
from ..ports import CommandKind
from .doubt import Doubt
from .fills import Totals, merged, totals
from .order_changes import CHANGES, Pending
from .order_table import ENDED, STATES_OF, Extent, Proof

# Looked up once: a member of an enum costs more than what is done with it.
FILLED_ALL = Extent.ALL
FILLED_NONE = Extent.NONE
FILLED_PART = Extent.PART
ASKED = Pending.ASKED
IN_DOUBT = Pending.IN_DOUBT
NO = Pending.NO
NOT_FOUND = Proof.NOT_FOUND
WORKING = Proof.WORKING


class OrderMachine(msgspec.Struct, gc=False):
    """State of one order. Only `apply` changes it. `terms` is the order as submitted, `order` as replaced since.

    `leg` is the number of the last leg that was asked for. `cancel_wanted` remembers that we asked to cancel, when the
    question itself has long been settled. `new_ns`, `cancel_ns` and `replace_ns` are when a command was handed over,
    `not_after_ns` is the deadline of the last send. `doubt` is there while a question is in doubt, or while the broker does
    not find what it had accepted.
    """

    order: Order
    terms: Order
    arrival: Arrival
    submitted_ns: int
    updated_ns: int
    last_record: int
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
    new_ns: int = 0
    cancel_ns: int = 0
    replace_ns: int = 0
    not_after_ns: int = 0
    doubt: Doubt | None = None
    resurfaced: bool = False
    filled_by_hand: int = 0

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
        order, at_ns = event.order, record.at_ns
        return cls(order, order, event.arrival, at_ns, at_ns, record.number)

    def apply(self, record: Record) -> None:
        """Fold one record of this order."""
        event = record.event
        CHANGES[type(event)](self, event, record.at_ns)
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
        return STATES_OF[self.proof][_extent(self.filled_quantity, self.order.quantity)]

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is expected of it."""
        if self.proof in ENDED:
            return True
        filled = self.filled_quantity
        return filled > ZERO and filled >= self.order.quantity

    def is_filled_by(self, terms: Terms) -> bool:
        """Whether what has filled is all that these terms want."""
        filled = self.filled_quantity
        return filled > ZERO and filled >= terms.quantity

    @property
    def may_be_open(self) -> bool:
        """Whether something of it may be open at the broker: also of one that was given up and has resurfaced."""
        again = self.resurfaced and self.proof is NOT_FOUND and self.filled_quantity < self.order.quantity
        return again or not self.is_closed

    @property
    def in_doubt(self) -> bool:
        """Whether it is not known what became of it, or of what we asked."""
        return self.doubt is not None or IN_DOUBT in (self.new, self.cancel, self.replace)

    def question(self, kind: CommandKind) -> Pending:
        """Return where our question of that kind stands; the fields are called like the kinds."""
        pending: Pending = getattr(self, kind.value)
        return pending

    def awaits(self, kind: CommandKind) -> bool:
        """Whether a command of that kind was handed over and has no answer; a cancel waits for the order to be accepted first."""
        if kind is CommandKind.CANCEL and not (self.proof is WORKING or self.resurfaced):
            return False
        return self.question(kind) is ASKED

    def asked_ns(self, kind: CommandKind) -> int:
        """Return when the last command of that kind was handed over."""
        at_ns: int = getattr(self, kind.value + "_ns")
        return at_ns

    def legs(self) -> tuple[str, ...]:
        """Return the legs that it may have at the broker: the last, and before it the one that may replace it."""
        return (self.next_wire_id, self.wire_id) if self.next_wire_id else (self.wire_id,)

    def is_past(self, wire_id: str) -> bool:
        """Whether this is a leg before the present one: that it ended is not the order's end, however late it is told."""
        return wire_id != self.wire_id and _number(wire_id) < _number(self.wire_id)

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
            in_doubt=self.in_doubt,
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
        if (
            filled == cumulative_quantity
            and self.cumulative is None
            and fill.fill_key not in self.fills
            and not (fill.revision or fill.inferred or self.covers)
        ):  # it is simply the next one: by far the most frequent case, and the cheapest
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
            STATES_OF[self.proof][extent],
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


def _number(wire_id: str) -> int:
    return int(wire_id.rpartition(".")[2] or 0)


def _extent(filled: Decimal, ordered: Decimal) -> Extent:
    if filled <= ZERO:
        return FILLED_NONE
    return FILLED_PART if filled < ordered else FILLED_ALL
