"""The order actor, one per order: asks the gate, states the intent, and writes down what the broker says.

It decides nothing that the machines do not know: `order.py` what the facts add up to, `doubt.py` what to do about what has
no answer, `resolution.py` what a person may say. Reports may come in any order and more than once; a report
that says nothing new is dropped.
"""

from __future__ import annotations

from .actor import Actor, Record, fold, handler
from .doubt_events import OrderFoundAgain
from .events import (
    CancelReason,
    Cumulative,
    Denial,
    OrderAccepted,
    OrderCancelled,
    OrderCancelRefused,
    OrderCancelRequested,
    OrderDenied,
    OrderInDoubt,
    OrderIntended,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    OrderReplaceRequested,
    OrderRestated,
    OrderSubmitted,
)
from .machines.doubt import (
    replacement_given_up,
)
from .machines.order import OrderMachine
from .machines.order_changes import CHANGES, CLOSING, OrderChange, Pending
from .machines.order_table import RANK, Proof
from .messages import (
    CancelLeg,
    CancelOrder,
    ChangeOrder,
    CheckReplace,
    CommandRefused,
    OrderMessage,
    OrderPassed,
    OrderRefused,
    PlaceOrder,
    QueryLeg,
    Recheck,
    ReplaceDenied,
    ReplaceLeg,
    ReplacePassed,
)
from .model import ZERO, Terms
from .order_doubt import DoubtfulOrder
from .ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CommandKind,
    Executed,
    Expired,
    NotSent,
    OrderFound,
    Rejected,
    Replaced,
    ReplaceRefused,
    Restated,
)
from .refusals import refuse

_PROVED_REASON = {
    BrokerOrderState.CANCELLED: CancelReason.BROKER,
    BrokerOrderState.EXPIRED: CancelReason.EXPIRED,
}

# Looked up once: a member of an enum costs more than what is done with it.
ASKED = Pending.ASKED
NO = Pending.NO
INTENDED = Proof.INTENDED
NOT_FOUND = Proof.NOT_FOUND
NOTHING = Proof.NOTHING
WORKING = Proof.WORKING
REQUESTED = CancelReason.REQUESTED
BROKER = CancelReason.BROKER
R_CANCELLED = RANK[Proof.CANCELLED]
R_EXPIRED = RANK[Proof.EXPIRED]
R_REJECTED = RANK[Proof.REJECTED]


def _why_not_now(machine: OrderMachine) -> str:
    """Say why an order cannot be replaced now, and what to wait for."""
    if machine.is_closed:
        return f": it is {machine.state}"
    what = "its cancel" if machine.cancel is not NO else "another command about it"
    return f" now: {what} has no answer yet; wait for its answer, then replace again if it is still open"


