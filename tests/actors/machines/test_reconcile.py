"""Reconciliation: whatever we believe and whatever the broker has, the repairs make the two the same, and nothing else is done."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from account_kit import CASH, Believer, BrokersAccount, BrokersOrder
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.events import (
    CancelReason,
    OrderCancelled,
    OrderCancelRequested,
    OrderInDoubt,
    OrderReplaceRequested,
)
from ordersmith.actors.machines.reconcile import Repairs, differences, external_of, reconcile
from ordersmith.actors.model import Fill, Order, OrderType, Side, Terms
from ordersmith.actors.ports import BrokerOrderState, BrokerPosition, CommandKind, Executed, OrderFound
from ordersmith.actors.snapshots import AccountSnapshot, Difference, ExternalOrder

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
WORKING, CANCELLED, DONE = BrokerOrderState.WORKING, BrokerOrderState.CANCELLED, BrokerOrderState.DONE
NONE = Repairs()


def fill(key: str, quantity: object, price: object = 9, **more: Any) -> Fill:
    return Fill(fill_key=key, quantity=D(str(quantity)), price=D(str(price)), at_ns=5, **more)


def brokers(
    order_id: str, *fills: Fill, state: BrokerOrderState = WORKING, side: Side = BUY, quantity: int = 10
) -> BrokersOrder:
    order = Order(symbol="A", side=side, quantity=D(quantity), client_order_id=order_id, account="main")
    return BrokersOrder(order, state, fills)


def believing(broker: BrokersAccount, known: dict[str, int], *, accepted: bool = True) -> Believer:
    """Return us, who know the first so many executions of each order."""
    us = Believer()
    for order_id, count in known.items():
        us.submit(broker.orders[order_id].order)
        if accepted:
            us.accept(order_id)
        for told in broker.orders[order_id].executed()[:count]:
            us.execute(told)
    return us


# --- Case by case ------------------------------------------------------------------------------------------------------


def test_a_snapshot_that_says_what_we_believe_repairs_nothing() -> None:
    """Nothing is told, asked or different when the broker has what we have."""
    broker = BrokersAccount([brokers("o", fill("1", 4))])
    us = believing(broker, {"o": 1})
    assert reconcile(us.beliefs(), broker.snapshot(us.number)) == NONE


def test_an_execution_that_we_missed_is_told_as_recovered() -> None:
    """A missed execution goes to its order like any other, marked, and nothing more is said of what it explains."""
    broker = BrokersAccount([brokers("o", fill("1", 4), fill("2", 3))])
    us = believing(broker, {"o": 1})
    repairs = reconcile(us.beliefs(), broker.snapshot(us.number))
    assert repairs.reports == (Executed("o.0", fill("2", 3, recovered=True), D(7)),)
    assert (repairs.asks, repairs.absent) == ((), ())


def test_a_correction_that_we_missed_is_told() -> None:
    """A later revision of an execution that we know is news; the same or an earlier one is not."""
    broker = BrokersAccount([brokers("o", fill("1", 4))])
    us = believing(broker, {"o": 1})
    broker.orders["o"].executions = (fill("1", 3, revision=1),)
    (told,) = reconcile(us.beliefs(), broker.snapshot(us.number)).reports
    assert isinstance(told, Executed)
    assert (told.fill.quantity, told.fill.recovered) == (3, True)
    us.execute(told)
    broker.orders["o"].executions = (fill("1", 4),)
    assert not any(isinstance(told, Executed) for told in reconcile(us.beliefs(), broker.snapshot(us.number)).reports)


def test_what_was_taken_back_before_we_knew_it_is_told_with_what_it_was() -> None:
    """Its quantity was inferred from a total, and its bust alone does not say how much of that it was."""
    broker = BrokersAccount([brokers("o", fill("1", 4), fill("2", 3))])
    us = believing(broker, {"o": 0})
    us.execute(Executed("o.0", fill("2", 3), D(7)))
    us.execute(Executed("o.0", fill("1", 0, revision=1), D(3)))
    assert us.machines["o"].filled_quantity == 7
    broker.orders["o"].executions = (fill("1", 4), fill("2", 3), fill("1", 0, revision=1))
    for report in reconcile(us.beliefs(), broker.snapshot(us.number)).reports:
        if isinstance(report, Executed):
            us.execute(report)
    assert us.machines["o"].filled_quantity == 3


def test_without_executions_the_cumulative_quantity_tells() -> None:
    """A broker that keeps no executions repairs by what it says of the order."""
    broker = BrokersAccount([brokers("o", fill("1", 4), fill("2", 3))], tells_executions=False)
    us = believing(broker, {"o": 1})
    assert reconcile(us.beliefs(), broker.snapshot(us.number)).reports == (broker.orders["o"].found(),)


def test_an_order_that_is_not_listed_is_asked_for() -> None:
    """An order believed open and not listed is asked for by its last leg, and is absent if no execution is its."""
    broker = BrokersAccount([brokers("o", state=CANCELLED), brokers("p", fill("1", 10), state=DONE)])
    us = believing(broker, {"o": 0, "p": 0})
    repairs = reconcile(us.beliefs(), broker.snapshot(us.number))
    assert (repairs.asks, repairs.absent) == (("o.0", "p.0"), ("o.0",))
    us.machines["o"].next_wire_id = "o.1"
    assert reconcile(us.beliefs(), broker.snapshot(us.number)).asks == ("o.1", "p.0")


def test_a_replacement_of_which_there_is_no_trace_is_absent() -> None:
    """An order that is listed by the leg before proves that its replacement was looked for; one that was made is not absent."""
    broker = BrokersAccount([brokers("o")])
    us = believing(broker, {"o": 0})
    us.learn(OrderReplaceRequested("o", "o.1", Terms(D(12))))
    assert reconcile(us.beliefs(), broker.snapshot(us.number)).absent == ("o.1",)
    assert reconcile(us.beliefs(), broker.snapshot(us.number - 1)).absent == ()
    broker.orders["o"].wire_id = "o.1"
    assert reconcile(us.beliefs(), broker.snapshot(us.number)).absent == ()


def test_what_was_never_sent_is_not_asked_for() -> None:
    """An order that the gate has approved and that has no leg yet cannot be at the broker."""
    broker = BrokersAccount([brokers("o", state=CANCELLED)])
    us = believing(broker, {"o": 0})
    us.machines["o"].wire_id = ""
    assert reconcile(us.beliefs(), broker.snapshot(us.number)) == NONE


def test_facts_received_since_the_question_are_not_judged_by_the_answer() -> None:
    """An order that something has happened to since is neither told nor asked for; its executions still are facts."""
    broker = BrokersAccount([brokers("o", fill("1", 4)), brokers("p", state=CANCELLED)])
    us = believing(broker, {"o": 0, "p": 0}, accepted=False)
    repairs = reconcile(us.beliefs(), broker.snapshot(as_of=1))
    assert [type(report) for report in repairs.reports] == [Executed]
    assert (repairs.asks, repairs.absent) == ((), ())


def test_an_answer_that_was_lost_is_stood_in_for() -> None:
    """Of a new session an order with an open question hears where it stands; in a session under way its answer is awaited."""
    broker = BrokersAccount([brokers("o")])
    us = believing(broker, {"o": 0})
    us.learn(OrderCancelRequested("o"))
    snapshot = broker.snapshot(us.number)
    assert reconcile(us.beliefs(lost_answers=True), snapshot).reports == (broker.orders["o"].found(),)
    assert reconcile(us.beliefs(lost_answers=False), snapshot) == NONE
    us.learn(OrderInDoubt("o", CommandKind.CANCEL, "no answer"))
    snapshot = broker.snapshot(us.number)
    assert reconcile(us.beliefs(lost_answers=False), snapshot).reports == (broker.orders["o"].found(),)


def test_an_order_that_works_although_we_believe_it_gone_is_told() -> None:
    """What the broker lists as open is told to an order that we believe closed."""
    broker = BrokersAccount([brokers("o")])
    us = believing(broker, {"o": 0})
    us.learn(OrderCancelled("o", CancelReason.NOT_SENT))
    assert reconcile(us.beliefs(), broker.snapshot(us.number)).reports == (broker.orders["o"].found(),)


def test_a_list_that_lags_behind_is_asked_about() -> None:
    """An order listed with less than we have booked is asked for by id, not believed to have lost a fill."""
    broker = BrokersAccount([brokers("o", fill("1", 4), fill("2", 3))])
    us = believing(broker, {"o": 2})
    broker.orders["o"].executions = (fill("1", 4),)
    repairs = reconcile(us.beliefs(), broker.snapshot(us.number))
    assert (repairs.reports, repairs.asks) == ((), ("o.0",))


def test_orders_of_nobody_here_are_told_until_they_are_known_to_be_external() -> None:
    """An order with an id of our form that is not in memory is told on; as an external it is compared instead."""
    us = Believer()
    found = OrderFound("x.0", "b", WORKING, D(1), D(9), D(0), "A", SELL, D(4), D(8), OrderType.LIMIT)
    snapshot = AccountSnapshot(us.number, CASH, (), (found,))
    assert reconcile(us.beliefs(), snapshot) == Repairs(reports=(found,))
    external = ExternalOrder("b", "A", SELL, D(4), D(8), OrderType.LIMIT)
    assert external_of(found) == external
    us.externals["b"] = external
    assert reconcile(us.beliefs(), snapshot) == NONE
    us.externals["b"] = msgspec.structs.replace(external, open_quantity=D(5))
    assert reconcile(us.beliefs(), snapshot) == Repairs(seen=(external,))
    assert reconcile(us.beliefs(), AccountSnapshot(us.number, CASH, ())) == Repairs(gone=("b",))


def test_externals_are_said_once_and_again_when_they_change() -> None:
    """An order that is not ours is news when it comes, when what is open of it changes, and when it goes."""
    us, broker = Believer(), BrokersAccount([])
    first, less = ExternalOrder("e", "A", BUY, D(4)), ExternalOrder("e", "A", BUY, D(3))
    for externals, expected in (
        ((first,), Repairs(seen=(first,))),
        ((first,), NONE),
        ((less,), Repairs(seen=(less,))),
        ((), Repairs(gone=("e",))),
        ((), NONE),
    ):
        broker.externals = externals
        repairs = reconcile(us.beliefs(), broker.snapshot(us.number))
        assert repairs == expected
        us.repair(repairs, broker)


@pytest.mark.parametrize(
    ("held", "cash", "expected"),
    [
        ([("A", 10, 9)], "9910", []),
        ([("A", 10, 8)], "9910", []),  # what it has cost is no difference
        ([("A", 12, 8)], "9910", [Difference("A", D(10), D(12), D(8))]),
        ([], "9910", [Difference("A", D(10), D(0), D(9))]),
        ([("A", 10, 9), ("B", -1, 7)], "9910", [Difference("B", D(0), D(-1), D(7))]),
        ([("A", 10, 9)], "9910.01", []),
        ([("A", 10, 9)], "9909.98", [Difference("", D(9910), D("9909.98"))]),
        ([("A", -10, 9)], "9911", [Difference("A", D(10), D(-10), D(9)), Difference("", D(9910), D(9911))]),
    ],
)
def test_the_books_are_compared(held: list[tuple[str, int, int]], cash: str, expected: list[Difference]) -> None:
    """Quantities must be the same, cash within a cent; a difference says at what price it would be taken over."""
    broker = BrokersAccount([brokers("o", fill("1", 10))])
    us = believing(broker, {"o": 1})
    positions = tuple(BrokerPosition(symbol, D(quantity), D(price)) for symbol, quantity, price in held)
    snapshot = AccountSnapshot(us.number, D(cash), positions)
    assert list(differences(us.ledger.accounts["main"], snapshot)) == expected
    assert differences(None, snapshot) == ()


# --- Whatever there is -------------------------------------------------------------------------------------------------

STATES = st.sampled_from([WORKING, WORKING, CANCELLED, BrokerOrderState.EXPIRED, BrokerOrderState.REJECTED])


@st.composite
def accounts(draw: st.DrawFn) -> tuple[BrokersAccount, Believer]:
    """Draw a broker's account and what we know of it: of each order some executions, in any order, and perhaps its end."""
    made = []
    for number in range(draw(st.integers(0, 5))):
        quantities = draw(st.lists(st.integers(1, 9), max_size=4))
        fills = tuple(
            fill(f"{number}-{index}", quantity, draw(st.integers(1, 9999)) / D(100), commission=D(index) / 10)
            for index, quantity in enumerate(quantities)
        )
        total = sum(quantities)
        is_full = draw(st.booleans()) and total > 0
        state = DONE if is_full else draw(STATES)
        quantity = total if is_full else total + draw(st.integers(1, 9))
        if state is BrokerOrderState.REJECTED:
            fills = ()
        made.append(
            brokers(f"o{number}", *fills, state=state, side=draw(st.sampled_from([BUY, SELL])), quantity=quantity)
        )
    broker = BrokersAccount(made, tells_executions=draw(st.booleans()))
    us = Believer()
    for each in made:
        order_id = each.order.client_order_id
        us.submit(each.order)
        if draw(st.booleans()):
            us.accept(order_id)
        for told in draw(st.permutations(each.executed())):
            if draw(st.booleans()):
                us.execute(told)
        if draw(st.booleans()):
            us.learn(OrderCancelRequested(order_id))
        if each.state is CANCELLED and draw(st.booleans()):
            us.learn(OrderCancelled(order_id, CancelReason.BROKER))
    broker.externals = tuple(
        ExternalOrder(f"e{number}", "B", BUY, D(draw(st.integers(1, 3)))) for number in range(draw(st.integers(0, 2)))
    )
    for number in range(draw(st.integers(0, 2))):
        us.externals[f"e{number}"] = ExternalOrder(f"e{number}", "B", BUY, D(draw(st.integers(1, 3))))
    return broker, us


