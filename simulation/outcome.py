"""What came of one seed, and the sum over many."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Any

from msgspec import Struct, field


class Violated(Struct, frozen=True):
    """An invariant that did not hold: which, when in simulated time, and what was seen."""

    invariant: str
    at_ns: int
    text: str


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one seed. It passes between processes and is printed as JSON.

    `crashes` are counted by actor and point (`"risk_gate before"`); `options` are the rates of the faults that the seed has on;
    `last` are the last events if something is wrong, and all events of a run that keeps them.
    """

    seed: int
    profile: str
    hours: int
    orders: int
    broker_events: int
    faults: dict[str, int]
    crashes: dict[str, int]
    boots: int
    trace_hash: str
    violations: list[Violated] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


class Total:
    """The sum of outcomes, in whichever order they come."""

    def __init__(self) -> None:
        self.seeds = self.hours = self.orders = self.broker_events = self.boots = self.violations = 0
        self.faults: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self._traces: list[tuple[int, str]] = []

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.hours += outcome.hours
        self.orders += outcome.orders
        self.broker_events += outcome.broker_events
        self.boots += outcome.boots
        self.violations += len(outcome.violations)
        self.faults.update(outcome.faults)
        self.crashes.update(outcome.crashes)
        self._traces.append((outcome.seed, outcome.trace_hash))

    @property
    def trace_hash(self) -> str:
        """One hash of all traces: the same seeds give the same, however many processes shared them."""
        lines = (f"{seed} {trace}\n" for seed, trace in sorted(self._traces))
        return sha256("".join(lines).encode()).hexdigest()

    def as_fields(self, seconds: float) -> dict[str, Any]:
        """Return everything by name, for JSON, given how long it took."""
        return {
            "broker_hours": self.hours,
            "seeds": self.seeds,
            "orders": self.orders,
            "broker_events": self.broker_events,
            "faults": self.faults.total(),
            "faults_by_kind": dict(sorted(self.faults.items())),
            "crashes": self.crashes.total(),
            "crashes_by_actor_and_point": dict(sorted(self.crashes.items())),
            "boots": self.boots,
            "violations": self.violations,
            "seconds": round(seconds, 3),
            "broker_hours_an_hour": round(rate(self.hours, seconds)),
            "trace_hash": self.trace_hash,
        }


def rate(hours: int, seconds: float) -> float:
    """Return how many broker-hours an hour that is."""
    return hours * 3600 / seconds if seconds > 0 else 0.0
