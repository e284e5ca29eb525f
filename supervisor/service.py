"""`ordersmith run`: a live system as a process of its own, from its start to its end.

It trades until it is told to stop: by a signal, by the end of the data, by the supervision tree that gives up. Then
everything happens in order and within a time: strategies stop, `service.on_stop` is done, the tree stops, the journal is
closed. A second signal breaks that off, which loses nothing either: the next start goes on from the journal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import structlog

from ..actors.bars import Bars
from ..actors.errors import BrokerAuthError, ConfigError, DataError, JournalError, OrdersmithError
from ..actors.strategy import Strategy
from ..config import Settings
from .backtest import Feed
from .control import serve_control
from .event_lines import event_level, event_line
from .inputs import LimitsChanged
from .interrupts import sheltered
from .limits_change import change
from .live_plan import LiveSystem
from .on_stop import left_over
from .operations import Operations
from .status import Status, status_of
from .wind_down import wind_down

STOPPED, FAILED, WRONG, NO_JOURNAL, LEFT_OVER = 0, 1, 2, 3, 4
"""Exit statuses; `run_command.EXIT_STATUSES` says what each means. Broken off by a signal is 128 and its number."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
FOR_THE_TREE = 0.25
"""Share of the time for a stop that is kept for the tree itself."""

LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3}


class Ending(NamedTuple):
    """How it ended: the exit status, and a sentence."""

    status: int
    text: str


