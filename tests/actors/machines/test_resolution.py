"""A person's word about an order: what it books, and that the broker's own word counts more when it comes after all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.doubt_events import OrderResolved, Verdict
from ordersmith.actors.events import (
    Arrival,
    Cumulative,
    OrderCancelled,
    OrderFilled,
    OrderInDoubt,
    OrderIntended,
    OrderRejected,
    OrderSubmitted,
)
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.resolution import Word, outcome, refusal
from ordersmith.actors.model import Fill, Order, OrderState
from ordersmith.actors.ports import CommandKind

D = Decimal
NOW_NS = 99


class Life:
    """The order `o` for 10, sent and in doubt."""

    def __init__(self, *events: Event, sent: bool = True) -> None:
        order = Order.buy("A", 10, "9", client_order_id="o")
        self.machine = OrderMachine.begin(Record(1, 1, 0, OrderSubmitted("o", order, Arrival(1, D(9)))))
        self.apply(*((OrderIntended("o", "o.0"), OrderInDoubt("o", CommandKind.NEW, "504")) if sent else ()), *events)

    def apply(self, *events: Event) -> None:
        for event in events:
            number = self.machine.last_record + 1
            self.machine.apply(Record(number, number, 0, event))

    def resolve(self, word: Word, *, quarantined: bool = False) -> list[type]:
        assert refusal(self.machine, word, quarantined=quarantined) is None
        made = outcome(self.machine, word, NOW_NS)
        self.apply(*made)
        return [type(event) for event in made]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20)), max_size=3), st.integers(1, 10), st.integers(1, 20))
def test_the_brokers_executions_replace_what_a_person_said(parts: list[tuple[int, int]], said: int, price: int) -> None:
    """If in the end the broker tells of every share, quantity, notional and commission are exactly the broker's."""
    life = Life()
    life.resolve(Word("filled", "seen in the list", D(said), D(price)))
    assert (life.machine.filled_quantity, life.machine.notional) == (D(said), D(said * price))
    told = D(0)
    notional = D(0)
    for number, (quantity, at_price) in enumerate([*parts, (10, 7)]):
        part = min(D(quantity), D(10) - told)
        if not part:
            break
        told += part
        notional += part * at_price
        fill = Fill(fill_key=f"k{number}", quantity=part, price=D(at_price), at_ns=1, commission=D(1))
        event = life.machine.book(fill, Cumulative(told))
        assert event is not None
        life.apply(event)
    machine = life.machine
    assert (machine.filled_quantity, machine.notional, machine.commission) == (told, notional, D(len(machine.fills)))
    assert machine.state is OrderState.FILLED


def test_each_word_about_a_fill_has_a_key_of_its_own() -> None:
    """A second word, in quarantine say, does not replace the first; both are marked as recovered and inferred."""
    life = Life()
    life.resolve(Word("filled", "a part", D(3)))
    first = life.machine.status()
    assert (first.state, first.reason, first.filled_quantity) == (OrderState.CANCELLED, "NOT_FOUND", D(3))
    assert life.machine.filled_by_hand == 1
    again = Life(OrderResolved("o", Verdict.FILLED, "before"))
    event = outcome(again.machine, Word("filled", "the rest", D(2)), NOW_NS)[1]
    assert isinstance(event, OrderFilled)
    assert (event.fill.fill_key, event.fill.recovered, event.fill.inferred) == ("by-hand:2", True, True)
    assert (event.fill.price, event.fill.at_ns) == (D(9), NOW_NS)


def test_release_closes_only_what_was_never_sent() -> None:
    """An order that may be open goes on; one that never left is closed; one that has ended stays as it is."""
    release = Word("release", "the bug is mended")
    assert Life().resolve(release, quarantined=True) == [OrderResolved]
    never = Life(sent=False)
    assert never.resolve(release, quarantined=True) == [OrderResolved, OrderCancelled]
    assert (never.machine.state, never.machine.reason) == (OrderState.CANCELLED, "NOT_SENT")
    assert Life(OrderRejected("o", "NO", "")).resolve(release, quarantined=True) == [OrderResolved]


@pytest.mark.parametrize("verdict", ["absent", "filled"])
def test_what_has_ended_can_only_be_released(verdict: str) -> None:
    """A word about an order that the broker has ended is refused, in quarantine too."""
    machine = Life(OrderRejected("o", "NO", "")).machine
    assert refusal(machine, Word(verdict, "why"), quarantined=True) == (
        f"order o (REJECTED) cannot be resolved as {verdict}, only as release"
    )
    assert "nothing to resolve" in str(refusal(machine, Word(verdict, "why"), quarantined=False))
