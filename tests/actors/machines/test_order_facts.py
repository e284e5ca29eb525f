"""Any order of the same facts about an order ends in the same order; and the machine against a model that adds everything up anew."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.events import (
    Arrival,
    CancelReason,
    Cumulative,
    OrderAccepted,
    OrderCancelled,
    OrderCancelRefused,
    OrderCancelRequested,
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
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.model import Fill, Order, OrderStatus, Side, Terms
from ordersmith.actors.ports import CommandKind

ORDERED = 20
AT_ARRIVAL = Decimal("10.5")
Fact = Event | Fill | Cumulative | tuple[Fill, Cumulative]

# --- Facts -------------------------------------------------------------------------------------------------------------

prices = st.integers(900, 1200).map(lambda cents: Decimal(cents) / 100)
fees = st.integers(0, 300).map(lambda cents: Decimal(cents) / 100)


@st.composite
def broker_histories(draw: Any) -> list[Fact]:
    """Return what a broker may say of one order: fills with revisions, totals after each, one restatement, and how it ended.

    A second restatement, or one of another leg, would have its place among the others: the last one counts, so these
    must come in their order. Neither has an inferred fill's guess at a price to do with the limit that a restatement made.
    """
    facts: list[Fact] = [OrderAccepted("o", "o.0", "b1")] if draw(st.booleans()) else []
    facts += draw(st.just([]) | st.integers(1, 40).map(lambda total: [OrderRestated("o", Terms(Decimal(total)), "")]))
    total = Cumulative(Decimal(0), Decimal(0), Decimal(0))
    left = ORDERED
    for number in range(draw(st.integers(0, 5))):
        if not left:
            break
        quantity = draw(st.integers(1, left))
        left -= quantity
        fill = Fill(
            fill_key=f"k{number}", quantity=Decimal(quantity), price=draw(prices), at_ns=number, commission=draw(fees)
        )
        total = Cumulative(
            total.quantity + fill.quantity,
            (total.notional or 0) + fill.quantity * fill.price,
            (total.commission or 0) + fill.commission,
        )
        facts += draw(st.lists(st.sampled_from(_ways_to_tell(fill, total)), max_size=3))
        for revision in range(1, draw(st.integers(0, 2)) + 1):
            corrected = Decimal(draw(st.integers(0, quantity)))
            facts.append(
                Fill(
                    fill_key=fill.fill_key,
                    quantity=corrected,
                    price=draw(prices) if corrected else Decimal(0),
                    at_ns=number,
                    commission=draw(fees) if corrected else Decimal(0),
                    revision=revision,
                )
            )
    ends = (
        OrderCancelled("o", CancelReason.REQUESTED, "as asked"),
        OrderCancelled("o", CancelReason.BROKER, "halted"),
        OrderCancelled("o", CancelReason.EXPIRED),
        OrderRejected("o", "NO_MONEY", "not enough"),
        OrderRejected("o", "LATE", "closed"),
    )
    return facts + draw(st.lists(st.sampled_from(ends), max_size=2))


def _ways_to_tell(fill: Fill, total: Cumulative) -> list[Fact]:
    """Return the forms in which sources state one fill: with the total, alone, or as the total only, saying more or less."""
    bare = Cumulative(total.quantity)
    return [(fill, bare), fill, total, Cumulative(total.quantity, total.notional), bare]


class Life:
    """An order that was sent, and the deltas of its fill records."""

    def __init__(self) -> None:
        order = Order(symbol="A", side=Side.BUY, quantity=Decimal(ORDERED), client_order_id="o", account="main")
        self.machine = OrderMachine.begin(Record(1, 1, 0, OrderSubmitted("o", order, Arrival(1, AT_ARRIVAL))))
        self.number = 1
        self.deltas = [Decimal(0)] * 3
        self.apply(OrderIntended("o", "o.0"))

    def apply(self, event: Event) -> None:
        self.number += 1
        self.machine.apply(Record(self.number, self.number, 0, event))

    def tell(self, fact: Fact) -> OrderFilled | None:
        if isinstance(fact, Event):
            self.apply(fact)
            return None
        fill, cumulative = fact if isinstance(fact, tuple) else (fact, None)
        event = self.machine.book(None, fill) if isinstance(fill, Cumulative) else self.machine.book(fill, cumulative)
        if event is not None:
            self.apply(event)
            assert event.state is self.machine.state
            changes = (event.quantity, event.notional, event.commission)
            self.deltas = [total + change for total, change in zip(self.deltas, changes, strict=True)]
        return event


def public(machine: OrderMachine) -> tuple[Any, ...]:
    status = machine.status()
    return (
        status.state,
        status.quantity,
        status.filled_quantity,
        status.notional,
        status.commission,
        status.reason,
        status.text,
        status.broker_order_id,
        status.pending,
        status.in_doubt,
        machine.fills,
        machine.cumulative,
    )


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_permutation_and_duplication_of_facts_ends_in_the_same_order(data: st.DataObject) -> None:
    """State, totals, reason, text and fills depend on which facts were told, not on their order or how often."""
    facts = data.draw(broker_histories(), "facts")
    again = data.draw(st.lists(st.sampled_from(facts), max_size=5) if facts else st.just([]), "told again")
    shuffled = data.draw(st.permutations([*facts, *again]), "another order")
    first, second = Life(), Life()
    for fact in facts:
        first.tell(fact)
    for fact in shuffled:
        second.tell(fact)
    assert public(first.machine) == public(second.machine)
    for life in (first, second):
        machine = life.machine
        assert life.deltas == [machine.filled_quantity, machine.notional, machine.commission]
        for fact in facts:
            if not isinstance(fact, Event):
                assert life.tell(fact) is None, "what is known makes no record"


# --- Against a naive model ---------------------------------------------------------------------------------------------


class NaiveOrder:
    """Keeps every fact ever told and adds them up from nothing whenever it is asked."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, Decimal, Decimal, Decimal]] = []
        self.totals: list[tuple[Decimal, Decimal | None]] = []
        self.facts: list[str] = ["sent"]
        self.quantity = Decimal(ORDERED)
        self.open: dict[str, str] = {"new": "asked"}

    def sums(self) -> tuple[Decimal, Decimal, Decimal]:
        keys = sorted({key for key, *_ in self.told})
        last = [max(fact for fact in self.told if fact[0] == key) for key in keys]
        quantity = sum((fact[2] for fact in last), Decimal(0))
        notional = sum((fact[2] * fact[3] for fact in last), Decimal(0))
        commission = sum((fact[4] for fact in last), Decimal(0))
        # A total that was stated covers whatever any revision of a fill said at most.
        most = [max(fact[2:] for fact in self.told if fact[0] == key) for key in keys]
        covered = sum((fact[0] for fact in most), Decimal(0))
        covered_notional = sum((fact[0] * fact[1] for fact in most), Decimal(0))
        stated = max(self.totals, key=lambda fact: (fact[0], fact[1] or Decimal(-1)), default=None)
        if stated is not None and stated[0] > covered:
            gap = stated[0] - covered
            worth = (stated[1] or Decimal(0)) - covered_notional
            if worth <= 0:
                worth = gap * (covered_notional / covered if covered else AT_ARRIVAL)
            quantity, notional = quantity + gap, notional + worth.quantize(Decimal("1E-8"), ROUND_HALF_EVEN)
        return quantity, notional, commission

    def state(self) -> str:
        filled = self.sums()[0]
        if filled >= self.quantity:
            return "FILLED"
        if {"cancelled", "expired"} & set(self.facts):
            return "CANCELLED"
        if "rejected" in self.facts:
            return "CANCELLED" if filled > 0 else "REJECTED"
        return "PARTIALLY_FILLED" if filled > 0 else "SUBMITTED"

    def settle(self) -> None:
        """Close the questions that the facts have answered."""
        if self.facts != ["sent"] or self.told:
            self.open.pop("new", None)
        if self.state() in ("FILLED", "CANCELLED", "REJECTED"):
            self.open.pop("cancel", None)
            self.open.pop("replace", None)


