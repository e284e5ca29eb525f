"""Target positions: one step of a plan, and the orders that lead from here to there."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.machines.rebalance import Holding, Target, generate_orders, plan_step, scaled
from ordersmith.actors.model import Order, OrderState, OrderStatus, Position, Purpose, Side, TimeInForce

D = Decimal


def targets(**quantities: int) -> dict[str, Target]:
    return {symbol: Target(D(quantity), "p", Purpose.ENTRY, "s") for symbol, quantity in quantities.items()}


def holding(position: int = 0, open_quantity: int = 0, price: int = 10, working: int | None = None) -> Holding:
    return Holding(D(position), D(open_quantity), D(price), None if working is None else D(working))


# --- One step ----------------------------------------------------------------------------------------------------------

STEPS = [
    # targets, holdings, buying power -> send, cancel, reached, waiting
    ("nothing held", {"A": 10}, {}, 0, {"A": 10}, [], [], []),
    ("closing", {"A": 0}, {"A": holding(7)}, 0, {"A": -7}, [], [], []),
    ("closing a short", {"A": 0}, {"A": holding(-7)}, 0, {"A": 7}, [], [], []),
    ("reached", {"A": 7}, {"A": holding(7)}, 0, {}, [], ["A"], []),
    ("reached with what is open", {"A": 7}, {"A": holding(3, 4)}, 0, {}, [], ["A"], []),
    ("only the rest", {"A": 10}, {"A": holding(3, 4)}, 999, {"A": 3}, [], [], []),
    ("through zero first to zero", {"A": -5}, {"A": holding(7)}, 999, {"A": -7}, [], [], []),
    ("from zero on", {"A": -5}, {"A": holding(0)}, 999, {"A": -5}, [], [], []),
    ("cash is there", {"A": 0, "B": 10}, {"A": holding(7), "B": holding()}, 100, {"A": -7, "B": 10}, [], [], []),
    ("cash must come", {"A": 0, "B": 10}, {"A": holding(7), "B": holding()}, 99, {"A": -7}, [], [], ["B"]),
    ("no cash will come", {"B": 10}, {"B": holding()}, 99, {"B": 10}, [], [], []),
    (
        "cash for one",
        {"A": 0, "B": 10, "C": 5},
        {"A": holding(7), "B": holding(), "C": holding()},
        60,
        {"A": -7, "C": 5},
        [],
        [],
        ["B"],
    ),
    (
        "what goes out is not there twice",
        {"A": 0, "B": 10, "C": 5},
        {"A": holding(7), "B": holding(), "C": holding()},
        100,
        {"A": -7, "B": 10},
        [],
        [],
        ["C"],
    ),
    (
        "a reducer that works is waited for",
        {"A": 0, "B": 10},
        {"A": holding(7, -7, working=-7), "B": holding()},
        50,
        {},
        [],
        [],
        ["B"],
    ),
    ("leads there already", {"A": 10}, {"A": holding(4, 6, working=6)}, 0, {}, [], [], []),
    ("leads the other way", {"A": 0}, {"A": holding(4, 6, working=6)}, 0, {}, ["A"], [], []),
    ("leads too far", {"A": 8}, {"A": holding(4, 6, working=6)}, 0, {}, ["A"], [], []),
    ("not needed any more", {"A": 4}, {"A": holding(4, 6, working=6)}, 0, {}, ["A"], [], []),
    ("leads part of the way", {"A": 20}, {"A": holding(4, 6, working=6)}, 0, {}, [], [], []),
]


@pytest.mark.parametrize(
    ("wanted", "holdings", "power", "send", "cancel", "reached", "waiting"),
    [step[1:] for step in STEPS],
    ids=[step[0] for step in STEPS],
)
def test_one_step(
    wanted: Mapping[str, int],
    holdings: Mapping[str, Holding],
    power: int,
    send: Mapping[str, int],
    cancel: list[str],
    reached: list[str],
    waiting: list[str],
) -> None:
    """Reducers go at once, increasers when the cash is there or none will come, and one order a symbol works at a time."""
    step = plan_step(targets(**wanted), holdings, D(power))
    assert step.send == {symbol: D(quantity) for symbol, quantity in send.items()}
    assert (step.cancel, step.reached, step.waiting) == (cancel, reached, waiting)


def test_reducers_are_sent_before_increasers() -> None:
    """Whatever the order of the targets, the orders that free cash come first."""
    step = plan_step(targets(B=10, A=0), {"A": holding(7), "B": holding()}, D(1000))
    assert list(step.send) == ["A", "B"]


# --- The orders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "ratio", "wanted"),
    [
        ("100", D(2), "200"),
        ("5", D("1.5"), "7"),
        ("-5", D("1.5"), "-7"),
        ("30", D(1) / 3, "10"),
        ("1E+2", D(2), "200"),
        ("0.5", D("1.5"), "0.7"),
        ("0", D(2), "0"),
        ("3", D("0.1"), "0"),
    ],
)
def test_a_split_scales_a_target_to_whole_shares(quantity: str, ratio: Decimal, wanted: str) -> None:
    """A target is multiplied by the split's ratio and cut off to the places that it had."""
    target = Target(D(quantity), "p", Purpose.ENTRY, "s")
    assert scaled(target, ratio) == Target(D(wanted), "p", Purpose.ENTRY, "s")


def signed(orders: list[Order]) -> dict[str, Decimal]:
    assert len({order.symbol for order in orders}) == len(orders)
    return {order.symbol: order.quantity if order.side is Side.BUY else -order.quantity for order in orders}


