"""Targets through the whole system: what goes first, what waits, what is ordered again, and what never is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_world import World, accepted, executed, wait_for

from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import OrderSubmitted, TargetDropped, TargetOrdered
from ordersmith.actors.messages import CommandRefused
from ordersmith.actors.model import Order, OrderState, Purpose, Side, Terms, TimeInForce
from ordersmith.actors.ports import (
    AdjustmentCause,
    Cancelled,
    CancelRequest,
    Expired,
    NewOrder,
    PositionAdjustment,
    Rejected,
    Restated,
)
from ordersmith.supervisor.executor import BacktestExecutor

D = Decimal


def sent(world: World) -> list[tuple[str, int]]:
    """Return the signed orders that the scripted broker was sent since the last look."""
    return [
        (command.order.symbol, int(command.order.quantity) * (1 if command.order.side is Side.BUY else -1))
        for command in world.broker.take()
        if isinstance(command, NewOrder)
    ]


def wire(world: World, symbol: str) -> str:
    """Return the wire id of the last order of a symbol."""
    ordered = [event for event in world.events(TargetOrdered) if event.symbol == symbol]
    return f"{ordered[-1].client_order_id}.0"


def fill(world: World, symbol: str, price: int = 10) -> Any:
    """Return the report that fills the last order of a symbol."""
    wire_id = wire(world, symbol)
    quantity = world.machine(wire_id.removesuffix(".0")).order.quantity
    return executed(wire_id, "k-" + wire_id, quantity, price, quantity)


def dropped(world: World) -> list[tuple[str, str]]:
    return [(event.symbol, event.reason) for event in world.events(TargetDropped)]


# --- Targets -----------------------------------------------------------------------------------------------------------


def test_targets_are_reached_and_what_has_none_is_left_alone() -> None:
    """Named symbols go to their quantity, 0 closes, an absent symbol keeps its position."""
    world = World().bar()
    world.target(A=10, B=5, C=7)
    world.bar()
    assert world.held() == {"A": 10, "B": 5, "C": 7}
    world.target(A=4, B=0)
    world.bar()
    assert world.held() == {"A": 4, "C": 7}
    assert [reason for _, reason in dropped(world)] == ["REACHED"] * 5


def test_close_others_closes_what_is_not_named() -> None:
    """With `close_others` every other position goes, and so do other targets that are still pursued."""
    world = World().bar()
    world.target(A=10, B=5)
    world.bar()
    world.target(close_others=True, A=10)
    world.bar()
    assert world.held() == {"A": 10}
    world = World(scripted=True).bar()
    world.target(A=10)
    world.target(close_others=True, B=5)
    assert isinstance(world.broker.take()[-1], CancelRequest | NewOrder)
    world.says(Cancelled(wire(world, "A")), fill(world, "B", 20))
    assert world.held() == {"B": 5}
    assert sent(world) == []


def test_a_target_that_is_reached_already_makes_no_order() -> None:
    """The answer is empty, and the target is done."""
    world = World().bar()
    assert world.target(A=0, B=0) == []
    assert dropped(world) == [("A", "REACHED"), ("B", "REACHED")]
    assert world.events(OrderSubmitted) == []


def test_the_orders_are_children_of_their_plan() -> None:
    """Target orders name their plan as parent, carry its purpose, and last as the configuration says."""
    world = World(scripted=True).bar()
    (status,) = world.target(A=10)
    assert (status.order.parent, status.order.purpose, status.order.time_in_force) == (
        "rebalancer:1",
        Purpose.ENTRY,
        TimeInForce.DAY,
    )
    assert status.client_order_id.startswith("bt-")


@pytest.mark.parametrize("quantity", ["NaN", "Infinity", "-Infinity"])
def test_a_target_that_is_no_number_is_refused_whole(quantity: str) -> None:
    """One impossible target refuses the call, and none of it is done."""
    world = World().bar()
    answer = world.target(A=10, B=quantity)  # type: ignore[arg-type]
    assert isinstance(answer, CommandRefused)
    assert f"B: {quantity}" in answer.text
    assert world.events(OrderSubmitted) == []


def test_the_executor_offers_targets() -> None:
    """An embedding application sets targets, gets the statuses of what went at once, and flattens."""
    executor = BacktestExecutor({}, feed=World().backtest.feed)
    wait_for(executor.advance())
    statuses = wait_for(executor.set_targets({"A": 10, "B": "5"}))
    assert [(status.symbol, status.quantity) for status in statuses] == [("A", D(10)), ("B", D(5))]
    wait_for(executor.advance())
    assert {symbol: p.quantity for symbol, p in wait_for(executor.get_positions()).items()} == {"A": D(10), "B": D(5)}
    assert len(wait_for(executor.flatten())) == 2
    wait_for(executor.advance())
    assert wait_for(executor.get_positions()) == {}


# --- Cash --------------------------------------------------------------------------------------------------------------


def test_a_sale_funds_a_buy_one_bar_later() -> None:
    """With 1000 in A and no cash, 1000 of B waits until A is sold: A goes on the first bar, B on the next."""
    world = World(cash="1000").bar()
    world.target(A=100)
    world.bar()
    assert (world.held(), world.exposure.account("main").cash) == ({"A": 100}, D(0))
    (status,) = world.target(B=50, A=0)
    assert (status.symbol, status.side) == ("A", Side.SELL)
    world.bar()
    assert (world.held(), world.exposure.account("main").cash) == ({}, D(1000))
    assert [event.symbol for event in world.events(TargetOrdered)] == ["A", "A", "B"]
    world.bar()
    assert (world.held(), world.exposure.account("main").cash) == ({"B": 50}, D(0))


def test_an_increaser_goes_at_once_where_the_cash_is_there() -> None:
    """What can be paid does not wait for a sale."""
    world = World(cash="2000", scripted=True).bar()
    world.target(A=100)
    world.says(fill(world, "A"))
    sent(world)
    world.target(B=50, A=0)
    assert sent(world) == [("A", -100), ("B", 50)]


def test_what_cannot_be_paid_and_waits_for_nothing_is_denied() -> None:
    """With nothing left to wait for the order is sent to the gate, which says why not, and the target is dropped."""
    world = World(cash="100").bar()
    (status,) = world.target(A=11)
    assert (status.state, status.reason) == (OrderState.REJECTED, "BUYING_POWER")
    assert dropped(world) == [("A", "BUYING_POWER")]
    world.bar(2)
    assert len(world.events(OrderSubmitted)) == 1


def test_through_zero_goes_by_closing_first() -> None:
    """From long to short takes two orders, the second once the first has filled."""
    world = World(scripted=True, account={"type": "margin"}).bar()
    world.target(A=10)
    world.says(fill(world, "A"))
    sent(world)
    world.target(A=-6)
    assert sent(world) == [("A", -10)]
    world.says(fill(world, "A"))
    assert world.held() == {}
    assert sent(world) == [("A", -6)]
    world.says(fill(world, "A"))
    assert world.held() == {"A": -6}
    assert dropped(world)[-1] == ("A", "REACHED")


# --- Changes of mind ---------------------------------------------------------------------------------------------------


def test_new_targets_cancel_what_leads_elsewhere() -> None:
    """An order that a new target contradicts is cancelled, and the way to the new target begins when that is proved."""
    world = World(scripted=True).bar()
    world.target(A=10)
    first = wire(world, "A")
    world.says(accepted(first), executed(first, "k", 4, 10, 4))
    sent(world)
    world.target(A=2)
    assert world.broker.take() == [CancelRequest(first)]
    assert world.target(A=1) == []
    assert world.broker.take() == [], "the cancel is on its way already"
    world.says(Cancelled(first))
    assert sent(world) == [("A", -3)]
    assert dropped(world) == []


def test_an_order_that_leads_part_of_the_way_goes_on() -> None:
    """A higher target leaves the working order alone and orders the rest after it."""
    world = World(scripted=True).bar()
    world.target(A=10)
    sent(world)
    world.target(A=25)
    assert world.broker.take() == []
    world.says(fill(world, "A"))
    assert sent(world) == [("A", 15)]


def test_a_fill_on_the_way_to_the_cancel_is_counted() -> None:
    """If the cancelled order fills after all, the next order starts from there."""
    world = World(scripted=True).bar()
    world.target(A=10)
    first = wire(world, "A")
    world.says(accepted(first))
    world.target(A=3)
    sent(world)
    world.says(executed(first, "k", 10, 10, 10))
    assert sent(world) == [("A", -7)]


# --- Ends --------------------------------------------------------------------------------------------------------------


def test_what_the_day_did_not_fill_is_ordered_again() -> None:
    """A DAY order that expires with a part filled is followed by one for the rest, until the target is reached."""
    world = World(volume=40.0).bar()  # a tenth of the volume: 4 a day
    world.target(A=10)
    held = []
    for _ in range(4):
        world.bar()
        held.append(world.held()["A"])
    assert held == [4, 8, 10, 10]
    quantities = [event.quantity for event in world.events(TargetOrdered)]
    assert quantities == [D(10), D(6), D(2)]
    assert dropped(world) == [("A", "REACHED")]


@pytest.mark.parametrize("end", ["rejected", "cancelled"])
def test_an_end_that_trying_again_would_not_mend_drops_the_target(end: str) -> None:
    """After the broker's no, or a cancel by somebody, the target is given up, and nothing is ordered again."""
    world = World(scripted=True).bar()
    world.target(A=10)
    wire_id = wire(world, "A")
    sent(world)
    world.says(Rejected(wire_id, "NO_MONEY", "") if end == "rejected" else Cancelled(wire_id))
    assert sent(world) == []
    assert dropped(world) == [("A", "NO_MONEY" if end == "rejected" else "BROKER")]


