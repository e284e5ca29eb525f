"""The interface without `await`: the design card's call style, inline, with no thread and no event loop of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from decimal import Decimal

import pytest
from driven import BARS, SETTINGS, Hosted, feed, orders_on

from ordersmith import (
    BacktestExecutor,
    BacktestResult,
    BlockingExecutor,
    BlockingLiveExecutor,
    ExecutorClosed,
    Order,
    OrderCommandError,
    OrderExecutor,
    OrderState,
    OrderStatus,
    TradingState,
    UsageError,
    open_blocking_executor,
)
from ordersmith.actors.events import SessionClosed


class PortfolioManager:
    """What the design card calls one: it knows positions from the orders that filled."""

    def __init__(self) -> None:
        self.positions: dict[str, Decimal] = {}

    def update_positions(self, filled_orders: list[OrderStatus]) -> None:
        self.positions = {}
        for status in filled_orders:
            sign = 1 if status.order.side == "BUY" else -1
            held = self.positions.get(status.symbol, Decimal(0))
            self.positions[status.symbol] = held + sign * status.filled_quantity


def test_the_call_style_of_the_design_card() -> None:
    """With its instantaneous fills, targets become orders, orders become fills, and fills update the portfolio manager."""
    portfolio_manager = PortfolioManager()
    instantaneous = {"execution": {"backtest": {"fill": "close"}}}
    with open_blocking_executor(instantaneous, data=feed()) as executor:
        for day, _ in enumerate(executor.market()):
            target_positions = {"A": 10, "B": 5} if day < 6 else {"A": 4, "B": 0}
            orders = executor.generate_orders(
                current_positions=portfolio_manager.positions, target_positions=target_positions
            )
            executor.submit_orders(orders)
            filled_orders = executor.get_filled_orders()
            portfolio_manager.update_positions(filled_orders)
            held = {symbol: quantity for symbol, quantity in portfolio_manager.positions.items() if quantity}
            assert held == {s: p.quantity for s, p in executor.get_positions().items()}
            assert held == {symbol: quantity for symbol, quantity in target_positions.items() if quantity}
    assert executor.result().summary.orders == 4


def test_fills_are_asked_for_before_new_orders_are_made() -> None:
    """With fills at the next open the same calls go in the other order: first what has filled, then what is missing."""
    portfolio_manager = PortfolioManager()
    with open_blocking_executor(SETTINGS, data=feed()) as executor:
        for _ in executor.market():
            portfolio_manager.update_positions(executor.get_filled_orders())
            executor.submit_orders(executor.generate_orders(portfolio_manager.positions, {"A": 10, "B": 5}))
    assert portfolio_manager.positions == {"A": 10, "B": 5}
    assert executor.result().summary.orders == 2


@pytest.mark.parametrize("kind", [BlockingExecutor, BlockingLiveExecutor])
def test_it_has_every_method_of_the_interface(kind: type) -> None:
    """Each abstract method of OrderExecutor is there under its name, with its parameters, as a plain function."""
    names = OrderExecutor.__abstractmethods__
    assert {"submit_orders", "market", "now"} <= names
    for name in names:
        asked, plain = getattr(OrderExecutor, name), getattr(kind, name)
        assert not inspect.iscoroutinefunction(plain), name
        if inspect.iscoroutinefunction(asked):
            assert inspect.signature(plain) == inspect.signature(asked), name


def test_every_method_answers() -> None:
    """What the coroutines return is returned, what they raise is raised."""
    with open_blocking_executor(SETTINGS, data=feed()) as executor:
        next(executor.market())
        resting, buy = executor.submit_orders([Order.buy("A", 10, "95", client_order_id="rests"), Order.buy("B", 5)])
        assert executor.replace_order("rests", quantity=20).quantity in {10, 20}
        assert [status.state for status in executor.get_order_status(["rests"])] == [OrderState.SUBMITTED]
        assert executor.cancel_orders([resting.client_order_id, "never"]) == [True, False]
        with pytest.raises(OrderCommandError, match="never"):
            executor.get_order_status(["never"])
        next(executor.market())
        assert [status.client_order_id for status in executor.get_filled_orders()] == [buy.client_order_id]
        assert executor.get_account_info().gross_exposure == 505
        assert executor.halt("lunch") is TradingState.HALTED
        assert [status.quantity for status in executor.flatten()] == [5]
        next(executor.market())
        assert executor.resume("back") is TradingState.ACTIVE
        assert [status.symbol for status in executor.set_targets({"A": 2})] == ["A"]
        assert executor.now_ns == int(executor.now.timestamp()) * 10**9


def test_it_comes_to_the_same_trace() -> None:
    """A run that is driven without an event loop has the journal of one that is driven with one."""

    async def awaited() -> str:
        executor = BacktestExecutor(SETTINGS, feed=feed())
        async for bars in executor.market():
            await executor.submit_orders(orders_on(bars))
        return executor.result().trace_hash

    with open_blocking_executor(SETTINGS, data=feed()) as executor:
        for bars in executor.market():
            executor.submit_orders(orders_on(bars))
    assert executor.result().trace_hash == asyncio.run(awaited())


def test_it_may_be_called_below_an_event_loop() -> None:
    """In a notebook or a coroutine a backtest runs where it is called: nothing waits, and no thread is made."""

    async def main() -> int:
        with open_blocking_executor(SETTINGS, strategy=Hosted(trades=True), data=feed()) as executor:
            before = threading.active_count()
            steps = sum(1 for _ in executor.market())
            assert threading.active_count() == before
        return steps

    assert asyncio.run(main()) == BARS


def test_executors_stepped_in_turn_do_not_know_each_other() -> None:
    """Two runs whose bars alternate have the journal that each has alone."""

    def alone() -> str:
        return BacktestExecutor(SETTINGS, strategy=Hosted(trades=True), feed=feed()).run().trace_hash

    with (
        open_blocking_executor(SETTINGS, strategy=Hosted(trades=True), data=feed()) as one,
        open_blocking_executor(SETTINGS, strategy=Hosted(trades=True), data=feed()) as two,
    ):
        for first, second in zip(one.market(), two.market(), strict=True):
            assert first.end_ns == second.end_ns
    assert one.result().trace_hash == two.result().trace_hash == alone()


def test_an_executor_that_is_there_already_can_be_wrapped() -> None:
    """The facade of a BacktestExecutor shares its run with it."""
    inner = BacktestExecutor(SETTINGS, feed=feed())
    executor = BlockingExecutor(inner)
    next(executor.market())
    executor.submit_orders([Order.buy("A", 10)])
    inner.run()
    assert executor.get_positions()["A"].quantity == 10
    assert executor.result().summary == inner.result().summary


def test_its_market_has_one_reader() -> None:
    """The youngest iteration goes on, one before it is refused, a closed one is at its end."""
    with open_blocking_executor(SETTINGS, data=feed()) as executor:
        old = executor.market()
        next(old)
        young = executor.market()
        with pytest.raises(UsageError, match="called again"):
            next(old)
        young.close()
        assert next(young, None) is None
        assert len(list(executor.market())) == BARS - 1
        with pytest.raises(UsageError, match="another executor"):
            executor.market()


def test_after_the_block_nothing_is_answered_but_the_result() -> None:
    """Calls raise ExecutorClosed, and the result stays."""
    with open_blocking_executor(SETTINGS, data=feed()) as executor:
        market = executor.market()
        next(market)
    for call in (executor.get_positions, executor.market, lambda: next(market), lambda: executor.submit_orders([])):
        with pytest.raises(ExecutorClosed):
            call()
    assert executor.result().summary.bars == 2


def test_an_exception_of_the_body_stops_the_tree_in_order() -> None:
    """It leaves the block as it is, and the session is closed in the journal."""
    results: list[BacktestResult] = []

    def run() -> None:
        with open_blocking_executor(SETTINGS, data=feed()) as executor:
            results.append(executor.result())
            next(executor.market())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    *_, last = results[0].records()
    assert isinstance(last.event, SessionClosed)
