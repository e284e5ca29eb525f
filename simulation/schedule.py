"""Simulated time: what is due, in order. What is due at one instant happens in the order in which it was scheduled."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Act = Callable[[], None]

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS


class Entry:
    """Something that is due."""

    __slots__ = ("act", "at_ns")

    def __init__(self, at_ns: int, act: Act | None) -> None:
        self.at_ns, self.act = at_ns, act


class Schedule:
    """The time and what is to happen."""

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self._numbers = count()
        self._heap: list[tuple[int, int, Entry]] = []

    def at(self, at_ns: int, act: Act) -> Entry:
        """Have `act` called at an instant, now at the earliest."""
        at_ns = max(at_ns, self.now_ns)
        entry = Entry(at_ns, act)
        heappush(self._heap, (at_ns, next(self._numbers), entry))
        return entry

    def after(self, delay_ns: int, act: Act) -> Entry:
        """Have `act` called some time from now."""
        return self.at(self.now_ns + delay_ns, act)

    def cancel(self, entry: Entry) -> None:
        """Have it not happen."""
        entry.act = None

    def run(self, until_ns: int) -> None:
        """Let happen everything up to an instant, that included."""
        heap = self._heap
        while heap and heap[0][0] <= until_ns:
            at_ns, _, entry = heappop(heap)
            act = entry.act
            if act is not None:
                self.now_ns = at_ns
                entry.act = None
                act()
        self.now_ns = max(self.now_ns, until_ns)
