"""The live system without its shell: dispatcher, tree and prices, moved by inputs and ticks alone.

No task, no clock, no I/O: what a core does is a function of its journal, its seed, and its inputs with their times. The shell
around it is `live.py`; `replay.py` feeds one from the log of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import localcontext
from typing import Any

import msgspec

from ..actors.doubt_messages import RecoverOrders
from ..actors.errors import ActorError, Overloaded
from ..actors.events import Booted, JournalFailed, StrategyFailed
from ..actors.machines.session import Phase
from ..actors.messages import CancelOrders, GetAccountInfo, GetOrderStatus, GetPositions, HaltTrading, Unknown
from ..actors.ports import CancelRequest, JournalStore
from ..actors.strategy import Start
from .cell import Cell
from .commit import urgent
from .dispatcher import ARITHMETIC, Dispatcher
from .inputs import (
    Asked,
    Committed,
    HostsStopped,
    Input,
    InstrumentsKnown,
    LimitsChanged,
    Posted,
    PricesKnown,
    PricesMatched,
    PricesQuoted,
    PricesShown,
    RunEnded,
    Stopping,
    StoreFailed,
    StoreRestored,
)
from .lifecycle import Lifecycle
from .prices import Prices
from .recovery import Memory, order_id_of, recall, remember, revive_orders
from .tree import Plan, build

Answered = Callable[[int, Any], None]


STANDSTILLS: Mapping[Phase, str] = {
    Phase.READY: "",
    Phase.SYNCING: "the broker's session is not ready: after it was opened the account is read first",
    Phase.DISCONNECTED: "the broker's session was lost, it is being opened again",
    Phase.REFUSED: "the broker refused the session",
}
"""Why no order may be sent while the session stands so."""


class PortDied(ActorError):
    """The `run()` of an actor ended."""


class Core:
    """One account's live system. `plan_of` makes the plan from the prices that the tree shall see, and from the core's backlog.

    `answered(ask, answer)` is called for each `Asked`, once, after the commit that the answer rests on.
    """

    def __init__(
        self,
        plan_of: Callable[[Prices, Callable[[int], tuple[int, int]]], Plan],
        store: JournalStore,
        *,
        seed: int = 0,
        last: int = 0,
    ) -> None:
        self.prices = Prices()
        self.dispatcher = Dispatcher(store, seed=seed, last=last)
        self.plan = plan_of(self.prices, self.dispatcher.log.backlog)
        self._instruments = self.plan.instruments = dict(self.plan.instruments)  # the core's own, since it may change
        self.lifecycle = Lifecycle(self.dispatcher, build(self.plan))
        self.answered: Answered = _nobody
        self._stopping = False
        self._hosts = [f"strategy/{name}" for name, _ in self.plan.strategies]
        self._hosts_started = False
        self.failed_hosts: dict[str, BaseException] = {}
        self._apply: Mapping[type, Callable[[Any], None]] = {
            Posted: self._posted,
            Asked: self._asked,
            Committed: self._committed,
            StoreFailed: self._store_failed,
            StoreRestored: self._store_restored,
            RunEnded: self._run_ended,
            PricesKnown: lambda made: self.prices.show(made.bars, self.dispatcher.now_ns),
            PricesMatched: lambda made: self.prices.match(made.bars, self.dispatcher.now_ns),
            PricesShown: self._prices_shown,
            PricesQuoted: lambda made: self.prices.quote(made.quotes, self.dispatcher.now_ns),
            InstrumentsKnown: self._instruments_known,
            LimitsChanged: self._limits_changed,
            HostsStopped: self._stop_hosts,
            Stopping: self._stop,
        }

    # --- Begin ---------------------------------------------------------------------------------------------------------

    def begin(self, now_ns: int, booted: Booted, memory: Memory) -> None:
        """Recall what the journal holds, write down that this boot begins, and start the tree."""
        dispatcher = self.dispatcher
        with localcontext(ARITHMETIC):
            dispatcher.now_ns = now_ns
            recall(dispatcher, memory)
            dispatcher.state(booted)
            self.lifecycle.start()
            revive_orders(self.lifecycle, memory)
            revived = tuple(order_id_of(cell.name) for cell in dispatcher.cells.values() if cell.entity)
            dispatcher.post(dispatcher.refer("desk"), RecoverOrders(revived))
            self._pump(now_ns)

    # --- Tick ----------------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int, inputs: Iterable[Input]) -> None:
        """Take inputs in order, let happen what is due, and go on until there is nothing to do at this instant."""
        with localcontext(ARITHMETIC):
            self.dispatcher.now_ns = now_ns
            for made in inputs:
                self._apply[type(made)](made)
            self._pump(now_ns)

    def _pump(self, now_ns: int) -> None:
        self.dispatcher.pump(now_ns)
        if self.lifecycle.started and not self._hosts_started and not self._stopping:
            self._hosts_started = True
            for name in self._hosts:
                self.dispatcher.post(self.dispatcher.refer(name), Start())
            self.dispatcher.pump(now_ns)
        for name in self._hosts:
            error = self.lifecycle.down.get(name)
            if error is not None and name not in self.failed_hosts:
                self.failed_hosts[name] = error
                self.dispatcher.state(StrategyFailed(name, f"{type(error).__name__}: {error}"))
                self.dispatcher.pump(now_ns)

    def release(self, number: int) -> None:
        """Let out what rests on records up to `number`, between ticks: `Committed` is still to come, and changes nothing more.

        What leaves does not come back into the core but as an input, so a session is the same without this.
        """
        self.dispatcher.log.reached(number)
        self.dispatcher.log.release()

    def next_deadline_ns(self) -> int | None:
        """Return when the next timer is due, None without timers."""
        return self.dispatcher.timers.next_deadline_ns()

    @property
    def started(self) -> bool:
        """Whether every actor is ready and the strategies have begun."""
        return self._hosts_started

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do at this instant, and everything is durable and released.

        A beginning is not idle before it has begun, unless it waits for a timer.
        """
        has_begun = self._hosts_started or self.next_deadline_ns() is not None
        return has_begun and self.dispatcher.log.settled

    @property
    def stopped(self) -> bool:
        """Whether the tree has stopped."""
        return self._stopping and self.lifecycle.stopped

    def epoch(self) -> int | None:
        """Return the trading epoch under which orders may be sent, None if none may be."""
        return None if self.standstill() else int(self.dispatcher.view("circuit_breaker").epoch)

    def standstill(self) -> str:
        """Say why no order may be sent, "" while one may."""
        dispatcher = self.dispatcher
        if self.lifecycle.halted or dispatcher.view("circuit_breaker") is None:
            return "trading was halted"
        if dispatcher.log.failing:
            return "the journal cannot be written"
        session = dispatcher.view(f"connection/{self.plan.account}")
        # What was approved under a session that is lost is not sent under none.
        return STANDSTILLS[Phase.DISCONNECTED if session is None else session.phase]

    @property
    def refusal(self) -> str:
        """Why the broker's session is one that may not be used, empty while it may."""
        session = self.dispatcher.view(f"connection/{self.plan.account}")
        return "" if session is None else str(session.refusal)

    def emergency_cancels(self) -> list[CancelRequest]:
        """Return the cancels of what is open, when those who would send them are the ones that failed."""
        cells = self.dispatcher.cells
        if all(name in cells and cells[name].live for name in ("desk", f"connection/{self.plan.account}")):
            return []
        machines = [cell.actor.machine for cell in cells.values() if cell.entity and cell.actor is not None]
        return [
            CancelRequest(machine.wire_id)
            for machine in machines
            if machine is not None and not machine.is_closed and machine.wire_id
        ]

    def memory(self) -> tuple[int, dict[str, bytes]] | None:
        """Return the number of the last record and the states as of it, for a snapshot; None while that is not settled."""
        if self._stopping or self.lifecycle.halted:
            return None  # some actors are gone, and what they knew with them
        return remember(self.dispatcher)

    # --- Inputs --------------------------------------------------------------------------------------------------------

    def _posted(self, made: Posted) -> None:
        cell = self.dispatcher.cells.get(made.actor)
        if cell is not None:
            self.dispatcher.post(cell, made.message, made.cause)

    def _asked(self, made: Asked) -> None:
        ask, dispatcher = made.ask, self.dispatcher

        def answer(value: Any) -> None:
            self.answered(ask, value)

        cell: Cell | None = dispatcher.cells.get(made.actor)
        if cell is None:
            answer(Unknown())
            return
        try:
            to = dispatcher.asks.open(urgent(answer) if is_urgent(made.request) else answer)
        except Overloaded as error:
            answer(error)
            return
        dispatcher.post(cell, msgspec.structs.replace(made.request, reply_to=to))

    def _committed(self, made: Committed) -> None:
        self.dispatcher.log.committed(made.number)

    def _store_failed(self, made: StoreFailed) -> None:
        self.dispatcher.log.failing = True
        self.dispatcher.state(JournalFailed(made.text))

    def _store_restored(self, _: StoreRestored) -> None:
        self.dispatcher.log.failing = False

    def _run_ended(self, made: RunEnded) -> None:
        cell = self.dispatcher.cells.get(made.actor)
        if cell is not None and cell.incarnation == made.incarnation and cell.status == "running":
            self.lifecycle.crash(made.actor, PortDied(made.error))

    def _prices_shown(self, made: PricesShown) -> None:
        self.prices.show(made.bars, self.dispatcher.now_ns)
        if self._hosts_started:  # before that nobody is there to watch them
            self.dispatcher.post(self.dispatcher.refer("market"), made.bars)

    def _instruments_known(self, made: InstrumentsKnown) -> None:
        """Change them in place: the gate, and whoever comes after it, holds this one mapping."""
        self._instruments.clear()
        self._instruments.update(made.instruments)

    def _limits_changed(self, made: LimitsChanged) -> None:
        self.plan.limits, self.plan.breaker = made.limits, made.breaker
        for name in ("risk_gate", "circuit_breaker"):
            if self.dispatcher.cells[name].live:
                self.lifecycle.incarnate(self.dispatcher.cells[name])  # it is rebuilt with them, as after a crash

    def _stop_hosts(self, _: HostsStopped) -> None:
        self._hosts = []
        self.lifecycle.stop_children("hosted")

    def _stop(self, _: Stopping) -> None:
        if not self._stopping:
            self._stopping = True
            self.lifecycle.stop()


def _nobody(ask: int, answer: Any) -> None:
    """Take an answer that nobody waits for."""


def is_urgent(request: Any) -> bool:
    """Tell whether a request may be answered although the journal cannot be written: cancels, halts, and questions."""
    return type(request) in URGENT


URGENT = frozenset({CancelOrders, HaltTrading, GetOrderStatus, GetPositions, GetAccountInfo})
