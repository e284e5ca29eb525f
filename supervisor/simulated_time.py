"""A backtest's clock under a trio program: its sleeps and timeouts take no real time and follow the data.

A pump moves time, and only when every task waits: to the end of the next bars, or to the program's next deadline if that
comes first. At one instant the exchange and the actors come first, then the program wakes.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import trio
from trio.testing import wait_all_tasks_blocked

from ..actors.bars import Bars
from ..actors.errors import DataEnded, UsageError
from ..actors.model import as_datetime
from .executor import BacktestExecutor
from .market import Market
from .result import BacktestResult

T = TypeVar("T")

NS = 1_000_000_000
NS_A_MICROSECOND = 1_000
FOR_EVER = 2**63
MICROSECONDS = 1_000_000
"""What a deadline is rounded to: a float of seconds since 1970 knows a quarter of one."""


class SimulatedClock(trio.abc.Clock):
    """Seconds since 1970, moved by hand and never back."""

    def __init__(self, now_ns: int) -> None:
        self.seconds = now_ns / NS

    def start_clock(self) -> None:
        """Nothing runs by itself."""

    def current_time(self) -> float:
        return self.seconds

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0 if deadline <= self.seconds else 999_999_999

    def move_to(self, seconds: float) -> None:
        self.seconds = max(self.seconds, seconds)


class SimulatedExecutor(BacktestExecutor):
    """The executor of a simulated program: time moves while the program waits, and `market()` only watches it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._arrived = trio.Event()
        self._latest: Bars | None = None
        self._last = False

    def market(self) -> SimulatedMarket:
        """Return an iterator that waits for the end of the next bars; several tasks may have one each.

        Bars that end while nobody waits for them are not told afterwards. Raises UsageError after the end of the data
        was told.
        """
        return self.read(SimulatedMarket)

    async def advance(self) -> Bars | None:
        """Wait for the end of the next bars and return them, None at the end of the data."""
        self.begin()
        if self._last:
            await trio.lowlevel.checkpoint()
            self._over = True
            return None
        await self._arrived.wait()
        return self._latest

    def run(self, progress: Callable[[int], None] | None = None) -> BacktestResult:
        """Raise UsageError: the program that runs moves time."""
        _refuse("run()")

    def next_bars(self) -> Bars | None:
        """Raise UsageError: a simulated program has to wait for bars."""
        _refuse("next_bars()")

    # --- For the pump --------------------------------------------------------------------------------------------------

    def move_to(self, now_ns: int, start_ns: int) -> None:
        """Move to an instant before the next bars end, which begin at `start_ns`."""
        self.begin()
        with self._watch:
            self._backtest.advance_to(now_ns, start_ns)

    def move_over(self, bars: Bars, *, last: bool) -> None:
        """Move to the end of `bars` and wake who waits for them."""
        with self._watch:
            self._backtest.step(bars)
        self._latest, self._last = bars, last
        arrived, self._arrived = self._arrived, trio.Event()
        arrived.set()


class SimulatedMarket(Market):
    """`async for bars in executor.market()` in a simulated program: each step waits for the end of the next bars."""

    async def _arrival(self) -> Bars | None:
        return None if self._closed else await self._executor.advance()


