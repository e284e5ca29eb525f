"""The asyncio island: calls into it from asyncio and trio, and its stop, with the island well, busy, frozen or broken."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from ordersmith.adapters import asyncio_island
from ordersmith.adapters.asyncio_island import Island, IslandDown, open_island

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request) -> str:
    return request.param


@pytest.fixture
def frozen(monkeypatch) -> Iterator[threading.Event]:
    """An event that a test freezes the island's thread on, set in the end so that the thread does not outlive the test."""
    monkeypatch.setattr(asyncio_island, "GRACE_S", 0.05)
    thaw = threading.Event()
    yield thaw
    thaw.set()


class Ticker:
    """Counts the turns of the host's loop: it stands still while the loop is blocked."""

    def __init__(self) -> None:
        self.turns = 0

    async def run(self) -> None:
        while True:
            await anyio.lowlevel.checkpoint()
            self.turns += 1


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def thread_of_island() -> threading.Thread:
    return threading.current_thread()


async def test_a_call_runs_on_asyncio_in_the_islands_thread() -> None:
    """A call returns the coroutine's result, run by asyncio in a daemon thread of the island's name."""
    async with open_island("isle") as island:
        assert await island.call(add, 2, 3) == 5
        thread = await island.call(thread_of_island)
    assert (thread.name, thread.daemon) == ("isle", True)
    assert thread is not threading.current_thread()


async def test_an_exception_comes_over() -> None:
    """What the coroutine raises is raised to the caller, a RuntimeError included, and the island goes on."""

    async def fail(kind: type[Exception]) -> None:
        raise kind("of the library")

    async with open_island() as island:
        for kind in (ValueError, RuntimeError):
            with pytest.raises(kind, match="of the library"):
                await island.call(fail, kind)
        assert await island.call(add, 1, 1) == 2


async def test_calls_run_side_by_side() -> None:
    """A call that waits for another one is not in its way."""
    meeting = asyncio.Event()

    async def wait() -> None:
        await meeting.wait()

    async def wake() -> None:
        meeting.set()

    async with open_island() as island, anyio.create_task_group() as group:
        group.start_soon(island.call, wait)
        group.start_soon(island.call, wake)


async def test_a_cancelled_caller_cancels_the_call() -> None:
    """Cancelling the caller ends the task in the island, which cleans up."""
    began, cleaned = threading.Event(), threading.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async with open_island() as island:
        async with anyio.create_task_group() as group:
            group.start_soon(island.call, wait)
            assert await anyio.to_thread.run_sync(began.wait, 10)
            group.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(cleaned.wait, 10)


async def test_an_orderly_stop_lets_calls_end() -> None:
    """A stop waits for what is under way, takes nothing new, and ends the thread."""
    began, go_on = threading.Event(), threading.Event()
    results: list[int] = []

    async def work() -> int:
        began.set()
        await asyncio.get_running_loop().run_in_executor(None, go_on.wait)
        return 7

    async def caller() -> None:
        results.append(await island.call(work))

    island = Island()
    await island.start()
    async with anyio.create_task_group() as group:
        group.start_soon(caller)
        assert await anyio.to_thread.run_sync(began.wait, 10)
        stopped: list[bool] = []

        async def stop() -> None:
            stopped.append(await island.stop(10))

        group.start_soon(stop)
        while island.open:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(IslandDown, match="not running"):
            await island.call(add, 1, 1)
        go_on.set()
    assert results == [7]
    assert stopped == [True]


async def test_a_stop_cancels_what_is_late() -> None:
    """At the deadline calls are cancelled: they clean up in the island, the caller gets IslandDown, the thread ends."""
    began, cleaned = threading.Event(), threading.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async def caller() -> None:
        with pytest.raises(IslandDown):
            await island.call(wait)

    island = Island()
    await island.start()
    async with anyio.create_task_group() as group:
        group.start_soon(caller)
        assert await anyio.to_thread.run_sync(began.wait, 10)
        assert await island.stop(0.01)
    assert cleaned.is_set()


async def test_a_frozen_island_is_left_behind(frozen: threading.Event) -> None:
    """A thread that hangs is given up: the host's loop turns all the while, and even a shielded caller is told."""
    began = threading.Event()

    async def hang() -> None:
        began.set()
        frozen.wait()

    async def caller() -> None:
        with anyio.CancelScope(shield=True), pytest.raises(IslandDown, match="left behind"):
            await island.call(hang)

    island, ticker = Island(), Ticker()
    await island.start()
    async with anyio.create_task_group() as group:
        group.start_soon(ticker.run)
        async with anyio.create_task_group() as callers:
            callers.start_soon(caller)
            assert await anyio.to_thread.run_sync(began.wait, 10)
            before = ticker.turns
            assert not await island.stop(0.02)
            assert ticker.turns > before + 20
        group.cancel_scope.cancel()


async def test_a_cancelled_caller_does_not_wait_for_a_frozen_island(frozen: threading.Event) -> None:
    """A time-out of the host's holds although the island does not answer."""

    async def hang() -> None:
        frozen.wait()

    async with open_island(stop_s=0) as island:
        with anyio.move_on_after(0.02) as scope:
            await island.call(hang)
        assert scope.cancelled_caught
        frozen.set()


async def test_an_exit_ends_only_its_call() -> None:
    """A library that calls sys.exit ends neither the island nor the host."""

    async def leave() -> None:
        sys.exit(3)

    async with open_island() as island:
        with pytest.raises(IslandDown, match="SystemExit"):
            await island.call(leave)
        assert await island.call(add, 1, 1) == 2


async def test_a_loop_that_breaks_tells_its_callers() -> None:
    """A callback that takes the loop down ends the island: waiting callers get IslandDown, and so do later calls."""

    async def break_loop() -> None:
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        await asyncio.Event().wait()

    island = Island()
    await island.start()
    with pytest.raises(IslandDown):
        await island.call(break_loop)
    while island.open:
        await anyio.lowlevel.checkpoint()
    with pytest.raises(IslandDown):
        await island.call(add, 1, 1)
    assert await island.stop()


async def test_a_stop_is_finished_by_a_cancelled_host() -> None:
    """Leaving the block under cancellation still stops the thread."""
    with anyio.CancelScope() as scope:
        async with open_island() as island:
            thread = await island.call(thread_of_island)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    await anyio.to_thread.run_sync(thread.join, 10)
    assert not thread.is_alive()


async def test_an_island_starts_once() -> None:
    """Starting again is refused, and one that never started can be stopped."""
    assert await Island().stop()
    async with open_island("isle") as island:
        with pytest.raises(RuntimeError, match="isle was started before"):
            await island.start()