@pytest.mark.parametrize("end", ["rejected", "denied", "cancelled"])
def test_what_is_given_up_says_what_is_missing_and_why(end: str) -> None:
    """A target that is dropped tells the position that stays, what would still have to be traded, and what was said to its order."""
    world = World(scripted=True, cash="100" if end == "denied" else "100000").bar()
    world.target(A=40)
    order_id = world.events(TargetOrdered)[-1].client_order_id
    if end == "denied":
        ((event),) = world.events(TargetDropped)
        assert (event.reason, event.held, event.missing) == ("BUYING_POWER", D(0), D(40))
        assert event.text.startswith("it needs 400")
    else:
        world.says(accepted(f"{order_id}.0"), executed(f"{order_id}.0", "k", 15, 10, 15))
        no = Rejected(f"{order_id}.0", "403", "no (existing_order_id b-9)")
        world.says(no if end == "rejected" else Cancelled(f"{order_id}.0", "too much"))
        ((event),) = world.events(TargetDropped)
        text = "too much" if end == "cancelled" else no.text
        assert (event.text, event.held, event.missing) == (text, D(15), D(25))
    assert event.client_order_id == order_id
    world.target(A=0)


def test_two_orders_that_end_in_one_tick_are_not_ordered_again() -> None:
    """When several orders are refused at once, none of them is sent a second time."""
    world = World(scripted=True).bar()
    world.target(A=10, B=5, C=3)
    assert len(sent(world)) == 3
    world.says(*(Rejected(wire(world, symbol), "NO", "") for symbol in "ABC"))
    assert sent(world) == []
    assert dropped(world) == [("A", "NO"), ("B", "NO"), ("C", "NO")]
    assert len(world.events(OrderSubmitted)) == 3


