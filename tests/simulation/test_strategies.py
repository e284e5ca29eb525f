"""The strategies of a storm, hosted in a backtest: that they trade, keep to what they are for, and go quiet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from trading_world import World, accepted, executed

from ordersmith.actors.bars import Bars
from ordersmith.actors.events import OrderSubmitted, StrategyFailed, TargetsSet
from ordersmith.actors.model import Order, Purpose, Side
from ordersmith.actors.ports import CancelRequest, NewOrder, ReplaceRequest
from ordersmith.actors.strategy import Strategy
from ordersmith.simulation.market import SYMBOLS
from ordersmith.simulation.schedule import MINUTE_NS
from ordersmith.simulation.strategies import Allocator, Quoter, hosted

D = Decimal


class Switch:
    """Quiet once it is set."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self) -> bool:
        return self.on


def world(strategy: Strategy, closes: dict[str, Iterable[float]] | None = None, *, scripted: bool = False) -> World:
    prices = closes or {
        symbol: [float(price) * (1 + n % 7 / 100) for n in range(40)] for symbol, price in SYMBOLS.items()
    }
    return World(prices, scripted=scripted, strategy=strategy, cash="1000000", account={"type": "margin"})


def test_every_boot_has_strategies_of_its_own() -> None:
    """Two boots have the same names and share no strategy."""
    first, second = hosted(Switch()), hosted(Switch())
    assert [name for name, _ in first] == [name for name, _ in second] == ["allocator", "quoter"]
    assert not {strategy for _, strategy in first} & {strategy for _, strategy in second}


# --- Allocator -----------------------------------------------------------------------------------------------------------


def test_the_allocator_reaches_what_it_sets() -> None:
    """Targets of two symbols are set on each of its bars, long and short, and are what is held a bar later."""
    made = world(Allocator(Switch(), every=1)).bar(20)
    targets = made.events(TargetsSet)
    assert len(targets) == 20
    assert {len(event.targets) for event in targets} == {2}
    wanted = [quantity for event in targets for quantity in event.targets.values()]
    assert min(wanted) < 0 < max(wanted)
    assert all(-20 <= quantity <= 40 for quantity in wanted)
    before = {symbol: quantity for event in targets[:-2] for symbol, quantity in event.targets.items()}
    assert all(made.held().get(symbol, 0) in {before[symbol], *wanted} for symbol in before)


def show(made: World, minute: int, close: float) -> None:
    """Show the hosted strategy the bars of one minute."""
    host: Any = made.dispatcher.refer("strategy/main")
    rows = dict.fromkeys(SYMBOLS, (close, close, close, close, 1.0))
    made.dispatcher.post(host, Bars((minute - 1) * MINUTE_NS, minute * MINUTE_NS, 0, False, rows))
    made.run()


def test_the_allocator_takes_every_symbol_in_turn() -> None:
    """Every half hour it is the turn of the next symbols, and in between of none."""
    made = world(Allocator(Switch()), scripted=True)
    for minute in range(1, 121):
        show(made, minute, 20.13)
    assert [list(event.targets) for event in made.events(TargetsSet)] == [
        ["B", "C"],
        ["C", "D"],
        ["D", "A"],
        ["A", "B"],
    ]


@pytest.mark.parametrize("price", [math.nan, 0.0, -5.0])
@pytest.mark.parametrize("kind", [Allocator, Quoter])
def test_strategies_do_not_trade_by_a_bad_price(kind: type[Allocator | Quoter], price: float) -> None:
    """A price that is none fails no strategy and makes it submit nothing, and the next good one makes it trade."""
    made = world(kind(Switch(), every=1), scripted=True)
    for minute, close in enumerate((price, 20.0), 1):
        assert made.events(StrategyFailed, TargetsSet, OrderSubmitted) == []
        show(made, minute, close)
    assert len(made.events(TargetsSet, OrderSubmitted)) >= 1


