"""The order machine, fact by fact. What holds for any order of facts is in test_order_facts.py."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any

import msgspec
import pytest

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import (
    Arrival,
    CancelReason,
    Cumulative,
    Denial,
    OrderAccepted,
    OrderApproved,
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
    SessionClosed,
)
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.order_changes import Pending
from ordersmith.actors.machines.order_table import PUBLIC_STATE, Extent, Proof
from ordersmith.actors.model import Fill, Order, OrderState, Side, Terms
from ordersmith.actors.ports import CommandKind

D = Decimal
PENDING, SUBMITTED, PARTIALLY_FILLED = OrderState.PENDING, OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED
FILLED, REJECTED, CANCELLED = OrderState.FILLED, OrderState.REJECTED, OrderState.CANCELLED


class Life:
    """One order to buy 10 of A, and the records of its life."""

    def __init__(self, quantity: str = "10", limit: str | None = None) -> None:
        order = msgspec.structs.replace(Order.buy("A", 1, limit, client_order_id="o"), quantity=D(quantity))
        self.records = [Record(1, 1, 0, OrderSubmitted("o", order, Arrival(1, D(20))))]
        self.machine = OrderMachine.begin(self.records[0])

    def __call__(self, *events: Event) -> OrderMachine:
        for event in events:
            record = Record(len(self.records) + 1, 10 * (len(self.records) + 1), 0, event)
            self.records.append(record)
            self.machine.apply(record)
        return self.machine

    def book(self, made: Fill | None, cumulative: Cumulative | None = None) -> OrderFilled | None:
        event = self.machine.book(made, cumulative)
        if event is not None:
            self(event)
        return event

    def fill(self, key: str, quantity: str, price: str = "20", **terms: Any) -> OrderFilled | None:
        return self.book(fill(key, quantity, price, **terms))


def fill(key: str, quantity: str, price: str = "20", *, revision: int = 0, commission: str = "0") -> Fill:
    return Fill(
        fill_key=key, quantity=D(quantity), price=D(price), at_ns=5, commission=D(commission), revision=revision
    )


INTENDED = OrderIntended("o", "o.0")
ACCEPTED = OrderAccepted("o", "o.0", "b1")
DENIED = OrderDenied("o", Denial("LOT_SIZE", "not a multiple", {"lot": "3"}))
BROKER_REJECTED = OrderRejected("o", "NO_MONEY", "not enough")
GIVEN_UP = OrderRejected("o", "NOT_FOUND", "not there", concluded=True)
ASKED_TO_CANCEL = OrderCancelRequested("o")
CANCELLED_AS_ASKED = OrderCancelled("o", CancelReason.REQUESTED)
EXPIRED = OrderCancelled("o", CancelReason.EXPIRED)
NOT_SENT = OrderCancelled("o", CancelReason.NOT_SENT, "too late")
REPLACE_ASKED = OrderReplaceRequested("o", "o.1", Terms(D(20), D(21)))
REPLACED = OrderReplaced("o", "o.1", "b2", Terms(D(20), D(21)))

REACHES: dict[Proof, tuple[Event, ...]] = {
    Proof.NOTHING: (),
    Proof.DENIED: (DENIED,),
    Proof.INTENDED: (INTENDED,),
    Proof.WORKING: (INTENDED, ACCEPTED),
    Proof.NOT_FOUND: (INTENDED, GIVEN_UP),
    Proof.REJECTED: (INTENDED, BROKER_REJECTED),
    Proof.NOT_SENT: (INTENDED, NOT_SENT),
    Proof.EXPIRED: (INTENDED, ACCEPTED, EXPIRED),
    Proof.CANCELLED: (INTENDED, ACCEPTED, CANCELLED_AS_ASKED),
}
FILLS = {Extent.NONE: "0", Extent.PART: "4", Extent.ALL: "10"}


@pytest.mark.parametrize(("proof", "extent"), list(product(Proof, Extent)))
@pytest.mark.parametrize("fills_first", [True, False])
def test_facts_lead_to_the_state_of_the_table(proof: Proof, extent: Extent, fills_first: bool) -> None:
    """Whether fills come before or after the other facts, the state is the one that the table has for both together."""
    life = Life()
    if not fills_first:
        life(*REACHES[proof])
    if extent is not Extent.NONE:
        life.fill("k", FILLS[extent])
    if fills_first:
        life(*REACHES[proof])
    machine = life.machine
    assert (machine.proof, machine.extent) == (proof, extent)
    assert machine.state is machine.status().state is PUBLIC_STATE[proof, extent]
    assert machine.is_closed == (machine.state in (FILLED, REJECTED, CANCELLED))
    assert machine.status().is_closed == machine.is_closed


def test_a_late_fill_completes_a_cancelled_order() -> None:
    """Fills after a cancellation are counted, and the order is FILLED when they reach its quantity."""
    life = Life()
    life(INTENDED, ACCEPTED, ASKED_TO_CANCEL, CANCELLED_AS_ASKED)
    assert life.machine.state is CANCELLED
    late = life.fill("k1", "4")
    assert late is not None
    assert (late.state, life.machine.filled_quantity) == (CANCELLED, D(4))
    last = life.fill("k2", "6", "21")
    assert last is not None
    assert (last.state, life.machine.state) == (FILLED, FILLED)
    status = life.machine.status()
    assert (status.filled_quantity, status.notional, status.average_price) == (D(10), D(206), D("20.6"))


def test_a_rejection_with_fills_reads_as_cancelled() -> None:
    """An order that the broker rejects after it filled in part is CANCELLED, and says why."""
    life = Life()
    life(INTENDED)
    life.fill("k", "4")
    status = life(BROKER_REJECTED).status()
    assert (status.state, status.reason, status.text) == (CANCELLED, "NO_MONEY", "not enough")
    assert (status.filled_quantity, status.remaining_quantity) == (D(4), D(0))


@pytest.mark.parametrize(
    ("events", "state", "reason", "text"),
    [
        ((DENIED,), REJECTED, "LOT_SIZE", "not a multiple"),
        ((INTENDED, BROKER_REJECTED), REJECTED, "NO_MONEY", "not enough"),
        ((INTENDED, ACCEPTED, EXPIRED), CANCELLED, "EXPIRED", ""),
        ((INTENDED, NOT_SENT), CANCELLED, "NOT_SENT", "too late"),
        ((INTENDED, ACCEPTED, CANCELLED_AS_ASKED), CANCELLED, "REQUESTED", ""),
        ((INTENDED, ACCEPTED, OrderCancelled("o", CancelReason.BROKER, "halted")), CANCELLED, "BROKER", "halted"),
        ((INTENDED, ACCEPTED), SUBMITTED, "", ""),
    ],
)
def test_the_end_has_its_reason(events: tuple[Event, ...], state: OrderState, reason: str, text: str) -> None:
    """The status of an order says why it ended."""
    status = Life()(*events).status()
    assert (status.state, status.reason, status.text) == (state, reason, text)


def test_a_stronger_fact_replaces_the_reason_and_a_weaker_one_does_not() -> None:
    """Of an expiry and a cancellation the cancellation is told, whichever came first."""
    first, second = Life()(INTENDED, EXPIRED, CANCELLED_AS_ASKED), Life()(INTENDED, CANCELLED_AS_ASKED, EXPIRED)
    assert first.status().reason == second.status().reason == "REQUESTED"


# --- Questions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "pending", "in_doubt"),
    [
        ((), (), False),
        ((INTENDED,), ("new",), False),
        ((INTENDED, OrderInDoubt("o", CommandKind.NEW, "504")), ("new",), True),
        ((INTENDED, OrderInDoubt("o", CommandKind.NEW, "504"), ACCEPTED), (), False),
        ((INTENDED, OrderInDoubt("o", CommandKind.NEW, "504"), BROKER_REJECTED), (), False),
        ((INTENDED, ACCEPTED, OrderInDoubt("o", CommandKind.NEW, "504")), (), False),
        ((INTENDED, ACCEPTED, ASKED_TO_CANCEL), ("cancel",), False),
        ((INTENDED, ACCEPTED, ASKED_TO_CANCEL, OrderInDoubt("o", CommandKind.CANCEL, "504")), ("cancel",), True),
        ((INTENDED, ACCEPTED, ASKED_TO_CANCEL, OrderCancelRefused("o", "DONE", "")), (), False),
        ((INTENDED, ACCEPTED, ASKED_TO_CANCEL, CANCELLED_AS_ASKED), (), False),
        ((INTENDED, ACCEPTED, CANCELLED_AS_ASKED, OrderInDoubt("o", CommandKind.CANCEL, "504")), (), False),
        ((INTENDED, ACCEPTED, REPLACE_ASKED), ("replace",), False),
        ((INTENDED, ACCEPTED, REPLACE_ASKED, OrderInDoubt("o", CommandKind.REPLACE, "504")), ("replace",), True),
        ((INTENDED, ACCEPTED, REPLACE_ASKED, REPLACED), (), False),
        ((INTENDED, ACCEPTED, REPLACE_ASKED, OrderReplaceRefused("o", "NO", "")), (), False),
        ((INTENDED, ACCEPTED, REPLACE_ASKED, OrderReplaceRefused("o", "NO", "", denied=True)), ("replace",), False),
        ((INTENDED, ACCEPTED, REPLACE_ASKED, ASKED_TO_CANCEL), ("cancel", "replace"), False),
        ((INTENDED, ACCEPTED, REPLACE_ASKED, ASKED_TO_CANCEL, EXPIRED), (), False),
        ((INTENDED, ACCEPTED, ASKED_TO_CANCEL, OrderReplaced("o", "o.1", "b2", Terms(D(30)))), ("cancel",), False),
    ],
)
def test_open_questions_are_shown(events: tuple[Event, ...], pending: tuple[str, ...], in_doubt: bool) -> None:
    """A question is pending until its answer, in doubt while its outcome is unknown, and doubt never comes after the answer."""
    status = Life()(*events).status()
    assert (status.pending, status.in_doubt) == (pending, in_doubt)


def test_a_fill_proves_that_the_order_arrived() -> None:
    """A fill before the acceptance ends the doubt about the order."""
    life = Life()
    life(INTENDED, OrderInDoubt("o", CommandKind.NEW, "504"))
    life.fill("k", "1")
    assert (life.machine.new, life.machine.state) == (Pending.NO, PARTIALLY_FILLED)


def test_a_complete_fill_settles_cancel_and_replace() -> None:
    """Nothing is pending about an order that is filled."""
    life = Life()
    life(INTENDED, ACCEPTED, ASKED_TO_CANCEL, REPLACE_ASKED)
    life.fill("k", "10")
    assert life.machine.status().pending == ()


# --- Replace -----------------------------------------------------------------------------------------------------------


def test_a_replacement_changes_the_terms_and_keeps_the_fills() -> None:
    """The new quantity is the total, fills included, and `terms` stays what was submitted."""
    life = Life()
    life(INTENDED, ACCEPTED)
    life.fill("k", "4")
    machine = life(REPLACE_ASKED, REPLACED)
    assert (machine.order.quantity, machine.order.limit_price, machine.terms.quantity) == (D(20), D(21), D(10))
    assert (machine.leg, machine.wire_id, machine.next_wire_id, machine.broker_order_id) == (1, "o.1", "", "b2")
    assert (machine.state, machine.status().remaining_quantity) == (PARTIALLY_FILLED, D(16))


def test_a_refused_replacement_leaves_the_order_as_it_was() -> None:
    """After the broker's no the old leg and the old terms go on; the id of the one that was not made is never used again."""
    machine = Life()(INTENDED, ACCEPTED, REPLACE_ASKED, OrderReplaceRefused("o", "NO", ""))
    assert (machine.order.quantity, machine.wire_id, machine.next_wire_id, machine.leg) == (D(10), "o.0", "", 1)


