"""The order actor, one per order: asks the gate, states the intent, and writes down what the broker says.

It decides nothing that `machines/order.py` does not know. Reports may come in any order and more than once; a report
that says nothing new is dropped.
"""

from __future__ import annotations

from typing import Any

from .actor import Actor, ActorRef, Record, ReplyTo, fold, handler
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
from .machines.order import CHANGES, CLOSING, OrderChange, OrderMachine, Pending
from .machines.order_table import RANK, Proof
from .messages import (
    CancelLeg,
    CancelOrder,
    ChangeOrder,
    CheckReplace,
    ChildClosed,
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
from .model import Terms
from .ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CommandKind,
    Executed,
    Expired,
    NotSent,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
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
NOTHING = Proof.NOTHING
WORKING = Proof.WORKING
R_CANCELLED = RANK[Proof.CANCELLED]
R_EXPIRED = RANK[Proof.EXPIRED]
R_REJECTED = RANK[Proof.REJECTED]


class Order(Actor[OrderMessage]):
    """Looks after one order until it is finished."""

    entity = True
    machine: OrderMachine

    @fold
    def begin(self, event: OrderSubmitted, record: Record) -> None:
        self.machine = OrderMachine.begin(record)

    @fold
    def apply(self, event: OrderChange, record: Record) -> None:
        """Do what `OrderMachine.apply` does, one call less for each record of each order."""
        machine = self.machine
        CHANGES[type(event)](machine, event)
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
            wire_id = f"{order_id}.{machine.leg}"
            ctx.record(OrderIntended(order_id, wire_id))
            ctx.tell(ctx.refer("connection/" + order.account), PlaceOrder(message.approved, wire_id))
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
        machine = self.machine
        if machine.is_closed:
            self.ctx.reply(message.reply_to, False)
            return
        if machine.cancel is NO:
            self.ctx.record(OrderCancelRequested(machine.order.client_order_id))
            if machine.proof is WORKING:
                self.ctx.tell(self._connection(), CancelLeg(machine.wire_id))
        self.ctx.reply(message.reply_to, True)

    @handler
    def change(self, message: ChangeOrder) -> None:
        machine = self.machine
        order = machine.order
        if machine.is_closed or machine.proof is not WORKING or machine.replace is not NO or machine.cancel is not NO:
            why = f"it is {machine.state}" if machine.is_closed else "another command about it has no answer yet"
            text = f"order {order.client_order_id} cannot be replaced: {why}"
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
            self.ctx.record(OrderReplaceRequested(new.client_order_id, wire_id, Terms.of(new)))
            self.ctx.tell(self._connection(), ReplaceLeg(message.approved, machine.wire_id, wire_id))
        self._answer(message.reply_to)

    @handler
    def replace_denied(self, message: ReplaceDenied) -> None:
        denial = message.denial
        self.ctx.record(OrderReplaceRefused(self.machine.order.client_order_id, denial.code, denial.text, denied=True))
        self.ctx.reply(message.reply_to, CommandRefused(f"{denial.code}: {denial.text}"))

    # --- What the broker says ------------------------------------------------------------------------------------------

    @handler
    def accepted(self, message: Accepted) -> None:
        machine = self.machine
        if not machine.broker_order_id:
            self.ctx.record(OrderAccepted(machine.order.client_order_id, message.wire_id, message.broker_order_id))
            if machine.cancel is ASKED and not machine.is_closed:
                self.ctx.tell(self._connection(), CancelLeg(message.wire_id))

    @handler
    def rejected(self, message: Rejected) -> None:
        if RANK[self.machine.proof] < R_REJECTED:
            self._close(OrderRejected(self.machine.order.client_order_id, message.code, message.text))

    @handler
    def executed(self, message: Executed) -> None:
        machine = self.machine
        event = machine.book_execution(message.fill, message.cumulative_quantity)
        if event is None:
            return
        if machine.order.parent:
            was_closed = machine.is_closed
            self.ctx.record(event)
            self._tell_parent(was_closed=was_closed)
        else:
            self.ctx.record(event)

    @handler
    def cancelled(self, message: Cancelled) -> None:
        if RANK[self.machine.proof] < R_CANCELLED:
            reason = CancelReason.REQUESTED if self.machine.cancel_wanted else CancelReason.BROKER
            self._close(OrderCancelled(self.machine.order.client_order_id, reason, message.text))

    @handler
    def expired(self, message: Expired) -> None:
        if RANK[self.machine.proof] < R_EXPIRED:
            self._close(OrderCancelled(self.machine.order.client_order_id, CancelReason.EXPIRED))

    @handler
    def cancel_refused(self, message: CancelRefused) -> None:
        machine = self.machine
        if machine.replace is not NO:
            return  # it may mean only that the leg was replaced meanwhile; the replacement's answer tells, and asks again
        if machine.cancel is not NO and message.wire_id == machine.wire_id:
            self.ctx.record(OrderCancelRefused(machine.order.client_order_id, message.code, message.text))

    @handler
    def replaced(self, message: Replaced) -> None:
        machine = self.machine
        if message.wire_id == machine.next_wire_id:
            order_id, was_closed = machine.order.client_order_id, machine.is_closed
            self.ctx.record(OrderReplaced(order_id, message.wire_id, message.broker_order_id, message.terms))
            if machine.cancel is not NO and not machine.is_closed:
                self.ctx.tell(self._connection(), CancelLeg(message.wire_id))  # the cancel was about the leg before
            self._tell_parent(was_closed=was_closed)

    @handler
    def replace_refused(self, message: ReplaceRefused) -> None:
        machine = self.machine
        if message.wire_id == machine.next_wire_id:
            self.ctx.record(OrderReplaceRefused(machine.order.client_order_id, message.code, message.text))
            if machine.cancel is not NO and not machine.is_closed:
                self.ctx.tell(self._connection(), CancelLeg(machine.wire_id))  # it may have been refused meanwhile

    @handler
    def restated(self, message: Restated) -> None:
        """Take over the terms that the broker has made, also of an order that has ended: fills may have overtaken them."""
        machine = self.machine
        if message.wire_id == machine.wire_id and message.terms != Terms.of(machine.order):
            order_id, was_closed = machine.order.client_order_id, machine.is_closed
            self.ctx.record(OrderRestated(order_id, message.terms, message.text))
            self._tell_parent(was_closed=was_closed)

    @handler
    def outcome_unknown(self, message: OutcomeUnknown) -> None:
        if self.machine.question(message.kind) is ASKED:
            self.ctx.record(OrderInDoubt(self.machine.order.client_order_id, message.kind, message.reason))
        self.ctx.tell(self._connection(), QueryLeg(message.wire_id))

    @handler
    def not_sent(self, message: NotSent) -> None:
        order_id = self.machine.order.client_order_id
        match message.kind:
            case CommandKind.NEW:
                if self.machine.proof is INTENDED:
                    self._close(OrderCancelled(order_id, CancelReason.NOT_SENT, message.reason))
            case CommandKind.CANCEL:
                self.ctx.record(OrderCancelRefused(order_id, "NOT_SENT", message.reason))
            case CommandKind.REPLACE:
                self.ctx.record(OrderReplaceRefused(order_id, "NOT_SENT", message.reason))

    @handler
    def found(self, message: OrderFound) -> None:
        machine = self.machine
        order_id = machine.order.client_order_id
        was_closed = machine.is_closed
        if not machine.broker_order_id:
            self.ctx.record(OrderAccepted(order_id, message.wire_id, message.broker_order_id))
        if message.wire_id == machine.next_wire_id:  # the broker names the last leg: the replacement was made
            assert machine.next_terms is not None
            self.ctx.record(OrderReplaced(order_id, message.wire_id, message.broker_order_id, machine.next_terms))
        if message.cumulative_quantity > 0:
            price = message.average_price
            notional = None if price is None else price * message.cumulative_quantity
            event = machine.book(None, Cumulative(message.cumulative_quantity, notional, message.commission))
            if event is not None:
                self.ctx.record(event)
        reason = _PROVED_REASON.get(message.state)
        if reason is not None and RANK[machine.proof] < RANK[CLOSING[reason]]:
            asked = machine.cancel_wanted and reason is CancelReason.BROKER
            self.ctx.record(OrderCancelled(order_id, CancelReason.REQUESTED if asked else reason))
        elif message.state is BrokerOrderState.REJECTED and RANK[machine.proof] < R_REJECTED:
            self.ctx.record(OrderRejected(order_id, "REJECTED", "found rejected at the broker"))
        elif machine.cancel is not NO and not machine.is_closed:
            self.ctx.tell(self._connection(), CancelLeg(machine.wire_id))
        self._tell_parent(was_closed=was_closed)

    @handler
    def absent(self, message: OrderAbsent) -> None:
        """One negative look-up proves nothing: the order stays as it is, in doubt if it was sent."""
        if self.machine.new is ASKED:
            self.ctx.record(
                OrderInDoubt(self.machine.order.client_order_id, CommandKind.NEW, "the broker does not know it")
            )

    @handler
    def recheck(self, message: Recheck) -> None:
        machine = self.machine
        if machine.proof is NOTHING:
            denial = Denial("INTERNAL_ERROR", "checking the order failed twice, so it was not sent", {})
            self._close(OrderDenied(machine.order.client_order_id, denial))
            return
        held = self.ctx.view("risk_gate").exposure.open.get(machine.order.client_order_id)
        if held is not None and held.offered is not None and machine.replace is NO:
            text = "the approval of the replacement was lost, so it was not sent"
            self.ctx.record(OrderReplaceRefused(machine.order.client_order_id, "INTERNAL_ERROR", text))
        if not machine.is_closed or machine.cumulative is not None:
            self.ctx.tell(self._connection(), QueryLeg(machine.wire_id))

    # --- Helpers ---------------------------------------------------------------------------------------------------------

    def _close(self, event: OrderDenied | OrderRejected | OrderCancelled) -> None:
        was_closed = self.machine.is_closed
        self.ctx.record(event)
        self._tell_parent(was_closed=was_closed)

    def _tell_parent(self, *, was_closed: bool) -> None:
        """Tell the parent once, when the order closes. A parent is named `actor:detail`."""
        machine = self.machine
        if machine.order.parent and machine.is_closed and not was_closed:
            order = machine.order
            parent = self.ctx.refer(order.parent.partition(":")[0])
            self.ctx.tell(parent, ChildClosed(order.client_order_id, order.parent, order.symbol, machine.reason))

    def _connection(self) -> ActorRef[Any]:
        return self.ctx.refer("connection/" + self.machine.order.account)

    def _answer(self, reply_to: ReplyTo | None) -> None:
        if reply_to is not None:
            self.ctx.reply(reply_to, self.machine.status())
