"""What is to be done about an order in doubt: when it is looked for again, what proves that it is not there, when a person must decide.

Not found is not rejected. An order is given up only after LOOK_UPS negative look-ups over SPAN_NS, all begun after the send's
deadline (before it the order may still have been on its way), at least one of them a complete read of the account with
which our books agree. Whatever the broker says of the order meanwhile makes the counting begin anew. Until then nobody
resends it, and its exposure stays reserved.

All times follow from records: whoever is rebuilt looks again at the same instants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..doubt_events import OrderNotFound
from ..events import CancelReason, OrderCancelled, OrderInDoubt, OrderRejected, OrderReplaceRefused
from ..ports import CommandKind

if TYPE_CHECKING:
    from .order import OrderMachine

SECOND_NS = 1_000_000_000
LOOK_UPS = 3
SPAN_NS = 10 * SECOND_NS
PERSON_NS = 300 * SECOND_NS
FIRST_WAIT_NS = SECOND_NS
LONGEST_WAIT_NS = 30 * SECOND_NS

NOT_FOUND = "NOT_FOUND"
BOOTED = "the process ended before an answer came"
NEVER_SENT = "the process ended before it was sent"


class LookUps(msgspec.Struct):
    """The negative look-ups of one leg that count, by when they began."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    complete: bool = False

    @property
    def suffice(self) -> bool:
        """Whether there are enough of them, over long enough."""
        return self.count >= LOOK_UPS and self.last_ns - self.first_ns >= SPAN_NS

    @property
    def prove(self) -> bool:
        """Whether they prove that the leg is not there."""
        return self.suffice and self.complete


class Doubt(msgspec.Struct):
    """Since when an order is in doubt, what was looked up in vain, and whether a person was called."""

    since_ns: int
    legs: dict[str, LookUps] = msgspec.field(default_factory=dict)
    person_called: bool = False

    def is_news(self, event: OrderNotFound, not_after_ns: int) -> bool:
        """Whether a negative look-up adds to what is known: a first one always, then each that counts, once."""
        known = self.legs.get(event.wire_id)
        if known is None:
            return True
        counts = event.asked_ns > not_after_ns
        return counts and (event.asked_ns > known.last_ns or (event.complete and not known.complete))

    def count(self, event: OrderNotFound, not_after_ns: int, legs: tuple[str, ...]) -> None:
        """Count a negative look-up; a complete read has looked for every one of the order's `legs`."""
        for wire_id in legs if event.complete else (event.wire_id,):
            known = self.legs.setdefault(wire_id, LookUps())
            if event.asked_ns <= not_after_ns:
                continue
            known.complete = known.complete or event.complete
            if event.asked_ns > known.last_ns:
                known.count += 1
                known.first_ns, known.last_ns = known.first_ns or event.asked_ns, event.asked_ns

    def disproves(self, wire_id: str) -> bool:
        """Whether it is proved that this leg is not there."""
        known = self.legs.get(wire_id)
        return known is not None and known.prove


# --- When ------------------------------------------------------------------------------------------------------------


def unanswered(machine: OrderMachine) -> list[CommandKind]:
    """Return the commands that were handed over and have no answer, and are not in doubt yet."""
    return [kind for kind in CommandKind if machine.awaits(kind)]


def overdue(machine: OrderMachine, answer_ns: int, now_ns: int) -> list[CommandKind]:
    """Return the commands that the broker has had `answer_ns` to answer."""
    return [kind for kind in unanswered(machine) if machine.asked_ns(kind) + answer_ns <= now_ns]


