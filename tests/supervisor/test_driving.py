"""`open_executor` and `market()`: a backtest that the host drives, on asyncio and on trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import getcontext, localcontext
from pathlib import Path
from typing import Any

import anyio
import polars
import pytest
from driven import BARS, SETTINGS, Hosted, StreamFeed, feed, orders_on

from ordersmith import (
    BacktestExecutor,
    BacktestResult,
    Bars,
    ConfigError,
    ExecutorClosed,
    Order,
    OrderState,
    Settings,
    StrategyError,
    UsageError,
    open_executor,
)
from ordersmith.actors.events import SessionClosed
from ordersmith.supervisor.executor import load_settings
from ordersmith.supervisor.market import CHECKPOINT_EVERY

pytestmark = pytest.mark.anyio


async def test_the_host_iterates_over_the_market() -> None:
    """The bars come in order, what is submitted on one fills on the next, and time is the end of the last bar."""
    states, times = [], []
    async with open_executor(SETTINGS, data=feed()) as executor:
        order_id = ""
        async for bars in executor.market():
            times.append(bars.time)
            assert executor.now == bars.time
            if not order_id:
                (status,) = await executor.submit_orders([Order.buy("A", 10)])
                order_id = status.client_order_id
            states += [status.state for status in await executor.get_order_status([order_id])]
    assert states[:2] == [OrderState.SUBMITTED, OrderState.FILLED]
    assert len(times) == BARS
    assert times == sorted(times)


async def test_time_begins_with_the_first_bar() -> None:
    """Before anything was asked it is the start of the first bar."""
    async with open_executor(SETTINGS, data=feed()) as executor:
        assert executor.now == datetime(2022, 1, 3, 14, 30, tzinfo=UTC)
        assert executor.now_ns == feed().start_ns


async def test_a_hosted_strategy_runs_along() -> None:
    """The strategy has seen a bar when the host gets it, and both trade on one account."""
    strategy = Hosted(trades=True)
    async with open_executor(SETTINGS, strategy=strategy, data=feed()) as executor:
        async for bars in executor.market():
            assert strategy.seen[-1] == bars.end_ns
            await executor.submit_orders([Order.buy("B", 1)])
    assert len(strategy.seen) == BARS
    assert executor.result().summary.orders == BARS * (6 + 1)


async def test_the_strategy_of_the_configuration_runs_along(tmp_path: Path) -> None:
    """Without a strategy handed over, the one that the configuration names is hosted, with its parameters."""
    (tmp_path / "mine.py").write_text(
        "from ordersmith import Order, Strategy\n"
        "class Mine(Strategy):\n"
        "    def __init__(self, shares):\n        self.shares = shares\n"
        "    def on_bars(self, bars):\n        self.positions or self.submit(Order.buy('A', self.shares))\n",
        encoding="utf-8",
    )
    config = tmp_path / "config.yaml"
    config.write_text("strategy: {path: mine.py:Mine, parameters: {shares: 3}}\n", encoding="utf-8")
    async with open_executor(config, data=feed()) as executor:
        async for _ in executor.market():
            pass
        assert (await executor.get_positions())["A"].quantity == 3


@pytest.mark.parametrize("form", [dict, Settings, Path, str])
async def test_a_configuration_has_many_forms(form: type, tmp_path: Path) -> None:
    """A mapping, Settings and the path of a file, as Path or text, mean the same."""
    file = tmp_path / "config.yaml"
    file.write_text("execution: {backtest: {account: {cash: 777}}}\n", encoding="utf-8")
    forms: dict[type, Any] = {
        dict: {"execution": {"backtest": {"account": {"cash": 777}}}},
        Settings: load_settings(file),
        Path: file,
        str: str(file),
    }
    async with open_executor(forms[form], data=feed()) as executor:
        assert (await executor.get_account_info()).cash == 777


# --- Wrong from the beginning ------------------------------------------------------------------------------------------


async def test_what_is_wrong_is_told_on_entry(tmp_path: Path) -> None:
    """A missing file, a wrong key and missing data are ConfigErrors that name them."""
    for config, words in (
        (tmp_path / "none.yaml", "none.yaml"),
        ({"executoin": {}}, "execution"),
        ({}, r"data\.path"),
        ({"strategy": {"path": "none.py:None"}}, r"none\.py"),
    ):
        with pytest.raises(ConfigError, match=words):
            async with open_executor(config):
                pass


async def test_an_executor_is_opened_once() -> None:
    """Entering the same object again is refused; calling the function again is a new run."""
    opening = open_executor(SETTINGS, data=feed())
    async with opening:
        pass
    with pytest.raises(UsageError, match="opened already"):
        async with opening:
            pass


# --- The end -----------------------------------------------------------------------------------------------------------


async def test_after_the_block_nothing_is_answered_but_the_result() -> None:
    """Every call raises ExecutorClosed, an iteration that goes on as well; what was done can still be looked at."""
    async with open_executor(SETTINGS, data=feed()) as executor:
        market = executor.market()
        await anext(market)
        await executor.submit_orders([Order.buy("A", 10)])
    calls = (
        lambda: executor.submit_orders([Order.buy("A", 1)]),
        lambda: executor.get_order_status(["x"]),
        lambda: executor.cancel_orders(["x"]),
        executor.get_positions,
        executor.get_account_info,
        executor.get_filled_orders,
        lambda: executor.replace_order("x", quantity=1),
        lambda: executor.set_targets({"A": 1}),
        executor.flatten,
        lambda: executor.halt("x"),
        lambda: executor.resume("x"),
        executor.advance,
        lambda: anext(market),
    )
    for call in calls:
        with pytest.raises(ExecutorClosed):
            await call()
    for plain in (executor.market, executor.run):
        with pytest.raises(ExecutorClosed):
            plain()
    assert executor.result().summary.orders == 1


async def test_an_exception_of_the_body_stops_the_tree_in_order() -> None:
    """It leaves the block as it is; the session is closed in the journal, and what was done can be looked at."""
    error = LookupError("mine")
    results: list[BacktestResult] = []

    async def run() -> None:
        async with open_executor(SETTINGS, strategy=Hosted(trades=True), data=feed()) as executor:
            async for _ in executor.market():
                results[:] = [executor.result()]
                if results[0].summary.bars == 8:
                    raise error

    with pytest.raises(LookupError) as caught:
        await run()
    assert caught.value is error
    before = results[0].summary
    result = BacktestResult(results[0]._backtest, 1.0)
    *_, last = result.records()
    assert isinstance(last.event, SessionClosed)
    assert result.summary.orders_by_state == before.orders_by_state
    assert (result.summary.final_equity, result.summary.fills) == (before.final_equity, before.fills)


async def test_an_exception_before_the_first_call_stops_nothing() -> None:
    """A tree that was never started is not stopped, and its result is that of an empty run."""
    with pytest.raises(LookupError):
        async with open_executor(SETTINGS, data=feed()) as executor:
            raise LookupError
    assert list(executor.result().records()) == []


async def test_a_strategy_that_raises_ends_the_iteration() -> None:
    """Its exception leaves `async with` as StrategyError with the cause, and the result has what was done before."""

    class Fails(Hosted):
        def on_bars(self, bars: Bars) -> None:
            super().on_bars(bars)
            if len(self.seen) == 3:
                raise ZeroDivisionError

    results: list[BacktestResult] = []

    async def run() -> None:
        async with open_executor(SETTINGS, strategy=Fails(trades=True), data=feed()) as executor:
            results.append(executor.result())
            async for _ in executor.market():
                pass

    with pytest.raises(StrategyError, match="2022-01-05") as caught:
        await run()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert results[0].summary.orders == 12


async def test_a_strategy_cannot_call_the_executor_that_hosts_it() -> None:
    """From inside its turn the executor refuses and says what a strategy has instead."""

    class Calls(Hosted):
        executor: BacktestExecutor

        def on_start(self) -> None:
            self.refused = 0
            self.on_bars(Bars(0, 0, 0, True, {}))

        def on_bars(self, bars: Bars) -> None:
            super().on_bars(bars)
            for call in (self.executor.next_bars, self.executor.market, self.executor.run):
                with pytest.raises(UsageError, match=r"self\.submit"):
                    call()
                self.refused += 1

    strategy = Calls()
    strategy.executor = BacktestExecutor(SETTINGS, strategy=strategy, feed=feed())
    while await strategy.executor.advance() is not None:
        pass
    assert strategy.seen == [0, *(bars.end_ns for bars in feed())]
    assert strategy.refused == 3 * len(strategy.seen)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_an_interrupted_turn_can_be_followed_by_others(error: type[BaseException]) -> None:
    """After Ctrl-C inside a strategy's turn the executor answers, and goes on where the host wants it to."""

    class Interrupted(Hosted):
        def on_bars(self, bars: Bars) -> None:
            super().on_bars(bars)
            if len(self.seen) == 3:
                raise error

    executor = BacktestExecutor(SETTINGS, strategy=Interrupted(), feed=feed())
    with pytest.raises(error):
        executor.run()
    assert (await executor.get_account_info()).cash == 100_000
    assert len([bars async for bars in executor.market()]) == BARS - 3


