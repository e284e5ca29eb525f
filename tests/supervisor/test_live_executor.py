"""LiveExecutor: a live system inside the host's own program, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
from driven import BARS, Hosted, StreamFeed, feed, orders_on
from embedded import fast_folder, paper, records_of

from ordersmith import (
    ConfigError,
    DataError,
    ExecutorClosed,
    JournalError,
    LiveExecutor,
    Order,
    OrderCommandError,
    OrderState,
    PaperExecutor,
    TradingState,
    UsageError,
    open_executor,
)
from ordersmith.actors.account_events import SessionConnected
from ordersmith.actors.events import Booted

pytestmark = pytest.mark.anyio

REST = "50"
"""A limit that no bar comes near."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as found:
        yield found


@pytest.fixture(autouse=True)
async def in_time() -> Any:
    """A test that hangs fails."""
    with anyio.fail_after(30):
        yield


async def opens_again(folder: Path) -> bool:
    """Whether nobody holds the journal or the account any more, and the account is known."""
    async with open_executor(paper(folder), data=feed()) as executor:
        return (await executor.get_account_info()).cash > 0


# --- In the block ------------------------------------------------------------------------------------------------------


async def test_it_is_ready_on_entry_and_trades(folder: Path) -> None:
    """The account is known at once; orders get ids of this boot, fill on the next bars, and are known afterwards."""
    async with open_executor(paper(folder), data=feed()) as executor:
        assert isinstance(executor, LiveExecutor)
        assert (await executor.get_account_info()).cash == 100_000
        market = executor.market()
        first = await anext(market)
        assert executor.now == first.time
        bought, given = await executor.submit_orders([Order.buy("A", 10), Order.buy("B", 5, client_order_id="mine")])
        prefix, epoch, number = bought.client_order_id.split("-")
        assert (prefix, len(epoch), number) == ("os", 6, "x1")
        assert given.client_order_id == "mine"
        await anext(market)
        assert (await executor.get_positions())["A"].quantity == 10
        assert [status.state for status in await executor.get_order_status(["mine"])] == [OrderState.FILLED]
        with pytest.raises(OrderCommandError, match="never"):
            await executor.get_order_status(["never"])
    async with open_executor(paper(folder), data=feed()) as executor:
        assert (await executor.get_positions())["B"].quantity == 5
        (again,) = await executor.submit_orders([Order.buy("A", 1)])
        assert again.client_order_id.startswith("os-")
        assert not again.client_order_id.startswith(f"os-{epoch}-")


async def test_its_market_is_the_whole_of_the_data(folder: Path) -> None:
    """At full speed the data wait for their reader, whatever the program does before it reads and between bars."""
    async with open_executor(paper(folder), data=feed()) as executor:
        await anyio.sleep(0.05)
        times = []
        async for bars in executor.market():
            await anyio.lowlevel.checkpoint()
            times.append(bars.end_ns)
        assert times == [bars.end_ns for bars in feed()]


async def test_a_restart_goes_on_with_the_next_bars(folder: Path) -> None:
    """Bars that were shown are not shown again, and none is left out."""
    seen: list[int] = []
    for steps in (3, 5, BARS):
        async with open_executor(paper(folder), data=feed()) as executor:
            market = executor.market()
            for _ in range(steps):
                bars = await anext(market, None)
                if bars is None:
                    break
                seen.append(bars.end_ns)
                await executor.submit_orders(orders_on(bars))
    assert seen == [bars.end_ns for bars in feed()]


async def test_bars_that_a_crash_left_unwritten_are_not_shown_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the journal knows to be over is over, also where the account's file does not have it."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        market = executor.market()
        for _ in range(3):
            last = await anext(market)
        await executor.halt("so that something is written down at this time")
        account = executor._system.broker.account
        monkeypatch.setattr(account, "_commit", lambda: None)  # the process dies, as far as the account's file knows
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        times = [bars.end_ns async for bars in executor.market()]
    assert times == [bars.end_ns for bars in feed() if bars.end_ns > last.end_ns]


async def test_a_hosted_strategy_needs_no_reader(folder: Path) -> None:
    """With a strategy the data go on by themselves, unless market() is called before anything is awaited; then it has acted by then."""
    alone, accompanied = Hosted(), Hosted(trades=True)
    async with PaperExecutor(paper(folder), strategy=alone, data=feed()) as executor:
        while len(alone.seen) < BARS:
            await anyio.lowlevel.checkpoint()
        assert [bars async for bars in executor.market()] == []
    with fast_folder() as other:
        async with PaperExecutor(paper(other), strategy=accompanied, data=feed()) as executor:
            times = []
            async for bars in executor.market():
                assert executor._system.runtime.is_idle
                times.append(bars.end_ns)
    assert times == accompanied.seen == alone.seen