def test_two_orders_that_fill_in_one_tick_start_the_next_step_once() -> None:
    """When two sales fill in one tick, what they pay for is ordered once."""
    world = World(scripted=True, cash="1000").bar()
    world.target(A=50, B=25)
    world.says(fill(world, "A"), fill(world, "B", 20))
    sent(world)
    world.target(A=0, B=0, C=200)
    assert sent(world) == [("A", -50), ("B", -25)]
    world.says(fill(world, "A"), fill(world, "B", 20))
    assert sent(world) == [("C", 200)]


def test_two_days_that_end_together_are_continued_once_each() -> None:
    """Two DAY orders that expire in one tick are each followed by exactly one order."""
    world = World(scripted=True).bar()
    world.target(A=10, B=5)
    sent(world)
    world.says(Expired(wire(world, "A")), Expired(wire(world, "B")))
    assert sorted(sent(world)) == [("A", 10), ("B", 5)]
    assert dropped(world) == []


def test_a_crash_between_order_and_end_orders_nothing_twice() -> None:
    """A rebalancer that is rebuilt from the records knows what works, what failed and what is wanted."""
    world = World(scripted=True, cash="1000").bar()
    world.target(A=50, B=20)
    world.says(fill(world, "A"))
    rebalancer = world.dispatcher.cells["rebalancer"]
    before = rebalancer.actor.snapshot()
    world.backtest.lifecycle.crash("rebalancer", ActorError("a bug"))
    assert rebalancer.actor.snapshot() == before
    sent(world)
    world.says(Rejected(wire(world, "B"), "NO", ""))
    assert sent(world) == []
    assert dropped(world) == [("A", "REACHED"), ("B", "NO")]


