"""How each record changes an order's machine: one small function an event, and the table of them.

What is proved only rises, and a question that is answered is closed, whichever fact comes first. Whatever can raise comes
before the first change.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..doubt_events import (
    OrderFoundAgain,
    OrderNeedsPerson,
    OrderNotFound,
    OrderResolved,
    OrderResurfaced,
    Verdict,
)
from ..errors import ActorError
from ..events import (
    CancelReason,
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
from .doubt import Doubt
from .fills import merged
from .order_table import RANK, Proof

if TYPE_CHECKING:
    from .order import OrderMachine

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
    | OrderNotFound
    | OrderFoundAgain
    | OrderNeedsPerson
    | OrderResurfaced
    | OrderResolved
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
WORD_OF = {reason: reason.value for reason in CancelReason}

# Looked up once: a member of an enum costs more than what is done with it.
ASKED = Pending.ASKED
IN_DOUBT = Pending.IN_DOUBT
NO = Pending.NO
DENIED = Proof.DENIED
INTENDED = Proof.INTENDED
NOT_FOUND = Proof.NOT_FOUND
NOTHING = Proof.NOTHING
REJECTED = Proof.REJECTED
WORKING = Proof.WORKING
R_NOT_FOUND = RANK[Proof.NOT_FOUND]
R_REJECTED = RANK[Proof.REJECTED]
R_WORKING = RANK[Proof.WORKING]


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
        if known >= R_REJECTED or proof is NOT_FOUND:
            machine.cancel = machine.replace = NO
        if machine.doubt is not None:
            _settle(machine)


def _settle(machine: OrderMachine) -> None:
    """Take in that the broker has said something: with no question in doubt the doubt is over, else the counting begins anew."""
    if IN_DOUBT in (machine.new, machine.cancel, machine.replace):
        assert machine.doubt is not None
        machine.doubt.legs = {}
    else:
        machine.doubt = None


def _denied(machine: OrderMachine, event: OrderDenied, at_ns: int) -> None:
    _prove(machine, DENIED, event.denial.code, event.denial.text)


def _intended(machine: OrderMachine, event: OrderIntended, at_ns: int) -> None:
    if machine.proof is NOTHING:
        machine.proof = INTENDED
    else:
        _prove(machine, INTENDED)
    machine.wire_id = event.wire_id
    machine.not_after_ns = event.not_after_ns
    machine.new = ASKED
    machine.new_ns = at_ns


def _accepted(machine: OrderMachine, event: OrderAccepted, at_ns: int) -> None:
    if machine.proof is INTENDED and machine.doubt is None:
        machine.proof = WORKING
        machine.new = NO
    else:
        _prove(machine, WORKING)
    if machine.cancel is ASKED:
        machine.cancel_ns = at_ns  # it waited for this
    machine.broker_order_id = event.broker_order_id


def _rejected(machine: OrderMachine, event: OrderRejected, at_ns: int) -> None:
    _prove(machine, NOT_FOUND if event.concluded else REJECTED, event.code, event.text)


def _filled(machine: OrderMachine, event: OrderFilled, at_ns: int) -> None:
    fill, fills = event.fill, machine.fills
    quantity = machine.filled_quantity + event.quantity  # whatever can raise comes before the first change
    notional = machine.notional + event.notional
    commission = machine.commission + event.commission if event.commission else None
    if fill.fill_key in fills or fill.revision or fill.inferred or machine.covers:
        machine.fills, machine.covers, _ = merged(fills, machine.covers, None, fill, None)
    else:
        fills[fill.fill_key] = fill
    machine.cumulative = event.cumulative
    machine.filled_quantity = quantity
    machine.notional = notional
    if commission is not None:
        machine.commission = commission
    machine.new = NO
    if (machine.cancel is not NO or machine.replace is not NO) and quantity >= machine.order.quantity:
        machine.cancel = machine.replace = NO
    if machine.doubt is not None:
        _settle(machine)


def _cancel_requested(machine: OrderMachine, event: OrderCancelRequested, at_ns: int) -> None:
    machine.cancel = ASKED
    machine.cancel_ns = at_ns
    machine.cancel_wanted = True


def _cancelled(machine: OrderMachine, event: OrderCancelled, at_ns: int) -> None:
    reason = event.reason
    _prove(machine, CLOSING[reason], WORD_OF[reason], event.text)


def _cancel_refused(machine: OrderMachine, event: OrderCancelRefused, at_ns: int) -> None:
    machine.cancel = NO
    if machine.doubt is not None:
        _settle(machine)


def _replace_requested(machine: OrderMachine, event: OrderReplaceRequested, at_ns: int) -> None:
    machine.replace = ASKED
    machine.leg += 1  # asked for once, its id is used up: what became of it may be told late
    machine.next_wire_id = event.wire_id
    machine.next_terms = event.terms
    machine.replace_ns, machine.not_after_ns = at_ns, event.not_after_ns


def _replaced(machine: OrderMachine, event: OrderReplaced, at_ns: int) -> None:
    machine.order = event.terms.applied_to(machine.order)
    machine.wire_id, machine.next_wire_id = event.wire_id, ""
    machine.broker_order_id = event.broker_order_id
    machine.replace = NO
    if machine.is_closed:
        machine.cancel = NO  # the new total is filled already
    elif machine.cancel is ASKED:
        machine.cancel_ns = at_ns  # it is asked again, of the new leg
    if machine.doubt is not None:
        _settle(machine)


def _replace_refused(machine: OrderMachine, event: OrderReplaceRefused, at_ns: int) -> None:
    if not event.denied:
        machine.replace = NO
        machine.next_wire_id = ""
        if machine.cancel is ASKED:
            machine.cancel_ns = at_ns  # it is asked again
        if machine.doubt is not None:
            _settle(machine)


def _restated(machine: OrderMachine, event: OrderRestated, at_ns: int) -> None:
    _prove(machine, WORKING)  # who changes it has it
    machine.order = event.terms.applied_to(machine.order)
    if machine.is_closed:
        machine.cancel = machine.replace = NO
        if machine.doubt is not None:
            _settle(machine)


def _in_doubt(machine: OrderMachine, event: OrderInDoubt, at_ns: int) -> None:
    if machine.question(event.kind) is not NO:  # else it was answered meanwhile
        setattr(machine, event.kind.value, IN_DOUBT)
        machine.doubt = machine.doubt or Doubt(at_ns)


def _not_found(machine: OrderMachine, event: OrderNotFound, at_ns: int) -> None:
    if not machine.is_closed:
        machine.doubt = machine.doubt or Doubt(at_ns)
        machine.doubt.count(event, machine.not_after_ns, machine.legs())


def _found_again(machine: OrderMachine, event: OrderFoundAgain, at_ns: int) -> None:
    if machine.doubt is not None:
        machine.doubt.legs.pop(event.wire_id, None)
        if not machine.doubt.legs and IN_DOUBT not in (machine.new, machine.cancel, machine.replace):
            machine.doubt = None


def _needs_person(machine: OrderMachine, event: OrderNeedsPerson, at_ns: int) -> None:
    if machine.doubt is not None:
        machine.doubt.person_called = True


def _resurfaced(machine: OrderMachine, event: OrderResurfaced, at_ns: int) -> None:
    machine.resurfaced = True


def _resolved(machine: OrderMachine, event: OrderResolved, at_ns: int) -> None:
    if event.verdict is Verdict.FILLED:
        machine.filled_by_hand += 1


def _begun_twice(machine: OrderMachine, event: OrderSubmitted, at_ns: int) -> None:
    raise ActorError(f"order {machine.order.client_order_id} was submitted twice")


CHANGES: dict[type, Callable[[OrderMachine, Any, int], None]] = {
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
    OrderNotFound: _not_found,
    OrderFoundAgain: _found_again,
    OrderNeedsPerson: _needs_person,
    OrderResurfaced: _resurfaced,
    OrderResolved: _resolved,
}