async def test_several_tasks_may_use_it(folder: Path) -> None:
    """Each gets the answer to its own request."""
    found: dict[str, str] = {}

    async def submit(executor: Any, name: str) -> None:
        (status,) = await executor.submit_orders([Order.buy("A", 1, client_order_id=name)])
        found[name] = status.client_order_id

    async with open_executor(paper(folder), data=feed()) as executor:
        await anext(executor.market())
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(submit, executor, f"order-{number}")
        assert len(found) == 20
        assert all(name == order_id for name, order_id in found.items())


async def test_two_at_once_do_not_know_each_other(folder: Path) -> None:
    """Two journals and two accounts in one program have an order each."""
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    async with (
        open_executor(paper(folder / "one"), data=feed()) as one,
        open_executor(paper(folder / "two"), data=feed()) as two,
    ):
        for executor, quantity in ((one, 1), (two, 2)):
            market = executor.market()
            await anext(market)
            await executor.submit_orders([Order.buy("A", quantity)])
            await anext(market)
        assert (await one.get_positions())["A"].quantity == 1
        assert (await two.get_positions())["A"].quantity == 2


async def test_a_person_halts_and_resumes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resuming first has a journal that failed try again."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        assert await executor.halt("lunch") is TradingState.HALTED
        (status,) = await executor.submit_orders([Order.buy("A", 1)])
        assert status.state is OrderState.REJECTED
        assert await executor.resume("back") is TradingState.ACTIVE
        runtime = executor._system.runtime
        mended: list[str] = []

        async def mend() -> None:
            mended.append(runtime._fault)
            runtime._fault = ""

        monkeypatch.setattr(runtime, "mend", mend)
        runtime._fault = "the disk was full"
        assert await executor.resume("space again") is TradingState.ACTIVE
        assert mended == ["the disk was full"]


async def test_a_verdict_on_what_is_in_no_doubt_is_refused(folder: Path) -> None:
    """A person can only decide what nobody can prove."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        await anext(executor.market())
        (status,) = await executor.submit_orders([Order.buy("A", 1, REST)])
        with pytest.raises(OrderCommandError):
            await executor.resolve_order(status.client_order_id, "absent", "I looked")
        with pytest.raises(OrderCommandError):
            await executor.resolve_symbol("A", "adopt", "I looked")


async def test_the_first_records_of_a_boot_are_its_begin(folder: Path) -> None:
    """A boot is written down before anything else, and the session after it."""
    assert await opens_again(folder)
    events = [record.event for record in records_of(folder / "journal.db")]
    assert isinstance(events[0], Booted)
    assert any(isinstance(event, SessionConnected) for event in events)


# --- Wrong use ---------------------------------------------------------------------------------------------------------


async def test_after_the_block_nothing_is_answered(folder: Path) -> None:
    """Calls raise ExecutorClosed, iterators that wait are told, and the same object cannot be opened again."""
    executor = PaperExecutor(paper(folder), data=feed())
    with pytest.raises(UsageError, match="async with"):
        await executor.get_positions()
    async with executor:
        market = executor.market()
    for call in (executor.get_positions, lambda: executor.submit_orders([Order.buy("A", 1)]), market.next):
        with pytest.raises(ExecutorClosed):
            await call()
    for call in (executor.market, executor.events, lambda: executor.now):
        with pytest.raises(ExecutorClosed):
            call()
    with pytest.raises(UsageError, match="opened already"):
        await executor.__aenter__()


async def test_another_thread_or_loop_is_told_what_to_do(folder: Path) -> None:
    """It belongs to the loop and the thread that opened it, and the error names what may be used instead."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        said: list[str] = []

        def elsewhere() -> None:
            for call in (executor.market, lambda: asyncio.run(executor.get_positions())):
                with pytest.raises(UsageError) as caught:
                    call()
                said.append(str(caught.value))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(said) == 2
        assert all("another thread" in text and "open_blocking_executor" in text for text in said)
        home, executor._home = executor._home, (threading.get_ident(), object())
        with pytest.raises(UsageError, match="another event loop"):
            await executor.get_positions()
        executor._home = home