def test_a_replacement_down_to_what_is_filled_completes_the_order() -> None:
    """An order whose new total is filled already is FILLED."""
    life = Life()
    life(INTENDED, ACCEPTED)
    life.fill("k", "4")
    machine = life(REPLACE_ASKED, ASKED_TO_CANCEL, OrderReplaced("o", "o.1", "b2", Terms(D(4))))
    assert (machine.state, machine.is_closed, machine.status().pending) == (FILLED, True, ())


# --- Restated ----------------------------------------------------------------------------------------------------------

RESTATED = OrderRestated("o", Terms(D(20), D("9.5")), "split 2:1")


@pytest.mark.parametrize("proof", [proof for proof in Proof if proof not in (Proof.NOTHING, Proof.DENIED)])
@pytest.mark.parametrize("restated_first", [True, False])
def test_an_order_is_restated_in_every_state(proof: Proof, restated_first: bool) -> None:
    """Whatever is proved of it, before or after, it gets the broker's terms and stays what it is, at least working."""
    facts = REACHES[proof][1:]
    events = (INTENDED, RESTATED, *facts) if restated_first else (INTENDED, *facts, RESTATED)
    machine = Life()(*events)
    assert machine.proof is (Proof.WORKING if proof is Proof.INTENDED else proof)
    assert (machine.order.quantity, machine.order.limit_price, machine.terms.quantity) == (D(20), D("9.5"), D(10))
    assert (machine.leg, machine.wire_id, machine.new) == (0, "o.0", Pending.NO)