def next_look_up_ns(since_ns: int, now_ns: int) -> int:
    """Return the first instant after `now_ns` at which an order is looked for that is in doubt since `since_ns`.

    The waits are 1, 2, 4, 8, 16 and then 30 s; the first look-up is at once, when the doubt begins.
    """
    wait_ns, at_ns = FIRST_WAIT_NS, since_ns + FIRST_WAIT_NS
    while at_ns <= now_ns:
        wait_ns = min(2 * wait_ns, LONGEST_WAIT_NS)
        if wait_ns == LONGEST_WAIT_NS:
            return at_ns + ((now_ns - at_ns) // wait_ns + 1) * wait_ns
        at_ns += wait_ns
    return at_ns


def due_ns(machine: OrderMachine, answer_ns: int | None, now_ns: int) -> int | None:
    """Return when something must be done next about what has no answer, None if all is answered. Answers may have no deadline."""
    if not machine.may_be_open:
        return None
    times = [] if answer_ns is None else [machine.asked_ns(kind) + answer_ns for kind in unanswered(machine)]
    if machine.doubt is not None:
        times.append(next_look_up_ns(machine.doubt.since_ns, now_ns))
        if not machine.doubt.person_called:
            times.append(machine.doubt.since_ns + PERSON_NS)
    return min(times, default=None)


def needs_person(machine: OrderMachine, now_ns: int) -> str | None:
    """Return why a person must decide now, None if nobody need be called."""
    doubt = machine.doubt
    if doubt is None or doubt.person_called or now_ns < doubt.since_ns + PERSON_NS:
        return None
    looked = doubt.legs.get(machine.next_wire_id or machine.wire_id) or LookUps()
    complete = "one of them a" if looked.complete else "none of them a"
    minutes = PERSON_NS // SECOND_NS // 60
    return (
        f"in doubt for {minutes} minutes: {looked.count} look-ups that count did not find it, {complete} complete read; look it "
        "up at the broker, then resolve it as absent or filled"
    )


# --- What ------------------------------------------------------------------------------------------------------------


def given_up(machine: OrderMachine) -> OrderRejected | OrderCancelled | None:
    """Return the record that gives an order up, if it is proved that none of its legs is there.

    One that was accepted has been there: where its replacement was never made, and the leg before is open no more, it is over.
    """
    doubt = machine.doubt
    if doubt is None or not all(doubt.disproves(wire_id) for wire_id in machine.legs()):
        return None
    looked = doubt.legs[machine.next_wire_id or machine.wire_id]
    seconds = (looked.last_ns - looked.first_ns) // SECOND_NS
    text = f"{looked.count} look-ups over {seconds} s and a read of the whole account did not find"
    if machine.next_wire_id and machine.broker_order_id:
        reason = CancelReason.REQUESTED if machine.cancel_wanted else CancelReason.BROKER
        return OrderCancelled(
            machine.order.client_order_id, reason, f"{text} its replacement, and it is open no more itself"
        )
    return OrderRejected(machine.order.client_order_id, NOT_FOUND, f"{text} it", True)


def wants_read(machine: OrderMachine) -> bool:
    """Whether a complete read of the account is all that the proof is short of."""
    legs = () if machine.doubt is None else machine.doubt.legs.values()
    return any(looked.suffice and not looked.complete for looked in legs)


def replacement_given_up(machine: OrderMachine) -> OrderReplaceRefused | None:
    """Return the record that gives a replacement up, for an order whose leg before it was found working."""
    if machine.doubt is None or not machine.next_wire_id or not machine.doubt.disproves(machine.next_wire_id):
        return None
    text = "the leg before it works, and no look-up found the replacement"
    return OrderReplaceRefused(machine.order.client_order_id, NOT_FOUND, text)


def after_boot(machine: OrderMachine) -> list[OrderCancelled | OrderInDoubt]:
    """Return what becomes of an order whose process has ended: what had no answer is in doubt, what was not sent never will be."""
    order_id = machine.order.client_order_id
    if not machine.may_be_open:
        return []
    if not machine.wire_id:
        reason = CancelReason.REQUESTED if machine.cancel_wanted else CancelReason.NOT_SENT
        return [OrderCancelled(order_id, reason, NEVER_SENT)]
    return [OrderInDoubt(order_id, kind, BOOTED, True) for kind in unanswered(machine)]
