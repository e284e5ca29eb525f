"""The clients outside: that they keep busy, do everything that there is to do, know only what they were told, and stop."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from outside_kit import START_NS, FakeDoor, plan_of
from trading_world import World

from ordersmith.actors.errors import JournalError
from ordersmith.actors.events import ActorQuarantined, MessagePoisoned, OrderApproved
from ordersmith.actors.messages import (
    CancelOrders,
    CommandRefused,
    Flatten,
    GetAccountInfo,
    GetFilledOrders,
    GetOrderStatus,
    GetPositions,
    HaltTrading,
    ReplaceOrder,
    SetTargets,
    SubmitOrders,
    Unknown,
)
from ordersmith.actors.model import Order, OrderType, Position, Purpose, Side, TimeInForce
from ordersmith.simulation.chance import Chance
from ordersmith.simulation.door import Looked
from ordersmith.simulation.intents import KINDS, Intents
from ordersmith.simulation.market import SYMBOLS, Market
from ordersmith.simulation.misuse import MISUSES
from ordersmith.simulation.schedule import HOUR_NS, MINUTE_NS, Schedule
from ordersmith.simulation.workload import RATES, Workload

D = Decimal


class Clients:
    """Clients in front of a process that does nothing but what a test says."""

    def __init__(self, seed: int = 1) -> None:
        chance = Chance(seed)
        self.schedule = Schedule(START_NS)
        self.market = Market(self.schedule, chance.stream("market"), plan_of())
        self.door = FakeDoor(self.schedule)
        self.workload = Workload(self.schedule, chance.stream("workload"), self.door, self.market, plan_of())
        self.market.start()
        self.workload.start()

    def run(self, hours: float) -> Clients:
        self.schedule.run(self.schedule.now_ns + int(hours * HOUR_NS))
        return self

    def submitted(self) -> list[Order]:
        return [order for request in self.door.of(SubmitOrders) for order in request.orders]


# --- Steady work -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_enough_orders_are_submitted_every_hour(seed: int) -> None:
    """Good orders come at a steady rate, more than sixty an hour: those of strategies come on top of them."""
    clients = Clients(seed)
    before = 0
    counts = []
    for _ in range(24):
        clients.run(1)
        counts.append(clients.workload.submitted - before)
        before = clients.workload.submitted
    assert 60 < sum(counts) / 24 < 95
    assert min(counts) > 40


def test_everything_is_done() -> None:
    """In the long run every act is done as often as its rate says, and every kind of request is made."""
    clients = Clients().run(300)
    for name, rate in RATES.items():
        assert 0.5 * rate * 300 <= clients.workload.did[name] <= 1.6 * rate * 300, name
    kinds = {type(request) for _, request in clients.door.asked}
    assert kinds == {
        SubmitOrders, CancelOrders, ReplaceOrder, GetOrderStatus, GetFilledOrders, GetPositions, GetAccountInfo,
        SetTargets, Flatten, HaltTrading,
    }  # fmt: skip
    assert {request.close_others for request in clients.door.of(SetTargets)} == {True, False}
    assert {request.fresh for request in clients.door.of(SubmitOrders)} == {True, False}
    ids = [[order.client_order_id for order in request.orders] for request in clients.door.of(SubmitOrders)]
    assert any(len(batch) > len(set(batch)) for batch in ids)


def test_orders_do_not_pile_up() -> None:
    """What stays open is cancelled after a while, so that a day's end has no more open orders than its first hours."""
    clients = Clients()
    most = []
    for _ in range(48):
        clients.run(0.5)
        most.append(len(clients.workload.open_ids))
    assert 5 < max(most) <= 31
    assert max(most[24:]) < 2 * max(most[:24])


def test_a_seed_does_the_same_twice() -> None:
    """One seed asks the same twice, another asks for something else."""
    assert Clients(3).run(3).door.asked == Clients(3).run(3).door.asked
    assert Clients(3).run(3).door.asked != Clients(4).run(3).door.asked


# --- Ids ---------------------------------------------------------------------------------------------------------------


