"""The async interface over a backtest that the caller drives: what it promises, on asyncio and on trio.

Time stands still but for `advance()`. A market order that is submitted at the end of a bar fills at the open of the next.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest

from ordersmith import (
    BacktestExecutor,
    Order,
    OrderCommandError,
    OrderState,
    Purpose,
    TimeInForce,
    TradingState,
)
from ordersmith.adapters.bar_feed import BarFeed

pytestmark = pytest.mark.anyio

GTC = TimeInForce.GTC
BARS = 12
FAR_BELOW = "50"


def feed() -> BarFeed:
    """Return two symbols that open at 100, 101, 102 … and trade 1000 shares a bar."""
    days = [date(2022, 1, 3) + timedelta(days=index) for index in range(BARS)]
    rows = [(day, 100.0 + n, 102.0 + n, 98.0 + n, 100.0 + n, 1000.0) for n, day in enumerate(days)]
    return BarFeed.from_rows({"A": rows, "B": rows})


def make(cash: int = 100_000, **backtest: Any) -> BacktestExecutor:
    options = {"execution": {"mode": "backtest", "backtest": {"account": {"cash": cash}, **backtest}}}
    return BacktestExecutor(options, feed=feed())


@pytest.fixture
async def executor() -> BacktestExecutor:
    """Return an executor at the end of its first bar, where the last price is 100."""
    executor = make()
    assert await executor.advance() is not None
    return executor


async def status_of(executor: BacktestExecutor, order_id: str) -> Any:
    (status,) = await executor.get_order_status([order_id])
    return status


async def test_an_order_is_submitted_and_fills_on_the_next_bar(executor: BacktestExecutor) -> None:
    """The answer comes when the intent is durable; the fill comes with the next bar, at its open."""
    buy, sell = await executor.submit_orders([Order.buy("A", 10), Order.buy("B", "5", FAR_BELOW)])
    assert (buy.symbol, sell.symbol) == ("A", "B")
    assert buy.state is sell.state is OrderState.SUBMITTED
    assert buy.client_order_id != sell.client_order_id
    assert buy.filled_quantity == 0
    bars = await executor.advance()
    assert bars is not None
    status = await status_of(executor, buy.client_order_id)
    assert status.state is OrderState.FILLED
    assert (status.filled_quantity, status.average_price) == (10, Decimal(bars["A"].open))
    assert (await status_of(executor, sell.client_order_id)).state is OrderState.CANCELLED


async def test_positions_and_account_follow_the_fills(executor: BacktestExecutor) -> None:
    """A fill is in the positions and the balances as soon as the bar is there."""
    await executor.submit_orders([Order.buy("A", 10)])
    before = await executor.get_account_info()
    assert await executor.get_positions() == {}
    assert (before.cash, before.buying_power) == (100_000, 99_000)
    await executor.advance()
    position = (await executor.get_positions())["A"]
    assert (position.quantity, position.average_price, position.market_price) == (10, 101, 101)
    await executor.advance()
    info = await executor.get_account_info()
    assert (info.cash, info.equity, info.gross_exposure) == (98_990, 100_010, 1_020)
    assert info.trading_state is TradingState.ACTIVE


async def test_a_denial_is_a_status(executor: BacktestExecutor) -> None:
    """An order that the gate refuses is no exception: its state is REJECTED and its reason the gate's code."""
    good, bad = await executor.submit_orders([Order.buy("A", 10), Order.sell("B", 10)])
    assert good.state is OrderState.SUBMITTED
    assert (bad.state, bad.reason) == (OrderState.REJECTED, "SHORT_SALE")


async def test_cancel_answers_for_each_order(executor: BacktestExecutor) -> None:
    """True for an order that is open, False for one that is closed or was never submitted; the proof is the state."""
    resting, filling = await executor.submit_orders(
        [Order.buy("A", 10, FAR_BELOW, time_in_force=GTC), Order.buy("B", 10)]
    )
    await executor.advance()
    ids = [resting.client_order_id, filling.client_order_id, "never"]
    assert await executor.cancel_orders(ids) == [True, False, False]
    status = await status_of(executor, resting.client_order_id)
    assert (status.state, status.reason) == (OrderState.CANCELLED, "REQUESTED")
    assert await executor.cancel_orders(ids) == [False, False, False]