class Pump:
    """The task that moves time. `failure` is why `scope`, the program's, was cancelled.

    Made while no task of the program runs: who waits for a socket then is trio itself.
    """

    def __init__(self, executor: SimulatedExecutor, clock: SimulatedClock, scope: trio.CancelScope) -> None:
        self.failure: BaseException | None = None
        self._executor = executor
        self._clock = clock
        self._scope = scope
        self._bars = executor.begin()
        self._next = next(self._bars, None)
        self._own_sockets = _tasks_at_sockets(trio.lowlevel.current_statistics())

    async def run(self) -> None:
        """Move time until the program has ended, then for what it still does under a shield."""
        while True:
            await wait_all_tasks_blocked()
            statistics = trio.lowlevel.current_statistics()
            deadline = self._clock.seconds + statistics.seconds_to_next_deadline
            if self.failure is None:
                try:
                    self._refuse_the_outside(statistics)
                    self._move(deadline)
                except BaseException as error:  # noqa: BLE001 - for the program's caller; a system task must not raise
                    self.failure = error
                    self._scope.cancel()
            elif deadline < math.inf:
                self._clock.move_to(deadline)
            else:
                return

    def _move(self, deadline: float) -> None:
        """Move to the next event or to the program's deadline, whichever is earlier; on a tie the event is first."""
        bars, executor = self._next, self._executor
        deadline_ns = FOR_EVER if deadline == math.inf else max(_nanoseconds(deadline), executor.now_ns)
        if bars is not None and bars.end_ns <= deadline_ns:
            self._next = next(self._bars, None)
            self._clock.move_to(bars.end_ns / NS)
            executor.move_over(bars, last=self._next is None)
        elif bars is not None:
            self._clock.move_to(deadline)
            executor.move_to(deadline_ns, bars.start_ns)
        else:
            until = "for ever" if deadline_ns == FOR_EVER else f"until {as_datetime(deadline_ns):%Y-%m-%d %H:%M:%S} UTC"
            raise DataEnded(
                f"the data ended on {executor.now:%Y-%m-%d %H:%M:%S} UTC, and the program still waited {until}; "
                "return from it before (`async for bars in executor.market()` ends with the data), or catch "
                "DataEnded, whose `result` is the run's",
                executor.result(),
            )

    def _refuse_the_outside(self, statistics: trio.lowlevel.RunStatistics) -> None:
        threads = trio.to_thread.current_default_thread_limiter().borrowed_tokens
        sockets = _tasks_at_sockets(statistics) - self._own_sockets
        if threads or sockets > 0:
            raise UsageError(
                f"a task waits for {'a thread' if threads else 'a socket'}, which takes real time, and in run_simulated "
                "time passes only when all tasks wait; do it before or after the run, or drive the backtest yourself "
                "with open_executor"
            )


def simulate(main: Callable[[SimulatedExecutor], Awaitable[T]], executor: SimulatedExecutor) -> T:
    """Run `main` on the executor's time. See `run_simulated`."""
    if trio.lowlevel.in_trio_run():
        raise UsageError(
            "run_simulated starts trio on a clock of its own and cannot be called inside a running one; call it from "
            "plain code, or drive the backtest here with open_executor"
        )
    clock = SimulatedClock(executor.feed.start_ns)
    try:
        outcome = trio.run(_run, main, executor, clock, clock=clock)
    except BaseException as error:
        executor.close(broken=not isinstance(error, DataEnded))
        raise
    executor.close()
    return outcome


async def _run(
    main: Callable[[SimulatedExecutor], Awaitable[T]], executor: SimulatedExecutor, clock: SimulatedClock
) -> T:
    await wait_all_tasks_blocked()  # trio's own tasks have begun then
    scope = trio.CancelScope()
    pump = Pump(executor, clock, scope)
    trio.lowlevel.spawn_system_task(pump.run)
    with scope:
        outcome = await main(executor)
        if pump.failure is None:
            return outcome
    assert pump.failure is not None
    raise pump.failure


def _tasks_at_sockets(statistics: trio.lowlevel.RunStatistics) -> int:
    """Return how many tasks wait for a socket or a pipe, as far as trio tells on this system."""
    waiting = statistics.io_statistics
    return sum(getattr(waiting, name, 0) for name in ("tasks_waiting_read", "tasks_waiting_write", "tasks_waiting"))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * MICROSECONDS) * NS_A_MICROSECOND


def _refuse(call: str) -> NoReturn:
    raise UsageError(
        f"{call} moves time, which in run_simulated moves by itself while the program waits; "
        "await trio.sleep(…), executor.advance(), or iterate over executor.market()"
    )
