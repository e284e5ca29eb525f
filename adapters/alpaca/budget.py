"""Who may ask Alpaca when: 200 requests a minute and key, told by the headers of its answers (docs.alpaca.markets, "Rate Limit").

A request has a priority, and each priority leaves something for those above it, so that a cancel always has a request left. Pure: it is
told the time and what the headers said.
"""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction

MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000
LIMIT = 200
UNTOLD_WAIT_NS = 5 * SECOND_NS
"""How long to wait after a 429 that does not say when to come back."""


class Priority(IntEnum):
    """What a request is for; the lowest goes first."""

    CANCEL = 0
    EXIT = 1
    STATUS = 2
    READ = 3
    ENTRY = 4


LEAVES = {
    Priority.CANCEL: Fraction(0),
    Priority.EXIT: Fraction(1, 20),
    Priority.STATUS: Fraction(1, 10),
    Priority.READ: Fraction(1, 5),
    Priority.ENTRY: Fraction(3, 10),
}
"""The part of the limit that a request of this priority does not touch."""

SLOWER = ((Fraction(3, 5), 1), (Fraction(2, 5), 2), (Fraction(0), 4))
"""How many times slower to poll, by what is left of the limit."""


class Budget:
    """The requests that are left until `reset_ns`. What the headers say counts, less what has been sent since."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.remaining = limit
        self.reset_ns = 0
        self._under_way = 0

    def wait_ns(self, priority: Priority, now_ns: int) -> int:
        """Return how long a request must wait, 0 if it may be sent."""
        self._refill(now_ns)
        if self.remaining > self.limit * LEAVES[priority]:
            return 0
        return max(self.reset_ns - now_ns, 1)

    def sent(self, now_ns: int) -> None:
        """Take note that a request goes out."""
        self._refill(now_ns)
        if now_ns >= self.reset_ns:
            self.reset_ns = now_ns + MINUTE_NS
        self.remaining = max(self.remaining - 1, 0)
        self._under_way += 1

    def ended(
        self,
        now_ns: int,
        limit: int | None = None,
        remaining: int | None = None,
        reset_s: float | None = None,
        *,
        refused: bool = False,
    ) -> None:
        """Take note that a request was answered, or never will be, and of what the headers said; `refused` is a 429."""
        self._under_way = max(self._under_way - 1, 0)
        if limit is not None and limit > 0:
            self.limit = limit
        if remaining is not None:
            self.remaining = min(max(remaining - self._under_way, 0), self.limit)
        if reset_s is not None:
            self.reset_ns = _believable(int(reset_s * SECOND_NS), now_ns)
        if refused:
            self.remaining = 0
            if reset_s is None:
                self.reset_ns = now_ns + UNTOLD_WAIT_NS

    def slower(self, now_ns: int) -> int:
        """Return how many times slower than usual to poll."""
        self._refill(now_ns)
        return next(times for share, times in SLOWER if self.remaining >= share * self.limit)

    def _refill(self, now_ns: int) -> None:
        if now_ns >= self.reset_ns:
            self.remaining = max(self.limit - self._under_way, 0)


def _believable(reset_ns: int, now_ns: int) -> int:
    """Return when the limit is reset. Their clock may not be ours: it is a second from now at least, a minute at most."""
    return min(max(reset_ns, now_ns + SECOND_NS), now_ns + MINUTE_NS)