async def test_the_decimal_context_of_the_host_is_neither_used_nor_changed() -> None:
    """A host that computes with three digits gets the run of one that does not, and keeps its three."""
    alone = await drive(BacktestExecutor(SETTINGS, feed=feed()))
    with localcontext() as context:
        context.prec = 3
        async with open_executor(SETTINGS, data=feed()) as executor:
            assert await drive(executor) == alone
        assert getcontext() is context
        assert context.prec == 3


# --- Cancelling --------------------------------------------------------------------------------------------------------


async def test_a_timeout_ends_a_long_iteration() -> None:
    """The host's timeout ends an iteration without an end, and the executor answers on."""
    async with open_executor(SETTINGS, data=StreamFeed()) as executor:
        with anyio.move_on_after(0.01) as scope:
            async for _ in executor.market():
                pass
        assert scope.cancelled_caught
        assert (await executor.get_account_info()).cash == 100_000


async def test_another_task_can_cancel_an_iteration() -> None:
    """Other tasks run every few bars; a cancelled step has taken no bar, so that the next reader misses none."""
    seen: list[int] = []
    data = StreamFeed()
    async with open_executor(SETTINGS, data=data) as executor, anyio.create_task_group() as tasks:

        async def cancel() -> None:
            while not seen:
                await anyio.lowlevel.checkpoint()
            scope.cancel()

        tasks.start_soon(cancel)
        with anyio.CancelScope() as scope:
            async for bars in executor.market():
                seen.append(bars.session)  # noqa: PERF401 - the other task looks at it meanwhile
        assert scope.cancelled_caught
        assert len(seen) <= 2 * CHECKPOINT_EVERY
        assert data.taken == len(seen)
        seen.append((await anext(executor.market())).session)
    assert seen == list(range(len(seen)))


