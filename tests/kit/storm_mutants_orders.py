"""Bugs of an order: what it books, what it takes for proved, when it is sent, and what the desk makes of its id."""

from __future__ import annotations

from typing import Any

import msgspec
from storm_mutants_planting import Patch, Wrap, mutant

from ordersmith.actors.desk import Desk
from ordersmith.actors.doubt_events import OrderNotFound
from ordersmith.actors.events import CancelReason, OrderCancelled, OrderRejected, OrderReplaced, OrderReplaceRefused
from ordersmith.actors.machines.doubt import Doubt, LookUps, overdue
from ordersmith.actors.machines.fills import Totals
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.order_changes import CHANGES
from ordersmith.actors.machines.order_table import Proof
from ordersmith.actors.messages import ApprovedOrder, PlaceOrder
from ordersmith.actors.order import Order
from ordersmith.actors.order_doubt import DoubtfulOrder
from ordersmith.actors.ports import CommandKind

VALIDITY_NS = 10_000_000_000


def ignored(_: Any) -> Any:
    """Stand in for a handler that does nothing."""
    return lambda self, message: None


def unless(condition: Any) -> Wrap:
    """Stand in for a handler that drops a message under a condition."""

    def wrap(before: Any) -> Any:
        def handle(self: Any, message: Any) -> None:
            if not condition(self, message):
                before(self, message)

        return handle

    return wrap


def send_again(order: Any) -> None:
    """Have the first leg of an order sent as if it never had been."""
    epoch = order.ctx.view("circuit_breaker").epoch
    approved = ApprovedOrder(order.machine.order, order.ctx.now_ns + VALIDITY_NS, epoch)
    order.ctx.tell(order._connection(), PlaceOrder(approved, order.machine.wire_id))


# --- Fills -----------------------------------------------------------------------------------------------------------


