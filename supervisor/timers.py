"""Timers as messages: keyed by actor, in order of deadline and number, never delivered once replaced, cancelled or outlived."""

from __future__ import annotations

import heapq
from typing import Any

from .cell import NOTHING, Cell, Item


class Due:
    """A fired timer in the queue; it is delivered only if no other has taken its key since."""

    __slots__ = ("key", "number")

    def __init__(self, key: str, number: int) -> None:
        self.key = key
        self.number = number


class Timers:
    """All armed timers. `heap` may hold stale entries; they are known by their numbers."""

    __slots__ = ("_number", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, Cell, str]] = []
        self._number = 0

    def arm(self, cell: Cell, key: str, deadline_ns: int, message: Any, cause: int) -> None:
        """Arm a timer in place of the one with its key."""
        self._number += 1
        if cell.timers is NOTHING:
            cell.timers = {}
        cell.timers[key] = (self._number, message, cause)
        heapq.heappush(self.heap, (deadline_ns, self._number, cell, key))

    def disarm(self, cell: Cell, key: str) -> None:
        """Forget a timer, even if it has fired and is not delivered yet."""
        if key in cell.timers:
            del cell.timers[key]

    def fire(self, now_ns: int) -> list[Item]:
        """Return what is due, to be queued."""
        due: list[Item] = []
        while self.heap and self.heap[0][0] <= now_ns:
            _, number, cell, key = heapq.heappop(self.heap)
            armed = cell.timers.get(key)
            if armed is not None and armed[0] == number:
                due.append((cell, Due(key, number), armed[2]))
        return due

    def take(self, cell: Cell, due: Due) -> Any:
        """Return the message of a fired timer and forget the timer, None if it is stale by now."""
        armed = cell.timers.get(due.key)
        if armed is None or armed[0] != due.number:
            return None
        del cell.timers[due.key]
        return armed[1]

    def next_deadline_ns(self) -> int | None:
        """Return when the next timer is due, None without timers."""
        while self.heap:
            deadline, number, cell, key = self.heap[0]
            armed = cell.timers.get(key)
            if armed is not None and armed[0] == number:
                return deadline
            heapq.heappop(self.heap)
        return None
