"""How bars come: the clock that data time is, and whose turn it is.

At full speed time stands still until somebody sets it; at a speed of N it runs N times as fast as the wall, up to a limit:
the end of the next bars. There it waits until they have been dealt with, so that one instant is one instant at any speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import anyio

SECOND_NS = 1_000_000_000


class DataClock:
    """The clock of a runtime whose time is the data's. `moved` is called whenever what it said of waiting is void."""

    def __init__(self, start_ns: int, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._at_ns = start_ns
        self._since_ns = 0
        self._speed: Fraction | None = None
        self._limit_ns: int | None = None
        self.moved: Callable[[], None] = lambda: None

    def now_ns(self) -> int:
        """The time of the data."""
        if self._speed is None:
            return self._at_ns
        now_ns = self._at_ns + int((self._monotonic_ns() - self._since_ns) * self._speed)
        return now_ns if self._limit_ns is None else min(now_ns, max(self._limit_ns, self._at_ns))

    def seconds_until(self, deadline_ns: int) -> float | None:
        """Return how long to wait for this time; None: waiting does not bring it, somebody moves the clock."""
        left_ns = deadline_ns - self.now_ns()
        if left_ns <= 0:
            return 0.0
        if self._speed is None or (self._limit_ns is not None and deadline_ns > self._limit_ns):
            return None
        return float(left_ns / self._speed / SECOND_NS)

    def stepped(self) -> float:
        """Data time never jumps by itself."""
        return 0.0

    def go_on_from(self, now_ns: int) -> None:
        """Be no earlier than this."""
        self.set(now_ns)

    def set(self, now_ns: int) -> None:
        """Move the clock forward to this time; it never goes back."""
        self._settle(max(now_ns, self.now_ns()), self._speed, self._limit_ns)

    def run(self, speed: Fraction, limit_ns: int | None = None) -> None:
        """Let time run at `speed` from now on, up to `limit_ns`."""
        self._settle(self.now_ns(), speed, limit_ns)

    def stop(self) -> None:
        """Let time stand still."""
        self._settle(self.now_ns(), None, None)

    def _settle(self, at_ns: int, speed: Fraction | None, limit_ns: int | None) -> None:
        self._at_ns, self._since_ns = at_ns, self._monotonic_ns()
        self._speed, self._limit_ns = speed, limit_ns
        self.moved()


class Turns:
    """Whose turn it is at full speed: bars come by themselves, or, while somebody reads them, when all readers have asked."""

    def __init__(self) -> None:
        self._readers = 0
        self._asked = 0
        self._changed = anyio.Event()

    @property
    def is_free(self) -> bool:
        """Whether the next bars may come."""
        return self._asked >= self._readers

    async def wait(self) -> None:
        """Wait until the next bars may come; without readers that is now."""
        while not self.is_free:
            self._changed = anyio.Event()
            await self._changed.wait()

    def take(self) -> None:
        """The bars come: every reader has to ask anew."""
        self._asked = 0

    def attach(self) -> None:
        """Begin to read: bars wait until they are asked for."""
        self._readers += 1

    def ask(self) -> None:
        """Ask for the next bars, once for each."""
        self._asked += 1
        self._changed.set()

    def detach(self) -> None:
        """Stop reading. What this reader has asked for, if anything, is not asked for any more."""
        self._readers -= 1
        self._asked = min(self._asked, self._readers)
        self._changed.set()
