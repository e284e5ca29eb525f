"""Two things that nobody else would notice: a handler that does not return, and an event loop that somebody else blocks.

A thread of its own looks at the turn under way, because a loop that hangs cannot look at itself; a task measures how late
the loop wakes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread

import anyio
import msgspec

HEARTBEAT_S = 0.1


class WatchdogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: a turn that takes `slow_handler_s` and a loop that is `loop_lag_s` late are told.

    One that is `missed_after_s` late has missed what happened meanwhile, as after a disconnect.
    """

    slow_handler_s: float = 0.05
    loop_lag_s: float = 0.25
    missed_after_s: float = 5.0


class Watchdog:
    """Watches one pump. `at_work` says what turn is under way; `tell(text)` must be callable from any thread."""

    def __init__(
        self,
        limits: WatchdogLimits,
        at_work: Callable[[], str],
        tell: Callable[[str], None],
        missed: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._at_work, self._tell, self._missed = at_work, tell, missed
        self._tick = 0
        self._began: float | None = None
        self._over = Event()
        self._thread = Thread(target=self._look, name="ordersmith watchdog", daemon=True)

    # --- A handler that does not return ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def tick_begins(self) -> None:
        """Take note that the pump handles messages from here on."""
        self._tick += 1
        self._began = time.monotonic()

    def tick_ends(self) -> None:
        """Take note that it waits."""
        self._began = None

    def _look(self) -> None:
        slow_s, told = self._limits.slow_handler_s, (0, "")
        while not self._over.wait(slow_s):
            tick, began, doing = self._tick, self._began, self._at_work()
            if began is None or (tick, doing) == told:
                continue
            time.sleep(slow_s)
            if (self._tick, self._at_work()) == (tick, doing) and self._began is not None:
                told = tick, doing
                self._tell(f"a turn has taken more than {slow_s:g} s: {doing}")

    # --- A loop that somebody else blocks --------------------------------------------------------------------------------

    async def watch_lag(self) -> None:
        """Measure the loop's lag until cancelled."""
        limits = self._limits
        while True:
            due = time.monotonic() + HEARTBEAT_S
            await anyio.sleep(HEARTBEAT_S)
            late_s = time.monotonic() - due
            if late_s >= limits.missed_after_s:
                self._missed(f"the process stood still for {late_s:.1f} s")
            elif late_s >= limits.loop_lag_s:
                self._tell(f"the event loop was {late_s:.2f} s late: something in this process blocks it")
