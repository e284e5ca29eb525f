"""What is measured: the workloads, the systems, and which share of a workload's bars each system is given.

Imported by `run.py` and by every worker process, so it depends on nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SYMBOLS = tuple(f"S{number:02d}" for number in range(10))
INITIAL_CASH = 10_000_000
BARS = 100_000

Cost = Literal["bar", "order", "steady bar"]


@dataclass(frozen=True)
class Workload:
    """`bars` is a symbol's. `cost` says what systems are compared by; a steady bar is one after the resting orders were sent."""

    name: str
    text: str
    symbols: tuple[str, ...]
    bars: int
    cost: Cost
    resting: int = 0

    @property
    def kind(self) -> str:
        """The name without its parameter: what a runner looks up its strategy by."""
        return self.name.partition("/")[0]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W0", "an empty callback", SYMBOLS, BARS, "bar"),
        Workload("W1", "SMA(10)/SMA(50) crossover, 100 at market on each cross", SYMBOLS, BARS, "bar"),
        Workload("W2", "a market order on every bar, buy and sell in turn", SYMBOLS[:1], BARS, "order"),
        Workload("W3/100", "100 resting limit orders", SYMBOLS[:1], BARS, "steady bar", resting=100),
        Workload("W3/10000", "10,000 resting limit orders", SYMBOLS[:1], BARS, "steady bar", resting=10_000),
        Workload("W4", "on every bar a far limit order, the one before it cancelled", SYMBOLS[:1], BARS // 2, "order"),
    )
}

FillRule = Literal["next open", "next close", "same close"]


@dataclass(frozen=True)
class System:
    """One system under measurement.

    `lifecycle`: it follows each order through acknowledgement, fill and cancellation. `first_bar`: the first bar that its callback sees.
    `fill`: where a market order fills, None where we cannot predict it and so compare no equity. `shares`: the part of a workload's
    bars that it gets, 1 where absent, None where it does not finish in a sensible time. `prepare`: it ingests the bars beforehand.
    """

    name: str
    title: str
    lifecycle: bool
    fill: FillRule | None
    first_bar: int = 0
    prepare: bool = False
    shares: dict[str, float | None] = field(default_factory=dict)

    def share(self, workload: Workload) -> float | None:
        return self.shares.get(workload.name, 1.0)


ORDERSMITH = System("ordersmith", "Ordersmith", lifecycle=True, fill="next open")

PEERS = (
    System(
        "backtesting",
        "backtesting.py",
        lifecycle=False,
        fill="next open",
        first_bar=1,
        shares={"W3/100": 0.05, "W3/10000": None},
    ),
    System(
        "backtrader",
        "backtrader",
        lifecycle=True,
        fill="next open",
        shares={"W0": 0.1, "W1": 0.1, "W2": 0.2, "W3/100": 0.05, "W3/10000": None, "W4": 0.4},
    ),
    System(
        "zipline",
        "zipline",
        lifecycle=True,
        fill="next close",
        prepare=True,
        shares={"W1": 0.2, "W2": 0.5, "W3/100": 0.1, "W3/10000": 0.01},
    ),
    System(
        "nautilus",
        "nautilus",
        lifecycle=True,
        fill="same close",
        shares={"W0": 0.2, "W1": 0.05, "W2": 0.05, "W3/100": 0.2, "W3/10000": None, "W4": 0.2},
    ),
    System(
        "lumibot",
        "lumibot",
        lifecycle=True,
        fill=None,
        shares={"W0": 0.05, "W1": 0.02, "W2": 0.02, "W3/100": None, "W3/10000": None, "W4": 0.03},
    ),
)

SYSTEMS = {system.name: system for system in (ORDERSMITH, *PEERS)}