async def test_replace_changes_the_total(executor: BacktestExecutor) -> None:
    """The new quantity is the total, what is filled included, and the order keeps its id."""
    (status,) = await executor.submit_orders([Order.buy("A", 250, time_in_force=GTC)])
    await executor.advance()
    status = await status_of(executor, status.client_order_id)
    assert (status.state, status.filled_quantity) == (OrderState.PARTIALLY_FILLED, 100)
    await executor.replace_order(status.client_order_id, quantity=150)
    status = await status_of(executor, status.client_order_id)
    assert (status.quantity, status.remaining_quantity) == (150, 50)
    await executor.advance()
    assert (await status_of(executor, status.client_order_id)).state is OrderState.FILLED
    assert (await executor.get_positions())["A"].quantity == 150


async def test_a_replacement_that_cannot_be_is_an_error(executor: BacktestExecutor) -> None:
    """A closed order, an unknown one and terms that the gate refuses raise, and change nothing."""
    resting, filling = await executor.submit_orders(
        [Order.buy("A", 10, FAR_BELOW, time_in_force=GTC), Order.buy("B", 10)]
    )
    await executor.advance()
    with pytest.raises(OrderCommandError, match="FILLED"):
        await executor.replace_order(filling.client_order_id, quantity=20)
    with pytest.raises(OrderCommandError, match="not known"):
        await executor.replace_order("never", quantity=20)
    with pytest.raises(OrderCommandError, match="PRICE_TICK"):
        await executor.replace_order(resting.client_order_id, limit_price="50.001")
    with pytest.raises(ValueError, match="quantity"):
        await executor.replace_order(resting.client_order_id, quantity="many")
    status = await status_of(executor, resting.client_order_id)
    assert (status.quantity, status.order.limit_price, status.pending) == (10, Decimal(FAR_BELOW), ())


async def test_the_same_order_again_is_the_same_order(executor: BacktestExecutor) -> None:
    """An id with the same terms returns the first order, open or closed; with other terms it is an error."""
    order = Order.buy("A", 10, client_order_id="mine-1")
    (first,) = await executor.submit_orders([order])
    (again,) = await executor.submit_orders([order])
    assert (again.order, again.submitted_ns) == (first.order, first.submitted_ns)
    await executor.advance()
    (closed,) = await executor.submit_orders([order])
    assert closed.state is OrderState.FILLED
    with pytest.raises(OrderCommandError, match=r"mine-1.*other terms"):
        await executor.submit_orders([Order.buy("A", 11, client_order_id="mine-1")])
    assert executor.result().summary.orders == 1
    assert (await executor.get_positions())["A"].quantity == 10


async def test_the_same_order_twice_in_one_call_is_one_order(executor: BacktestExecutor) -> None:
    """Both entries of the answer are the one order."""
    order = Order.buy("A", 10, client_order_id="mine-1")
    one, two = await executor.submit_orders([order, order])
    assert one.client_order_id == two.client_order_id == "mine-1"
    await executor.advance()
    assert (await executor.get_positions())["A"].quantity == 10


@pytest.mark.parametrize("bad", ["a b", "x" * 41, "über", "a/b", "a.1"])
async def test_an_id_that_no_broker_takes_is_an_error(executor: BacktestExecutor, bad: str) -> None:
    """Ids have up to 40 letters, digits and a few signs; anything else is refused by name."""
    with pytest.raises(OrderCommandError, match="client_order_id"):
        await executor.submit_orders([Order.buy("A", 10, client_order_id=bad)])
    assert executor.result().summary.orders == 0


async def test_an_unknown_id_is_an_error(executor: BacktestExecutor) -> None:
    """A status of an order that was never submitted is no status: the error names the id."""
    (status,) = await executor.submit_orders([Order.buy("A", 10)])
    with pytest.raises(OrderCommandError, match="never-1, never-2"):
        await executor.get_order_status(["never-1", status.client_order_id, "never-2"])


async def test_nothing_asked_is_nothing_answered(executor: BacktestExecutor) -> None:
    """Empty lists are answered by empty lists."""
    assert await executor.submit_orders([]) == []
    assert await executor.get_order_status([]) == []
    assert await executor.cancel_orders([]) == []
    assert await executor.set_targets({}) == []
    assert await executor.get_filled_orders() == []
    assert await executor.flatten() == []
    assert executor.result().summary.orders == 0


async def test_targets_are_pursued_over_bars(executor: BacktestExecutor) -> None:
    """A target larger than a bar's volume allows is ordered again until it is there; others are left alone."""
    (first,) = await executor.set_targets({"A": 250})
    assert (first.state, first.quantity) == (OrderState.SUBMITTED, 250)
    for held in (100, 200, 250, 250):
        await executor.advance()
        assert (await executor.get_positions())["A"].quantity == held
    assert await executor.set_targets({"B": 10}) != []
    await executor.advance()
    assert {s: p.quantity for s, p in (await executor.get_positions()).items()} == {"A": 250, "B": 10}


