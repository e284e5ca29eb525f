"""Crashes of actors: a bug put before, into, at the end of, or after one turn, without a trace of it in the code that trades.

The table of handlers of one actor's present incarnation is replaced by one that crashes at its next message. The incarnation
after it has its own table again.
"""

from __future__ import annotations

from collections import Counter
from decimal import localcontext
from random import Random
from typing import Any

from ..actors.ports import Executed
from ..supervisor.cell import Cell
from ..supervisor.dispatcher import ARITHMETIC
from ..supervisor.inputs import Posted
from .port_task import CONNECTION
from .process import Process

BEFORE, FIRST_EFFECT, AT_END, AFTER = POINTS = ("before", "first effect", "at end", "after")
EFFECTS = frozenset("tell record send reply split set_timer cancel_timer spawn stop watch ready stopped".split())

ACTORS = (
    "journal",
    "circuit_breaker",
    "positions",
    "market",
    "risk_gate",
    "desk",
    "rebalancer",
    CONNECTION,
)
"""Those that are rebuilt after a crash, besides the orders. A strategy is not."""


class Crash(Exception):
    """The bug that the storm puts in."""


class Tripwire:
    """A context whose first effect raises once it is done."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._context, name)
        if name not in EFFECTS:
            return real

        def effect(*arguments: Any, **options: Any) -> Any:
            real(*arguments, **options)
            raise Crash(f"after {name}")

        return effect


class Rigged(dict[type, Any]):
    """A table of handlers of which the next one crashes; then it is as it was."""

    def __init__(self, cell: Cell, crashes: Crashes, point: str, times: int) -> None:
        super().__init__(cell.handlers)
        self._cell, self._real, self._crashes, self._point, self._times = cell, cell.handlers, crashes, point, times

    def get(self, kind: type, default: Any = None) -> Any:
        handler = super().get(kind)
        if handler is None:
            return default

        def crashing(actor: Any, message: Any) -> None:
            self._cell.handlers = self._real
            if self._times > 1:
                self._crashes.again(self._cell, self._times - 1)
            self._crashes.crash(self._cell, self._point, handler, actor, message)

        return crashing


class Crashes:
    """Puts bugs into one process after the other, and counts them by (actor, point)."""

    def __init__(self, random: Random) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.process: Process | None = None
        self._random = random

    def rig(self, times: int = 1) -> None:
        """Have some actor crash at its next message, at a point of it; or at the next ones, each after it was rebuilt."""
        cell = self._some_cell()
        if cell is not None:
            self._rig(cell, times)

    def _rig(self, cell: Cell, times: int) -> None:
        if cell.live and type(cell.handlers) is not Rigged:
            cell.handlers = Rigged(cell, self, self._random.choice(POINTS), times)

    def again(self, cell: Cell, times: int) -> None:
        """Have an actor crash again, once this tick is over."""
        if self.process is not None:
            self.process.after_tick(lambda: self._rig(cell, times))

    def poison(self) -> bool:
        """Post a report that no order can take: it crashes its actor twice. Return whether there was an order for it."""
        process = self.process
        machines = [] if process is None else [cell.actor.machine for cell in self._orders(process) if cell.actor]
        open_legs = [machine.wire_id for machine in machines if machine.wire_id and not machine.is_closed]
        if process is None or not open_legs:
            return False
        garbage: Any = None
        process.put(Posted(CONNECTION, Executed(self._random.choice(open_legs), garbage, garbage)))
        return True

    def _some_cell(self) -> Cell | None:
        process = self.process
        if process is None or not process.alive:
            return None
        orders = [cell for cell in self._orders(process) if cell.actor and not cell.actor.machine.is_closed]
        if orders and self._random.random() < 0.4:  # one that is closed would hardly ever hear anything
            return self._random.choice(orders)
        return process.core.dispatcher.cells.get(self._random.choice(ACTORS))

    def _orders(self, process: Process) -> list[Cell]:
        return [cell for cell in process.core.dispatcher.cells.values() if cell.entity]

    def crash(self, cell: Cell, point: str, handler: Any, actor: Any, message: Any) -> None:
        """Run one turn, or as much of it as the point lets it run."""
        self.counts["order" if cell.entity else cell.name, point] += 1
        if point == BEFORE:
            raise Crash("before")
        if point == FIRST_EFFECT:
            context, actor.ctx = actor.ctx, Tripwire(actor.ctx)
            try:
                handler(actor, message)
            finally:
                actor.ctx = context
            return  # the turn had no effect
        handler(actor, message)
        if point == AT_END:
            raise Crash("at end")
        process = self.process
        assert process is not None
        process.after_tick(lambda: self._crash_after(process, cell.name))

    def _crash_after(self, process: Process, name: str) -> None:
        if name in process.core.dispatcher.cells:
            with localcontext(ARITHMETIC):
                process.core.lifecycle.crash(name, Crash("after"))