# --- Splits and new names ----------------------------------------------------------------------------------------------


def adjustment(cause: AdjustmentCause, symbol: str, quantity: int, **terms: Any) -> PositionAdjustment:
    return PositionAdjustment(f"{cause}-{symbol}", cause, symbol, D(quantity), **terms)


def targets(world: World) -> dict[str, int]:
    """Return what the rebalancer still pursues."""
    state = world.dispatcher.cells["rebalancer"].actor.state
    return {symbol: int(target.quantity) for symbol, target in state.targets.items()}


def test_a_split_scales_what_is_wanted_and_what_is_on_its_way() -> None:
    """A target that is half reached becomes one of new shares, and the restated order leads to it without another."""
    world = World(scripted=True).bar()
    world.target(A=100)
    assert sent(world) == [("A", 100)]
    order = wire(world, "A")
    world.says(accepted(order), executed(order, "k", 40, 10, 40))
    world.says(adjustment(AdjustmentCause.SPLIT, "A", 40), Restated(order, Terms(D(160)), "split 2:1"))
    assert targets(world) == {"A": 200}
    world.says(executed(order, "k2", 120, 5, 160))
    assert (world.held(), sent(world), dropped(world)) == ({"A": 200}, [], [("A", "REACHED")])


@pytest.mark.parametrize("restated", [True, False])
def test_the_rest_of_a_scaled_target_is_ordered_in_new_shares(restated: bool) -> None:
    """When the day of the order is over, what is missing of the new target is ordered, whether or not the order was restated."""
    world = World(scripted=True).bar()
    world.target(A=100)
    order = wire(world, "A")
    world.says(accepted(order), executed(order, "k", 40, 10, 40))
    world.broker.take()
    reports: list[Any] = [adjustment(AdjustmentCause.SPLIT, "A", 40)]
    world.says(*reports, *([Restated(order, Terms(D(160)), "split 2:1")] if restated else []), Expired(order))
    assert sent(world) == [("A", 120)]


def test_a_target_of_which_nothing_is_held_follows_its_restated_order() -> None:
    """Where there is no position that a split would tell of, the restated order says what the target has become."""
    world = World(scripted=True).bar()
    world.target(A=100, B=-0)
    order = wire(world, "A")
    world.says(accepted(order), Restated(order, Terms(D(200)), "split 2:1"))
    assert targets(world) == {"A": 200}
    world.broker.take()
    world.says(executed(order, "k", 50, 5, 50), Expired(order))
    assert sent(world) == [("A", 150)]


def test_two_splits_in_a_row_scale_a_target_twice() -> None:
    """A target follows its order through every restatement until the first fill."""
    world = World(scripted=True).bar()
    world.target(A=100)
    order = wire(world, "A")
    world.says(accepted(order), Restated(order, Terms(D(200)), "2:1"), Restated(order, Terms(D(600)), "3:1"))
    assert targets(world) == {"A": 600}


