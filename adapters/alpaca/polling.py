"""Whether the stream of trade updates tells everything: what the polls see is compared with what it said.

A stream may lose a frame, or fall silent, while its connection looks well. A fact that a poll saw and the stream does not
bring within a grace time is told from the poll, and the account is read. A stream that goes on saying nothing, for a while or
until that happens again, is mute and is to be closed. A healthy one that lost a frame on a quiet account looks the same, and
is closed with it: that costs a second, so it is done at most once in a while. Pure: it is told the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SECOND_NS = 1_000_000_000
GRACE_NS = 2 * SECOND_NS
MISSES = 2
"""So many polls in a row that knew more than a stream that says nothing at all."""

SILENCE_NS = 5 * SECOND_NS
"""So long a stream may say nothing after it has missed something. With the slowest poll that is less than half a minute in all."""

BETWEEN_NS = 25 * SECOND_NS
"""From one stream that is closed as mute to the next, at least: who misses again after that is still found within half a minute."""

REMEMBERED = 20_000


class Missed(NamedTuple):
    """Facts that the stream has not told in time, and whether it is mute, which it may turn out to be later."""

    facts: tuple[str, ...] = ()
    is_mute: bool = False


class Polling:
    """Facts are names: the key of a fill, the end of an order. `told` are those that need no telling any more."""

    def __init__(self, grace_ns: int = GRACE_NS, silence_ns: int = SILENCE_NS) -> None:
        self.misses = 0
        self._grace_ns = grace_ns
        self._silence_ns = silence_ns
        self._told: dict[str, None] = {}
        self._awaited: dict[str, int] = {}
        self._missed_ns = 0
        self._silent_since_ns: int | None = None
        self._closed_ns = -BETWEEN_NS

    def spoke(self) -> None:
        """The stream said something, whatever it was."""
        self.restart()

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
        """Return when to ask for what was missed, None if nothing is awaited and the stream is not suspected."""
        times = [min(self._awaited.values()) + self._grace_ns] if self._awaited else []
        if self._silent_since_ns is not None:
            times.append(self._mute_ns(self._silent_since_ns))
        return min(times, default=None)

    def missed(self, now_ns: int) -> Missed:
        """Return what the stream did not tell in time. It counts as told then: the caller tells it, and closes a mute stream."""
        facts = tuple(fact for fact, seen_ns in self._awaited.items() if seen_ns + self._grace_ns <= now_ns)
        is_again = any(
            self._awaited[fact] >= self._missed_ns for fact in facts
        )  # else seen before the last miss, and part of it
        for fact in facts:
            self.told(fact)
        if facts:
            self._missed_ns = now_ns
            self.misses += is_again
            if self._silent_since_ns is None:
                self._silent_since_ns = now_ns
        is_mute = self._silent_since_ns is not None and self._mute_ns(self._silent_since_ns) <= now_ns
        if is_mute:
            self._closed_ns = now_ns
            self.restart()
        return Missed(facts, is_mute)

    def restart(self) -> None:
        """The stream begins anew: what it has missed before does not count against it."""
        self.misses = 0
        self._silent_since_ns = None

    def _mute_ns(self, silent_since_ns: int) -> int:
        """Return when a stream is to be closed that has missed something and said nothing since."""
        patience_ns = 0 if self.misses >= MISSES else self._silence_ns
        return max(silent_since_ns + patience_ns, self._closed_ns + BETWEEN_NS)