async def test_its_market_has_one_reader(folder: Path) -> None:
    """The youngest goes on where the one before stopped; that one and a second task are refused."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        old = executor.market()
        first = await anext(old)
        young = executor.market()
        with pytest.raises(UsageError, match="called again"):
            await anext(old)
        assert (await anext(young)).start_ns > first.start_ns
        young._is_waiting = True
        with pytest.raises(UsageError, match="two tasks"):
            await anext(young)


async def test_a_read_that_was_called_off_loses_no_bars(folder: Path) -> None:
    """A host's timeout around the next bars, whenever it comes, costs none of them."""
    async with PaperExecutor(paper(folder), data=feed()) as executor, anyio.create_task_group() as tasks:
        market, times = executor.market(), []

        async def cancel(scope: anyio.CancelScope, after: int) -> None:
            for _ in range(after):
                await anyio.lowlevel.checkpoint()
            scope.cancel()

        for attempt in count():
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel, scope, attempt % 12)
                bars = await market.next()
                if bars is None:
                    break
                times.append(bars.end_ns)
                with anyio.CancelScope(shield=True):  # there is much to do before the next ones then
                    await executor.submit_orders(orders_on(bars))
                assert executor.now_ns == bars.end_ns
        assert times == [bars.end_ns for bars in feed()]


async def test_a_slow_reader_misses_the_oldest_bars(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At a speed that does not wait, 1,000 bars wait for the reader; older ones are counted, and told once."""
    async with PaperExecutor(paper(folder, speed="0.001"), data=feed()) as executor:
        market = executor.market()
        for bars in StreamFeed(1_500):
            executor._showing.show(bars)
        executor._showing.end()
        times = [bars.end_ns async for bars in market]
        assert times == [bars.end_ns for bars in StreamFeed(1_500)][500:]
        assert market.missed == 500
        assert executor.market().missed == 0
    assert sum("bars behind" in record.message for record in caplog.records) == 1


# --- Opening -----------------------------------------------------------------------------------------------------------


async def test_one_journal_has_one_executor(folder: Path) -> None:
    """The second says that the journal is in use, and does the first no harm."""
    async with open_executor(paper(folder), data=feed()) as executor:
        with pytest.raises(JournalError, match=r"journal\.db.*in use|uses this journal|another process"):
            async with open_executor(paper(folder), data=feed()):
                pass
        assert (await executor.get_account_info()).cash == 100_000


async def test_what_keeps_it_from_opening_is_one_error(folder: Path) -> None:
    """A missing folder, other data than the account has traded on, a journal that is none: one exception, no group, no rest."""
    async with open_executor(paper(folder), data=feed()) as executor:
        market = executor.market()
        for _ in range(3):
            await executor.submit_orders(orders_on(await anext(market)))
    with pytest.raises(ConfigError, match="paper account"):
        await PaperExecutor(paper(folder), data=other_data()).__aenter__()
    with pytest.raises(JournalError, match="nowhere"):
        await PaperExecutor(paper(folder / "nowhere"), data=feed()).__aenter__()
    (folder / "journal.db").rename(folder / "kept")
    (folder / "journal.db").write_text("no journal at all, and longer than a header, " * 50)
    with pytest.raises(JournalError, match=r"journal\.db"):
        await PaperExecutor(paper(folder), data=feed()).__aenter__()
    with pytest.raises(DataError):
        await PaperExecutor(paper(folder), data={"A": [("x", 10, 11, 9, 10, 1000)]}).__aenter__()
    (folder / "kept").rename(folder / "journal.db")
    assert await opens_again(folder)


def other_data() -> Any:
    """Return other data than `feed` has."""
    return {"A": [(date(2022, 1, day), 10, 11, 9, 10, 1000) for day in (3, 4)]}


async def test_opening_can_be_cancelled(folder: Path) -> None:
    """A host that gives up while it opens gets its cancellation, and journal and account are free again."""
    for steps in range(0, 60, 7):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def cancel_soon(steps: int = steps) -> None:
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                tasks.start_soon(cancel_soon)
                async with open_executor(paper(folder), data=feed()):
                    await anyio.sleep_forever()
        assert scope.cancelled_caught
    assert await opens_again(folder)


@pytest.mark.parametrize(
    ("execution", "live", "words"),
    [
        ({"mode": "paper"}, None, r"execution\.alpaca\.api_key: .*ALPACA_API_KEY is not set"),
        ({"mode": "paper", "provider": "ib"}, None, r"no adapter for ib yet"),
        ({"mode": "live", "alpaca": {"paper": False}}, None, r"execution\.mode: found live.*armed by hand"),
        ({"mode": "live", "alpaca": {"paper": False}}, "U1", r"ALPACA_API_SECRET is not set"),
        ({"mode": "live", "alpaca": {"paper": True}}, "U1", r"execution\.alpaca\.paper: found true"),
        ({"mode": "paper", "provider": "simulated"}, "U1", r"--live: found 'U1'.*paper"),
        ({"mode": "backtest"}, "U1", r"--live: found 'U1'.*backtest"),
    ],
)
async def test_the_mode_decides_what_is_opened(
    execution: dict[str, Any], live: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter that is missing, keys that are missing, and live mode that nobody armed, are refused by name, and nothing is made."""
    for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=words):
        async with open_executor({"execution": execution}, data=feed(), live=live):
            pass
