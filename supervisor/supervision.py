"""Supervision as data and pure decisions: who is restarted when a child crashes, how often, how soon, and when to give up.

The strategies and restart types are Erlang/OTP's. Two things differ on purpose: a dynamic supervisor may count restarts per child, so that
one poisoned order is quarantined and the others live on, and a supervisor that gives up is not restarted by its parent: its children
are stopped and trading is halted.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from ..actors.errors import ActorError

SECOND_NS = 1_000_000_000


class RestartStrategy(StrEnum):
    """Who is restarted with a crashed child: it alone, all its siblings, or it and those started after it."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Restart(StrEnum):
    """When a child is restarted: always, only after a crash, never."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Intensity(msgspec.Struct, frozen=True):
    """At most `restarts` restarts within `within_ns`; one more and the supervisor gives up."""

    restarts: int = 3
    within_ns: int = 5 * SECOND_NS


class Backoff(msgspec.Struct, frozen=True):
    """Wait before a restart: doubling from `first_ns` to `longest_ns`, shortened by up to `jitter` of itself."""

    first_ns: int = SECOND_NS
    longest_ns: int = 60 * SECOND_NS
    jitter: float = 0.2


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How to make and treat one child. `shutdown_ns` is how long it may take to stop; 0: it stops within `on_stop`.

    A child with a `backoff` is restarted for ever, however often it crashes.
    """

    id: str
    factory: Callable[[], Any]
    restart: Restart = Restart.PERMANENT
    shutdown_ns: int = 0
    backoff: Backoff | None = None


class SupervisorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A supervisor: children start in order and stop in reverse.

    A dynamic one makes all its children from `template`.
    """

    id: str
    strategy: RestartStrategy = RestartStrategy.ONE_FOR_ONE
    children: tuple[ChildSpec | SupervisorSpec, ...] = ()
    intensity: Intensity = Intensity()
    per_child: bool = False
    template: ChildSpec | None = None


class Verdict(StrEnum):
    """What becomes of a crashed child."""

    RESTART = "restart"
    STOP = "stop"
    QUARANTINE = "quarantine"
    ESCALATE = "escalate"


class Supervisor:
    """A running supervisor's memory: its children's ids in start order, and when they crashed."""

    def __init__(self, spec: SupervisorSpec) -> None:
        if spec.template is not None and spec.strategy is not RestartStrategy.ONE_FOR_ONE:
            raise ActorError(f"supervisor {spec.id}: a dynamic supervisor is one_for_one, not {spec.strategy}")
        self.spec = spec
        self.children: dict[str, None] = {}
        self._crashes: dict[str, deque[int]] = {}

    def judge(self, name: str, child: ChildSpec, now_ns: int) -> Verdict:
        """Count a crash of the child `name` and return what to do."""
        if child.restart is Restart.TEMPORARY:
            return Verdict.STOP
        if child.backoff is not None:
            return Verdict.RESTART  # the backoff is the bound: who waits for the outside world does not give up
        crashes = self._crashes.setdefault(name if self.spec.per_child else "", deque())
        crashes.append(now_ns)
        while crashes[0] < now_ns - self.spec.intensity.within_ns:
            crashes.popleft()
        if len(crashes) <= self.spec.intensity.restarts:
            return Verdict.RESTART
        return Verdict.QUARANTINE if self.spec.per_child else Verdict.ESCALATE

    def affected(self, failed: str) -> list[str]:
        """Return the children to restart when `failed` crashed, in start order."""
        match self.spec.strategy:
            case RestartStrategy.ONE_FOR_ONE:
                return [failed]
            case RestartStrategy.ONE_FOR_ALL:
                return list(self.children)
            case RestartStrategy.REST_FOR_ONE:
                order = list(self.children)
                return order[order.index(failed) :]

    def forget(self, child: str) -> None:
        """Drop a child that stopped for good."""
        self.children.pop(child, None)
        self._crashes.pop(child, None)


def backoff_ns(backoff: Backoff, seed: int, actor: str, attempt: int) -> int:
    """Return how long to wait before restart number `attempt` (from 0): a function of its arguments, never a draw."""
    full = min(backoff.longest_ns, backoff.first_ns << min(attempt, 40))
    digest = hashlib.sha256(f"{seed}/{actor}/{attempt}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return full - int(full * backoff.jitter * share)