async def test_targets_can_close_the_rest(executor: BacktestExecutor) -> None:
    """`close_others` sells what has no target; a target of 0 sells its own symbol."""
    await executor.set_targets({"A": 20, "B": 30})
    await executor.advance()
    (order,) = await executor.set_targets({"A": 20}, close_others=True)
    assert (order.symbol, order.side, order.quantity) == ("B", "SELL", 30)
    await executor.advance()
    assert (await executor.get_positions()).keys() == {"A"}
    await executor.set_targets({"A": 0})
    await executor.advance()
    assert await executor.get_positions() == {}


async def test_increasers_wait_for_the_cash() -> None:
    """With no cash left, the sale goes at once and the purchase on the bar that brings the money."""
    executor = make(cash=10_500)
    await executor.advance()
    await executor.set_targets({"A": 100})
    await executor.advance()
    (sale,) = await executor.set_targets({"A": 0, "B": 50})
    assert (sale.symbol, sale.side) == ("A", "SELL")
    await executor.advance()
    assert await executor.get_positions() == {}
    await executor.advance()
    assert {s: p.quantity for s, p in (await executor.get_positions()).items()} == {"B": 50}


@pytest.mark.parametrize("quantity", ["NaN", "Infinity"])
async def test_a_target_is_a_finite_number(executor: BacktestExecutor, quantity: str) -> None:
    """What is no finite number is refused, and no order is made."""
    with pytest.raises(OrderCommandError, match="finite"):
        await executor.set_targets({"A": Decimal(quantity)})
    assert executor.result().summary.orders == 0


async def test_flatten_cancels_and_closes(executor: BacktestExecutor) -> None:
    """Everything open is cancelled and every position sold, by orders that pass also while trading is halted."""
    await executor.submit_orders([Order.buy("A", 60), Order.buy("B", 30)])
    await executor.advance()
    (resting,) = await executor.submit_orders([Order.buy("A", 10, FAR_BELOW, time_in_force=GTC)])
    assert await executor.halt("stop everything") is TradingState.HALTED
    assert await executor.flatten() == []
    assert (await status_of(executor, resting.client_order_id)).state is OrderState.CANCELLED
    await executor.advance()
    assert await executor.get_positions() == {}
    assert all(status.order.purpose is Purpose.LIQUIDATION for status in executor.result().orders()[3:])


async def test_flatten_at_once_when_nothing_is_open(executor: BacktestExecutor) -> None:
    """Without open orders the closing orders are in the answer."""
    await executor.submit_orders([Order.buy("A", 60)])
    await executor.advance()
    (closing,) = await executor.flatten()
    assert (closing.symbol, closing.side, closing.quantity) == ("A", "SELL", 60)


async def test_halt_and_resume(executor: BacktestExecutor) -> None:
    """While trading is halted orders are denied and cancels pass; after a resume orders pass again."""
    (resting,) = await executor.submit_orders([Order.buy("A", 10, FAR_BELOW, time_in_force=GTC)])
    assert await executor.halt("lunch") is TradingState.HALTED
    assert await executor.halt("still lunch") is TradingState.HALTED
    (denied,) = await executor.submit_orders([Order.buy("A", 10)])
    assert (denied.state, denied.reason) == (OrderState.REJECTED, "TRADING_HALTED")
    assert (await executor.get_account_info()).trading_state is TradingState.HALTED
    assert await executor.cancel_orders([resting.client_order_id]) == [True]
    assert await executor.resume("back") is TradingState.ACTIVE
    (passed,) = await executor.submit_orders([Order.buy("A", 10)])
    assert passed.state is OrderState.SUBMITTED


async def test_filled_orders_are_told_from_where_one_was(executor: BacktestExecutor) -> None:
    """`after` is the last record that was seen: what has filled since is told, cumulative, and nothing twice."""
    one, two = await executor.submit_orders([Order.buy("A", 150, time_in_force=GTC), Order.buy("B", 10)])
    assert await executor.get_filled_orders() == []
    await executor.advance()
    filled = await executor.get_filled_orders()
    assert {status.client_order_id: status.filled_quantity for status in filled} == {
        one.client_order_id: 100,
        two.client_order_id: 10,
    }
    assert [status.last_record for status in filled] == sorted(status.last_record for status in filled)
    seen = filled[-1].last_record
    assert await executor.get_filled_orders(after=seen) == []
    await executor.advance()
    (again,) = await executor.get_filled_orders(after=seen)
    assert (again.client_order_id, again.filled_quantity, again.state) == (one.client_order_id, 150, OrderState.FILLED)


