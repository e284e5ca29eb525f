"""What a checker says when an invariant does not hold."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

MOST_KEPT = 20


class Violation(msgspec.Struct, frozen=True):
    """An invariant that did not hold, when, and by which numbers."""

    invariant: str
    at_ns: int
    text: str


class Violations:
    """Collects violations; after the first few, more of them say nothing new and are only counted."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.kept: list[Violation] = []
        self.count = 0
        self.clock = clock

    def add(self, invariant: str, text: str) -> None:
        """State that an invariant does not hold now."""
        self.count += 1
        if len(self.kept) < MOST_KEPT:
            self.kept.append(Violation(invariant, self.clock(), text))
