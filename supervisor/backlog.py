"""How far the journal is behind, in real time: what the gate is told of records that are not durable yet."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

Backlog = Callable[[int], tuple[int, int]]

AS_IT_PASSES = Decimal(1)


class PacedBacklog:
    """A backlog whose age is by a clock of which `speed` seconds pass in one real second, None for as fast as can be.

    The speed can be read off it: an input log writes it down, and a replay makes the same again.
    """

    __slots__ = ("_backlog", "speed")

    def __init__(self, backlog: Backlog, speed: Decimal | None) -> None:
        self._backlog = backlog
        self.speed = speed

    def __call__(self, now_ns: int) -> tuple[int, int]:
        behind, age_ns = self._backlog(now_ns)
        return behind, 0 if self.speed is None else int(age_ns / self.speed)


def paced(backlog: Backlog, speed: Decimal | None) -> Backlog:
    """Return the backlog with its age in real time."""
    return backlog if speed == AS_IT_PASSES else PacedBacklog(backlog, speed)


def speed_of(backlog: Backlog) -> Decimal | None:
    """Return how fast the clock is that a backlog is measured by."""
    return backlog.speed if isinstance(backlog, PacedBacklog) else AS_IT_PASSES
