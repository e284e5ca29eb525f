"""Restarts have a bound, and beyond it the system gives up rather than goes on (I19). That it then sends nothing is seen in `sends.py`."""

from __future__ import annotations

from collections import deque

from ...actors.events import ActorRestarted
from .violations import Violations

RESTARTS = 6
WITHIN_NS = 5_000_000_000


class Supervision:
    """Counts the restarts of each actor."""

    def __init__(self, violations: Violations) -> None:
        self._violations = violations
        self._restarts: dict[str, deque[int]] = {}

    def booted(self) -> None:
        """Forget them: a new process counts anew."""
        self._restarts.clear()

    def restarted(self, event: ActorRestarted) -> None:
        """Count a restart as it is stated."""
        now_ns = self._violations.clock()
        times = self._restarts.setdefault(event.actor, deque(maxlen=RESTARTS + 1))
        times.append(now_ns)
        if len(times) > RESTARTS and now_ns - times[0] <= WITHIN_NS:
            text = (
                f"{event.actor} was restarted {len(times)} times within {WITHIN_NS // 1_000_000_000} s ({event.error})"
            )
            self._violations.add("I19", text)
            times.clear()
