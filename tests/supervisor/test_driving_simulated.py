"""`run_simulated`: a trio program that sleeps by itself, on the clock of a backtest."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import trio
from driven import BARS, DAY_NS, SETTINGS, Hosted, StreamFeed, feed, orders_on

from ordersmith import (
    BacktestExecutor,
    Bars,
    ConfigError,
    DataEnded,
    ExecutorClosed,
    Order,
    OrderState,
    StrategyError,
    UsageError,
    run_simulated,
)
from ordersmith.actors.events import OrderSubmitted, SessionClosed, SessionOpened
from ordersmith.actors.machines.session import backoff_ns
from ordersmith.actors.ports import Disconnected
from ordersmith.supervisor.simulated_time import SimulatedExecutor

BEGIN = datetime(2022, 1, 3, 14, 30, tzinfo=UTC)
CLOSE = timedelta(hours=6, minutes=30)
DAY = timedelta(days=1)


def test_a_sleep_moves_the_market() -> None:
    """A program sleeps for days in no time; the clock, the executor and the order it sends agree on when it is."""

    async def main(executor: SimulatedExecutor) -> list[datetime]:
        times = [executor.now]
        assert trio.current_time() == BEGIN.timestamp()
        await trio.sleep(60)
        times.append(executor.now)
        await trio.sleep_until((BEGIN + DAY + timedelta(minutes=5)).timestamp())
        times.append(executor.now)
        (status,) = await executor.submit_orders([Order.buy("A", 10, time_in_force="GTC")])
        assert status.submitted_ns == executor.now_ns
        await trio.sleep(2 * DAY.total_seconds())
        (status,) = await executor.get_order_status([status.client_order_id])
        assert status.state is OrderState.FILLED
        return times

    began = time.perf_counter()
    times = run_simulated(main, SETTINGS, data=feed())
    assert times == [BEGIN, BEGIN + timedelta(minutes=1), BEGIN + DAY + timedelta(minutes=5)]
    assert time.perf_counter() - began < 60


def test_an_order_sent_inside_a_bar_waits_for_the_next_one() -> None:
    """What is sent in the middle of a day did not exist at its open: it fills at the open of the next day."""

    async def main(executor: SimulatedExecutor) -> None:
        await trio.sleep(DAY.total_seconds() + 3600)
        (status,) = await executor.submit_orders([Order.buy("A", 1, time_in_force="GTC")])
        await executor.advance()
        assert (await executor.get_order_status([status.client_order_id]))[0].state is OrderState.SUBMITTED
        await executor.advance()
        (status,) = await executor.get_order_status([status.client_order_id])
        assert (status.state, status.average_price) == (OrderState.FILLED, 102)

    run_simulated(main, {}, data=feed())


def test_the_market_can_be_waited_for() -> None:
    """`market()` tells the bars as they end and ends with the data, and the program returns what it wants."""

    async def main(executor: SimulatedExecutor) -> list[int]:
        ends = []
        async for bars in executor.market():
            assert executor.now == bars.time
            assert trio.current_time() == bars.end_ns / 10**9
            ends.append(bars.end_ns)
        return ends

    assert run_simulated(main, SETTINGS, data=feed()) == [bars.end_ns for bars in feed()]


def test_at_one_instant_the_exchange_is_first() -> None:
    """Who wakes at the very end of a bar sees its fills and its prices."""

    async def main(executor: SimulatedExecutor) -> None:
        await trio.sleep(CLOSE.total_seconds())
        await executor.submit_orders([Order.buy("A", 10)])
        await trio.sleep(DAY.total_seconds())
        position = (await executor.get_positions())["A"]
        assert (position.quantity, position.market_price) == (10, 101)

    run_simulated(main, {}, data=feed())


def test_a_timeout_is_one_of_the_market() -> None:
    """`move_on_after` ends an iteration after so many seconds of the market, not of the wall."""

    async def main(executor: SimulatedExecutor) -> int:
        seen = 0
        with trio.move_on_after(3 * DAY.total_seconds()):
            async for _ in executor.market():
                seen += 1
        assert executor.now == BEGIN + 3 * DAY
        return seen

    assert run_simulated(main, SETTINGS, data=feed()) == 3


def test_bars_that_nobody_waited_for_are_not_told_later() -> None:
    """As in a live market, who sleeps through three bars hears of the fourth."""

    async def main(executor: SimulatedExecutor) -> None:
        market = executor.market()
        first = await anext(market)
        await trio.sleep(3 * DAY.total_seconds())
        bars = await anext(market)
        assert bars.session == first.session + 4
        await market.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(market)

    run_simulated(main, SETTINGS, data=feed())


def test_several_tasks_may_wait_for_the_market() -> None:
    """Each task has an iterator of its own and gets every bar."""

    async def main(executor: SimulatedExecutor) -> list[int]:
        counts: list[int] = []

        async def watch() -> None:
            counts.append(len([bars async for bars in executor.market()]))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(watch)
        return counts

    assert run_simulated(main, SETTINGS, data=feed()) == [BARS] * 3


def test_time_never_goes_back() -> None:
    """A bar that ends between two microseconds, which a deadline of floating-point seconds may fall below, is no way back."""

    class Odd(StreamFeed):
        start_ns = feed().start_ns

        def __iter__(self) -> Iterator[Bars]:
            for bars in super().__iter__():
                start_ns = self.start_ns + bars.start_ns + 300 * bars.session
                yield Bars(start_ns, start_ns + DAY_NS + 300, bars.session, True, bars.rows)

    async def main(executor: SimulatedExecutor) -> list[int]:
        times = []
        while await executor.advance() is not None:
            for _ in range(0 if len(times) == 8 else 3):
                times.append(executor.now_ns)
                await trio.sleep(2.4e-7)
            times.append(executor.now_ns)
        return times

    times = run_simulated(main, SETTINGS, data=Odd(3))
    assert len(times) == 9
    assert times == sorted(times)


def test_what_is_due_between_two_bars_happens_at_its_time() -> None:
    """A timer of an actor fires when it is due, although nobody of the program wakes then."""
    kept: list[SimulatedExecutor] = []

    async def main(executor: SimulatedExecutor) -> None:
        kept.append(executor)
        await trio.sleep(100)
        dispatcher = executor._backtest.dispatcher
        dispatcher.post(dispatcher.refer("connection/main"), Disconnected("the line broke"))
        await executor.get_positions()
        await trio.sleep(3600)

    run_simulated(main, SETTINGS, data=feed())
    opened, closed = (
        [record.at_ns for record in kept[0].result().records() if isinstance(record.event, kind)]
        for kind in (SessionOpened, SessionClosed)
    )
    assert (closed[0] - opened[0], opened[1] - closed[0]) == (100 * 10**9, backoff_ns(1))


# --- The end -----------------------------------------------------------------------------------------------------------


def test_a_program_that_waits_beyond_the_data_is_told() -> None:
    """It is cancelled in order, its clean-up may sleep on, and DataEnded says until when it waited and has the result."""
    cleaned: list[float] = []

    async def main(executor: SimulatedExecutor) -> None:
        try:
            while True:
                await trio.sleep(DAY.total_seconds())
                await executor.submit_orders([Order.buy("A", 1)])
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
            cleaned.append(trio.current_time())

    with pytest.raises(DataEnded, match=r"ended on 2022-01-14 21:00:00 .* until 2022-01-15 14:30:00") as caught:
        run_simulated(main, SETTINGS, data=feed())
    end = BEGIN + 11 * DAY + CLOSE
    assert cleaned == [end.timestamp() + 5]
    assert caught.value.result.summary.orders == 11
    assert caught.value.result.summary.end == "2022-01-14"
    assert not [record for record in caught.value.result.records() if isinstance(record.event, SessionClosed)]


def test_a_program_that_waits_for_ever_is_told() -> None:
    """Waiting for something that no event will bring ends with the data, too."""

    async def main(executor: SimulatedExecutor) -> None:
        await trio.sleep_forever()

    with pytest.raises(DataEnded, match="for ever"):
        run_simulated(main, SETTINGS, data=feed())


def test_after_the_end_of_the_data_questions_are_answered() -> None:
    """Until the program waits again everything can be asked; a new market is refused."""

    async def main(executor: SimulatedExecutor) -> int:
        async for bars in executor.market():
            await executor.submit_orders(orders_on(bars))
        assert await executor.advance() is None
        with pytest.raises(UsageError, match="another executor"):
            executor.market()
        return len(await executor.get_filled_orders())

    assert run_simulated(main, SETTINGS, data=feed()) > 5


def test_after_the_run_nothing_is_answered_but_the_result() -> None:
    """The executor is closed when the program has returned."""
    kept: list[SimulatedExecutor] = []

    async def main(executor: SimulatedExecutor) -> None:
        kept.append(executor)
        await trio.sleep(DAY.total_seconds())

    run_simulated(main, SETTINGS, data=feed())
    with pytest.raises(ExecutorClosed):
        kept[0].market()
    assert kept[0].result().summary.bars == 2


def test_what_the_program_raises_is_raised() -> None:
    """Its exception comes out as it is, in no group, after the tree was stopped in order."""
    kept: list[SimulatedExecutor] = []
    error = LookupError("mine")

    async def main(executor: SimulatedExecutor) -> None:
        kept.append(executor)
        await executor.advance()
        raise error

    with pytest.raises(LookupError) as caught:
        run_simulated(main, SETTINGS, data=feed())
    assert caught.value is error
    *_, last = kept[0].result().records()
    assert isinstance(last.event, SessionClosed)


def test_a_strategy_that_raises_ends_the_program() -> None:
    """The program is cancelled where it waits, and the strategy's exception is the cause of what comes out."""
    woken: list[str] = []

    class Fails(Hosted):
        def on_bars(self, bars: Bars) -> None:
            if bars.session % 7 == 0:
                raise ZeroDivisionError

    async def main(executor: SimulatedExecutor) -> None:
        await trio.sleep(20 * DAY.total_seconds())
        woken.append("never")

    with pytest.raises(StrategyError) as caught:
        run_simulated(main, SETTINGS, strategy=Fails(), data=feed())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not woken


