"""The tasks of `run()` actors: each incarnation has one, with a cancel scope and a line of its own.

A task that ends by itself is a crash of its actor, whatever the reason; one that is cancelled was stopped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from ..actors.errors import BrokerAuthError
from ..adapters.io_actor import IoActor
from .cell import Cell
from .inputs import RunEnded
from .interrupts import sheltered
from .outlet import Outlet, PortLine

if TYPE_CHECKING:
    from .live import LiveRuntime

log = logging.getLogger("ordersmith")


class IoTasks:
    """Starts and ends them for one runtime. `broker` is the outlet of the port of `account`, which alone gets commands."""

    def __init__(self, runtime: LiveRuntime, account: str) -> None:
        self.broker = Outlet(runtime, f"connection/{account}", holds_session=True)
        self.group: anyio.abc.TaskGroup
        self._runtime = runtime
        self._outlets = {f"port/{account}": self.broker}
        self._refused: dict[str, str] = {}

    def start(self, cell: Cell) -> anyio.CancelScope:
        """Start the task of an incarnation, in place of that of the one before, and return what cancels it."""
        if cell.task is not None:
            cell.task.cancel()
        actor: IoActor = cell.actor
        outlet = self._outlets.get(cell.name)
        if outlet is None:
            outlet = self._outlets[cell.name] = Outlet(self._runtime, actor.speaks_to, holds_session=False)
        scope = anyio.CancelScope()
        run = sheltered(self._run)
        self.group.start_soon(run, cell.name, cell.incarnation, actor, scope, outlet, outlet.open())
        return scope

    async def _run(
        self, name: str, incarnation: int, actor: IoActor, scope: anyio.CancelScope, outlet: Outlet, line: PortLine
    ) -> None:
        who = "the port" if outlet is self.broker else name
        reason = f"{who} has stopped"
        with scope:
            try:
                await actor.run(line)
                error = "run() returned"
            except BrokerAuthError as refused:
                self._say_refused(name, str(refused))
                error = f"{type(refused).__name__}: {refused}"
            except Exception as failure:
                log.warning("%s crashed", name, exc_info=failure)
                error = f"{type(failure).__name__}: {failure}"
            reason = f"{who} died: {error}"
            self._runtime.put(RunEnded(name, incarnation, error))
        outlet.close(line, reason)

    def _say_refused(self, name: str, why: str) -> None:
        """Say what only a person can mend, in one line and once: where it was refused in our code is of no use to anybody."""
        level = logging.DEBUG if self._refused.get(name) == why else logging.ERROR
        self._refused[name] = why
        log.log(level, "%s was refused, and is until the configuration is corrected: %s", name, why)

    @property
    def are_idle(self) -> bool:
        """Whether no command waits or is in hand."""
        return all(outlet.is_idle for outlet in self._outlets.values())