def test_the_allocator_goes_quiet() -> None:
    """No targets are set while it is quiet."""
    switch = Switch()
    made = world(Allocator(switch, every=1)).bar(3)
    switch.on = True
    assert len(made.bar(5).events(TargetsSet)) == 3


# --- Quoter --------------------------------------------------------------------------------------------------------------


class Patient(Quoter):
    """One whose bids live longer than days."""

    LIVES_NS = 100 * Quoter.LIVES_NS * 1_000


def bid(made: World) -> NewOrder:
    (order,) = [command for command in made.broker.take() if isinstance(command, NewOrder)]
    return order


def test_the_quoter_bids_and_follows_the_market() -> None:
    """It bids below the market, and replaces its bid on the next bar instead of making a second."""
    made = world(Patient(Switch(), every=1), {"A": [20.0, 21.0, 22.0]}, scripted=True).bar()
    sent = bid(made)
    assert (sent.order.side, sent.order.limit_price) == (Side.BUY, D("19.96"))
    made.says(accepted(sent.wire_id))
    (change,) = made.bar().broker.take()
    assert isinstance(change, ReplaceRequest)
    assert change.terms.limit_price == D("20.93")


def test_the_quoter_offers_what_it_has_bought_once() -> None:
    """What a bid has bought is offered as an exit, each share once, and a bid that has begun to fill is taken back."""
    made = world(Quoter(Switch(), every=1), {"A": [20.13] * 9}, scripted=True).bar()
    sent = bid(made)
    first, rest = D(2), sent.order.quantity - 2
    made.says(accepted(sent.wire_id), executed(sent.wire_id, "k1", first, "19.90", first))
    commands = made.broker.take()
    assert [type(command) for command in commands] == [CancelRequest, NewOrder]
    assert commands[1].order.purpose is Purpose.EXIT
    assert (commands[1].order.quantity, commands[1].order.limit_price) == (2, D("19.98"))
    made.says(executed(sent.wire_id, "k2", rest, "20.06", sent.order.quantity))
    (offer,) = made.broker.take()
    assert (offer.order.side, offer.order.quantity) == (Side.SELL, rest)
    made.says(executed(sent.wire_id, "k2", rest, "20.06", sent.order.quantity))
    assert made.broker.take() == []


def test_the_quoter_cancels_what_is_old() -> None:
    """A bid that has not filled for long is cancelled."""
    made = world(Quoter(Switch(), every=1), {"A": [20.0] * 9, "B": [50.0] * 9}, scripted=True).bar()
    sent = bid(made)
    made.says(accepted(sent.wire_id))
    assert CancelRequest(sent.wire_id) in made.bar().broker.take()


def test_the_quoter_cancels_everything_once_it_is_quiet() -> None:
    """While it is quiet all that is open in the account is cancelled, whoever made it, and nothing new comes."""
    switch = Switch()
    made = world(Quoter(switch, every=1), {"A": [20.0] * 9}, scripted=True).bar()
    sent = bid(made)
    made.submit(Order.buy("A", 5, "19", client_order_id="others"))
    made.says(accepted(sent.wire_id), accepted("others.0"))
    made.broker.take()
    switch.on = True
    assert made.bar().broker.take() == [CancelRequest(sent.wire_id), CancelRequest("others.0")]
    assert made.bar().broker.take() == []


def test_the_quoter_takes_over_its_orders_after_a_boot() -> None:
    """A new incarnation knows the open orders that bear its name, and what of them was offered already."""
    made = world(Quoter(Switch(), every=1), {"A": [20.0] * 9}, scripted=True).bar()
    old, other = (Order.buy("A", 10, "19", client_order_id=name, strategy=name) for name in ("quoter", "others"))
    made.submit(old, other)
    made.says(accepted("quoter.0"), executed("quoter.0", "k", 4, 19, 4), accepted("others.0"))
    again = Quoter(Switch(), every=1)
    again._host = made.dispatcher.cells["strategy/main"].actor
    again.on_start()
    assert list(again._open) == ["quoter"]
    assert again._bought == {"quoter": 4}