def test_a_filled_order_that_was_restated_meanwhile_goes_on() -> None:
    """When the restatement comes after the fills that it was before, what it added is still to fill."""
    life = Life()
    life(INTENDED, ACCEPTED)
    life.fill("k", "10")
    assert life.machine.is_closed
    machine = life(RESTATED)
    assert (machine.state, machine.is_closed, machine.status().remaining_quantity) == (PARTIALLY_FILLED, False, D(10))


def test_a_restatement_to_what_is_filled_completes_the_order() -> None:
    """A broker that leaves nothing of an order has completed it, and no question about it stays open."""
    life = Life()
    life(INTENDED, ACCEPTED)
    life.fill("k", "4")
    machine = life(REPLACE_ASKED, ASKED_TO_CANCEL, OrderRestated("o", Terms(D(4)), "reverse split"))
    assert (machine.state, machine.is_closed, machine.status().pending) == (FILLED, True, ())


def test_a_restatement_answers_no_question() -> None:
    """A cancel or a replacement that was asked is still to be answered."""
    machine = Life()(INTENDED, ACCEPTED, REPLACE_ASKED, ASKED_TO_CANCEL, RESTATED)
    assert machine.status().pending == ("cancel", "replace")
    assert (machine.next_wire_id, machine.next_terms) == ("o.1", REPLACE_ASKED.terms)