def test_a_split_that_is_told_after_its_restatement_counts_once() -> None:
    """Of an order that has filled in part the position tells of the split, whichever of the two comes first."""
    world = World(scripted=True).bar()
    world.target(A=100)
    order = wire(world, "A")
    world.says(accepted(order), executed(order, "k", 40, 10, 40))
    world.says(Restated(order, Terms(D(160)), "split 2:1"), adjustment(AdjustmentCause.SPLIT, "A", 40))
    assert targets(world) == {"A": 200}


def test_what_a_restatement_has_completed_is_ordered_again() -> None:
    """When the broker leaves nothing of an order, it is FILLED, and what is missing of its target goes out anew."""
    world = World(scripted=True).bar()
    world.target(A=100)
    order = wire(world, "A")
    world.says(accepted(order), executed(order, "k", 40, 10, 40))
    world.broker.take()
    world.says(Restated(order, Terms(D(40)), "no whole lot left"))
    assert sent(world) == [("A", 60)]


def test_a_restatement_for_a_dividend_changes_no_target() -> None:
    """Terms of the same quantity leave the plan as it is, and so do those of an order that is not the plan's."""
    world = World(scripted=True).bar()
    world.target(A=100)
    order = wire(world, "A")
    world.submit(Order.buy("B", 10, "20", client_order_id="mine"))
    world.says(accepted(order), Restated(order, Terms(D(100), D("9.5")), "dividend"))
    world.says(accepted("mine.0"), Restated("mine.0", Terms(D(20), D(10)), "split"))
    assert targets(world) == {"A": 100}


def test_a_target_moves_to_the_new_symbol() -> None:
    """What is wanted of a symbol, and its order, are the new symbol's; what was there of that stays."""
    world = World(scripted=True).bar()
    world.target(A=100, B=5)
    order = wire(world, "A")
    world.says(accepted(order), executed(order, "k", 40, 10, 40))
    world.broker.take()
    world.says(adjustment(AdjustmentCause.SYMBOL_CHANGE, "A", -40, new_symbol="C"))
    assert targets(world) == {"B": 5, "C": 100}
    assert world.held() == {"C": 40}
    world.says(Expired(order))
    assert sent(world) == [("C", 60)]
    world.target(A=7)
    world.says(adjustment(AdjustmentCause.SPLIT, "C", 40))
    world.post("connection/main", adjustment(AdjustmentCause.SYMBOL_CHANGE, "B", 0, new_symbol="A"))
    world.run()
    assert targets(world) == {"C": 200, "A": 7}


def test_the_plan_survives_a_crash_in_the_middle_of_a_split() -> None:
    """A rebuilt rebalancer knows the same targets and orders as one that saw the split itself."""
    world = World(scripted=True).bar()
    world.target(A=100, B=50)
    order = wire(world, "A")
    world.says(accepted(order), executed(order, "k", 40, 10, 40), adjustment(AdjustmentCause.SPLIT, "A", 40))
    world.says(Restated(order, Terms(D(160)), "split 2:1"), Restated(wire(world, "B"), Terms(D(100)), "split 2:1"))
    cell = world.dispatcher.cells["rebalancer"]
    before = cell.actor.snapshot()
    world.backtest.lifecycle.crash("rebalancer", ActorError("a bug"))
    assert cell.incarnation == 2
    assert cell.actor.snapshot() == before
    assert targets(world) == {"A": 200, "B": 100}


# --- Flatten -----------------------------------------------------------------------------------------------------------


def long_with_open_orders(**terms: Any) -> World:
    """Return a world that holds 10 of A and 5 of B and has a resting sale of A, a resting buy of C and a target order in B."""
    world = World(scripted=True, **terms).bar()
    world.target(A=10, B=5)
    world.says(fill(world, "A"), fill(world, "B", 20))
    world.submit(Order.sell("A", 4, "11", client_order_id="sale"), Order.buy("C", 7, "4.5", client_order_id="resting"))
    world.target(B=9)
    world.says(accepted("sale.0"), accepted("resting.0"), accepted(wire(world, "B")))
    world.broker.take()
    return world