class OrderLife(RuleBasedStateMachine):
    """One order, told anything at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.model = NaiveOrder()
        self.fills: list[Fill] = []
        self.legs = 0

    @rule(quantity=st.integers(1, 8), price=prices, commission=fees)
    def fill(self, quantity: int, price: Decimal, commission: Decimal) -> None:
        self.book(
            Fill(
                fill_key=f"k{len(self.fills)}", quantity=Decimal(quantity), price=price, at_ns=0, commission=commission
            )
        )

    @precondition(lambda self: self.fills)
    @rule(data=st.data())
    def fill_again(self, data: st.DataObject) -> None:
        """Tell a known fill once more."""
        assert self.life.tell(data.draw(st.sampled_from(self.fills))) is None

    @precondition(lambda self: self.fills)
    @rule(data=st.data(), quantity=st.integers(0, 8), price=prices, revision=st.integers(1, 3))
    def revise(self, data: st.DataObject, quantity: int, price: Decimal, revision: int) -> None:
        key = data.draw(st.sampled_from(self.fills)).fill_key
        if all((fill.fill_key, fill.revision) != (key, revision) for fill in self.fills):
            self.book(Fill(fill_key=key, quantity=Decimal(quantity), price=price, at_ns=0, revision=revision))

    def book(self, fill: Fill) -> None:
        self.fills.append(fill)
        self.model.told.append((fill.fill_key, fill.revision, fill.quantity, fill.price, fill.commission))
        self.life.tell(fill)
        self.model.settle()

    @rule(quantity=st.integers(1, 25), price=st.none() | prices)
    def state_total(self, quantity: int, price: Decimal | None) -> None:
        total = Cumulative(Decimal(quantity), None if price is None else price * quantity)
        before = self.model.sums()
        self.model.totals.append((total.quantity, total.notional))
        says_something = self.life.tell(total) is not None
        assert says_something or self.model.sums() == before
        if says_something:
            self.model.facts.append("filled")
            self.model.settle()

    @rule()
    def accept(self) -> None:
        self.tell(OrderAccepted("o", "o.0", "b1"), "accepted")

    @rule()
    def reject(self) -> None:
        self.tell(OrderRejected("o", "NO", ""), "rejected")

    @rule()
    def expire(self) -> None:
        self.tell(OrderCancelled("o", CancelReason.EXPIRED), "expired")

    @rule(reason=st.sampled_from([CancelReason.BROKER, CancelReason.REQUESTED]))
    def cancelled(self, reason: CancelReason) -> None:
        self.tell(OrderCancelled("o", reason), "cancelled")

    def tell(self, event: Event, fact: str) -> None:
        self.life.apply(event)
        self.model.facts.append(fact)
        self.model.settle()

    @precondition(lambda self: not self.life.machine.is_closed and "cancel" not in self.model.open)
    @rule()
    def ask_to_cancel(self) -> None:
        self.life.apply(OrderCancelRequested("o"))
        self.model.open["cancel"] = "asked"

    @rule()
    def refuse_cancel(self) -> None:
        self.life.apply(OrderCancelRefused("o", "DONE", ""))
        self.model.open.pop("cancel", None)

    @precondition(lambda self: not self.life.machine.is_closed and "replace" not in self.model.open)
    @rule()
    def ask_to_replace(self) -> None:
        self.legs += 1
        self.life.apply(OrderReplaceRequested("o", f"o.{self.legs}", Terms(Decimal(0))))
        self.model.open["replace"] = "asked"

    @precondition(lambda self: "replace" in self.model.open)
    @rule(quantity=st.integers(1, 30), price=st.none() | prices)
    def replace(self, quantity: int, price: Decimal | None) -> None:
        self.life.apply(OrderReplaced("o", f"o.{self.legs}", "b2", Terms(Decimal(quantity), price)))
        self.model.quantity = Decimal(quantity)
        self.model.open.pop("replace")
        self.model.settle()

    @rule(quantity=st.integers(1, 30), price=st.none() | prices)
    def restate(self, quantity: int, price: Decimal | None) -> None:
        self.life.apply(OrderRestated("o", Terms(Decimal(quantity), price), "split"))
        self.model.quantity = Decimal(quantity)
        self.model.facts.append("restated")
        self.model.settle()

    @precondition(lambda self: "replace" in self.model.open)
    @rule()
    def refuse_replace(self) -> None:
        self.life.apply(OrderReplaceRefused("o", "NO", ""))
        self.model.open.pop("replace")

    @rule(kind=st.sampled_from(CommandKind))
    def lose_an_answer(self, kind: CommandKind) -> None:
        self.life.apply(OrderInDoubt("o", kind, "504"))
        if kind.value in self.model.open:
            self.model.open[kind.value] = "in doubt"

    # --- What always holds ---------------------------------------------------------------------------------------------

    @property
    def status(self) -> OrderStatus:
        return self.life.machine.status()

    @invariant()
    def totals_are_the_sums_of_the_facts(self) -> None:
        quantity, notional, commission = self.model.sums()
        assert self.status.filled_quantity == quantity
        assert self.status.commission == commission
        assert self.status.notional == notional
        assert self.life.deltas == [self.status.filled_quantity, self.status.notional, self.status.commission]

    @invariant()
    def the_state_is_what_the_facts_say(self) -> None:
        assert self.status.state == self.model.state()
        assert self.life.machine.is_closed == self.status.is_closed

    @invariant()
    def questions_are_open_until_they_are_answered(self) -> None:
        assert set(self.status.pending) == set(self.model.open)
        assert self.status.in_doubt == ("in doubt" in self.model.open.values())


OrderLife.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestOrderAgainstANaiveModel = OrderLife.TestCase