# --- Fills -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "again"),
    [
        ([(fill("k", "4"), None)], (fill("k", "4"), None)),
        ([(fill("k", "4"), None)], (fill("k", "4"), Cumulative(D(4)))),
        ([(fill("k", "4"), None)], (None, Cumulative(D(4), D(80)))),
        ([(fill("k", "4"), None)], (None, Cumulative(D(3)))),
        ([(fill("k", "4"), None), (fill("k", "0", revision=1), None)], (fill("k", "4"), None)),
        ([(fill("k", "4"), None), (fill("k", "0", revision=1), None)], (fill("k", "0", revision=1), None)),
        ([(fill("k", "4"), None), (fill("k", "3", revision=2), None)], (fill("k", "2", revision=1), None)),
        ([(None, Cumulative(D(6), D(120)))], (None, Cumulative(D(6), D(120)))),
        ([(None, Cumulative(D(6), D(120)))], (None, Cumulative(D(5)))),
        ([(None, Cumulative(D(6), D(120)))], (None, Cumulative(D(6)))),
    ],
)
def test_what_is_known_makes_no_record(known: list[Any], again: tuple[Any, Any]) -> None:
    """A fact told again, or one that says less than what is known, is None, and booking changes nothing by itself."""
    life = Life()
    for fact in known:
        assert life.book(*fact) is not None
    before = life.machine.status()
    assert life.machine.book(*again) is None
    assert life.machine.status() == before