def test_an_id_is_made_once() -> None:
    """An order that is fresh has an id that no request had before it."""
    seen: set[str] = set()
    for request in Clients().run(50).door.of(SubmitOrders):
        ids = {order.client_order_id for order in request.orders}
        if request.fresh:
            assert not ids & seen
        seen |= ids


def test_an_id_is_used_again_with_the_same_and_with_other_terms() -> None:
    """Some ids are submitted again as they were, and some for another order."""
    first: dict[str, Order] = {}
    same = other = 0
    for request in Clients().run(50).door.of(SubmitOrders):
        for order in request.orders:
            if order.client_order_id in first:
                assert not request.fresh
                same += order == first[order.client_order_id]
                other += order != first[order.client_order_id]
            first.setdefault(order.client_order_id, order)
    assert same > 20
    assert other > 20


def test_what_was_lost_on_its_way_in_is_submitted_again_as_it_was() -> None:
    """An order without an answer that nobody knows later is submitted again under its id, or given up."""
    clients = Clients().run(0.2)
    clients.door.is_deaf = True
    clients.run(0.3)
    clients.door.is_deaf = False
    lost = [order_id for order_id in clients.workload.open_ids if order_id not in clients.door.orders]
    assert len(lost) > 5
    clients.run(0.2)
    assert 0 < clients.workload.did["submit what was lost"] < len(lost)
    terms: dict[str, set[Decimal]] = {}
    for order in clients.submitted():
        terms.setdefault(order.client_order_id, set()).add(order.quantity)
    again = [order_id for order_id in lost if order_id in clients.door.orders]
    assert again
    assert not [order_id for order_id in lost if order_id in clients.workload.open_ids and order_id not in again]


def test_nothing_is_submitted_again_after_an_old_journal() -> None:
    """Ids from before an old journal was put back are never used again, whatever is known of them."""
    clients = Clients().run(2)
    before = {order.client_order_id for order in clients.submitted()}
    clients.door.orders.clear()
    clients.door.restores += 1
    asked = len(clients.door.asked)
    clients.run(10)
    after = {
        order.client_order_id
        for _, request in clients.door.asked[asked:]
        if isinstance(request, SubmitOrders)
        for order in request.orders
    }
    assert len(after) > 300
    assert after & before <= {"", "no such form!"}  # misuses


# --- What the clients know -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Unknown(), JournalError("the disk is full"), CommandRefused("no")])
def test_an_answer_that_says_nothing_leaves_the_order_open(answer: Any) -> None:
    """Without a word on an order a client does not take it for closed."""
    clients = Clients()
    clients.door.answer = lambda request: answer if isinstance(request, SubmitOrders | GetOrderStatus) else None
    clients.run(0.15)
    sent = {order.client_order_id for order in clients.submitted() if order.quantity <= 101 and order.client_order_id}
    assert sent & set(clients.workload.open_ids)


def test_a_refused_order_is_not_open() -> None:
    """An order of a batch that was refused is not waited for, the others are."""
    clients = Clients()

    def refuse_large(request: Any) -> Any:
        if not isinstance(request, SubmitOrders):
            return None
        taken = clients.door.submit(request)
        return [
            CommandRefused("too large") if order.quantity in range(51, 101) else taken[n]
            for n, order in enumerate(request.orders)
        ]

    clients.door.answer = refuse_large
    clients.run(1)
    assert clients.workload.open_ids
    assert all(clients.door.orders[order_id].quantity <= 50 for order_id in clients.workload.open_ids)


def test_closed_orders_are_forgotten() -> None:
    """An order that a status says to be closed is not asked for or cancelled for ever."""
    clients = Clients().run(1)
    clients.door.closed.update(clients.door.orders.keys())
    gone = set(clients.workload.open_ids)
    clients.run(0.1)
    assert gone
    assert not gone & set(clients.workload.open_ids)


