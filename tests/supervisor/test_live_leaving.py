"""How the block of a LiveExecutor ends: in order and in time, whatever ends it, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from driven import feed
from embedded import fast_folder, paper, records_of

from ordersmith import ExecutorFailed, Order, OrderState, PaperExecutor, open_executor
from ordersmith.actors.events import Booted, OrderCancelled, SessionClosed
from ordersmith.actors.messages import GetAccountInfo
from ordersmith.actors.risk_gate import RiskGate

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


def ended_in_order(folder: Path) -> bool:
    """Whether the journal's last boot went as far as closing the broker's session."""
    events = [record.event for record in records_of(folder / "journal.db")]
    last_boot = max(index for index, event in enumerate(events) if isinstance(event, Booted))
    return any(isinstance(event, SessionClosed) for event in events[last_boot:])


async def opens_again(folder: Path) -> bool:
    """Whether nobody holds the journal or the account any more, and the account is known."""
    async with open_executor(paper(folder), data=feed()) as executor:
        return (await executor.get_account_info()).cash > 0


async def test_an_exception_of_the_body_leaves_as_it_is(folder: Path) -> None:
    """The stop is in order, and the exception is neither wrapped nor replaced."""
    with pytest.raises(LookupError, match="mine") as caught:  # noqa: PT012 - the block is what is looked at
        async with open_executor(paper(folder), data=feed()) as executor:
            await anext(executor.market())
            raise LookupError("mine")
    assert type(caught.value) is LookupError
    assert ended_in_order(folder)
    assert await opens_again(folder)


async def test_a_group_of_the_body_leaves_as_it_is(folder: Path) -> None:
    """What a task group of the host's raises keeps its form."""
    with pytest.raises(ExceptionGroup) as caught:
        async with open_executor(paper(folder), data=feed()), anyio.create_task_group():
            raise LookupError("mine")
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert ended_in_order(folder)


