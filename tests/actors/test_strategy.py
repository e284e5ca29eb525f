"""A hosted strategy: when it is called and with what, what it may call, and what happens when it raises."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from trading_world import World, accepted, bars, executed

from ordersmith.actors.bars import Bar, Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.errors import StrategyError
from ordersmith.actors.events import OrderEvent, OrderFilled
from ordersmith.actors.model import Order, OrderState, OrderStatus, OrderType, Side, Terms, TimeInForce
from ordersmith.actors.ports import CancelRequest, NewOrder, Rejected, ReplaceRequest, Restated
from ordersmith.actors.strategy import Strategy
from ordersmith.supervisor.executor import BacktestExecutor

D = Decimal
CLOSES = {"A": [10.0, 11.0, 12.0, 13.0], "B": [20.0, 21.0, 22.0, 23.0]}


class Diary(Strategy):
    """Writes down every call, and does what `script` says at the end of the n-th bar."""

    def __init__(self, **script: Callable[[Diary], Any]) -> None:
        self.calls: list[Any] = []
        self.script = script
        self.bar = 0
        self.returned: list[Any] = []

    def act(self, moment: str) -> None:
        if moment in self.script:
            self.returned.append(self.script[moment](self))

    def on_start(self) -> None:
        self.calls.append(("start", self.account.cash, self.now_ns))
        self.act("start")

    def on_bar(self, bar: Bar) -> None:
        self.calls.append(("bar", bar.symbol, bar.close))

    def on_bars(self, bars: Bars) -> None:
        self.bar += 1
        self.calls.append(("bars", {symbol: bars.close(symbol) for symbol in bars}))
        self.act(f"bar{self.bar}")

    def on_order(self, status: OrderStatus) -> None:
        self.calls.append(("order", status.client_order_id, status.state.value, status.filled_quantity))
        self.act("order")

    def update_positions(self, filled_orders: list[OrderStatus]) -> None:
        self.calls.append(("update", [(status.symbol, int(status.filled_quantity)) for status in filled_orders]))


def run(strategy: Strategy, **config: Any) -> BacktestExecutor:
    executor = BacktestExecutor(config, strategy=strategy, feed=bars(CLOSES))
    executor.run()
    return executor


def test_the_calls_come_in_their_order() -> None:
    """First the start, with the account known; then at each instant order news, filled orders, each bar, all bars."""
    strategy = Diary(bar1=lambda s: s.submit(Order.buy("A", 10), Order.buy("B", 5)))
    run(strategy)
    (ids,) = strategy.returned
    first, second = ids
    start = strategy.calls[0]
    assert start[:2] == ("start", D(100_000))
    assert strategy.calls[1:] == [
        ("bar", "A", 10.0),
        ("bar", "B", 20.0),
        ("bars", {"A": 10.0, "B": 20.0}),
        ("order", first, "SUBMITTED", D(0)),
        ("order", second, "SUBMITTED", D(0)),
        ("order", first, "FILLED", D(10)),
        ("order", second, "FILLED", D(5)),
        ("update", [("A", 10), ("B", 5)]),
        ("bar", "A", 11.0),
        ("bar", "B", 21.0),
        ("bars", {"A": 11.0, "B": 21.0}),
        ("bar", "A", 12.0),
        ("bar", "B", 22.0),
        ("bars", {"A": 12.0, "B": 22.0}),
        ("bar", "A", 13.0),
        ("bar", "B", 23.0),
        ("bars", {"A": 13.0, "B": 23.0}),
    ]


def test_filled_orders_are_cumulative_and_told_once() -> None:
    """An order that fills on two days is told twice, with the total each time; days without fills tell nothing."""
    strategy = Diary(bar1=lambda s: s.submit(Order.buy("A", 6, "99", time_in_force=TimeInForce.GTC)))
    executor = BacktestExecutor(
        {"risk": {"price_collar": None}}, strategy=strategy, feed=bars({"A": [10.0] * 5}, volume=40.0)
    )
    executor.run()
    assert [call[1] for call in strategy.calls if call[0] == "update"] == [[("A", 4)], [("A", 6)]]


def test_submit_returns_ids_in_order() -> None:
    """Orders and lists of orders may be mixed; own ids are kept, others are made, and each is known from the next turn on."""
    strategy = Diary(
        bar1=lambda s: s.submit(
            Order.buy("A", 1), [Order.buy("A", 2, client_order_id="mine"), Order.buy("B", 3)], (Order.buy("B", 4),)
        ),
        bar2=lambda s: [s.status(order_id) for order_id in s.returned[0]],
    )
    run(strategy)
    ids, statuses = strategy.returned
    assert ids[1] == "mine"
    assert len(set(ids)) == 4
    assert [(status.client_order_id, status.quantity) for status in statuses] == list(
        zip(ids, [D(1), D(2), D(3), D(4)], strict=True)
    )
    assert all(status.order.strategy == "main" and status.order.account == "main" for status in statuses)


def test_numbers_may_be_floats() -> None:
    """A float is taken by its shortest decimal form, in every way to give one; what is no number raises where it is given."""
    strategy = Diary(
        bar1=lambda s: s.submit(
            Order.buy("A", 0.1, 9.9),
            Order(symbol="A", side=Side.BUY, quantity=0.3, order_type=OrderType.LIMIT, limit_price=9.7),  # type: ignore[arg-type]
        ),
        bar2=lambda s: s.set_targets({"B": 2.5}),
    )
    executor = BacktestExecutor(
        {"instruments": {"default": {"lot": 0.1}}}, strategy=strategy, feed=bars({**CLOSES, "A": [10.0] * 4})
    )
    executor.run()
    first, second = (strategy.status(order_id) for order_id in strategy.returned[0])
    assert first is not None
    assert second is not None
    assert (first.quantity, first.order.limit_price) == (D("0.1"), D("9.9"))
    assert (second.quantity, second.order.limit_price) == (D("0.3"), D("9.7"))
    assert strategy.positions["B"].quantity == D("2.5")
    with pytest.raises(ValueError, match="quantity: 'ten' is not a number"):
        Order.buy("A", "ten")


def test_positions_account_and_open_orders_are_those_of_the_turn() -> None:
    """A strategy reads its positions, balances and open orders as they are; what it submits is there from the next turn on."""
    seen: list[Any] = []

    def look(strategy: Diary) -> None:
        seen.append(
            (
                {symbol: (p.quantity, p.market_price) for symbol, p in strategy.positions.items()},
                strategy.account.cash,
                [(status.symbol, status.remaining_quantity) for status in strategy.open_orders],
            )
        )

    def order_and_look(strategy: Diary) -> None:
        strategy.submit(Order.buy("A", 10), Order.buy("B", 5, "19", time_in_force=TimeInForce.GTC))
        look(strategy)

    run(Diary(bar1=order_and_look, bar2=look))
    assert seen == [
        ({}, D(100_000), []),
        ({"A": (D(10), D("11.0"))}, D(100_000 - 110), [("B", D(5))]),
    ]


def test_generate_orders_takes_open_orders_off() -> None:
    """The helper knows positions and open orders, so that using it on every bar orders what is missing only."""
    strategy = Diary(
        bar1=lambda s: s.submit(s.generate_orders({"A": 10})),
        bar2=lambda s: s.submit(s.generate_orders({"A": 10})),
        bar3=lambda s: s.submit(s.generate_orders({"A": 4, "B": 2})),
    )
    run(strategy)
    assert [len(ids) for ids in strategy.returned] == [1, 0, 2]
    assert {symbol: int(p.quantity) for symbol, p in strategy.positions.items()} == {"A": 4, "B": 2}


def test_cancel_and_replace_reach_the_broker() -> None:
    """A strategy changes and cancels its orders by id."""
    strategy = Diary(
        bar1=lambda s: s.submit(Order.buy("A", 10, "9", client_order_id="o")),
        bar2=lambda s: s.replace("o", quantity=12, limit_price="9.5"),
        bar3=lambda s: s.cancel("o", "ghost"),
    )
    world = World(CLOSES, scripted=True, strategy=strategy).bar()
    world.says(accepted("o.0"))
    world.broker.take()
    world.bar()
    (command,) = world.broker.take()
    assert isinstance(command, ReplaceRequest)
    assert (command.terms.quantity, command.terms.limit_price) == (D(12), D("9.5"))
    world.bar()
    assert world.broker.take() == [CancelRequest("o.0")]


def test_on_order_hears_of_every_change() -> None:
    """Acceptance, fills, denial and rejection are told with the status after them; two fills at once are told once."""
    strategy = Diary(
        bar1=lambda s: s.submit(
            Order.buy("A", 10, client_order_id="filled"),
            Order.buy("A", "0.5", client_order_id="denied"),
            Order.buy("A", 1, client_order_id="rejected"),
        )
    )
    world = World(CLOSES, scripted=True, strategy=strategy).bar()
    world.says(accepted("filled.0"), Rejected("rejected.0", "NO", ""))
    world.says(executed("filled.0", "k1", 4, 10, 4), executed("filled.0", "k2", 6, 10, 10))
    assert [call[1:] for call in strategy.calls if call[0] == "order"] == [
        ("denied", "REJECTED", D(0)),
        ("filled", "SUBMITTED", D(0)),
        ("rejected", "REJECTED", D(0)),
        ("filled", "FILLED", D(10)),
    ]


def test_an_order_submitted_in_on_order_goes_out() -> None:
    """What a strategy submits when it hears of an order leaves in the same instant."""

    def follow(strategy: Diary) -> None:
        if strategy.calls[-1][1:3] == ("first", "FILLED"):
            strategy.submit(Order.sell("A", 10, client_order_id="second"))

    strategy = Diary(bar1=lambda s: s.submit(Order.buy("A", 10, client_order_id="first")), order=follow)
    world = World(CLOSES, scripted=True, strategy=strategy).bar()
    world.broker.take()
    world.says(accepted("first.0"), executed("first.0", "k", 10, 10, 10))
    (command,) = world.broker.take()
    assert isinstance(command, NewOrder)
    assert command.order.client_order_id == "second"


class Adjusting(Diary):
    def on_corporate_action(self, action: CorporateAction) -> None:
        self.calls.append(("action", action.kind.value, action.symbol))
        self.act("action")


def test_corporate_actions_are_told_before_the_bars_they_are_in_force_for() -> None:
    """Every action comes once, in order, before anything else of its first bar, and what is submitted then goes out."""
    strategy = Adjusting(action=lambda s: s.submit(Order.buy("B", 1)))
    world = World(CLOSES, scripted=True, strategy=strategy).bar()
    split = CorporateAction(kind=CorporateActionKind.SPLIT, symbol="A", session=1, ratio=D(2))
    paid = CorporateAction(kind=CorporateActionKind.DIVIDEND, symbol="B", session=1, amount=D(1))
    strategy.calls.clear()
    world.broker.take()
    world.post("market", Bars(1, 2, 1, True, {"A": (5.0, 5.0, 5.0, 5.0, 1.0)}, (split, paid)))
    world.run()
    assert strategy.calls == [
        ("action", "SPLIT", "A"),
        ("action", "DIVIDEND", "B"),
        ("bar", "A", 5.0),
        ("bars", {"A": 5.0}),
    ]
    assert [command.order.symbol for command in world.broker.take()] == ["B", "B"]


def test_actions_that_nobody_wants_to_hear_of_are_passed_over() -> None:
    """A strategy without the method gets its bars as always."""
    strategy = Diary()
    world = World(CLOSES, scripted=True, strategy=strategy).bar()
    strategy.calls.clear()
    split = CorporateAction(kind=CorporateActionKind.SPLIT, symbol="A", session=1, ratio=D(2))
    world.post("market", Bars(1, 2, 1, True, {"A": (5.0, 5.0, 5.0, 5.0, 1.0)}, (split,)))
    world.run()
    assert strategy.calls == [("bar", "A", 5.0), ("bars", {"A": 5.0})]


def test_on_order_hears_of_a_restatement() -> None:
    """A strategy learns the terms that the broker has made of its order after a split."""
    heard: list[Any] = []

    class Listening(Strategy):
        def on_order(self, status: OrderStatus) -> None:
            heard.append((status.quantity, status.order.limit_price))

    world = World(CLOSES, scripted=True, strategy=Listening()).bar()
    world.submit(Order.buy("A", 10, "9", client_order_id="o"))
    world.says(accepted("o.0"))
    world.says(Restated("o.0", Terms(D(20), D("4.5")), "split 2:1"))
    assert heard == [(D(10), D(9)), (D(20), D("4.5"))]


# --- What is not overridden --------------------------------------------------------------------------------------------


class OnlyBars(Strategy):
    def on_bars(self, bars: Bars) -> None:
        if "main" not in self.positions:
            self.submit(Order.buy("A", 1))


class OnlyUpdates(Strategy):
    def update_positions(self, filled_orders: list[OrderStatus]) -> None:
        """Do nothing with them."""


class OnlyOrders(Strategy):
    def on_order(self, status: OrderStatus) -> None:
        """Do nothing with it."""


@pytest.mark.parametrize(("strategy", "subscribed"), [(OnlyBars(), 0), (OnlyUpdates(), 1), (OnlyOrders(), 10)])
def test_what_is_not_overridden_is_not_subscribed(strategy: Strategy, subscribed: int) -> None:
    """The host hears only of the events that the strategy has a method for."""
    world = World(CLOSES, strategy=strategy)
    kinds = world.dispatcher.cells["strategy/main"].actor.reactions()
    assert len(kinds) == subscribed
    assert all(issubclass(kind, OrderEvent) for kind in kinds)
    assert subscribed != 1 or kinds == [OrderFilled]


def test_a_strategy_without_methods_runs() -> None:
    """The empty strategy is a strategy, and does nothing."""
    executor = run(Strategy())
    assert executor.result().summary.orders == 0


# --- Trouble -----------------------------------------------------------------------------------------------------------


class Broken(Strategy):
    """Raises in the method that it is told to."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, where: str) -> None:
        if where == self.where:
            raise KeyError("a bug of the strategy")

    def on_start(self) -> None:
        self.fail("on_start")

    def on_bar(self, bar: Bar) -> None:
        self.fail("on_bar")

    def on_bars(self, bars: Bars) -> None:
        self.submit(Order.buy("A", 1))
        self.fail("on_bars")

    def on_order(self, status: OrderStatus) -> None:
        self.fail("on_order")

    def update_positions(self, filled_orders: list[OrderStatus]) -> None:
        self.fail("update_positions")