class Order(DoubtfulOrder[OrderMessage], Actor[OrderMessage]):
    """Looks after one order until it is finished."""

    entity = True

    @fold
    def begin(self, event: OrderSubmitted, record: Record) -> None:
        self.machine = OrderMachine.begin(record)

    @fold
    def apply(self, event: OrderChange, record: Record) -> None:
        """Do what `OrderMachine.apply` does, one call less for each record of each order."""
        machine = self.machine
        CHANGES[type(event)](machine, event, record.at_ns)
        machine.updated_ns = record.at_ns
        machine.last_record = record.number

    def view(self) -> OrderMachine:
        """Return the machine: `.order`, `.is_closed`, `.status()`."""
        return self.machine

    # --- Submit ------------------------------------------------------------------------------------------------------

    @handler
    def passed(self, message: OrderPassed) -> None:
        machine, ctx = self.machine, self.ctx
        if machine.proof is not NOTHING:
            return
        order = machine.order
        order_id = order.client_order_id
        if machine.cancel is ASKED:
            self._close(OrderCancelled(order_id, CancelReason.REQUESTED, "cancelled before it was sent"))
        else:
            approved, wire_id = message.approved, f"{order_id}.{machine.leg}"
            ctx.record(OrderIntended(order_id, wire_id, approved.not_after_ns))
            ctx.tell(ctx.refer("connection/" + order.account), PlaceOrder(approved, wire_id))
            if self._watched:
                self._watch()
        if message.reply_to is not None:
            ctx.reply(message.reply_to, machine.status())

    @handler
    def refused(self, message: OrderRefused) -> None:
        if self.machine.proof is NOTHING:
            self._close(OrderDenied(self.machine.order.client_order_id, message.denial))
            self._answer(message.reply_to)

    # --- Cancel and replace --------------------------------------------------------------------------------------------

    @handler
    def cancel(self, message: CancelOrder) -> None:
        machine, ctx = self.machine, self.ctx
        if machine.is_closed:
            ctx.reply(message.reply_to, False)
            return
        if machine.cancel is NO:
            order = machine.order
            ctx.record(OrderCancelRequested(order.client_order_id))
            if machine.proof is WORKING:
                ctx.tell(ctx.refer("connection/" + order.account), CancelLeg(machine.wire_id))
            if self._watched:
                self._watch()
        if message.reply_to is not None:
            ctx.reply(message.reply_to, True)

    @handler
    def change(self, message: ChangeOrder) -> None:
        machine = self.machine
        order = machine.order
        if machine.is_closed or machine.proof is not WORKING or machine.replace is not NO or machine.cancel is not NO:
            text = f"order {order.client_order_id} cannot be replaced{_why_not_now(machine)}"
            refuse(self.ctx, message.reply_to, order.client_order_id, text)
            return
        terms = message.change.of(order)
        self.ctx.tell(
            self.ctx.refer("risk_gate"), CheckReplace(order, machine.filled_quantity, terms, message.reply_to)
        )

    @handler
    def replace_passed(self, message: ReplacePassed) -> None:
        machine, new = self.machine, message.approved.order
        if machine.is_closed or machine.replace is not NO:
            text = "the order was closed or changed before the replacement was approved"
            self.ctx.record(OrderReplaceRefused(new.client_order_id, "TOO_LATE", text))
        else:
            wire_id = f"{new.client_order_id}.{machine.leg + 1}"
            not_after_ns = message.approved.not_after_ns
            self.ctx.record(OrderReplaceRequested(new.client_order_id, wire_id, Terms.of(new), not_after_ns))
            self.ctx.tell(self._connection(), ReplaceLeg(message.approved, machine.wire_id, wire_id))
            self._watch()
        self._answer(message.reply_to)

    @handler
    def replace_denied(self, message: ReplaceDenied) -> None:
        denial = message.denial
        self.ctx.record(OrderReplaceRefused(self.machine.order.client_order_id, denial.code, denial.text, denied=True))
        self.ctx.reply(message.reply_to, CommandRefused(f"{denial.code}: {denial.text}"))

    # --- What the broker says ------------------------------------------------------------------------------------------

    @handler
    def accepted(self, message: Accepted) -> None:
        machine, wire_id = self.machine, message.wire_id
        if machine.proof is NOT_FOUND:
            self._resurface(wire_id, "the broker accepted it", is_open=True)
        if not machine.broker_order_id and wire_id == machine.wire_id:
            self.ctx.record(OrderAccepted(machine.order.client_order_id, wire_id, message.broker_order_id))
            if machine.cancel is ASKED and not machine.is_closed:
                self.ctx.tell(self._connection(), CancelLeg(wire_id))
        if self._watched:
            self._watch()

    @handler
    def rejected(self, message: Rejected) -> None:
        if RANK[self.machine.proof] < R_REJECTED:
            self._close(OrderRejected(self.machine.order.client_order_id, message.code, message.text))

    @handler
    def executed(self, message: Executed) -> None:
        machine = self.machine
        if machine.proof is NOT_FOUND and message.cumulative_quantity > machine.filled_quantity:
            is_open = message.cumulative_quantity < machine.order.quantity
            self._resurface(message.wire_id, f"the broker filled {message.fill.quantity} of it", is_open=is_open)
        if message.wire_id == machine.next_wire_id:  # the fill comes before the answer: the replacement was made
            assert machine.next_terms is not None
            self._replace_by(message.wire_id, "", machine.next_terms)
        filled = machine.filled_quantity
        event = machine.book_execution(message.fill, message.cumulative_quantity)
        if event is None:
            return
        if event.quantity < ZERO:
            self._take_back(event)
        elif machine.order.parent:
            was_closed = machine.is_closed
            self.ctx.record(event)
            self._tell_parent(was_closed=was_closed)
        else:
            self.ctx.record(event)
        if self._watched:
            self._look_for_overfill(filled)
            self._watch()

    @handler
    def cancelled(self, message: Cancelled) -> None:
        machine, wire_id = self.machine, message.wire_id
        if wire_id != machine.wire_id and machine.is_past(wire_id):
            return
        if machine.proof is NOT_FOUND:
            self._was_there("the broker cancelled it")
        if RANK[machine.proof] < R_CANCELLED:
            reason = REQUESTED if machine.cancel_wanted else BROKER
            self._close(OrderCancelled(machine.order.client_order_id, reason, message.text))

    @handler
    def expired(self, message: Expired) -> None:
        if self.machine.is_past(message.wire_id):
            return
        self._was_there("it expired at the broker")
        if RANK[self.machine.proof] < R_EXPIRED:
            self._close(OrderCancelled(self.machine.order.client_order_id, CancelReason.EXPIRED))

    @handler
    def cancel_refused(self, message: CancelRefused) -> None:
        machine = self.machine
        if machine.replace is not NO:
            return  # it may mean only that the leg was replaced meanwhile; the replacement's answer tells, and asks again
        if machine.cancel is not NO and message.wire_id == machine.wire_id:
            self.ctx.record(OrderCancelRefused(machine.order.client_order_id, message.code, message.text))
            if not machine.is_closed:  # it may be over, and we have not heard of it
                self.ctx.tell(self._connection(), QueryLeg(machine.wire_id, self.ctx.now_ns))
            self._watch()

    @handler
    def replaced(self, message: Replaced) -> None:
        machine = self.machine
        if machine.proof is NOT_FOUND:
            self._resurface(message.wire_id, "the broker replaced it", is_open=True)
        if message.wire_id == machine.next_wire_id:
            self._replace_by(message.wire_id, message.broker_order_id, message.terms)
        elif message.wire_id == machine.wire_id and not machine.broker_order_id:
            self.ctx.record(OrderAccepted(machine.order.client_order_id, message.wire_id, message.broker_order_id))

    def _replace_by(self, wire_id: str, broker_order_id: str, terms: Terms) -> None:
        """Take over that another leg works; the broker's id of it may not be known yet."""
        machine = self.machine
        order_id, was_closed = machine.order.client_order_id, machine.is_closed
        closes = machine.is_filled_by(terms)
        self.ctx.record(OrderReplaced(order_id, wire_id, broker_order_id, terms, closes))
        if machine.cancel is not NO and not machine.is_closed:
            self.ctx.tell(self._connection(), CancelLeg(wire_id))  # the cancel was about the leg before
        self._tell_parent(was_closed=was_closed)
        self._watch()

    @handler
    def replace_refused(self, message: ReplaceRefused) -> None:
        machine = self.machine
        if message.wire_id == machine.next_wire_id:
            self._keep_terms(OrderReplaceRefused(machine.order.client_order_id, message.code, message.text))

    @handler
    def restated(self, message: Restated) -> None:
        """Take over the terms that the broker has made, also of an order that has ended: fills may have overtaken them."""
        machine = self.machine
        if message.wire_id == machine.wire_id and message.terms != Terms.of(machine.order):
            order_id, was_closed = machine.order.client_order_id, machine.is_closed
            self.ctx.record(OrderRestated(order_id, message.terms, message.text, machine.is_filled_by(message.terms)))
            self._tell_parent(was_closed=was_closed)

    @handler
    def not_sent(self, message: NotSent) -> None:
        order_id = self.machine.order.client_order_id
        match message.kind:
            case CommandKind.NEW:
                if self.machine.proof in (INTENDED, NOT_FOUND):
                    self._close(OrderCancelled(order_id, CancelReason.NOT_SENT, message.reason))
            case CommandKind.CANCEL:
                if self.machine.cancel is ASKED:
                    self.ctx.record(OrderInDoubt(order_id, CommandKind.CANCEL, message.reason))
            case CommandKind.REPLACE:
                self.ctx.record(OrderReplaceRefused(order_id, "NOT_SENT", message.reason))
        self._watch()

    @handler
    def found(self, message: OrderFound) -> None:
        machine = self.machine
        order_id = machine.order.client_order_id
        was_closed, was_asked, is_open = machine.is_closed, machine.cancel, message.state is BrokerOrderState.WORKING
        filled = machine.filled_quantity
        if machine.proof is NOT_FOUND and (is_open or message.cumulative_quantity > machine.filled_quantity):
            self._resurface(message.wire_id, f"the broker has it: {message.state}", is_open=is_open)
        if not machine.broker_order_id:
            self.ctx.record(OrderAccepted(order_id, message.wire_id, message.broker_order_id))
        if message.wire_id == machine.next_wire_id:  # the broker names the last leg: the replacement was made
            terms = machine.next_terms
            assert terms is not None
            closes = machine.is_filled_by(terms)
            self.ctx.record(OrderReplaced(order_id, message.wire_id, message.broker_order_id, terms, closes))
        if message.cumulative_quantity > 0:
            price = message.average_price
            notional = None if price is None else price * message.cumulative_quantity
            event = machine.book(None, Cumulative(message.cumulative_quantity, notional, message.commission))
            if event is not None:
                self.ctx.record(event)
        if not is_open and self._found_ended(message):
            pass
        elif is_open and machine.may_be_open:
            self._found_working(message.wire_id, was_asked)
        elif is_open:
            self._works_beyond(message)
        elif was_closed:
            self._works_no_more()
        self._look_for_overfill(filled)
        self._tell_parent(was_closed=was_closed)
        self._watch()

    def _found_ended(self, found: OrderFound) -> bool:
        """Write down the end that a look-up has proved; return False if it is no news. The end of a leg before is not the order's."""
        machine, order_id = self.machine, self.machine.order.client_order_id
        reason = _PROVED_REASON.get(found.state)
        if machine.is_past(found.wire_id):
            return True
        if reason is not None and RANK[machine.proof] < RANK[CLOSING[reason]]:
            asked = machine.cancel_wanted and reason is CancelReason.BROKER
            self.ctx.record(OrderCancelled(order_id, CancelReason.REQUESTED if asked else reason))
        elif found.state is BrokerOrderState.REJECTED and RANK[machine.proof] < R_REJECTED:
            self.ctx.record(OrderRejected(order_id, "REJECTED", "found rejected at the broker"))
        elif found.state is BrokerOrderState.DONE and self._is_finished(found):
            self.ctx.record(OrderCancelled(order_id, CancelReason.BROKER, "the broker has finished with it"))
        else:
            return False
        return True

    def _is_finished(self, found: OrderFound) -> bool:
        """Whether an order that is open here is over at the broker, with nothing missing: a fill of it was taken back."""
        machine = self.machine
        is_whole = found.cumulative_quantity == machine.filled_quantity and not machine.next_wire_id
        return is_whole and not machine.is_closed

    def _found_working(self, wire_id: str, cancel: Pending) -> None:
        """Take in that a leg works: it was not lost, a replacement may be disproved by that, and a `cancel` is asked again."""
        machine = self.machine
        refused = replacement_given_up(machine) if wire_id == machine.wire_id else None
        if machine.doubt is not None and wire_id in machine.doubt.legs:
            self.ctx.record(OrderFoundAgain(machine.order.client_order_id, wire_id))
        if refused is not None:
            self._keep_terms(refused)
        elif cancel is not NO:
            self.ctx.tell(self._connection(), CancelLeg(machine.wire_id))

    @handler
    def recheck(self, message: Recheck) -> None:
        machine = self.machine
        if machine.proof is NOTHING:
            denial = Denial("INTERNAL_ERROR", "checking the order failed twice, so it was not sent", {})
            self._close(OrderDenied(machine.order.client_order_id, denial))
            return
        self._drop_lost_approval()
        if not machine.is_closed or machine.cumulative is not None:
            self.ctx.tell(self._connection(), QueryLeg(machine.wire_id, self.ctx.now_ns))