@pytest.mark.parametrize("halted", [False, True])
def test_flatten_cancels_first_and_then_closes(halted: bool) -> None:
    """Everything open is cancelled; a position is closed once nothing of its symbol is open; a halt does not stop it."""
    world = long_with_open_orders()
    if halted:
        world.halt()
    assert world.flatten() == []
    commands = world.broker.take()
    target_order = wire(world, "B")
    assert sorted(command.wire_id for command in commands) == sorted(["sale.0", "resting.0", target_order])
    assert all(isinstance(command, CancelRequest) for command in commands)
    world.says(Cancelled(target_order))
    world.wait(1)
    assert sent(world) == [("B", -5)], "A still has a sale that may fill"
    world.says(Cancelled("sale.0"), Cancelled("resting.0"))
    world.wait(1)
    assert sent(world) == [("A", -10)]
    world.says(fill(world, "A"), fill(world, "B", 20))
    world.wait(1)
    assert world.held() == {}
    assert sent(world) == []
    closing = [event.order for event in world.events(OrderSubmitted)][-2:]
    assert all(order.purpose is Purpose.LIQUIDATION for order in closing)
    assert world.exposure.open == {}


def test_flatten_closes_what_a_fill_has_left() -> None:
    """A sale that fills instead of being cancelled is taken off what is closed: nothing flips."""
    world = long_with_open_orders()
    world.flatten()
    world.says(executed("sale.0", "k", 4, 11, 4), Cancelled("resting.0"), Cancelled(wire(world, "B")))
    world.broker.take()
    world.wait(1)
    world.says(fill(world, "A"), fill(world, "B", 20))
    assert world.held() == {}


def test_flatten_with_nothing_open_closes_at_once() -> None:
    """Without open orders the closing orders are the answer."""
    world = World().bar()
    world.target(A=10, B=5)
    world.bar()
    assert [(status.symbol, status.side) for status in world.flatten()] == [("A", Side.SELL), ("B", Side.SELL)]
    world.bar()
    assert world.held() == {}


def test_flatten_of_a_short_buys_it_back() -> None:
    """A short is closed by a buy, also when there is no buying power."""
    world = World({"A": [10.0, 10.0, 25.0, 25.0]}, cash="1000", account={"type": "margin"}).bar()
    world.target(A=-100)
    world.bar(2)
    world.flatten()
    world.bar()
    assert world.held() == {}
    assert world.exposure.account("main").cash == 1000 - 1500


def test_a_halted_target_is_dropped_and_a_flatten_is_not() -> None:
    """While trading is halted ordinary targets are denied, a flatten goes through the simulated exchange."""
    world = World().bar()
    world.target(A=10)
    world.bar()
    world.halt()
    (status,) = world.target(A=4)
    assert status.reason == "TRADING_HALTED"
    world.flatten()
    world.bar()
    assert world.held() == {}


# --- Any sequence of targets -------------------------------------------------------------------------------------------

plans = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("ABC"), st.integers(-30, 30), max_size=3), st.integers(0, 2)), max_size=5
)


@settings(max_examples=40, deadline=None)
@given(plans, st.sampled_from([1e9, 170.0]), st.booleans())
def test_the_last_targets_are_reached(plan: list[Any], volume: float, close_others: bool) -> None:
    """Whatever was wanted before, the last targets are reached, with at most one order a symbol at a time and none through zero."""
    closes = {"A": [10.0] * 60, "B": [20.0] * 60, "C": [5.0] * 60}
    world = World(closes, volume=volume, account={"type": "margin"}).bar()
    wanted: dict[str, int] = {}
    for targets, bars in plan:
        world.target(close_others=close_others, **targets)
        wanted = dict(targets) if close_others else {**wanted, **targets}
        world.bar(bars)
        symbols = [held.symbol for held in world.exposure.open.values()]
        assert len(symbols) == len(set(symbols))
    world.bar(30)
    assert world.held() == {symbol: quantity for symbol, quantity in wanted.items() if quantity}
    assert world.exposure.open == {}
    position = dict.fromkeys("ABC", D(0))
    for status in world.filled():
        change = status.filled_quantity if status.side is Side.BUY else -status.filled_quantity
        before = position[status.symbol]
        position[status.symbol] += change
        assert before * position[status.symbol] >= 0, "no order goes through zero"