def test_orders_lead_from_the_positions_to_the_targets() -> None:
    """Symbols without a target are left alone, 0 closes, a reducer comes first."""
    orders = generate_orders({"A": 10, "B": 5, "C": 3}, {"NEW": 4, "A": 12, "B": 0})
    assert [(order.symbol, order.side, order.quantity) for order in orders] == [
        ("B", Side.SELL, D(5)),
        ("NEW", Side.BUY, D(4)),
        ("A", Side.BUY, D(2)),
    ]
    assert all(order.client_order_id == "" for order in orders)


def test_nothing_is_ordered_where_nothing_is_missing() -> None:
    """Reached targets make no order."""
    assert generate_orders({"A": 10}, {"A": 10, "B": 0}) == []


def test_positions_may_be_given_in_every_form() -> None:
    """A position is a Position or a number, as int, text or Decimal."""
    position = Position(account="main", symbol="A", quantity=D(3), average_price=D(1))
    for form in (position, 3, "3", D(3)):
        assert signed(generate_orders({"A": form}, {"A": "5.5"})) == {"A": D("2.5")}


def test_what_is_open_is_taken_off() -> None:
    """Open orders count with what is left of them; closed ones do not count."""
    order = Order.buy("A", 10, client_order_id="o")
    part = OrderStatus(
        client_order_id="o", order=order, state=OrderState.PARTIALLY_FILLED, filled_quantity=D(4), notional=D(4)
    )
    done = OrderStatus(client_order_id="o", order=order, state=OrderState.CANCELLED)
    assert signed(generate_orders({"A": 4}, {"A": 15}, [part])) == {"A": D(5)}
    assert signed(generate_orders({"A": 4}, {"A": 15}, [order])) == {"A": D(1)}
    assert signed(generate_orders({"A": 4}, {"A": 15}, [done])) == {"A": D(11)}
    assert signed(generate_orders({"A": 4}, {"A": 0}, [Order.sell("A", 4)])) == {}


def test_the_orders_have_the_wanted_time_in_force() -> None:
    """Orders are for the day unless told otherwise."""
    assert generate_orders({}, {"A": 1})[0].time_in_force is TimeInForce.DAY
    assert generate_orders({}, {"A": 1}, time_in_force=TimeInForce.GTC)[0].time_in_force is TimeInForce.GTC


@pytest.mark.parametrize("value", ["NaN", "Infinity", "a lot", None, True])
def test_a_target_that_is_no_number_is_an_error(value: object) -> None:
    """A quantity that is no finite number raises, naming the symbol."""
    with pytest.raises(ValueError, match="A"):
        generate_orders({}, {"A": value})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="A"):
        generate_orders({"A": value}, {"A": 1})  # type: ignore[dict-item]


quantities = st.dictionaries(st.sampled_from("ABCDE"), st.integers(-50, 50), max_size=5)


@settings(max_examples=300, deadline=None)
@given(quantities, quantities, quantities)
def test_the_orders_reach_the_targets_and_are_not_made_twice(
    held: dict[str, int], wanted: dict[str, int], coming: dict[str, int]
) -> None:
    """With everything filled the targets are reached, reducers first; asked again with the orders open, nothing is ordered."""
    open_orders = [
        Order.buy(symbol, rest) if rest > 0 else Order.sell(symbol, -rest) for symbol, rest in coming.items() if rest
    ]
    orders = generate_orders(held, wanted, open_orders)
    after = {symbol: D(quantity) for symbol, quantity in held.items()}
    for order in (*open_orders, *orders):
        change = order.quantity if order.side is Side.BUY else -order.quantity
        after[order.symbol] = after.get(order.symbol, D(0)) + change
    for symbol, target in wanted.items():
        assert after.get(symbol, D(0)) == target
    assert all(order.symbol in wanted and order.quantity > 0 for order in orders)
    increases = [held.get(symbol, 0) * change >= 0 for symbol, change in signed(orders).items()]
    assert increases == sorted(increases)
    assert generate_orders(held, wanted, [*open_orders, *orders]) == []


@settings(max_examples=300, deadline=None)
@given(quantities, quantities.filter(bool), st.integers(0, 2000), st.data())
def test_steps_reach_the_targets_without_crossing_zero(
    held: dict[str, int], wanted: dict[str, int], power: int, data: st.DataObject
) -> None:
    """Step after step, with orders filling in any order, a plan ends at its targets, and no order takes a position through zero."""
    position = {symbol: D(quantity) for symbol, quantity in held.items()}
    working: dict[str, Decimal] = {}
    pursued = targets(**wanted)
    for _ in range(40):
        holdings = {
            symbol: Holding(position.get(symbol, D(0)), working.get(symbol, D(0)), D(10), working.get(symbol))
            for symbol in pursued
        }
        step = plan_step(pursued, holdings, D(power))
        assert not step.cancel
        assert set(step.send) | set(step.waiting) | set(step.reached) | set(working) == set(pursued)
        pursued = {symbol: target for symbol, target in pursued.items() if symbol not in step.reached}
        for symbol, quantity in step.send.items():
            assert symbol not in working
            before = position.get(symbol, D(0))
            assert before * (before + quantity) >= 0
            working[symbol] = quantity
        if not working:
            break
        symbol = data.draw(st.sampled_from(sorted(working)))
        position[symbol] = position.get(symbol, D(0)) + working.pop(symbol)
    assert not pursued
    assert all(position.get(symbol, D(0)) == target for symbol, target in wanted.items())
