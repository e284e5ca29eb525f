"""What every runner shares: the job, the stopwatch, the strategy's arithmetic, the result.

Runs inside each system's own environment, so it may import nothing but the standard library; pandas only where a peer asks for bars.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from workloads import Workload

if TYPE_CHECKING:
    import pandas

FLAT = 1e-9
"""Averages closer than this are equal: the noise of a running float sum must not make a cross."""


def cpu_seconds() -> float:
    """Return the CPU time of this process so far, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


MEGABYTE = 1024 * 1024 if sys.platform == "darwin" else 1024
"""ru_maxrss is in bytes on macOS, in kilobytes elsewhere."""


class Stopwatch:
    """Adds up the CPU and wall time of the blocks run under it; garbage of what came before is collected first, off the clock.

    `process_cpu` and `peak_mb` are the process's own as of the end of the last block: what a runner checks after it is no part of them.
    """

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0
        self.process_cpu = 0.0
        self.peak_mb = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        self._started = cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        cpu, wall = self._started
        self.process_cpu = cpu_seconds()
        self.cpu += self.process_cpu - cpu
        self.wall += time.perf_counter() - wall
        self.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


@dataclass
class Laps:
    """CPU time noted by a strategy on certain bars: the cost of a bar between the first and the last of them.

    Bar 0 does not count: what is sent there is taken in before the next bar, and its cost is not that of orders at rest.
    """

    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None

    def note(self, bar: int) -> None:
        if bar:
            self.last = bar, cpu_seconds()
            self.first = self.first or self.last

    @property
    def per_bar(self) -> float | None:
        """CPU seconds a bar, None before two different bars were noted."""
        if self.first is None or self.last is None or self.first[0] == self.last[0]:
            return None
        return (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])


@dataclass
class Job:
    """One run to do: `bars` are those of each symbol, `data` holds SYMBOL.parquet, `scratch` is the system's own folder."""

    workload: Workload
    bars: int
    data: Path
    scratch: Path
    watch: Stopwatch = field(default_factory=Stopwatch)
    laps: Laps = field(default_factory=Laps)

    def frame(self, symbol: str) -> pandas.DataFrame:
        """Return a symbol's bars as pandas has them: float columns, indexed by the end of the bar, UTC, nanoseconds."""
        import pandas

        return pandas.read_parquet(self.data / f"{symbol}.parquet").set_index("ts").iloc[: self.bars]

    def resting_prices(self) -> list[float]:
        """Return the limits of W3's resting orders, from 1.00 up by a cent and round again: far below any bar."""
        return [round(1 + (number % 1000) * 0.01, 2) for number in range(self.workload.resting)]


@dataclass(frozen=True)
class Outcome:
    """What a run did. `bars` are symbol-bars that the system really went through. `records` is Ordersmith's journal."""

    bars: int
    orders: int
    fills: int
    equity: str
    version: str
    records: int | None = None

    @classmethod
    def of(cls, *, bars: int, orders: int, fills: int, equity: object, version: str, **extra: Any) -> Outcome:
        """Return an outcome; `equity` is rounded to cents if it is a float, exact if it is a Decimal."""
        text = f"{equity:.2f}" if isinstance(equity, float) else str(equity)
        return cls(bars=bars, orders=orders, fills=fills, equity=text, version=version, **extra)


class Crossover:
    """SMA(10) against SMA(50) by running sums, for the systems that leave indicators to the strategy."""

    __slots__ = ("fast", "side", "slow", "window")

    def __init__(self) -> None:
        self.window: deque[float] = deque(maxlen=50)
        self.fast = self.slow = 0.0
        self.side = 0

    def turn(self, close: float) -> int:
        """Take the next close and return 1 where the fast average crosses above the slow one, -1 below, else 0."""
        window = self.window
        seen = len(window)
        self.fast += close - (window[-10] if seen >= 10 else 0.0)
        self.slow += close - (window[0] if seen == 50 else 0.0)
        window.append(close)
        if seen < 49:
            return 0
        difference = self.fast / 10 - self.slow / 50
        if -FLAT < difference < FLAT:
            return 0
        before, self.side = self.side, 1 if difference > 0 else -1
        return self.side if before and before != self.side else 0
