"""One boot of the live system in simulated time: the production core, and a shell that does what `supervisor/live.py` does.

The shell decides nothing. It takes inputs, ticks the core, hands released commands to the port one after the other, and
has its tasks die. Everything below the shell is the code that trades.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec

from ..actors.actor import Record
from ..actors.bars import Bars
from ..actors.errors import JournalError
from ..actors.events import Booted
from ..actors.machines.breaker import BreakerRules
from ..actors.machines.risk import Limits
from ..actors.model import Instrument
from ..actors.ports import Command, Disconnected, JournalStore
from ..actors.strategy import Strategy
from ..adapters.clocks import WallClock
from ..adapters.io_actor import IoActor, Line, what_became_of
from ..adapters.record_codec import decode_record
from ..supervisor.cell import Cell
from ..supervisor.condensing import condensed
from ..supervisor.core import Core, is_urgent
from ..supervisor.inputs import Asked, Committed, Input, Posted, PricesShown, RunEnded, StoreFailed, StoreRestored
from ..supervisor.outlet import NOBODY_THERE
from ..supervisor.prices import Prices
from ..supervisor.tree import Plan
from .faults import Fault, FaultPlan
from .oracle.watch import Watch
from .port_task import ACCOUNT, CONNECTION, PortTask, interleaved
from .questions import Questions
from .schedule import SECOND_NS, Entry, Schedule
from .store import Disk, Store, records_of
from .wire import Wire

PORT = f"port/{ACCOUNT}"
QUEUE_BOUND = 100_000

ANSWER_NS = 5 * SECOND_NS
RECONCILE_NS = 30 * SECOND_NS
VALIDITY_NS = 10 * SECOND_NS
TAKING_NS = (20_000, 400_000)
"""How long the port takes to get to its next command: at least, at most."""

Answered = Callable[[Any], None]


class Terms(msgspec.Struct, frozen=True):
    """What every boot of a world is made with. `strategies` makes the hosted ones anew."""

    limits: Limits
    breaker: BreakerRules
    instruments: Mapping[str, Instrument]
    strategies: Callable[[], tuple[tuple[str, Strategy], ...]]
    seed: int = 0
    snapshot_every: int = 2_000


class SimulatedPort(IoActor):
    """The broker's port in the tree: what it does is the wire's business."""

    async def run(self, line: Line) -> None:
        raise AssertionError("a simulated port has no task")


class Process:
    """Runs from `begin` until it ends by itself (`ended` is then called with why) or is `kill`ed."""

    def __init__(
        self,
        terms: Terms,
        disk: Disk,
        schedule: Schedule,
        random: Random,
        plan: FaultPlan,
        wire: Wire,
        watch: Watch,
        ended: Callable[[str], None],
    ) -> None:
        self.alive = True
        self.queue_high = 0
        self.reports = 0
        self.epoch = ""
        self.line: PortTask | None = None
        self._disk, self._schedule, self._random = disk, schedule, random
        self._faults, self._wire, self._watch, self._ended = plan, wire, watch, ended
        self._terms = terms
        self._wall_ns = 0  # by how much the wall clock is off
        self._clock = WallClock(lambda: schedule.now_ns + self._wall_ns, lambda: schedule.now_ns)
        self._inputs: list[Input] = []
        self._tick_entry: Entry | None = None
        self._timer: tuple[int, Entry] | None = None
        self._suspended = False
        self._fault = ""
        self._halted = False
        self._asks: dict[int, tuple[Any, Answered]] = {}
        self._last_ask = 0
        self._ids = 0
        self._taking = False
        self._between: list[Callable[[], None]] = []
        self._passed = len(disk.records)
        self._remembered = 0
        self.store = Store(disk, schedule, random, plan, self._recorded, self._durable)
        self.core: Core

    # --- Begin and end ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Boot: recall what the disk has, and start the tree."""
        disk = self._disk
        disk.boots += 1
        self.epoch = f"e{disk.boots}"
        disk.digest.update(self.epoch.encode())
        self.core = core = self.fresh_core(self.store)
        self.store.failed, self.store.restored = self._store_failed, self._store_restored
        number, states = disk.snapshot
        self._remembered = number
        memory = condensed(core.dispatcher, number, states, records_of(disk, number), disk.history)
        core.answered = self._answer
        core.dispatcher.log.answered = self._committed
        core.lifecycle.run = self._run_port
        core.dispatcher.ports[f"broker/{ACCOUNT}"] = self
        self.questions = Questions(
            disk,
            lambda: core.dispatcher.log.last,
            lambda actor, message, cause: self.put(Posted(actor, message, cause)),
        )
        core.dispatcher.ports["store"] = self.questions
        if disk.records:
            self._clock.go_on_from(decode_record(disk.records[-1]).at_ns)
        now_ns = self._clock.now_ns()
        core.begin(now_ns, Booted(disk.boots, "sim", self.epoch, "simulated"), memory)
        self._after_tick()

    def fresh_core(self, store: JournalStore) -> Core:
        """Return a core that has not begun."""
        return Core(self._plan, store, seed=self._terms.seed, last=len(self._disk.records))

    def _plan(self, prices: Prices, backlog: Callable[[int], tuple[int, int]]) -> Plan:
        terms = self._terms
        return Plan(
            account=ACCOUNT,
            id_prefix=f"sim-{self.epoch}-",
            limits=terms.limits,
            breaker=terms.breaker,
            instruments=terms.instruments,
            market=prices.known,
            shown=prices.shown,
            strategies=terms.strategies(),
            port=SimulatedPort,
            answer_ns=ANSWER_NS,
            validity_ns=VALIDITY_NS,
            reconcile_ns=RECONCILE_NS,
            expected_account=ACCOUNT,
            backlog=backlog,
        )

    def kill(self, *, batch_survives: bool) -> None:
        """End at once, in the middle of everything."""
        self.alive = False
        if self.line is not None:
            self.line.alive = False
        self._wire.close()
        self.store.end(batch_survives=batch_survives)

    @property
    def now_ns(self) -> int:
        """The time of the process's clock."""
        return self._clock.now_ns()

    # --- Tick --------------------------------------------------------------------------------------------------------------

    def put(self, made: Input) -> None:
        """Take an input for the next tick."""
        if not self.alive:
            return
        self._inputs.append(made)
        self.queue_high = max(self.queue_high, len(self._inputs))
        self._wake()

    def _wake(self) -> None:
        if self._tick_entry is None and not self._suspended:
            self._tick_entry = self._schedule.at(self._schedule.now_ns, self._tick)

    def _tick(self) -> None:
        self._tick_entry = None
        if not self.alive:
            return
        inputs, self._inputs = self._inputs, []
        if len(inputs) > 1 and self._faults.hits(Fault.REORDERED):
            inputs = interleaved(inputs, self._random)
        now_ns = self._clock.now_ns()
        stepped_s = self._clock.stepped()
        if stepped_s:
            self.missed(f"the clock stepped by {stepped_s:.1f} s")
        self.core.tick(now_ns, inputs)
        self._after_tick()

    def after_tick(self, act: Callable[[], None]) -> None:
        """Have something done between this tick and the next."""
        self._between.append(act)

    def _after_tick(self) -> None:
        core = self.core
        while self._between:
            self._between.pop()()
            core.tick(self._clock.now_ns(), ())
        log = core.dispatcher.log
        if log.last > self._passed:
            self._watch.stated(log.records[self._passed - log.base :])
            self._passed = log.last
        if core.refusal:
            self._end(core.refusal)
            return
        if core.lifecycle.halted and not self._halted:
            self._halted = True
            for command in core.emergency_cancels():
                self.accept(command, 0)
            self._schedule.after(5 * SECOND_NS, lambda: self._end("the tree gave up"))
        if log.settled and log.last - self._remembered > self._terms.snapshot_every:
            memory = core.memory()
            if memory is not None:
                self._remembered, self._disk.snapshot = memory[0], memory
        self._set_timer(core.next_deadline_ns())

    def _set_timer(self, deadline_ns: int | None) -> None:
        if self._timer is not None:
            if self._timer[0] == deadline_ns:
                return
            self._schedule.cancel(self._timer[1])
            self._timer = None
        if deadline_ns is not None:
            due_ns = self._schedule.now_ns + max(deadline_ns - self._clock.now_ns(), 0)
            self._timer = (deadline_ns, self._schedule.at(due_ns, self._timer_due))

    def _timer_due(self) -> None:
        self._timer = None
        if self.alive:
            self._wake()

    def _end(self, why: str) -> None:
        if self.alive:
            self.kill(batch_survives=True)
            self._ended(why)

    # --- The store ---------------------------------------------------------------------------------------------------------

    def _recorded(self, first: int, last: int) -> list[Record]:
        log = self.core.dispatcher.log
        return log.records[first - 1 - log.base : last - log.base]

    def _durable(self, records: list[Record]) -> None:
        self._watch.durable(records)

    def _committed(self, number: int) -> None:
        if self.alive:
            self.core.release(number)
            self.questions.look()
            self.put(Committed(number))

    def _store_failed(self, text: str) -> None:
        self._fault = text
        self.put(StoreFailed(text))
        for ask, (request, _) in list(self._asks.items()):
            if not is_urgent(request):
                self._answer(ask, JournalError(text))

    def _store_restored(self) -> None:
        self._fault = ""
        self.put(StoreRestored())

    # --- The port ------------------------------------------------------------------------------------------------------------

    def accept(self, command: Command, cause: int) -> None:
        """Take a released command; send it back if no port is there."""
        line = self.line
        if line is None:
            self._bounce(command, cause, in_hand=False, reason=NOBODY_THERE)
            return
        line.waiting.append((command, cause))
        self._take_later()

    def _take_later(self) -> None:
        if not self._taking and self.line is not None and self.line.waiting:
            self._taking = True
            self._schedule.after(self._random.randrange(*TAKING_NS), self._take)

    def _take(self) -> None:
        self._taking = False
        line = self.line
        if not self.alive or self._suspended or line is None or not line.waiting:
            return
        entry = line.waiting.popleft()
        line.in_hand.append(entry)
        self._wire.take(*entry)
        self._take_later()

    def _run_port(self, cell: Cell) -> PortTask:
        if cell.task is not None:
            cell.task.cancel()
        self.line = line = PortTask(self)
        self._wire.open(line)
        return line

    def port_dies(self, error: str) -> None:
        """Have the port's task end by itself."""
        line, cell = self.line, self.core.dispatcher.cells.get(PORT)
        if line is not None and cell is not None:
            self.put(RunEnded(PORT, cell.incarnation, error))
            self.close_port(line, f"the port died: {error}")

    def close_port(self, line: PortTask, reason: str) -> None:
        """Take note that an incarnation ended, and say what became of what it held, as `supervisor/outlet.py` does."""
        line.alive = False
        if self.line is line:
            self.line = None
            self._wire.close()
        for command, cause in line.in_hand:
            self._bounce(command, cause, in_hand=True, reason=reason)
        for command, cause in line.waiting:
            self._bounce(command, cause, in_hand=False, reason=reason)
        self.put(Posted(CONNECTION, Disconnected(reason)))

    def _bounce(self, command: Command, cause: int, *, in_hand: bool, reason: str) -> None:
        report = what_became_of(command, in_hand=in_hand, reason=reason)
        if report is not None:
            self.put(Posted(CONNECTION, report, cause))

    # --- From outside --------------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """Return an id for an order of a client."""
        self._ids += 1
        return f"sim-{self.epoch}-x{self._ids}"

    def ask(self, actor: str, request: Any, answered: Answered) -> None:
        """Ask an actor, as an executor does."""
        self._last_ask += 1
        ask = self._last_ask
        self._watch.asked(ask, request)
        self._asks[ask] = (request, answered)
        if self._fault and not is_urgent(request):
            self._answer(ask, JournalError(f"{self._fault}; trading is halted, cancels still work"))
        else:
            self.put(Asked(ask, actor, request))

    def _answer(self, ask: int, answer: Any) -> None:
        request_answered = self._asks.pop(ask, None)
        if request_answered is not None:
            self._watch.answered(ask, answer)
            request_answered[1](answer)

    def show(self, bars: Bars) -> None:
        """Show prices to everybody."""
        self.put(PricesShown(bars))

    def missed(self, text: str) -> None:
        """Take note that time has passed in which nobody listened."""
        self.put(Posted(CONNECTION, Disconnected(text)))

    def step_clock(self, by_ns: int) -> None:
        """Set the wall clock."""
        self._wall_ns += by_ns
        self._wake()

    def suspend(self, for_ns: int) -> None:
        """Stand still, as under SIGSTOP; what comes meanwhile waits."""
        self._suspended = True
        if self._tick_entry is not None:
            self._schedule.cancel(self._tick_entry)
            self._tick_entry = None
        self._schedule.after(for_ns, lambda: self._resume(for_ns))

    def _resume(self, for_ns: int) -> None:
        self._suspended = False
        if self.alive:
            if for_ns > 5 * SECOND_NS:
                self.missed(f"the process stood still for {for_ns / SECOND_NS:.0f} s")
            self._wake()
            self._take_later()