def test_booking_changes_nothing() -> None:
    """`book` says which record a fact makes; only `apply` changes the machine."""
    life = Life()
    event = life.machine.book(fill("k", "4"))
    assert event is not None
    assert (event.quantity, event.notional, event.state) == (D(4), D(80), PARTIALLY_FILLED)
    assert life.machine.status().filled_quantity == 0


REVISIONS = [
    # revisions of one fill of 4 at 20, in this order -> quantity, notional, commission
    ([("4", "20", 0, "1")], ("4", "80", "1")),
    ([("4", "20", 0, "1"), ("4", "21", 1, "1")], ("4", "84", "1")),
    ([("4", "20", 0, "1"), ("3", "21", 1, "2")], ("3", "63", "2")),
    ([("4", "20", 0, "1"), ("0", "0", 1, "0")], ("0", "0", "0")),
    ([("4", "20", 0, "1"), ("0", "0", 1, "0"), ("4", "22", 2, "1")], ("4", "88", "1")),
    ([("4", "22", 2, "1"), ("0", "0", 1, "0"), ("4", "20", 0, "1")], ("4", "88", "1")),
    ([("0", "0", 1, "0"), ("4", "20", 0, "1")], ("0", "0", "0")),
]


@pytest.mark.parametrize(("told", "total"), REVISIONS)
def test_the_highest_revision_counts(told: list[Any], total: tuple[str, str, str]) -> None:
    """A correction replaces a fill, a bust is a correction to zero, and a late lower revision changes nothing."""
    life = Life()
    for quantity, price, revision, commission in told:
        life.fill("k", quantity, price, revision=revision, commission=commission)
    machine = life.machine
    assert (machine.filled_quantity, machine.notional, machine.commission) == tuple(D(part) for part in total)


def test_one_revision_told_by_two_sources_is_one_fill() -> None:
    """If one source leaves out the commission, the other's counts, whichever was heard first."""
    for order in ((0, 1), (1, 0)):
        sources = (fill("k", "4", commission="0"), fill("k", "4", commission="0.5"))
        life = Life()
        for source in order:
            life.book(sources[source])
        assert (life.machine.filled_quantity, life.machine.commission) == (D(4), D("0.5"))


def test_a_cumulative_gap_is_filled_and_later_replaced() -> None:
    """A stated total above the known fills makes an inferred fill, which the real ones replace without counting twice."""
    life = Life()
    life.fill("k1", "2", "20")
    gap = life.book(None, Cumulative(D(6), D(124), D(3)))
    assert gap is not None
    assert gap.fill.inferred
    assert gap.fill.recovered
    assert (gap.quantity, gap.notional, gap.commission, gap.fill.price) == (D(4), D(84), D(3), D(21))
    real = life.fill("k2", "3", "21", commission="1")
    assert real is not None
    assert (real.quantity, real.notional, real.commission) == (D(0), D(0), D(0))
    rest = life.fill("k3", "1", "25", commission="2")
    assert rest is not None
    assert (rest.quantity, rest.notional) == (D(0), D(4))  # the real fills say 40 + 63 + 25
    machine = life.machine
    assert (machine.filled_quantity, machine.notional, machine.commission) == (D(6), D(128), D(3))
    assert machine.cumulative is None
    assert set(machine.fills) == {"k1", "k2", "k3"}


@pytest.mark.parametrize(
    ("known", "limit", "price"),
    [
        ([("k", "3", "21")], None, "21"),  # the average of what is known
        ([], "19", "19"),  # the limit
        ([], None, "20"),  # the price at arrival
    ],
)
def test_a_gap_without_a_price_is_priced_by_the_best_guess(known: list[Any], limit: str | None, price: str) -> None:
    """Where the broker states no notional, an inferred fill takes the average so far, else the limit, else the arrival price."""
    life = Life(limit=limit)
    life(
        INTENDED, ACCEPTED, REPLACE_ASKED, OrderReplaced("o", "o.1", "b2", Terms(D(10), D(33)))
    )  # which changes no guess
    for key, quantity, at in known:
        life.fill(key, quantity, at)
    gap = life.book(None, Cumulative(D(5)))
    assert gap is not None
    assert gap.notional == gap.quantity * D(price)