# --- Outside of the simulation -----------------------------------------------------------------------------------------


def test_waiting_for_a_thread_is_refused() -> None:
    """A thread takes real time, during which simulated time would run away: the error says what to do."""

    async def main(executor: SimulatedExecutor) -> None:
        await trio.to_thread.run_sync(threading.Event().wait, 0.3)

    with pytest.raises(UsageError, match="waits for a thread"):
        run_simulated(main, SETTINGS, data=StreamFeed())


def test_waiting_for_a_socket_is_refused() -> None:
    """The same holds for whatever comes through a socket."""

    async def main(executor: SimulatedExecutor) -> None:
        ours, theirs = trio.socket.socketpair()
        with ours, theirs:
            await ours.recv(1)

    with pytest.raises(UsageError, match="waits for a socket"):
        run_simulated(main, SETTINGS, data=StreamFeed())


def test_time_cannot_be_moved_by_hand() -> None:
    """`run` and `next_bars` belong to who moves time, which here is the pump."""

    async def main(executor: SimulatedExecutor) -> None:
        for call in (executor.run, executor.next_bars):
            with pytest.raises(UsageError, match="moves by itself"):
                call()

    run_simulated(main, SETTINGS, data=feed())


@pytest.mark.trio
async def test_a_running_trio_cannot_start_it() -> None:
    """Inside trio the error says where to call it and what to use instead."""
    with pytest.raises(UsageError, match="open_executor"):
        run_simulated(sleeper, SETTINGS, data=feed())


