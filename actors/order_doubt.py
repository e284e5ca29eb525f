"""What an order does about what it cannot prove: commands without an answer, look-ups in vain, a boot, a person's word.

The rules are in `machines/doubt.py` and `machines/resolution.py`. Nothing here ever sends an order again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .actor import Actor, ActorRef, M, ReplyTo, handler
from .doubt_events import OrderNeedsPerson, OrderNotFound, OrderOverfilled, OrderReserved, OrderResurfaced
from .doubt_messages import AnswerMissing, RecoverOrder, ResolveOrder
from .events import (
    CancelReason,
    OrderCancelled,
    OrderCancelRequested,
    OrderDenied,
    OrderFilled,
    OrderInDoubt,
    OrderRejected,
    OrderReplaceRefused,
)
from .machines.doubt import (
    SECOND_NS,
    Doubt,
    after_boot,
    due_ns,
    given_up,
    needs_person,
    overdue,
    wants_read,
)
from .machines.order import OrderMachine
from .machines.order_changes import Pending
from .machines.order_checks import worst_price
from .machines.order_table import Proof
from .machines.resolution import outcome, refusal
from .messages import CancelLeg, ChildClosed, QueryLeg
from .model import ZERO
from .ports import CommandKind, OrderAbsent, OrderFound, OutcomeUnknown
from .refusals import refuse
from .snapshots import ReadDue

ANSWER = "answer"


class DoubtfulOrder(Actor[M]):
    """The part of an order's actor that deals with doubt. One that is `_watched` has a timer; `_answer_ns` is what an answer may take."""

    machine: OrderMachine
    _watched = False
    _answer_ns: int | None = None

    # --- Without an answer -----------------------------------------------------------------------------------------------

    @handler
    def outcome_unknown(self, message: OutcomeUnknown) -> None:
        if self.machine.question(message.kind) is Pending.ASKED:
            self.ctx.record(OrderInDoubt(self.machine.order.client_order_id, message.kind, message.reason))
        self._ask()
        self._watch()

    @handler
    def absent(self, message: OrderAbsent) -> None:
        """One negative look-up proves nothing: the order stays as it is, in doubt if it was sent."""
        machine = self.machine
        if machine.is_closed and message.complete:
            self._works_no_more()
        if machine.is_closed or not machine.wire_id or message.wire_id not in machine.legs():
            return
        order_id = machine.order.client_order_id
        kind = CommandKind.NEW if message.wire_id == machine.wire_id else CommandKind.REPLACE
        if machine.question(kind) is Pending.ASKED:
            if 0 < message.asked_ns <= machine.not_after_ns:
                return  # it may still be on its way, and its answer too
            self.ctx.record(OrderInDoubt(order_id, kind, "the broker does not know it"))
        event = OrderNotFound(order_id, message.wire_id, message.complete, message.asked_ns)
        if (machine.doubt or Doubt(0)).is_news(event, machine.not_after_ns):
            wanted_read = wants_read(machine)
            self.ctx.record(event)
            ended = given_up(machine)
            if ended is not None:
                self._close(ended)
            elif wants_read(machine) and not wanted_read:  # after that the timer: a read asks for the order, too
                self.ctx.tell(self._connection(), ReadDue())
        self._watch()

    @handler
    def recover(self, message: RecoverOrder) -> None:
        """Take in that the process has ended since: what had no answer is in doubt, what was not sent never will be."""
        was_closed = self.machine.is_closed
        for event in after_boot(self.machine):
            self.ctx.record(event)
        self._drop_lost_approval()
        self._tell_parent(was_closed=was_closed)
        self._watch()

    @handler
    def look(self, message: AnswerMissing) -> None:
        """Put in doubt what the broker should have answered, look again for what is in doubt, and call a person if that takes long."""
        machine, now_ns = self.machine, self.ctx.now_ns
        order_id = machine.order.client_order_id
        if self._answer_ns is not None:
            for kind in overdue(machine, self._answer_ns, now_ns):
                reason = f"no answer within {self._answer_ns / SECOND_NS:g} s"
                self.ctx.record(OrderInDoubt(order_id, kind, reason))
        why = needs_person(machine, now_ns)
        if why is not None:
            self.ctx.record(OrderNeedsPerson(order_id, why))
        if machine.doubt is not None:
            self._ask()
            if wants_read(machine):
                self.ctx.tell(self._connection(), ReadDue())
        self._watch()

    @handler
    def resolve(self, message: ResolveOrder) -> None:
        machine, word = self.machine, message.word
        why = refusal(machine, word, quarantined=False)
        if why is not None:
            refuse(self.ctx, message.reply_to, machine.order.client_order_id, why)
            return
        was_closed = machine.is_closed
        for event in outcome(machine, word, self.ctx.now_ns):
            self.ctx.record(event)
        self._tell_parent(was_closed=was_closed)
        self._watch()
        self._answer(message.reply_to)

    # --- Helpers ---------------------------------------------------------------------------------------------------------

    def _was_there(self, text: str) -> None:
        """Raise the alarm for an order that was given up and has ended at the broker."""
        if self.machine.proof is Proof.NOT_FOUND and not self.machine.filled_by_hand:
            self._resurface(self.machine.wire_id, text, is_open=False)

    def _resurface(self, wire_id: str, text: str, *, is_open: bool) -> None:
        """Take back an order that was given up: raise the alarm once, reserve what is open of it again, and cancel that."""
        machine, ctx = self.machine, self.ctx
        order = machine.order
        order_id, left = order.client_order_id, order.quantity - machine.filled_quantity
        if not machine.resurfaced:
            ctx.record(OrderResurfaced(order_id, text))
            if is_open and left > ZERO:
                self._reserve(left)
        if is_open and left > ZERO and machine.cancel is Pending.NO:
            ctx.record(OrderCancelRequested(order_id))
            ctx.tell(self._connection(), CancelLeg(wire_id))

    def _take_back(self, event: OrderFilled) -> None:
        """Book a bust. An order that was filled may be open again: what is left is reserved, and the broker asked whether it works."""
        machine = self.machine
        was_closed = machine.is_closed
        self.ctx.record(event)
        if was_closed and not machine.is_closed:
            if not self._is_held():  # else the gate adds what was taken back to what it holds
                self._reserve(machine.order.quantity - machine.filled_quantity)
            self._ask()

    def _works_beyond(self, found: OrderFound) -> None:
        """Have cancelled what the broker works of an order that is over, as after a replacement that raced with a fill.

        The word may be from before the end; then the cancel is refused and the next look at the order frees what is held.
        """
        if found.open_quantity > ZERO and not self._is_held():
            self._reserve(found.open_quantity)
        self.ctx.tell(self._connection(), CancelLeg(found.wire_id))

    def _works_no_more(self) -> None:
        """Free what is held for an order that is over, here and at the broker, unless a replacement of it may still be made."""
        if self.machine.is_closed and self._is_held() and not self.machine.next_wire_id:
            order_id = self.machine.order.client_order_id
            self.ctx.record(OrderCancelled(order_id, CancelReason.BROKER, "nothing of it works any more"))

    def _is_held(self) -> bool:
        """Whether the gate counts something of it as open."""
        return self.machine.order.client_order_id in self.ctx.view("risk_gate").exposure.open

    def _look_for_overfill(self, before: Decimal) -> None:
        """Raise the alarm once more has filled than was ordered; what has filled is booked as it is.

        A replacement to less that fills have overtaken is none: they were ordered when they came.
        """
        machine = self.machine
        ordered = max(machine.order.quantity, machine.terms.quantity)
        if before <= ordered < machine.filled_quantity:
            self.ctx.record(OrderOverfilled(machine.order.client_order_id, ordered, machine.filled_quantity))

    def _reserve(self, left: Decimal) -> None:
        """Have the gate count what may be open of an order that it has let go."""
        order = self.machine.order
        price = worst_price(order, self.machine.arrival.last or ZERO)
        self.ctx.record(OrderReserved(order.client_order_id, order.account, order.symbol, order.side, left, price))

    def _drop_lost_approval(self) -> None:
        """Free what was reserved for a replacement whose approval never came to be sent."""
        machine = self.machine
        held = self.ctx.view("risk_gate").exposure.open.get(machine.order.client_order_id)
        if held is not None and held.offered is not None and machine.replace is Pending.NO:
            text = "the approval of the replacement was lost, so it was not sent"
            self.ctx.record(OrderReplaceRefused(machine.order.client_order_id, "INTERNAL_ERROR", text))

    def _keep_terms(self, refused: OrderReplaceRefused) -> None:
        """Write down that the order stays as it was; a cancel is asked again, it may have been refused meanwhile."""
        self.ctx.record(refused)
        if self.machine.cancel is not Pending.NO and not self.machine.is_closed:
            self.ctx.tell(self._connection(), CancelLeg(self.machine.wire_id))
        self._watch()

    def _ask(self) -> None:
        """Look for the order at the broker, the leg that may replace it first."""
        connection, now_ns = self._connection(), self.ctx.now_ns
        for wire_id in self.machine.legs():
            self.ctx.tell(connection, QueryLeg(wire_id, now_ns))

    def _watch(self) -> None:
        """Arm the timer for what has no answer, or forget it when all is answered."""
        if not self._watched or (self._answer_ns is None and self.machine.doubt is None):
            return  # a timer that is armed still will find nothing to do
        now_ns = self.ctx.now_ns
        due = due_ns(self.machine, self._answer_ns, now_ns)
        if due is None:
            self.ctx.cancel_timer(ANSWER)
        else:
            self.ctx.set_timer(ANSWER, max(due - now_ns, 1), AnswerMissing())

    def _close(self, event: OrderDenied | OrderRejected | OrderCancelled) -> None:
        machine = self.machine
        if machine.order.parent:
            was_closed = machine.is_closed
            self.ctx.record(event)
            self._tell_parent(was_closed=was_closed)
        else:
            self.ctx.record(event)
        if self._watched:
            self._watch()

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