def test_a_bust_does_not_make_a_gap() -> None:
    """A total that was stated before a bust does not bring the busted quantity back."""
    for order in ((0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2), (1, 2, 0), (2, 0, 1)):
        facts = ((fill("k", "4"), None), (fill("k", "0", "0", revision=1), None), (None, Cumulative(D(4), D(80))))
        life = Life()
        for index in order:
            life.book(*facts[index])
        assert (life.machine.filled_quantity, life.machine.notional) == (D(0), D(0)), order


def test_an_inferred_notional_is_rounded_once() -> None:
    """A gap priced at an average with endless digits leaves sums that are exact again once the real fill is known."""
    life = Life("1000")
    life.fill("k1", "3", "33.34")
    life.fill("k2", "4", "33.33")
    gap = life.book(None, Cumulative(D(900)))
    assert gap is not None
    assert gap.notional.as_tuple().exponent == -8
    life.fill("k3", "893", "1000.01")
    assert life.machine.notional == 3 * D("33.34") + 4 * D("33.33") + 893 * D("1000.01")


# --- All or nothing ----------------------------------------------------------------------------------------------------


def poisoned(**changes: Any) -> OrderFilled:
    event = Life().machine.book(fill("k", "4"))
    assert event is not None
    terms = {name: getattr(event, name) for name in OrderFilled.__struct_fields__}
    return OrderFilled(**{**terms, **changes})


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (OrderSubmitted("o", Life().machine.order, Arrival(1, None)), ActorError),
        (SessionClosed("main", "bye"), KeyError),
        (OrderCancelled("o", "NO_SUCH_REASON"), KeyError),  # type: ignore[arg-type]
        (OrderDenied("o", None), AttributeError),  # type: ignore[arg-type]
        (poisoned(quantity=D("sNaN")), InvalidOperation),
        (poisoned(notional=D("sNaN")), InvalidOperation),
        (poisoned(commission=D("sNaN")), InvalidOperation),
        (poisoned(fill=None), AttributeError),
        (OrderInDoubt("o", None, ""), AttributeError),  # type: ignore[arg-type]
    ],
)
def test_apply_changes_everything_or_nothing(event: Event, error: type[Exception]) -> None:
    """A record that cannot be applied leaves the machine exactly as it was."""
    life = Life()
    life(INTENDED)
    life.fill("earlier", "1")
    before = OrderMachine.fold(life.records)
    with pytest.raises(error):
        life.machine.apply(Record(99, 99, 0, event))
    assert life.machine == before


def test_a_history_begins_with_the_submission() -> None:
    """A machine cannot begin with any other record."""
    with pytest.raises(ActorError, match="begins with OrderSubmitted, not OrderIntended"):
        OrderMachine.begin(Record(1, 1, 0, INTENDED))


def test_fold_gives_the_machine_again() -> None:
    """The records of an order add up to it, and the gate's approval among them changes nothing."""
    life = Life()
    life(INTENDED, ACCEPTED, REPLACE_ASKED, REPLACED, ASKED_TO_CANCEL)
    life.fill("k", "3")
    life.book(None, Cumulative(D(7), D(140)))
    life(CANCELLED_AS_ASKED)
    approval = Record(50, 500, 0, OrderApproved("o", "main", "A", Side.BUY, D(10), D(20)))
    assert OrderMachine.fold([*life.records, approval]) == life.machine
    assert life.machine.last_record == len(life.records)


@pytest.mark.parametrize("quantity", ["NaN", "sNaN", "Infinity", "-3", "0", "1E+400"])
def test_an_impossible_quantity_can_be_denied(quantity: str) -> None:
    """An order whose quantity is no sensible number lives long enough to be denied."""
    life = Life(quantity)
    assert not life.machine.is_closed
    assert life.machine.status().state is PENDING
    machine = life(DENIED)
    assert machine.is_closed
    assert (machine.state, machine.status().remaining_quantity) == (REJECTED, D(0))