@settings(max_examples=400, deadline=None)
@given(accounts())
def test_the_repairs_make_our_books_the_brokers(drawn: tuple[BrokersAccount, Believer]) -> None:
    """Once the repairs are applied every order has the broker's fills and state, and the books are equal."""
    broker, us = drawn
    us.repair(reconcile(us.beliefs(), broker.snapshot(us.number)), broker)
    us.repair(
        reconcile(us.beliefs(), broker.snapshot(us.number)), broker
    )  # fills known out of order close on the second
    for order_id, theirs in broker.orders.items():
        mine = us.machines[order_id]
        believed_done = mine.is_closed and mine.proof.value == "CANCELLED"
        if broker.tells_executions or not believed_done:
            assert mine.filled_quantity == theirs.filled, order_id
        assert mine.is_closed is (theirs.state is not WORKING), order_id
    assert us.externals == {order.broker_order_id: order for order in broker.externals}


@settings(max_examples=400, deadline=None)
@given(accounts())
def test_repaired_books_need_no_repair(drawn: tuple[BrokersAccount, Believer]) -> None:
    """The same snapshot once more finds nothing to tell, to ask or that differs, where the broker tells its executions."""
    broker, us = drawn
    broker.tells_executions = True
    for _ in range(2):
        us.repair(reconcile(us.beliefs(), broker.snapshot(us.number)), broker)
    assert reconcile(us.beliefs(lost_answers=False), broker.snapshot(us.number)) == NONE