async def test_a_cancelled_body_leaves_in_order() -> None:
    """A cancelled host leaves the block at once, with the session closed in the journal."""
    with anyio.CancelScope() as scope:
        async with open_executor(SETTINGS, data=StreamFeed()) as executor:
            async for _ in executor.market():
                scope.cancel()
    *_, last = executor.result().records()
    assert isinstance(last.event, SessionClosed)


# --- One reader --------------------------------------------------------------------------------------------------------


async def test_a_second_market_goes_on_where_the_first_was_left() -> None:
    """Who breaks off an iteration and begins another misses no bar."""
    seen = []
    async with open_executor(SETTINGS, data=feed()) as executor:
        async for bars in executor.market():
            seen.append(bars.end_ns)
            if len(seen) == 5:
                break
        seen += [bars.end_ns async for bars in executor.market()]
    assert seen == [bars.end_ns for bars in feed()]


async def test_an_older_market_is_not_read_on() -> None:
    """An executor has one reader, the youngest: the one before it raises, so that nobody misses bars unknowingly."""
    async with open_executor(SETTINGS, data=feed()) as executor:
        old = executor.market()
        await anext(old)
        young = executor.market()
        with pytest.raises(UsageError, match="called again"):
            await anext(old)
        await anext(young)
        await young.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(young)


async def test_two_tasks_do_not_share_an_iteration() -> None:
    """A step that is asked for while another is under way is refused."""
    async with open_executor(SETTINGS, data=feed()) as executor:
        market = executor.market()
        refused: list[UsageError] = []

        async def step() -> None:
            try:
                await anext(market)
            except UsageError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(step)
            tasks.start_soon(step)
    assert len(refused) == 1


async def test_time_does_not_go_back() -> None:
    """After the end of the data the iteration stays at its end, and a new one is refused."""
    async with open_executor(SETTINGS, data=feed()) as executor:
        market = executor.market()
        assert len([bars async for bars in market]) == BARS
        with pytest.raises(StopAsyncIteration):
            await anext(market)
        assert await executor.advance() is None
        with pytest.raises(UsageError, match="another executor"):
            executor.market()
        (late,) = await executor.submit_orders([Order.sell("A", 1)])
        assert late.state is OrderState.REJECTED