def test_nobody_asks_while_the_process_is_down() -> None:
    """While there is no process nothing is asked (the door would say so), and afterwards work goes on."""
    clients = Clients().run(1)
    asked = len(clients.door.asked)
    clients.door.is_up = False
    clients.run(0.5)
    assert len(clients.door.asked) == asked
    clients.door.is_up = True
    clients.run(0.5)
    assert len(clients.door.asked) > asked + 30


# --- The end -----------------------------------------------------------------------------------------------------------


def test_in_the_end_nothing_is_opened() -> None:
    """Once it winds down nothing is submitted, replaced or halted any more, and what was lost on its way in stays lost."""
    clients = Clients().run(3)
    clients.door.is_deaf = True
    clients.run(0.1)
    clients.door.is_deaf = False
    asked = len(clients.door.asked)
    assert not set(clients.workload.open_ids) <= set(clients.door.orders)
    clients.workload.wind_down()
    clients.run(1)
    assert {type(request) for _, request in clients.door.asked[asked:]} == {CancelOrders, GetOrderStatus, GetPositions}


def test_in_the_end_everything_is_cancelled_again_and_again() -> None:
    """Every minute all is cancelled that is known or shown to be open, until nothing is."""
    clients = Clients().run(1)
    known = set(clients.workload.open_ids)
    assert known
    clients.door.looked = Looked(open_ids=("sim-e1-t1", *sorted(known)[:1]))
    clients.door.is_up = False
    clients.workload.wind_down()
    clients.door.is_up = True
    clients.door.answer = lambda request: [True] * 99 if isinstance(request, CancelOrders) else None
    clients.run(3.5 / 60)
    first, second, third = clients.door.of(CancelOrders)[-3:]
    assert set(first.client_order_ids) == set(second.client_order_ids) == {*known, "sim-e1-t1"}
    assert len(third.client_order_ids) == len(set(third.client_order_ids)) == len(known) + 1
    assert all(clients.door.looks)
    clients.door.answer = lambda _: None
    clients.door.looked = Looked()
    clients.run(0.2)
    asked = len(clients.door.asked)
    clients.run(0.2)
    assert clients.workload.open_ids == ()
    assert {type(request) for _, request in clients.door.asked[asked:]} == {GetPositions}


def test_ending_twice_is_ending_once() -> None:
    """A second call does not cancel twice a minute."""
    once, twice = Clients().run(1), Clients().run(1)
    once.workload.wind_down()
    twice.workload.wind_down()
    twice.workload.wind_down()
    assert once.run(1).door.asked == twice.run(1).door.asked


# --- What they want ------------------------------------------------------------------------------------------------------


def intents(seed: int = 1) -> Intents:
    chance = Chance(seed)
    return Intents(chance.stream("workload"), Market(Schedule(START_NS), chance.stream("market"), plan_of()))


BETTER = {"resting": (0.0005, 0.013), "marketable": (-0.007, -0.0005), "immediate": (-0.005, 0.003)}


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_is_of_its_kind(kind: str) -> None:
    """An order has the type of its kind, a small whole quantity, whole cents, and prices on the right side of the market."""
    made = intents()
    sides = set()
    for _ in range(300):
        order = made.order(kind)
        market, sign = SYMBOLS[order.symbol], 1 if order.side is Side.BUY else -1
        sides.add(order.side)
        assert order.quantity in range(1, 101)
        assert all(
            price is None or price == price.quantize(D("0.01")) for price in (order.limit_price, order.stop_price)
        )
        if kind in BETTER:
            assert order.limit_price is not None
            least, most = BETTER[kind]
            assert least <= sign * float(1 - order.limit_price / market) <= most
            assert (order.time_in_force is TimeInForce.IOC) is (kind == "immediate")
        elif kind.startswith("stop"):
            assert order.stop_price is not None
            assert 0.001 <= sign * float(order.stop_price / market - 1) <= 0.016
            assert order.order_type is (OrderType.STOP if kind == "stop" else OrderType.STOP_LIMIT)
        else:
            assert order == Order(symbol=order.symbol, side=order.side, quantity=order.quantity)
    assert sides == {Side.BUY, Side.SELL}


