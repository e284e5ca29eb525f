"""The person who looks after the system: when he resumes, and that what he says of an order is true."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside_kit import START_NS, FakeDoor
from trading_world import World, accepted, executed

from ordersmith.actors.doubt_events import Verdict
from ordersmith.actors.machines.breaker import HaltReason
from ordersmith.actors.machines.doubt import Doubt
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.session import Phase
from ordersmith.actors.messages import ResolveOrder, ResumeTrading
from ordersmith.actors.model import Order, TradingState
from ordersmith.actors.ports import CommandKind, OutcomeUnknown
from ordersmith.actors.snapshots import ResolveSymbol
from ordersmith.simulation.chance import Chance
from ordersmith.simulation.door import Looked, Trouble, look_at
from ordersmith.simulation.operator import Operator, Said, may_resume, verdict_on
from ordersmith.simulation.schedule import MINUTE_NS, Schedule

D = Decimal
HALTED, REDUCING = TradingState.HALTED, TradingState.REDUCING
ORDER = Order.buy("A", 10, client_order_id="o-1")


class Shown(NamedTuple):
    """An order on the broker's pages."""

    is_open: bool
    filled: Decimal = D(0)
    notional: Decimal = D(0)


class Pages:
    """What the broker shows of its orders."""

    def __init__(self, **orders: Shown) -> None:
        self.orders = orders

    def find(self, wire_id: str) -> Shown | None:
        return self.orders.get(wire_id.replace("-", "_"))


def watched(looked: Looked | None, minutes: float = 5, **orders: Shown) -> FakeDoor:
    """Return the door at which the person has said what he has to say of what he sees."""
    schedule = Schedule(START_NS)
    door = FakeDoor(schedule)
    door.looked = looked
    Operator(schedule, Chance(1).stream("operator"), door, Pages(**orders)).start()
    schedule.run(START_NS + int(minutes * MINUTE_NS))
    return door


# --- Halts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("looked", "may"),
    [
        (Looked(), False),
        (Looked(HALTED, HaltReason.MANUAL), True),
        (Looked(REDUCING, HaltReason.STRATEGY), True),
        (Looked(HALTED, HaltReason.POSITION_MISMATCH), True),
        (Looked(HALTED, HaltReason.POSITION_MISMATCH, frozen=("A",)), False),
        (Looked(HALTED, HaltReason.JOURNAL), True),
        (Looked(HALTED, HaltReason.JOURNAL, journal_fails=True), False),
        (Looked(HALTED, HaltReason.OUTCOME_UNKNOWN), True),
        (Looked(HALTED, HaltReason.OUTCOME_UNKNOWN, in_doubt=1), False),
        (Looked(HALTED, HaltReason.ORDER_RESURFACED, troubles=(Trouble(ORDER),)), False),
        (Looked(HALTED, HaltReason.ESCALATION, session=Phase.SYNCING), False),
        (Looked(HALTED, HaltReason.ESCALATION), True),
    ],
)
def test_trading_goes_on_when_its_cause_is_gone(looked: Looked, may: bool) -> None:
    """A halt is ended by hand only when what it was for is gone."""
    assert may_resume(looked) is may
    assert bool(watched(looked).of(ResumeTrading)) is may


def test_he_needs_his_time() -> None:
    """He looks for the first time after half a minute at the earliest, and again within one and a half."""
    assert watched(Looked(), 29.9 / 60).looks == []
    assert len(watched(Looked(), 1.5).looks) >= 1
    assert 6 <= len(watched(Looked(), 10).looks) <= 20


def test_what_mends_itself_is_mostly_left_alone() -> None:
    """A halt for rejections is resumed by hand now and then only."""
    mending = watched(Looked(HALTED, HaltReason.REPEATED_REJECTIONS), 60)
    assert 0 < len(mending.of(ResumeTrading)) < len(mending.looks) / 2


def test_nobody_is_asked_while_the_process_is_down() -> None:
    """He neither looks at nor asks a process that is not there, and goes on when it is back."""
    schedule = Schedule(START_NS)
    door = FakeDoor(schedule)
    door.looked, door.is_up = Looked(HALTED, HaltReason.MANUAL), False
    Operator(schedule, Chance(1).stream("operator"), door, Pages()).start()
    schedule.run(START_NS + 5 * MINUTE_NS)
    assert (door.looks, door.asked) == ([], [])
    door.is_up = True
    schedule.run(START_NS + 10 * MINUTE_NS)
    assert door.of(ResumeTrading)


# --- Symbols -----------------------------------------------------------------------------------------------------------


def test_frozen_symbols_are_settled() -> None:
    """Each frozen symbol, cash too, is settled at the account's connection, mostly by taking over the broker's books."""
    door = watched(Looked(frozen=("A", "")), 60)
    said = door.of(ResolveSymbol)
    assert {actor for actor, _ in door.asked} == {"connection/main"}
    assert {word.symbol for word in said} == {"A", ""}
    adopted = sum(word.verdict == "adopt" for word in said)
    assert len(said) / 2 < adopted < len(said)