@settings(max_examples=200, deadline=None)
@given(accounts(), st.integers(-500, 500).filter(lambda cents: abs(cents) > 1))
def test_what_nobody_explains_is_left_over(drawn: tuple[BrokersAccount, Believer], cents: int) -> None:
    """Cash that moved for no reason that an order gives stays a difference, by exactly so much."""
    broker, us = drawn
    broker.tells_executions = True
    broker.unknown_cash = D(cents) / 100
    for _ in range(2):
        us.repair(reconcile(us.beliefs(), broker.snapshot(us.number)), broker)
    (left,) = reconcile(us.beliefs(), broker.snapshot(us.number)).differences
    assert (left.symbol, left.brokers - left.ours) == ("", broker.unknown_cash)


def test_closed_orders_cost_nothing() -> None:
    """Orders that are closed and have no news are not looked at, however many there are."""
    made = [brokers(f"o{number}", fill(str(number), 10), state=DONE) for number in range(50)]
    broker = BrokersAccount([*made, brokers("open")])
    us = believing(broker, {order_id: len(each.executions) for order_id, each in broker.orders.items()})
    snapshot = msgspec.structs.replace(broker.snapshot(us.number), executions=())
    us.looked_at.clear()
    assert reconcile(us.beliefs(), snapshot) == NONE
    assert us.looked_at == ["open"]