def test_positions_stay_small() -> None:
    """Who holds much mostly sells, who is short mostly buys, and at the limit nobody adds to it."""
    made = intents()
    made.positions = {"A": D(300), "B": D(-300), "C": D(400), "D": D(-500)}
    sides: dict[str, list[Side]] = {symbol: [] for symbol in SYMBOLS}
    for _ in range(800):
        order = made.order("market")
        sides[order.symbol].append(order.side)
    assert sides["A"].count(Side.BUY) < len(sides["A"]) / 4
    assert sides["B"].count(Side.SELL) < len(sides["B"]) / 4
    assert set(sides["C"]) == {Side.SELL}
    assert set(sides["D"]) == {Side.BUY}


def test_exits_close_a_position_and_some_would_flip_it() -> None:
    """An exit is on the side that closes, mostly of what there is, and now and then of more; without positions there is none."""
    made = intents()
    assert made.exit() is None
    made.positions = {"A": D(50), "C": D(-7)}
    orders = [order for _ in range(400) if (order := made.exit()) is not None]
    assert len(orders) == 400
    assert {(order.symbol, order.side) for order in orders} == {("A", Side.SELL), ("C", Side.BUY)}
    flips = [order for order in orders if order.quantity > abs(made.positions[order.symbol])]
    assert 50 < len(flips) < 150
    assert {order.purpose for order in orders} == {Purpose.EXIT, Purpose.PROTECTIVE}


def test_positions_are_those_that_were_told() -> None:
    """The clients lean against the positions that the process has answered."""
    clients = Clients()
    held = Position(account="main", symbol="A", quantity=D(500), average_price=D(20))
    clients.door.answer = lambda request: {"A": held} if isinstance(request, GetPositions) else None
    clients.run(20)
    exits = [order for order in clients.submitted() if order.purpose in {Purpose.EXIT, Purpose.PROTECTIVE}]
    assert len([order for order in exits if order.quantity < 40_000]) > 60
    bought = [order for order in clients.submitted() if (order.symbol, order.side) == ("A", Side.BUY)]
    sold = [order for order in clients.submitted() if (order.symbol, order.side) == ("A", Side.SELL)]
    assert len(sold) > 2 * len(bought)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_changes_something_that_the_order_has(kind: str) -> None:
    """A replacement gives another quantity or price, and no price to an order that has none of its kind."""
    made = intents()
    for _ in range(100):
        order = replace(made.order(kind), client_order_id="o-1")
        change = made.change(order)
        assert change.quantity is not None or change.limit_price is not None or change.stop_price is not None
        assert change.limit_price is None or order.limit_price is not None
        assert change.stop_price is None or order.stop_price is not None


# --- Misuse ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(MISUSES)))
def test_misuse_breaks_nothing(number: int) -> None:
    """A misuse is answered, crashes nobody, and nothing of it is approved but a change to the same."""
    world = World(
        {symbol: [20.0] * 5 for symbol in SYMBOLS}, risk={"max_order_quantity": 300, "price_collar": 0.2}
    ).bar()
    world.submit(Order.buy("A", 10, "18", client_order_id="known"))
    actor, request = MISUSES[number]("A", "client-1", "known")
    answer = world.ask(actor, lambda to: replace(request, reply_to=to))
    world.bar(2)
    assert not isinstance(answer, Unknown)
    assert world.events(MessagePoisoned, ActorQuarantined) == []
    assert {(each.client_order_id, each.quantity) for each in world.events(OrderApproved)} == {("known", D(10))}
    assert world.status("known").order.quantity == 10


def test_the_rest_of_an_hour_is_no_hurry() -> None:
    """A minute without an act is common, ten are not: the clients' gaps are those of a steady stream."""
    clients = Clients()
    counts = []
    for _ in range(600):
        before = len(clients.door.asked)
        clients.schedule.run(clients.schedule.now_ns + MINUTE_NS)
        counts.append(len(clients.door.asked) - before)
    assert 0 in counts
    assert all(sum(counts[start : start + 10]) for start in range(590))
