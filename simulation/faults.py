"""Every fault there is, how often it comes, and which of them one seed has.

A fault comes with a chance for each occasion (an answer, a frame, a read), or so many times an hour. The rates of the
`storm` profile are far above those of any real broker or machine. A seed switches a random part of the faults on, each at a
rate of its own: faults that hide each other are then also met one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from random import Random

from .schedule import HOUR_NS


class Fault(StrEnum):
    """A kind of fault."""

    # The way to the broker and back
    ANSWER_LOST = "answer lost"
    ERROR_AFTER_ACCEPT = "error after accept"
    RATE_LIMITED = "rate limited"
    UNKNOWN_CODE = "unknown code"
    FALSE_REJECTION = "warning that looks like a rejection"
    FRAME_DROPPED = "frame dropped"
    DUPLICATED = "told twice"
    DELAYED = "late or out of order"
    FILL_BEFORE_ACK = "fill before the acknowledgement"
    CUMULATIVE_FIRST = "total before the fill"
    # The session
    DISCONNECT = "disconnect"
    FLAPPING = "flapping"
    HALF_OPEN = "half open"
    MUTE = "mute stream"
    CONNECT_REFUSED = "connect refused"
    OTHER_ACCOUNT = "session of another account"
    NIGHTLY_RESET = "nightly reset"
    # Reads
    SNAPSHOT_STALE = "stale read"
    SNAPSHOT_FAILED = "failed read"
    SNAPSHOT_PARTIAL = "partial read"
    SNAPSHOT_TORN = "torn read"
    LOOKUP_BLIND = "look-up too early"
    # What the broker and the market do
    REJECTED = "rejected"
    PARTIAL_FILL = "partial fill"
    CANCEL_RACE = "cancel against fill"
    REPLACE_RACE = "replace against fill"
    BUST = "bust"
    CORRECTION = "correction"
    MANUAL_ORDER = "order of a human"
    MANUAL_CANCEL = "cancelled by a human"
    UNEXPLAINED_CASH = "cash without a reason"
    SPLIT = "split"
    DIVIDEND = "dividend"
    BAD_TICK = "bad tick"
    # The process
    ACTOR_CRASH = "actor crash"
    CRASH_LOOP = "actor that crashes again and again"
    POISON = "poisoned message"
    PORT_DEATH = "port death"
    REORDERED = "inputs in another order"
    KILLED = "killed"
    POWER_CUT = "power cut"
    DISK_FULL = "disk full"
    DISK_STALL = "disk stall"
    COMMIT_AMBIGUOUS = "commit with an unknown end"
    OLD_JOURNAL = "old journal restored"
    CLOCK_STEP = "clock step"
    SUSPENDED = "suspended"


F = Fault

CHANCES: Mapping[Fault, float] = {
    F.ANSWER_LOST: 0.05,
    F.ERROR_AFTER_ACCEPT: 0.03,
    F.RATE_LIMITED: 0.05,
    F.UNKNOWN_CODE: 0.005,
    F.FALSE_REJECTION: 0.005,
    F.FRAME_DROPPED: 0.05,
    F.DUPLICATED: 0.10,
    F.DELAYED: 0.20,
    F.FILL_BEFORE_ACK: 0.05,
    F.CUMULATIVE_FIRST: 0.02,
    F.CONNECT_REFUSED: 0.10,
    F.OTHER_ACCOUNT: 0.01,
    F.SNAPSHOT_STALE: 0.05,
    F.SNAPSHOT_FAILED: 0.05,
    F.SNAPSHOT_PARTIAL: 0.02,
    F.SNAPSHOT_TORN: 0.03,
    F.LOOKUP_BLIND: 0.05,
    F.REJECTED: 0.02,
    F.PARTIAL_FILL: 0.50,
    F.CANCEL_RACE: 0.10,
    F.REPLACE_RACE: 0.10,
    F.BUST: 0.002,
    F.CORRECTION: 0.002,
    F.BAD_TICK: 0.01,
    F.REORDERED: 0.20,
}
"""Of one occasion."""

AN_HOUR: Mapping[Fault, float] = {
    F.DISCONNECT: 4,
    F.FLAPPING: 0.2,
    F.HALF_OPEN: 1,
    F.MUTE: 1,
    F.NIGHTLY_RESET: 1 / 24,
    F.MANUAL_ORDER: 2,
    F.MANUAL_CANCEL: 0.5,
    F.UNEXPLAINED_CASH: 0.1,
    F.SPLIT: 1 / 24,
    F.DIVIDEND: 1 / 12,
    F.ACTOR_CRASH: 4,
    F.CRASH_LOOP: 0.05,
    F.POISON: 0.2,
    F.PORT_DEATH: 1,
    F.KILLED: 1,
    F.POWER_CUT: 1,
    F.DISK_FULL: 0.25,
    F.DISK_STALL: 0.25,
    F.COMMIT_AMBIGUOUS: 0.25,
    F.OLD_JOURNAL: 0.02,
    F.CLOCK_STEP: 0.2,
    F.SUSPENDED: 0.2,
}
"""How many times an hour."""

BROKER = frozenset(
    {*list(F)[: list(F).index(F.ACTOR_CRASH)], F.REORDERED} - {F.MANUAL_ORDER, F.MANUAL_CANCEL, F.UNEXPLAINED_CASH}
)
PROCESS = frozenset(list(F)[list(F).index(F.ACTOR_CRASH) :])

PROFILES: Mapping[str, tuple[frozenset[Fault], float]] = {
    "calm": (frozenset({F.PARTIAL_FILL, F.REJECTED}), 1.0),
    "broker": (BROKER, 1.0),
    "process": (PROCESS | {F.PARTIAL_FILL}, 1.0),
    "storm": (frozenset(F), 1.0),
    "hurricane": (frozenset(F), 3.0),
}
"""Which faults a profile may have, and by how much more often than the rates above."""

SHARE_ON = 0.7


class FaultPlan:
    """The faults of one seed. `only` are those to have whatever the seed says; empty is as the seed says."""

    def __init__(self, profile: str, random: Random, only: Iterable[Fault] = ()) -> None:
        allowed, factor = PROFILES[profile]
        named = frozenset(only)
        self.quiet = False
        self.counts: Counter[Fault] = Counter()
        self.chances: dict[Fault, float] = {}
        self.an_hour: dict[Fault, float] = {}
        for fault in Fault:
            is_on, scale = random.random() < SHARE_ON, 0.3 + 1.4 * random.random()
            if profile == "calm":
                is_on, scale = True, 1.0
            if (fault in named) if named else (is_on and fault in allowed):
                if fault in CHANCES:
                    self.chances[fault] = min(CHANCES[fault] * factor * scale, 0.8)
                else:
                    self.an_hour[fault] = AN_HOUR[fault] * factor * scale
        self._random = random

    def hits(self, fault: Fault) -> bool:
        """Tell whether a fault comes on this occasion; it is then counted."""
        chance = self.chances.get(fault)
        if chance is None or self.quiet or self._random.random() >= chance:
            return False
        self.counts[fault] += 1
        return True

    def gap_ns(self, fault: Fault) -> int | None:
        """Return how long it is to the next fault of a kind that comes with time, None if there is none."""
        rate = self.an_hour.get(fault)
        if rate is None or self.quiet:
            return None
        return int(self._random.expovariate(rate) * HOUR_NS) + 1

    def count(self, fault: Fault) -> None:
        """Count a fault that came with time."""
        self.counts[fault] += 1

    @property
    def rates(self) -> dict[str, float]:
        """Every fault that is on, with its chance or how many times an hour it comes."""
        return {fault.value: round(rate, 5) for fault, rate in (self.chances | self.an_hour).items()}