@mutant("an execution that is told twice is booked twice")
def dedupe_removed(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def book_execution(self: Any, fill: Any, cumulative: Any) -> Any:
            if fill.revision:
                return before(self, fill, cumulative)
            filled = self.filled_quantity + fill.quantity
            return self._filled(fill, fill.quantity, fill.quantity * fill.price, fill.commission, filled, None)

        return book_execution

    patch.method(OrderMachine, "book_execution", wrap)


@mutant("two executions of one quantity and price count as one")
def fill_told_by_its_numbers_not_its_key(patch: Patch) -> None:
    def is_like_another(self: Any, message: Any) -> bool:
        new = message.fill
        known = self.machine.fills.values()
        return any((fill.quantity, fill.price) == (new.quantity, new.price) for fill in known)

    patch.method(Order, "executed", unless(is_like_another))


@mutant("corrections and busts of executions are not booked")
def bust_ignored(patch: Patch) -> None:
    patch.method(Order, "executed", unless(lambda self, message: message.fill.revision))


@mutant("an order that is cancelled takes no more fills")
def cancelled_read_as_final(patch: Patch) -> None:
    def is_over(self: Any, message: Any) -> bool:
        return self.machine.proof is Proof.CANCELLED

    patch.method(Order, "executed", unless(is_over))
    patch.method(Order, "found", unless(is_over))


@mutant("a total that the broker states is added to what is filled already")
def cumulative_added(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def book(self: Any, fill: Any, cumulative: Any = None) -> Any:
            if fill is None and cumulative is not None and cumulative.quantity > self.filled_quantity > 0:
                change = self._inferred(cumulative_as_totals(cumulative), cumulative)
                filled = self.filled_quantity + cumulative.quantity
                notional = change.quantity * change.price
                return self._filled(change, change.quantity, notional, change.commission, filled, cumulative)
            return before(self, fill, cumulative)

        return book

    patch.method(OrderMachine, "book", wrap)


def cumulative_as_totals(cumulative: Any) -> Any:
    """Return what a statement of a total would be as a change."""
    return Totals(cumulative.quantity, cumulative.notional or cumulative.quantity, cumulative.commission or 0)


@mutant("an order counts as over with its first fill")
def first_fill_closes(patch: Patch) -> None:
    patch.getter(OrderMachine, "is_closed", lambda before: lambda self: before(self) or self.filled_quantity > 0)


# --- What has no answer ----------------------------------------------------------------------------------------------


@mutant("an order without an answer is sent again")
def retry_on_timeout(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def look(self: Any, message: Any) -> None:
            answer_ns = self._answer_ns
            if answer_ns is not None and CommandKind.NEW in overdue(self.machine, answer_ns, self.ctx.now_ns):
                send_again(self)
            before(self, message)

        return look

    patch.method(DoubtfulOrder, "look", wrap)


@mutant("an order that a look-up does not find is sent again")
def not_found_sent_again(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def absent(self: Any, message: Any) -> None:
            machine = self.machine
            if not machine.is_closed and message.wire_id == machine.wire_id and not machine.broker_order_id:
                send_again(self)
            before(self, message)

        return absent

    patch.method(DoubtfulOrder, "absent", wrap)


@mutant("an order that a look-up does not find counts as rejected")
def not_found_read_as_rejected(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def absent(self: Any, message: Any) -> None:
            machine = self.machine
            if not machine.is_closed and machine.wire_id == message.wire_id:
                self._close(OrderRejected(machine.order.client_order_id, "NOT_FOUND", "the broker does not know it"))

        return absent

    patch.method(DoubtfulOrder, "absent", wrap)


@mutant("one look-up in vain is enough to give an order up")
def one_look_up_proves(patch: Patch) -> None:
    patch.getter(LookUps, "suffice", lambda before: lambda self: self.count > 0)
    patch.getter(LookUps, "prove", lambda before: lambda self: self.count > 0)


@mutant("look-ups that began while the order could be on its way count, too")
def early_look_ups_count(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def not_found(machine: Any, event: Any, at_ns: int) -> None:
            deadline_ns, machine.not_after_ns = machine.not_after_ns, 0
            try:
                before(machine, event, at_ns)
            finally:
                machine.not_after_ns = deadline_ns

        return not_found

    patch.item(CHANGES, OrderNotFound, wrap(CHANGES[OrderNotFound]))
    patch.method(Doubt, "is_news", lambda before: lambda self, event, not_after_ns: before(self, event, 0))


@mutant("an order whose outcome is unknown counts as rejected")
def unknown_read_as_rejected(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def outcome_unknown(self: Any, message: Any) -> None:
            if message.kind is CommandKind.NEW and not self.machine.is_closed:
                self._close(OrderRejected(self.machine.order.client_order_id, "UNKNOWN", message.reason))
            else:
                before(self, message)

        return outcome_unknown

    patch.method(DoubtfulOrder, "outcome_unknown", wrap)


@mutant("an order whose cancel has no answer counts as cancelled")
def unanswered_cancel_read_as_cancelled(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def outcome_unknown(self: Any, message: Any) -> None:
            if message.kind is CommandKind.CANCEL and not self.machine.is_closed:
                self._close(OrderCancelled(self.machine.order.client_order_id, CancelReason.REQUESTED, message.reason))
            else:
                before(self, message)

        return outcome_unknown

    patch.method(DoubtfulOrder, "outcome_unknown", wrap)


@mutant("what has no answer is never put in doubt", faults=("ANSWER_LOST", "PARTIAL_FILL"))
def doubt_without_a_timer(patch: Patch) -> None:
    patch.method(DoubtfulOrder, "look", ignored)


# --- Legs ------------------------------------------------------------------------------------------------------------


@mutant(
    "a replacement that was refused leaves its id to the next one",
    profile="hurricane",
    faults=("REJECTED", "REPLACE_RACE", "PARTIAL_FILL"),
)
def leg_id_used_again(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def refused(machine: Any, event: Any, at_ns: int) -> None:
            if not event.denied and machine.next_wire_id:
                machine.leg -= 1
            before(machine, event, at_ns)

        return refused

    patch.item(CHANGES, OrderReplaceRefused, wrap(CHANGES[OrderReplaceRefused]))


@mutant("the total of a replaced order is taken for what is left of it")
def replaced_total_read_as_what_is_left(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def replaced(machine: Any, event: Any, at_ns: int) -> None:
            before(machine, event, at_ns)
            total = machine.order.quantity + machine.filled_quantity
            machine.order = msgspec.structs.replace(machine.order, quantity=total)

        return replaced

    patch.item(CHANGES, OrderReplaced, wrap(CHANGES[OrderReplaced]))


@mutant("an order whose cancel is refused counts as cancelled")
def refused_cancel_read_as_cancelled(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def cancel_refused(self: Any, message: Any) -> None:
            if not self.machine.is_closed:
                self._close(OrderCancelled(self.machine.order.client_order_id, CancelReason.REQUESTED, message.text))

        return cancel_refused

    patch.method(Order, "cancel_refused", wrap)


# --- The desk --------------------------------------------------------------------------------------------------------


@mutant("an order whose id is known already is sent again")
def duplicate_sent_again(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def answer_again(self: Any, known: Any, order: Any, slot: Any) -> None:
            if known.wire_id and not known.is_closed:
                approved = ApprovedOrder(
                    known.order, self.ctx.now_ns + VALIDITY_NS, self.ctx.view("circuit_breaker").epoch
                )
                connection = self.ctx.refer("connection/" + known.order.account)
                self.ctx.tell(connection, PlaceOrder(approved, known.wire_id))
            before(self, known, order, slot)

        return answer_again

    patch.method(Desk, "_answer_again", wrap)


@mutant("an order whose id is known already is taken for that one, whatever its terms are")
def adopted_without_comparing_terms(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        return lambda self, known, order, slot: self.ctx.reply(slot, known.status())

    patch.method(Desk, "_answer_again", wrap)
