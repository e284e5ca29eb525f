"""One incarnation of the port, without its task; and in which other order inputs may come."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

from ..actors.ports import Command
from ..supervisor.inputs import Asked, Input, Posted, PricesShown

if TYPE_CHECKING:
    from .process import Process

ACCOUNT = "main"
CONNECTION = f"connection/{ACCOUNT}"


class PortTask:
    """One incarnation of the port: the commands that wait, those in hand, and the way back. Implements `wire.Line`."""

    def __init__(self, process: Process) -> None:
        self.alive = True
        self.waiting: deque[tuple[Command, int]] = deque()
        self.in_hand: list[tuple[Command, int]] = []
        self._process = process

    def cancel(self) -> None:
        """End it, as its supervisor wants."""
        if self.alive:
            self._process.close_port(self, "the port has stopped")

    @property
    def now_ns(self) -> int:
        return self._process.now_ns

    def post(self, report: Any, cause: int = 0) -> None:
        if self.alive:
            self._process.reports += 1
            self._process.put(Posted(CONNECTION, report, cause))

    def epoch(self) -> int | None:
        return self._process.core.epoch() if self._process.alive else None

    def standstill(self) -> str:
        return str(self._process.core.standstill()) if self._process.alive else "the process has ended"

    def done(self, command: Command) -> None:
        self.in_hand = [each for each in self.in_hand if each[0] is not command]


def interleaved(inputs: list[Input], random: Random) -> list[Input]:
    """Return the inputs in another order that could have been: those of one source to one actor keep theirs."""
    lanes: dict[Any, list[Input]] = {}
    for made in inputs:
        lane = made.actor if isinstance(made, Posted | Asked) else "" if isinstance(made, PricesShown) else "store"
        lanes.setdefault(lane, []).append(made)
    waiting = [deque(lane) for lane in lanes.values()]
    mixed: list[Input] = []
    while waiting:
        index = random.randrange(len(waiting))
        mixed.append(waiting[index].popleft())
        if not waiting[index]:
            del waiting[index]
    return mixed
