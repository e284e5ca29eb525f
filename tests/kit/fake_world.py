"""A world in which nothing happens but what its seed says, for those who run worlds and do not look into them."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

from ordersmith.simulation.outcome import Outcome, Violated
from ordersmith.simulation.runs import Run

EVENTS = 250
AT_NS = 1_772_323_200_000_000_001


class FakeWorld:
    """Seeds that end in 3 break an invariant, seeds that end in 7 raise; the others end well."""

    made: ClassVar[list[tuple[Any, ...]]] = []
    interrupt_at: ClassVar[int | None] = None

    def __init__(self, seed: int, profile: str, hours: int, *, faults=(), keep_events=False):
        self.seed, self.profile, self.hours, self.keep_events = seed, profile, hours, keep_events
        if seed == 9999:
            raise LookupError("a world that cannot be")
        self.made.append((seed, profile, hours, tuple(faults), keep_events))
        self.schedule = SimpleNamespace(now_ns=AT_NS)
        self.plan = SimpleNamespace(rates={"answer lost": 0.05})
        self.watch = SimpleNamespace(orders=1, broker_events=2, lines=self.lines)

    def lines(self) -> list[str]:
        events = [f"event {number} of {self.seed}" for number in range(EVENTS)]
        return events if self.keep_events else events[-100:]

    def run(self) -> Outcome:
        if self.seed == self.interrupt_at:
            raise KeyboardInterrupt
        if self.seed % 10 == 7:
            raise ZeroDivisionError("a bug")
        wrong = [Violated("I3", AT_NS, f"filled {number} of 3") for number in range(12)] if self.seed % 10 == 3 else []
        return Outcome(
            seed=self.seed,
            profile=self.profile,
            hours=self.hours,
            orders=60 * self.hours,
            broker_events=600 * self.hours,
            faults={"answer lost": 3, "killed": 1},
            crashes={"risk_gate before": 2, "order first effect": 1},
            boots=2,
            trace_hash=f"{self.seed:064x}",
            violations=wrong,
            last=self.lines() if wrong or self.keep_events else [],
            options=self.plan.rates,
        )


def put_in_place(monkeypatch) -> type[FakeWorld]:
    """Have `simulate` find this world."""
    module = ModuleType("ordersmith.simulation.world")
    module.World = FakeWorld  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("ordersmith.simulation.world", module, raising=False)
    monkeypatch.setattr(FakeWorld, "made", [])
    monkeypatch.setattr(FakeWorld, "interrupt_at", None)
    return FakeWorld


def simulate(run: Run) -> Outcome:
    """Run a seed in this world; seed 5 takes the whole process with it. A process that was spawned finds it by its name."""
    if run.seed == 5:
        os._exit(1)
    return FakeWorld(run.seed, run.profile, run.hours, faults=run.faults).run()


def begin() -> None:
    """Make a process ready that runs no real world."""
