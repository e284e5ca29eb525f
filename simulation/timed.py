"""Faults that come with time: each has the next one of its kind scheduled, until the faults are over."""

from __future__ import annotations

from collections.abc import Callable

from .faults import Fault, FaultPlan
from .schedule import Schedule


class Timed:
    """Has something done whenever a fault of a kind is due. What is done says whether there was an occasion for it."""

    def __init__(self, schedule: Schedule, plan: FaultPlan) -> None:
        self._schedule, self._plan = schedule, plan

    def every(self, fault: Fault, act: Callable[[], bool]) -> None:
        """Have `act` called at each instant at which `fault` is due."""
        gap_ns = self._plan.gap_ns(fault)
        if gap_ns is not None:
            self._schedule.after(gap_ns, lambda: self._due(fault, act))

    def _due(self, fault: Fault, act: Callable[[], bool]) -> None:
        if self._plan.quiet:
            return
        if act():
            self._plan.count(fault)
        self.every(fault, act)
