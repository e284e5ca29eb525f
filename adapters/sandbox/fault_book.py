"""The rules in force: which fault, if any, strikes an occasion, and how often each one has struck.

Each rule draws from a generator of its own, seeded by the profile and by the rule's number, so that one more rule does not change
what the others do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from .fault_kinds import KINDS, Kind, Stream
from .fault_profile import FaultProfile, FaultRule

NS = 1_000_000_000


@dataclass(slots=True)
class Standing:
    """A rule in force: how many times it may still strike (None: without end), and how often it has."""

    number: int
    rule: FaultRule
    left: int | None
    chance: random.Random
    struck: int = 0

    @property
    def name(self) -> str:
        assert self.rule.kind is not None
        return self.rule.kind

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None for as long as there is something that it can last for."""
        return self.kind.seconds if self.rule.seconds is None else float(self.rule.seconds)

    @property
    def rate(self) -> float:
        """How probable it is at each occasion."""
        return 1.0 if self.rule.rate is None else float(self.rule.rate)

    @property
    def spent(self) -> bool:
        return self.left == 0

    def strike(self) -> None:
        self.struck += 1
        if self.left is not None:
            self.left -= 1

    def draws(self) -> bool:
        """Whether it strikes this occasion, by its rate."""
        return not self.spent and (self.rate == 1 or self.chance.random() < self.rate)

    def wait_s(self) -> float:
        """How long until it strikes next, at random `per_hour` times an hour."""
        assert self.rule.per_hour is not None
        return self.chance.expovariate(float(self.rule.per_hour)) * 3600

    def told(self) -> dict[str, Any]:
        rule = self.rule
        return {
            "id": self.number,
            "kind": rule.kind,
            "rate": self.rate,
            "per_hour": None if rule.per_hour is None else float(rule.per_hour),
            "seconds": self.seconds,
            "method": rule.method,
            "path": rule.path,
            "event": rule.event,
            "left": self.left,
            "struck": self.struck,
        }


@dataclass(slots=True)
class FaultBook:
    """All rules in force, oldest first; of those that would strike the same occasion, the oldest does."""

    seed: int = 0
    quiet_until_ns: int = 0
    struck: dict[str, int] = field(default_factory=dict)
    on_add: Callable[[Standing], None] = lambda _: None
    on_clear: Callable[[], None] = lambda: None
    _standing: list[Standing] = field(default_factory=list)
    _numbers: int = 0

    def start(self, profile: FaultProfile, now_ns: int) -> None:
        """Put a profile in force."""
        self.seed = profile.seed
        self.quiet_until_ns = now_ns + int(profile.quiet_first * NS)
        for rule in profile.faults:
            self.add(rule, rule.count)

    def add(self, rule: FaultRule, count: int | None) -> Standing:
        self._numbers += 1
        chance = random.Random(f"{self.seed}/{self._numbers}/{rule.kind}")  # noqa: S311 (faults, not secrets)
        standing = Standing(self._numbers, rule, count, chance)
        self._standing.append(standing)
        self.on_add(standing)
        return standing

    def add_from_admin(self, rules: Sequence[FaultRule]) -> list[Standing]:
        """Put rules in force that somebody asks for just now: once, unless they say more."""
        at_once = [rule.count or (1 if rule.rate is None and rule.per_hour is None else None) for rule in rules]
        return [self.add(rule, count) for rule, count in zip(rules, at_once, strict=True)]

    def remove(self, number: int) -> bool:
        kept = [standing for standing in self._standing if standing.number != number]
        found = len(kept) != len(self._standing)
        self._standing = kept
        return found

    def clear(self) -> None:
        """Put an end to all rules, and to what those that struck have going on."""
        self._standing = []
        self.on_clear()

    @property
    def standing(self) -> list[Standing]:
        return [standing for standing in self._standing if not standing.spent]

    def holds(self, standing: Standing) -> bool:
        """Whether a rule is still in force."""
        return not standing.spent and any(standing is other for other in self._standing)

    def note(self, standing: Standing) -> None:
        """Count that a rule has struck."""
        standing.strike()
        self.struck[standing.name] = self.struck.get(standing.name, 0) + 1

    # --- Occasions ---------------------------------------------------------------------------------------------------------

    def at_request(self, now_ns: int, method: str, path: str) -> Standing | None:
        return self._first(now_ns, lambda standing: _meets_request(standing, method, path))

    def at_frame(self, now_ns: int, stream: Stream, event: str) -> Standing | None:
        return self._first(
            now_ns,
            lambda standing: (
                standing.kind.occasion == "frame"
                and standing.kind.stream == stream
                and standing.rule.event in (None, event)
            ),
        )

    def at_connect(self, now_ns: int, stream: Stream) -> Standing | None:
        return self._first(
            now_ns, lambda standing: standing.kind.occasion == "connect" and standing.kind.stream == stream
        )

    def waiting_for_link(self, now_ns: int, stream: Stream) -> list[Standing]:
        """Return the rules that wait for a connection to befall; each is counted once."""
        if now_ns < self.quiet_until_ns:
            return []
        waiting = [
            standing
            for standing in self.standing
            if standing.kind.occasion == "link" and standing.kind.stream == stream and standing.rule.per_hour is None
        ]
        for standing in waiting:
            self.note(standing)
        return waiting

    def _first(self, now_ns: int, meets: Callable[[Standing], bool]) -> Standing | None:
        if now_ns < self.quiet_until_ns or not self._standing:
            return None
        self._standing = self.standing
        for standing in self._standing:
            if meets(standing) and standing.draws():
                self.note(standing)
                return standing
        return None


def _meets_request(standing: Standing, method: str, path: str) -> bool:
    kind, rule = standing.kind, standing.rule
    if kind.occasion != "request":
        return False
    # A kind has a method of its own where it makes no sense elsewhere; a rule may say another.
    methods = (rule.method,) if rule.method else kind.methods
    if methods and method not in methods:
        return False
    if rule.path is None:
        return True
    return fnmatchcase(path, rule.path) if "*" in rule.path else path.startswith(rule.path)