async def test_filled_orders_include_those_of_targets(executor: BacktestExecutor) -> None:
    """An order that a target made is an order like any other."""
    (made,) = await executor.set_targets({"A": 20})
    await executor.advance()
    (filled,) = await executor.get_filled_orders()
    assert filled.client_order_id == made.client_order_id
    assert [status.client_order_id for status in executor.result().orders()] == [made.client_order_id]


async def test_after_the_end_of_the_data_everything_can_still_be_asked(executor: BacktestExecutor) -> None:
    """At the end `advance` returns None as often as it is asked; orders are taken and never fill."""
    (bought,) = await executor.submit_orders([Order.buy("A", 10)])
    while await executor.advance() is not None:
        pass
    assert await executor.advance() is None
    (late,) = await executor.submit_orders([Order.sell("A", 10)])
    assert late.state is OrderState.SUBMITTED
    assert await executor.advance() is None
    assert (await status_of(executor, late.client_order_id)).state is OrderState.SUBMITTED
    assert await executor.cancel_orders([late.client_order_id]) == [True]
    assert [status.client_order_id for status in await executor.get_filled_orders()] == [bought.client_order_id]
    assert (await executor.get_positions())["A"].quantity == 10
    summary = executor.result().summary
    assert (summary.bars, summary.orders, summary.fills) == (2 * BARS, 2, 1)


async def test_before_the_first_bar_orders_are_denied() -> None:
    """Without a last price nothing can be judged, so nothing is sent; questions are answered."""
    executor = make()
    (denied,) = await executor.submit_orders([Order.buy("A", 10)])
    assert (denied.state, denied.reason) == (OrderState.REJECTED, "NO_MARKET_DATA")
    assert (await executor.get_account_info()).cash == 100_000
    assert await executor.get_positions() == {}


async def trade(executor: BacktestExecutor, symbol: str) -> str:
    """Trade through all bars, letting others run in between; return the trace hash."""
    while (bars := await executor.advance()) is not None:
        await anyio.lowlevel.checkpoint()
        await executor.submit_orders([Order.buy(symbol, 7), Order.buy(symbol, 3, str(int(bars.close(symbol)) - 1))])
        await anyio.lowlevel.checkpoint()
        if len(await executor.get_filled_orders()) % 3 == 0:
            await executor.set_targets({symbol: 5})
    return executor.result().trace_hash


async def test_several_executors_do_not_know_each_other() -> None:
    """Executors that run at once in one process come to what each comes to alone."""
    alone = {symbol: await trade(make(slippage="0.001"), symbol) for symbol in ("A", "B")}
    together: dict[tuple[str, int], str] = {}

    async def one(symbol: str, copy: int) -> None:
        together[symbol, copy] = await trade(make(slippage="0.001"), symbol)

    async with anyio.create_task_group() as tasks:
        for symbol in ("A", "B"):
            for copy in (1, 2):
                tasks.start_soon(one, symbol, copy)
    assert alone["A"] != alone["B"]
    assert together == {(symbol, copy): alone[symbol] for symbol in ("A", "B") for copy in (1, 2)}


async def test_the_error_of_a_batch_names_what_was_taken() -> None:
    """A batch with one impossible order says which of the others went ahead."""
    executor = BacktestExecutor({}, feed=feed())
    await executor.advance()
    with pytest.raises(OrderCommandError, match=r"'no good!'.*were taken: fine \(SUBMITTED\)"):
        await executor.submit_orders(
            [Order.buy("A", 1, client_order_id="fine"), Order.buy("A", 1, client_order_id="no good!")]
        )


@pytest.mark.parametrize("mode", [{"mode": "paper"}, {"mode": "live", "alpaca": {"paper": False}}])
async def test_a_backtest_is_one_whatever_the_configuration_is_for(mode: dict[str, Any]) -> None:
    """A configuration made for paper or live trades backtests with the settings of a backtest: equal orders are meant."""
    executor = BacktestExecutor({"execution": mode}, feed=feed())
    await executor.advance()
    statuses = await executor.submit_orders([Order.buy("A", 1), Order.buy("A", 1)])
    assert [status.state for status in statuses] == ["SUBMITTED", "SUBMITTED"]
    assert executor.settings.execution.mode == "backtest"