# --- One trace ---------------------------------------------------------------------------------------------------------


async def drive(executor: BacktestExecutor) -> str:
    """Trade through the whole market, letting others run in between; return the trace hash."""
    async for bars in executor.market():
        await anyio.lowlevel.checkpoint()
        await executor.submit_orders(orders_on(bars))
    return executor.result().trace_hash


async def test_every_way_of_driving_gives_one_trace() -> None:
    """A hosted strategy comes to the same journal by `run`, by `advance` and by `market`."""
    by_run = BacktestExecutor(SETTINGS, strategy=Hosted(trades=True), feed=feed()).run()
    by_advance = BacktestExecutor(SETTINGS, strategy=Hosted(trades=True), feed=feed())
    while await by_advance.advance() is not None:
        pass
    async with open_executor(SETTINGS, strategy=Hosted(trades=True), data=feed()) as by_market:
        async for _ in by_market.market():
            pass
    assert by_run.trace_hash == by_advance.result().trace_hash == by_market.result().trace_hash
    assert by_run.summary.fills > 10


async def test_executors_stepped_in_turn_do_not_know_each_other() -> None:
    """Two runs whose bars alternate come to what each comes to alone."""
    alone = await drive(BacktestExecutor(SETTINGS, feed=feed()))
    one, two = (BacktestExecutor({**SETTINGS, "seed": seed}, feed=feed()) for seed in (0, 1))
    markets = one.market(), two.market()
    for _ in range(BARS):
        for executor, market in zip((one, two), markets, strict=True):
            await executor.submit_orders(orders_on(await anext(market)))
    assert one.result().trace_hash == alone
    assert two.result().trace_hash == await drive(BacktestExecutor({**SETTINGS, "seed": 1}, feed=feed())) != alone


async def test_executors_in_concurrent_tasks_do_not_know_each_other() -> None:
    """Runs in tasks of one event loop, which take turns, come to what each comes to alone."""
    alone = await drive(BacktestExecutor(SETTINGS, feed=feed()))
    hashes: list[str] = []

    async def one() -> None:
        async with open_executor(SETTINGS, data=feed()) as executor:
            hashes.append(await drive(executor))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)
    assert hashes == [alone] * 3


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_gathered_executors_do_not_know_each_other() -> None:
    """`asyncio.gather` is no different."""
    alone = await drive(BacktestExecutor(SETTINGS, feed=feed()))

    async def one() -> str:
        async with open_executor(SETTINGS, data=feed()) as executor:
            return await drive(executor)

    assert await asyncio.gather(one(), one()) == [alone, alone]


def rows() -> dict[str, list[tuple[Any, ...]]]:
    """Return the days of `feed` as rows that begin with a date."""
    found: dict[str, list[tuple[Any, ...]]] = {"A": [], "B": []}
    for bars in feed():
        for symbol, bar in bars.items():
            values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
            found[symbol].append((bar.time.date(), *values))
    return found


def frames() -> dict[str, polars.DataFrame]:
    columns = ["date", "open", "high", "low", "close", "volume"]
    return {symbol: polars.DataFrame(table, schema=columns, orient="row") for symbol, table in rows().items()}


@pytest.mark.parametrize("form", [feed, rows, frames, lambda: list(feed()), lambda: iter(list(feed()))])
async def test_the_host_hands_its_data_over(form: Callable[[], Any]) -> None:
    """A feed, rows, frames, a list of Bars and a stream of them are the same market, in every way of driving."""
    alone = await drive(BacktestExecutor(SETTINGS, feed=feed()))
    async with open_executor({**SETTINGS, "data": {"symbols": ["A", "B"]}}, data=form()) as executor:
        assert await drive(executor) == alone


async def test_a_stream_ends_when_it_ends() -> None:
    """Data whose length nobody knows are read one step at a time, and the summary counts what came."""
    data = StreamFeed(40)
    async with open_executor(SETTINGS, data=data) as executor:
        taken = [(bars.session, data.taken) async for bars in executor.market()]
    assert taken == [(step, step + 1) for step in range(40)]
    steps: list[int] = []
    executor = BacktestExecutor(SETTINGS, feed=StreamFeed(1000))
    assert executor.run(steps.append).summary.bars == 1000
    assert steps == [500, 1000]
