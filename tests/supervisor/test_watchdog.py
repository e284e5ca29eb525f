"""What nobody else would notice: a handler that does not return, and a loop that somebody else blocks."""

from __future__ import annotations

import queue
import time

import anyio
import pytest

from ordersmith.supervisor.watchdog import Watchdog, WatchdogLimits


class Watched:
    def __init__(self, **limits: float) -> None:
        self.told: queue.Queue[str] = queue.Queue()
        self.doing = "risk_gate <- CheckOrder"
        self.watchdog = Watchdog(WatchdogLimits(**limits), lambda: self.doing, self.told.put, self.told.put)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


def test_a_turn_that_does_not_return_is_named_while_it_runs() -> None:
    """The name comes from another thread, before the turn is over, and once."""
    watched = Watched(slow_handler_s=0.02)
    watched.watchdog.start()
    try:
        watched.watchdog.tick_begins()
        assert "risk_gate <- CheckOrder" in watched.told.get(timeout=10)
        with pytest.raises(queue.Empty):
            watched.told.get(timeout=0.15)
        watched.watchdog.tick_ends()
        watched.watchdog.tick_begins()
        assert "more than 0.02 s" in watched.told.get(timeout=10)
    finally:
        watched.watchdog.stop()


def test_many_short_turns_are_no_slow_one() -> None:
    """A long tick of many turns is work, not a handler that hangs."""
    watched = Watched(slow_handler_s=0.25)
    watched.watchdog.start()
    try:
        watched.watchdog.tick_begins()
        until = time.monotonic() + 0.8
        number = 0
        while time.monotonic() < until:
            number += 1
            watched.doing = f"order/{number} <- Executed"
        assert watched.told.empty()
    finally:
        watched.watchdog.stop()


@pytest.mark.anyio
async def test_a_blocked_loop_is_told_and_a_long_one_has_missed_something(anyio_backend) -> None:
    """Late by a little is a warning; late by much means that what was said meanwhile was heard by nobody."""
    late, missed = anyio.Event(), anyio.Event()
    limits = WatchdogLimits(loop_lag_s=0.1, missed_after_s=2.0)
    watchdog = Watchdog(limits, lambda: "", lambda _: late.set(), lambda _: missed.set())
    async with anyio.create_task_group() as group:
        group.start_soon(watchdog.watch_lag)
        await anyio.sleep(0.05)
        time.sleep(0.4)  # noqa: ASYNC251 - this is the fault
        with anyio.fail_after(10):
            await late.wait()
        assert not missed.is_set()
        time.sleep(2.3)  # noqa: ASYNC251 - this is the fault
        with anyio.fail_after(10):
            await missed.wait()
        group.cancel_scope.cancel()