def test_two_runs_do_not_know_each_other() -> None:
    """A run that is started inside another one, in a thread of its own, comes to what each comes to alone."""
    alone = run_simulated(sleeper, SETTINGS, data=feed())
    inner: list[str] = []

    async def main(executor: SimulatedExecutor) -> str:
        await executor.advance()
        thread = threading.Thread(target=lambda: inner.append(run_simulated(sleeper, SETTINGS, data=feed())))
        thread.start()
        thread.join()
        return executor.result().trace_hash

    run_simulated(main, SETTINGS, data=feed())
    assert inner == [alone]


def test_paper_cannot_be_simulated() -> None:
    """Only a backtest's time can be a program's clock: what else the configuration says is refused by name."""

    async def main(executor: SimulatedExecutor) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match=r"execution\.mode: paper"):
        run_simulated(main, {"execution": {"mode": "paper"}}, data=feed())


# --- One trace ---------------------------------------------------------------------------------------------------------


async def sleeper(executor: SimulatedExecutor) -> str:
    """Trade at odd times of the day, from one task; return the trace hash."""
    for nap in (100.0, 0.001, 1e-7, 30_000, 86_400, 0.25, 7 * 3600.5, 200_000, 86_399.999_999, 1):
        await trio.sleep(nap)
        await executor.submit_orders([Order.buy("A", 3), Order.buy("B", 2, "101.50", time_in_force="GTC")])
    return executor.result().trace_hash


def test_a_program_of_one_task_is_the_same_every_time() -> None:
    """Runs of one program have one trace, and their records stand in order of time."""
    kept: list[SimulatedExecutor] = []

    async def main(executor: SimulatedExecutor) -> str:
        kept.append(executor)
        return await sleeper(executor)

    first, second = (run_simulated(main, SETTINGS, data=feed()) for _ in range(2))
    assert first == second
    times = [record.at_ns for record in kept[0].result().records()]
    assert times == sorted(times)
    submitted = {r.at_ns for r in kept[0].result().records() if isinstance(r.event, OrderSubmitted)}
    assert len(submitted) == 9  # a tenth of a microsecond is no time


def test_it_comes_to_the_trace_of_a_host_that_drives() -> None:
    """A program that trades when bars end has the journal of one that moves time itself."""

    async def main(executor: BacktestExecutor) -> str:
        async for bars in executor.market():
            await executor.submit_orders(orders_on(bars))
        return executor.result().trace_hash

    simulated = run_simulated(main, SETTINGS, strategy=Hosted(trades=True), data=feed())
    assert simulated == trio.run(main, BacktestExecutor(SETTINGS, strategy=Hosted(trades=True), feed=feed()))
