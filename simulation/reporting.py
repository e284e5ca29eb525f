"""Between the world and the oracle: counts what happens, and keeps what happened last in words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ..actors.ports import NewOrder
from .oracle.oracle import Oracle

LAST = 100
TRUTH = frozenset({"accepted", "executed", "ended", "adjusted", "manual"})


class Reporter:
    """Implements `Watch`: hands everything on. `keep_all` keeps every event, else the last hundred."""

    def __init__(self, oracle: Oracle, clock: Callable[[], int], *, keep_all: bool) -> None:
        self.orders = 0
        self.broker_events = 0
        self.keep_all = keep_all
        self._raw: deque[tuple[int, str, tuple[Any, ...]]] = deque(maxlen=None if keep_all else LAST)
        self._oracle, self._clock = oracle, clock

    def __getattr__(self, name: str) -> Any:
        check, raw, clock = getattr(self._oracle, name), self._raw, self._clock
        is_truth = name in TRUTH

        def tell(*arguments: Any) -> None:
            raw.append((clock(), name, arguments))
            if is_truth:
                self.broker_events += 1
            elif name == "written" and type(arguments[0]) is NewOrder:
                self.orders += 1
            check(*arguments)

        setattr(self, name, tell)  # the next call goes there at once
        return tell

    def lines(self) -> list[str]:
        """Return what happened, oldest first."""
        return [f"{at_ns} {name} {' '.join(map(str, arguments))}" for at_ns, name, arguments in self._raw]
