"""Whether the stream of trade updates tells everything: what the polls see is compared with what it said.

A stream may lose a frame, or fall silent, while its connection looks well. A fact that a poll saw and the stream does not
bring within a grace time is told from the poll, and the account is read. When that happens again, with no word of the stream
in between, the stream is mute and is to be closed. Pure: it is told the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SECOND_NS = 1_000_000_000
GRACE_NS = 2 * SECOND_NS
MISSES = 2
"""So many polls in a row that knew more than a stream that says nothing at all."""

REMEMBERED = 20_000


class Missed(NamedTuple):
    """Facts that the stream has not told in time, and whether it is mute."""

    facts: tuple[str, ...] = ()
    is_mute: bool = False


class Polling:
    """Facts are names: the key of a fill, the end of an order. `told` are those that need no telling any more."""

    def __init__(self, grace_ns: int = GRACE_NS) -> None:
        self.misses = 0
        self._grace_ns = grace_ns
        self._told: dict[str, None] = {}
        self._awaited: dict[str, int] = {}
        self._missed_ns = 0

    def spoke(self) -> None:
        """The stream said something, whatever it was."""
        self.misses = 0

    def told(self, fact: str) -> None:
        """The core knows the fact, from the stream or from a read of the account."""
        self._awaited.pop(fact, None)
        self._told[fact] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]

    def knows(self, fact: str) -> bool:
        """Whether the core knows the fact."""
        return fact in self._told

    def saw(self, facts: Iterable[str], now_ns: int) -> None:
        """A poll saw these facts."""
        for fact in facts:
            if fact not in self._told:
                self._awaited.setdefault(fact, now_ns)

    def due_ns(self) -> int | None:
        """Return when to ask for what was missed, None if nothing is awaited."""
        return min(self._awaited.values()) + self._grace_ns if self._awaited else None

    def missed(self, now_ns: int) -> Missed:
        """Return what the stream did not tell in time. It counts as told then: the caller tells it."""
        facts = tuple(fact for fact, seen_ns in self._awaited.items() if seen_ns + self._grace_ns <= now_ns)
        if not facts:
            return Missed()
        is_again = any(
            self._awaited[fact] >= self._missed_ns for fact in facts
        )  # else seen before the last miss, and part of it
        for fact in facts:
            self.told(fact)
        self._missed_ns = now_ns
        self.misses += is_again
        return Missed(facts, self.misses >= MISSES)

    def restart(self) -> None:
        """The stream begins anew: what it has missed before does not count against it."""
        self.misses = 0