@pytest.mark.parametrize("where", ["in a call", "in market", "asleep"])
async def test_a_hosts_timeout_ends_in_an_orderly_stop(folder: Path, where: str) -> None:
    """The host's scope gets its cancellation after the journal was closed in order."""
    with anyio.move_on_after(0.3) as scope:
        async with open_executor(paper(folder), data=feed()) as executor:
            while where == "in a call":
                await executor.get_account_info()
            while where == "in market":
                await anext(executor.market(), None)
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert ended_in_order(folder)
    assert await opens_again(folder)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_may_be_cancelled_again_and_again(folder: Path, anyio_backend: str) -> None:
    """The own cancel of asyncio, repeated while the stop goes on, does not break it off."""
    entered = asyncio.Event()

    async def body() -> None:
        async with open_executor(paper(folder), data=feed()):
            entered.set()
            await asyncio.sleep(1000)

    task = asyncio.create_task(body())
    await entered.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()
    assert ended_in_order(folder)
    assert await opens_again(folder)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_lives_in_a_loop_that_already_runs(folder: Path, anyio_backend: str) -> None:
    """With asyncio's own timeout, as in a notebook's cell: TimeoutError leaves, the stop was in order."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), open_executor(paper(folder), data=feed()):
            await asyncio.sleep(1000)
    assert ended_in_order(folder)


async def test_what_stays_open_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With `leave` orders stay at the broker, `left` has them, and they are there the next time."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        await anext(executor.market())
        (status,) = await executor.submit_orders([Order.buy("A", 10, REST, time_in_force="GTC")])
    assert [each.client_order_id for each in executor.left] == [status.client_order_id]
    assert status.client_order_id in caplog.text
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        (again,) = await executor.get_order_status([status.client_order_id])
        assert again.state is OrderState.SUBMITTED


@pytest.mark.parametrize("speed", ["max", 1_000_000])
async def test_a_stop_cancels_what_is_open(folder: Path, speed: Any) -> None:
    """With `cancel` nothing is open when the block is left, also if an exception ended it."""
    config = paper(folder, speed) | {"service": {"on_stop": "cancel"}}
    executor = PaperExecutor(config, data=feed())
    with pytest.raises(LookupError):  # noqa: PT012 - the block is what is looked at
        async with executor:
            await anext(executor.market())
            await executor.submit_orders([Order.buy("A", 10, REST, time_in_force="GTC")])
            raise LookupError
    assert executor.left == ()
    assert any(isinstance(record.event, OrderCancelled) for record in records_of(folder / "journal.db"))
    assert ended_in_order(folder)


async def test_a_stop_closes_all_positions(folder: Path) -> None:
    """With `flatten` the account is flat when the block is left: the data go on as far as that needs."""
    config = paper(folder) | {"service": {"on_stop": "flatten"}}
    async with PaperExecutor(config, data=feed()) as executor:
        market = executor.market()
        await anext(market)
        await executor.submit_orders([Order.buy("A", 10), Order.buy("B", 5, REST, time_in_force="GTC")])
        await anext(market)
        assert (await executor.get_positions())["A"].quantity == 10
    assert executor.left == ()
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        assert await executor.get_positions() == {}


async def test_a_stop_does_not_wait_for_prices_that_never_come(folder: Path) -> None:
    """At the end of the data a position cannot be closed any more: the stop ends before its deadline, and says what is left."""
    config = paper(folder) | {"service": {"on_stop": "flatten", "stop_within": 1000}}
    async with PaperExecutor(config, data=feed()) as executor:
        market = executor.market()
        await anext(market)
        await executor.submit_orders([Order.buy("A", 10)])
        async for _ in market:
            pass
    assert [status.quantity for status in executor.left] == [10]


async def test_a_failure_for_good_cancels_the_body(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree that gives up leaves the block as one ExecutorFailed, whose cause is what brought it down."""

    def broken(actor: Any, message: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setitem(RiskGate.handlers, GetAccountInfo, broken)
    reached = []
    with pytest.raises(ExecutorFailed) as caught:  # noqa: PT012 - the block is what is looked at
        async with PaperExecutor(paper(folder), data=feed()) as executor:
            for _ in range(100):
                try:
                    await executor.get_account_info()
                except ExecutorFailed:
                    await anyio.lowlevel.checkpoint()
            reached.append(True)
    assert not reached
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert await_closed(folder)


async def test_the_bodys_own_exception_wins_over_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the block, with a note that trading had failed."""

    def broken(actor: Any, message: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setitem(RiskGate.handlers, GetAccountInfo, broken)
    with pytest.raises(LookupError) as caught:  # noqa: PT012 - the block is what is looked at
        async with PaperExecutor(paper(folder), data=feed()) as executor:
            with anyio.CancelScope(shield=True):
                while executor._system.runtime.failure is None:
                    try:
                        await executor.get_account_info()
                    except ExecutorFailed:
                        await anyio.lowlevel.checkpoint()
            raise LookupError
    assert any("a defect" in note for note in caught.value.__notes__)


def await_closed(folder: Path) -> bool:
    """Whether the journal can be read to its end and nobody holds it."""
    return bool(records_of(folder / "journal.db"))


async def test_a_stop_that_hangs_is_broken_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that never closes the session costs no more than `service.stop_within`."""
    config = paper(folder) | {"service": {"stop_within": "0.3"}}
    async with PaperExecutor(config, data=feed()) as executor:
        core = executor._system.runtime.core
        monkeypatch.setattr(core.lifecycle, "stop", lambda: core.lifecycle._stopping.append(core))
        began = anyio.current_time()
    assert anyio.current_time() - began < 5
    assert not ended_in_order(folder)
    assert await opens_again(folder)


# --- Ctrl-C ------------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys, anyio
from datetime import date
from ordersmith import Order, open_executor

async def main(config, data):
    async with open_executor(config, data=data) as executor:
        market = executor.market()
        await anext(market)
        await executor.submit_orders([Order.buy("A", 10)])
        print("ready", flush=True)
        while True:
            await executor.get_account_info()

days = [(date(2022, 1, day), 10, 11, 9, 10, 1000) for day in (3, 4, 5, 6)]
try:
    anyio.run(main, {config!r}, {{"A": days}}, backend={backend!r})
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(130)
"""


@pytest.mark.parametrize("times", range(3))
def test_ctrl_c_ends_in_an_orderly_stop(anyio_backend: str, times: int) -> None:
    """SIGINT leaves the program as one KeyboardInterrupt, and the journal was closed in order, wherever it came."""
    with fast_folder() as folder:
        program = PROGRAM.format(config=paper(folder), backend=anyio_backend)
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(times):  # let it get somewhere else
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (130, "interrupted\n"), err
        assert "Traceback" not in err
        assert ended_in_order(folder)
