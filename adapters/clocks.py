"""The clock of a live core: wall time for what is written down, monotonic time for how long to wait.

The two are tied together when the clock is made. Should they part by more than `STEP_NS` (the clock was set, or the machine
slept) the clock says so once. It follows the wall clock forwards only, so that records stay in order and timers go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

SECOND_NS = 1_000_000_000
STEP_NS = 2 * SECOND_NS


class Clock(Protocol):
    """What a live core needs of time."""

    def now_ns(self) -> int:
        """The time of the core, nanoseconds UTC."""

    def seconds_until(self, deadline_ns: int) -> float | None:
        """Return how long to wait for this time; None: waiting does not bring it, somebody sets the clock."""

    def stepped(self) -> float:
        """Return by how many seconds time has jumped since this was asked last, 0.0 for not at all."""

    def go_on_from(self, now_ns: int) -> None:
        """Be no earlier than this from now on: what is written down is never from before what was."""


class WallClock:
    """Real time. `wall_ns` and `monotonic_ns` are the operating system's."""

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._offset_ns = self._seen_ns = wall_ns() - monotonic_ns()
        self._stepped_ns = 0

    def now_ns(self) -> int:
        elapsed_ns = self._monotonic_ns()
        parted_ns = self._wall_ns() - elapsed_ns - self._seen_ns
        if abs(parted_ns) > STEP_NS:
            self._seen_ns += parted_ns
            self._stepped_ns += parted_ns
            self._offset_ns = max(self._offset_ns, self._seen_ns)
        return elapsed_ns + self._offset_ns

    def seconds_until(self, deadline_ns: int) -> float | None:
        return max(deadline_ns - self.now_ns(), 0) / SECOND_NS

    def go_on_from(self, now_ns: int) -> None:
        self._offset_ns = max(self._offset_ns, now_ns - self._monotonic_ns())

    def stepped(self) -> float:
        stepped_ns, self._stepped_ns = self._stepped_ns, 0
        return stepped_ns / SECOND_NS
