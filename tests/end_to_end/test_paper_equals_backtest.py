"""The same program, strategy and data in a backtest and in an embedded paper executor at full speed: order by order the same."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from driven import Hosted, feed, orders_on
from embedded import Driver, fast_folder, fates_of_backtest, fates_on_paper, on_paper, paper
from hypothesis import given, settings
from random_trading import ACTIONS_OF_COMPANIES, PLANS, SETTINGS, STEPS, RandomRun

from ordersmith import (
    AccountInfo,
    BacktestExecutor,
    Bars,
    Order,
    OrderCommandError,
    OrderExecutor,
    OrderStatus,
    Strategy,
)
from ordersmith.actors.model import Purpose
from ordersmith.config import load
from ordersmith.supervisor.live_executor import LiveExecutor
from ordersmith.supervisor.strategies import load_strategy

BACKENDS = ["asyncio", "trio"]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LATE = {"submit": "3600", "cancel": "2700"}


class Brackets(Strategy):
    """Buys on every bar, and answers each fill with a stop and a target that the same bar may already reach."""

    def on_bars(self, bars: Bars) -> None:
        for symbol in bars:
            self.submit(Order.buy(symbol, 5), Order.buy(symbol, 4, str(bars.close(symbol) - 1)))

    def on_order(self, status: OrderStatus) -> None:
        if status.order.purpose is Purpose.ENTRY and status.filled_quantity == status.quantity:
            price = round(status.average_price, 0)
            for prices in ({"stop_price": price - 1}, {"limit_price": price + 1}):
                self.submit(Order.sell(status.symbol, status.quantity, purpose=Purpose.EXIT, **prices))


async def read_to_the_end(executor: OrderExecutor) -> AccountInfo:
    async for _ in executor.market():
        pass
    return await executor.get_account_info()


async def trade_at_the_market(executor: OrderExecutor) -> AccountInfo:
    """Submit on every bar, and take back what has not filled by the next."""
    async for bars in executor.market():
        open_orders = [status.client_order_id for status in await executor.get_filled_orders() if not status.is_closed]
        await executor.cancel_orders(open_orders)
        statuses = await executor.submit_orders(orders_on(bars))
        with suppress(OrderCommandError):  # it is still on its way
            await executor.replace_order(statuses[1].client_order_id, quantity=4)
        await executor.set_targets({"B": len(statuses)})
    return await executor.get_account_info()


def both(program: Any, execution: dict[str, Any], strategy: Any, backend: str) -> Any:
    """Run a program in a backtest and on paper; return the fates and the last account of each."""
    made = strategy if strategy is not None else lambda: None
    backtest = BacktestExecutor({"execution": execution}, strategy=made(), feed=feed(40))
    account = anyio.run(program, backtest, backend=backend)

    async def embedded() -> tuple[Any, Any]:
        with fast_folder() as folder:
            async with LiveExecutor(paper(folder, **execution), strategy=made(), data=feed(40)) as executor:
                found = await program(executor)
            return fates_on_paper(executor), found

    return (fates_of_backtest(backtest), account), anyio.run(embedded, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("latency", [0, LATE], ids=["at once", "late"])
@pytest.mark.parametrize(
    ("program", "strategy"),
    [
        (trade_at_the_market, None),
        (read_to_the_end, lambda: Hosted(trades=True)),
        (trade_at_the_market, Brackets),
    ],
    ids=["driving", "hosted", "both, with exits in the same bar"],
)
def test_it_comes_to_the_same_orders(program: Any, strategy: Any, latency: Any, backend: str) -> None:
    """Every event of every order at the same time, and the same account in the end."""
    execution = {"backtest": {"slippage": "0.001", "commission": "0.5", "latency": latency}}
    expected, found = both(program, execution, strategy, backend)
    assert len(expected[0]) > 500
    assert found == expected


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(SETTINGS, STEPS, PLANS, ACTIONS_OF_COMPANIES)
def test_a_drawn_program_is_answered_the_same(
    backend: str, drawn: dict[str, Any], steps: Any, plan: Any, actions: Any
) -> None:
    """Orders, cancels, replacements, targets, flattening, halts: every answer and every order's fate is the backtest's."""
    run = RandomRun(drawn, steps, plan, actions)
    backtest = BacktestExecutor(run.settings, feed=run.feed)
    inline, embedded = Driver(plan), Driver(plan)
    expected = anyio.run(inline.drive, backtest, backend=backend)

    async def on_paper_account() -> None:
        with fast_folder() as folder:
            async with LiveExecutor(on_paper(run.settings, folder), data=run.feed) as executor:
                assert await embedded.drive(executor) == expected
            assert fates_on_paper(executor) == fates_of_backtest(backtest)

    anyio.run(on_paper_account, backend=backend)
    assert embedded.answers == inline.answers


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_demo_trades_the_same_on_paper(backend: str) -> None:
    """Two years of real prices with a split and dividends, the demo's strategy and costs: the same orders and the same money."""
    overrides = ["data.start=2005-01-01", "data.end=2006-12-31"]
    demo = load(EXAMPLES / "rebalance.yaml", overrides)
    named = demo.strategy

    def strategy() -> Strategy:
        return load_strategy(named.path or "", named.parameters, demo.base)

    backtest = BacktestExecutor(demo, strategy=strategy())
    account = anyio.run(read_to_the_end, backtest, backend=backend)

    async def embedded() -> tuple[Any, Any]:
        with fast_folder() as folder:
            async with LiveExecutor(on_paper(demo, folder), strategy=strategy()) as executor:
                found = await read_to_the_end(executor)
            return fates_on_paper(executor), found

    expected = fates_of_backtest(backtest)
    assert len(expected) > 300
    assert anyio.run(embedded, backend=backend) == (expected, account)