# --- Orders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "shown", "said"),
    [
        (Trouble(ORDER), None, Said(Verdict.ABSENT)),
        (Trouble(ORDER), Shown(True), None),
        (Trouble(ORDER, quarantined=True), Shown(True), Said(Verdict.RELEASE)),
        (Trouble(ORDER), Shown(False, D(10), D(200)), Said(Verdict.FILLED, D(10), D("20.0000"))),
        (Trouble(ORDER, D(4), D(80)), Shown(False, D(10), D(206)), Said(Verdict.FILLED, D(6), D("21.0000"))),
        (Trouble(ORDER, D(4), D(80)), Shown(False, D(4), D(80)), Said(Verdict.ABSENT)),
        (Trouble(ORDER, D(4), D(80)), Shown(False, D(3), D(60)), Said(Verdict.ABSENT)),
        (Trouble(ORDER), Shown(False, D(12), D(240)), None),
        (Trouble(ORDER, quarantined=True), Shown(False, D(12), D(240)), Said(Verdict.RELEASE)),
        (Trouble(ORDER, D(4), D(400)), Shown(False, D(10), D(200)), Said(Verdict.FILLED, D(6), D("20.0000"))),
        (Trouble(ORDER, D(10), D(200), may_be_open=False, quarantined=True), None, Said(Verdict.RELEASE)),
    ],
)
def test_a_verdict_follows_from_the_truth(trouble: Trouble, shown: Shown | None, said: Said | None) -> None:
    """What is said of an order is what the broker shows of it, or nothing while it works there."""
    assert verdict_on(trouble, shown) == said


@given(ours=st.integers(0, 100), theirs=st.integers(0, 120), cents=st.integers(1, 20_000), is_quarantined=st.booleans())
def test_no_verdict_is_untrue(ours: int, theirs: int, cents: int, is_quarantined: bool) -> None:
    """Whoever takes an order as it was said has what the broker has, and never more than was ordered."""
    order, price = Order.buy("A", 100), D(cents) / 100
    trouble = Trouble(order, D(ours), ours * price, quarantined=is_quarantined)
    said = verdict_on(trouble, Shown(False, D(theirs), theirs * price))
    if said is not None and said.verdict is Verdict.FILLED:
        assert said.quantity is not None
        assert ours + said.quantity == theirs <= 100
        assert said.price == price
    elif said is not None and said.verdict is Verdict.ABSENT:
        assert theirs <= ours


def test_a_quarantined_order_is_watched_first() -> None:
    """Nothing is said of an order in quarantine for a minute, of one in doubt it is said at once."""
    doubtful, quarantined = Trouble(ORDER), Trouble(Order.buy("A", 5, client_order_id="o-2"), quarantined=True)
    door = watched(Looked(troubles=(doubtful, quarantined)), 1.5)
    first = door.of(ResolveOrder)[0]
    assert (first.client_order_id, first.verdict) == ("o-1", "absent")
    door = watched(Looked(troubles=(quarantined,)), 5, o_2=Shown(False, D(5), D(50)))
    said = door.of(ResolveOrder)[0]
    assert (said.client_order_id, said.verdict, said.quantity, said.price) == ("o-2", "filled", 5, D("10.0000"))
    assert len(door.of(ResolveOrder)) < len(door.looks)


# --- What he sees ------------------------------------------------------------------------------------------------------


def seen(world: World, *, every: bool = False) -> Looked:
    """Look at a backtest's tree as if it were a core."""
    core: Any = SimpleNamespace(
        dispatcher=world.dispatcher, lifecycle=world.backtest.lifecycle, plan=SimpleNamespace(account="main")
    )
    return look_at(core, every=every)


def test_a_look_shows_what_is_open_and_in_doubt() -> None:
    """One glance shows the state of trading, the open orders, and how many of them are in doubt."""
    world = World(scripted=True).bar()
    orders = [Order.buy("A", 10, "9", client_order_id=name) for name in ("o-1", "o-2", "o-3")]
    world.submit(*orders)
    world.says(accepted("o-1.0"), OutcomeUnknown("o-2.0", CommandKind.NEW, "no answer"))
    world.says(accepted("o-3.0"), executed("o-3.0", "k", 10, 9, 10))
    for every in (False, True):
        looked = seen(world, every=every)
        assert looked.open_ids == ("o-1", "o-2")
        assert (looked.in_doubt, looked.troubles, looked.frozen) == (1, (), ())
    world.halt()
    assert (seen(world).trading_state, seen(world).reason) == (HALTED, HaltReason.MANUAL)


def test_a_look_shows_who_needs_a_person() -> None:
    """An order of which a person was called is shown with what it has filled by our books, one that is only in doubt is not."""
    world = World(scripted=True).bar()
    world.submit(Order.buy("A", 10, "9", client_order_id="o-1"))
    world.says(accepted("o-1.0"), executed("o-1.0", "k", 4, 9, 4))
    world.says(OutcomeUnknown("o-1.0", CommandKind.NEW, "no answer"))
    machine: OrderMachine = world.machine("o-1")
    assert seen(world).troubles == ()
    machine.doubt = Doubt(START_NS, person_called=True)
    (trouble,) = seen(world).troubles
    assert (trouble.filled_quantity, trouble.notional, trouble.may_be_open, trouble.quarantined) == (4, 36, True, False)