class Service:
    """One run. `again` reads the configuration anew; `keep_running` is to stay when the data are over."""

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        strategy: Strategy,
        again: Callable[[], Settings],
        *,
        live: str | None,
        version: str,
        keep_running: bool = False,
    ) -> None:
        self.system = LiveSystem(settings, feed, (("main", strategy),), live=live, version=version, loaded=True)
        self.runtime = self.system.runtime
        self._settings = settings
        self._again = again
        self._keep_running = keep_running
        self._log: Any = structlog.get_logger("ordersmith.service")
        self._facts: Any = structlog.get_logger("ordersmith")
        self._least = LEVELS[settings.service.log_level]
        self._group: anyio.abc.TaskGroup
        self._begun, self._over = anyio.Event(), anyio.Event()
        self._stop, self._settling = anyio.Event(), anyio.CancelScope()
        self._reading = anyio.Lock()
        self._ending = Ending(STOPPED, "")
        self._asked_by_signal = False
        self._broken_by = 0
        self._last_data_ns: int | None = None
        self.summary = ""

    # --- Run -----------------------------------------------------------------------------------------------------------

    async def run(self) -> Ending:
        """Trade until told to stop, then stop in order; return how that ended. Needs the main thread, for its signals."""
        self.runtime.on_committed, self.runtime.on_failure = self._on_committed, self._on_failure
        self.system.shown, self.system.ended = self._on_bars, self._on_end_of_data
        with anyio.open_signal_receiver(*STOP_SIGNALS, signal.SIGHUP) as signals:
            async with anyio.create_task_group() as self._group:
                self._group.start_soon(self._hear, signals)
                self._group.start_soon(sheltered(self._trade))
                self._group.start_soon(self._welcome)
                await self._stop.wait()
                await self._end()
                self._group.cancel_scope.cancel()
        status, text = self._ending
        (self._log.info if status == STOPPED else self._log.error)("service.stopped", why=text, exit_status=status)
        return self._ending

    async def _trade(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self.system.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, it becomes an exit status
                self._broke(error)
            finally:
                self._over.set()
                self._settling.cancel()
                self._tell_to_stop(Ending(FAILED, "the runtime ended by itself"))

    def _broke(self, error: Exception) -> None:
        if self._broken_by:
            return
        cause = only_cause(error)
        status = next((status for kind, status in STATUS_OF.items() if isinstance(cause, kind)), FAILED)
        if status == FAILED:
            self._log.error("service.failed", exc_info=error)
        self._stop.set()
        self._ending = Ending(status, str(cause) if status != FAILED else f"a defect of Ordersmith: {cause!r}")

    async def _welcome(self) -> None:
        """Open the control socket as soon as there is something to control, and say what runs once it does."""
        await self.system.tick()
        self._begun.set()
        path: Path | None = None
        if self._settings.service.control:
            operations = Operations(self.runtime, self.status)
            try:
                path = await self._group.start(serve_control, self.system.journal.path, operations.carry)
            except ConfigError as error:
                self._tell_to_stop(Ending(WRONG, str(error)))
                return
        status = self.status()
        self._log.info(
            "service.began",
            mode=status.mode,
            provider=status.provider,
            account=status.account,
            strategy=self._settings.strategy.path,
            journal=status.journal,
            head=status.head,
            instance=status.instance,
            boot=status.boot,
            open=status.open,
            in_doubt=status.in_doubt,
            control=None if path is None else str(path),
            process=status.process,
            version=status.version,
        )
        await self.runtime.ready.wait()
        status = self.status()
        self._log.info("service.ready", trading_state=status.trading_state, session=status.session, open=status.open)

    def status(self) -> Status:
        """Return how it is now; for when it has begun."""
        execution = self._settings.execution
        about = {
            "mode": execution.mode,
            "provider": execution.provider,
            "journal": str(self.system.journal.path),
        }
        return status_of(self.runtime, about, self._last_data_ns)

    # --- What the runtime says -----------------------------------------------------------------------------------------

    def _on_committed(self, number: int) -> None:
        """Write what has become a fact into the log."""
        log = self.runtime.core.dispatcher.log
        for record in log.records[log.durable - log.base : number - log.base]:
            if LEVELS[event_level(record.event)] >= self._least:
                level, event, fields = event_line(record)
                getattr(self._facts, level)(event, **fields)

    def _on_failure(self) -> None:
        failure = self.runtime.failure
        self._log.error("service.gave_up", exc_info=failure)
        self._tell_to_stop(Ending(FAILED, f"the supervision tree gave up, trading is halted: {failure!r}"))

    def _on_bars(self, bars: Bars) -> None:
        self._last_data_ns = min(bars.end_ns, self.runtime.clock.now_ns())  # a feed's stamp may be ahead of us

    def _on_end_of_data(self) -> None:
        self._log.info("data.ended")
        if not self._keep_running:
            self._group.start_soon(self._stop_when_idle)

    async def _stop_when_idle(self) -> None:
        await self.runtime.idle()
        self._tell_to_stop(Ending(STOPPED, "the data are over"))

    # --- Signals -------------------------------------------------------------------------------------------------------

    async def _hear(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if number == signal.SIGHUP:
                self._group.start_soon(self._read_limits)
            elif not self._asked_by_signal:
                self._asked_by_signal = True
                self._tell_to_stop(Ending(STOPPED, f"stopped by {number.name}"))
            elif not self._broken_by:
                self._break_off(number)
            else:  # it did not help
                os._exit(128 + number)

    def _break_off(self, number: signal.Signals) -> None:
        self._broken_by = number
        self._log.warning("service.broken_off", signal=number.name)
        self._ending = Ending(128 + number, f"broken off by {number.name}; the next start goes on from the journal")
        self._settling.cancel()
        self.runtime.give_up()

    async def _read_limits(self) -> None:
        """Take tighter limits over; a file that is wrong changes nothing."""
        async with self._reading:
            try:
                changed = change(self._settings, await anyio.to_thread.run_sync(self._again))
                if changed.tightened:
                    self.runtime.put(LimitsChanged(changed.limits, changed.breaker_rules))
                    self._settings = changed.settings
            except OrdersmithError as error:
                self._log.error("limits.refused", error=str(error))
                return
            for level, sentence in changed.lines():
                getattr(self._log, level)("limits.read", text=sentence)

    # --- Stop ----------------------------------------------------------------------------------------------------------

    def _tell_to_stop(self, ending: Ending) -> None:
        """Stop for this reason; the first counts."""
        if not self._stop.is_set():
            self._ending = ending
            self._stop.set()

    async def _end(self) -> None:
        ending = self._ending
        self._log.info("service.stopping", why=ending.text, on_stop=self._settings.service.on_stop)
        if not self._begun.is_set():
            self.runtime.give_up()  # it ends when it has read the journal: nothing has begun yet
        elif not self._over.is_set():
            await self._stop_in_order()
        await self._over.wait()

    async def _stop_in_order(self) -> None:
        service, runtime = self._settings.service, self.runtime
        policy = service.on_stop if self._asked_by_signal and self._ending.status == STOPPED else "leave"
        deadline = anyio.current_time() + float(service.stop_within)
        with self._settling, anyio.move_on_at(deadline - FOR_THE_TREE * float(service.stop_within)):
            await wind_down(self.system, policy)
        left = left_over(runtime.core, policy)
        self.summary = self._summed_up()
        in_time = await runtime.stop(max(deadline - anyio.current_time(), 0))
        if self._broken_by or self._ending.status != STOPPED:
            return
        raised = [f"{name} raised {error!r}" for name, error in runtime.core.failed_hosts.items()]
        if raised:
            self._ending = Ending(FAILED, f"{self._ending.text}, but {'; '.join(raised)}: it traded nothing since")
        elif left:
            self._ending = Ending(LEFT_OVER, f"{self._ending.text}, but {left}")
        elif runtime.fault:
            self._ending = Ending(
                LEFT_OVER, f"{self._ending.text}, but {runtime.fault}; what was not durable was not sent"
            )
        elif not in_time:
            text = f"{self._ending.text}, but not within {service.stop_within} s: it was broken off; what was not durable was not sent"
            self._ending = Ending(LEFT_OVER, text)

    def _summed_up(self) -> str:
        """Return the figures of the journal's whole history, in a line."""
        core, status = self.runtime.core, self.status()
        gate, totals = core.dispatcher.view("risk_gate"), core.dispatcher.view("tally")
        parts = [] if totals is None else [f"{totals.orders:,} orders", f"{totals.fills:,} fills"]
        parts.append(f"{status.open:,} open")
        if status.in_doubt:
            parts.append(f"{status.in_doubt:,} in doubt")
        equity = [] if gate is None else [f"equity {gate.info(core.plan.account).equity:,.2f}"]
        return "; ".join([", ".join(parts), *equity, f"trading {status.trading_state}", f"journal {status.journal}"])


def only_cause(error: BaseException) -> BaseException:
    """Return what an exception group was raised for, if that is one thing."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


STATUS_OF: dict[type[Exception], int] = {
    JournalError: NO_JOURNAL,
    ConfigError: WRONG,
    DataError: WRONG,
    BrokerAuthError: WRONG,
}
"""The exit status of what keeps a service from trading."""