@pytest.mark.parametrize(
    ("where", "when"),
    [
        ("on_start", "before the first bar"),
        ("on_bar", "on the bar of 2024-01-08 21:00:00 UTC"),
        ("on_bars", "on the bar of 2024-01-08 21:00:00 UTC"),
        ("on_order", "on the bar of 2024-01-08 21:00:00 UTC"),
        ("update_positions", "on the bar of 2024-01-09 21:00:00 UTC"),
    ],
)
def test_a_strategy_that_raises_ends_the_run(where: str, when: str) -> None:
    """The error names the method and the bar, its cause is the strategy's own exception, and the outputs so far are there."""
    executor = BacktestExecutor({}, strategy=Broken(where), feed=bars(CLOSES))
    with pytest.raises(StrategyError, match=f"strategy/main raised KeyError in {where}, {when}") as caught:
        executor.run()
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.args == ("a bug of the strategy",)
    assert "fail" in {frame.name for frame in _frames(caught.value.__cause__)}
    assert executor.result().summary.orders_by_state is not None


def _frames(error: BaseException) -> Any:
    import traceback

    return traceback.extract_tb(error.__traceback__)


def test_a_turn_that_raises_submits_nothing() -> None:
    """What the strategy submitted in the call that raised never reaches the desk."""
    executor = BacktestExecutor({}, strategy=Broken("on_bars"), feed=bars(CLOSES))
    with pytest.raises(StrategyError):
        executor.run()
    assert executor.result().summary.orders == 0


def test_the_same_strategy_gives_the_same_trace() -> None:
    """Two runs of equal strategies have the same records, byte for byte."""
    hashes = {
        run(Diary(bar1=lambda s: s.set_targets({"A": 10}), bar2=lambda s: s.submit(Order.sell("A", 3))))
        .result()
        .summary.trace_hash
        for _ in range(2)
    }
    assert len(hashes) == 1


def test_states_are_those_of_the_design_card() -> None:
    """A strategy meets the six public states and no other."""
    assert [state.value for state in OrderState] == [
        "PENDING",
        "SUBMITTED",
        "PARTIALLY_FILLED",
        "FILLED",
        "REJECTED",
        "CANCELLED",
    ]
