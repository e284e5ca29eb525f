"""The live driver: one task pumps the core by ticks, against a real clock, on asyncio and on trio.

A tick takes all inputs that have come, reads the time once, and lets the core do what there is to do; what comes meanwhile
waits for the next. Between ticks the store writes what was recorded, and its answer is an input like any other: only then
does anything leave. Each `run()` actor has a task and a cancel scope of its own.

Everything here belongs to one event loop, and its tasks are shielded: who cancels the host starts an orderly stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel

from ..actors.actor import ReplyTo
from ..actors.errors import BrokerAuthError, ExecutorFailed, JournalError, Overloaded
from ..actors.events import Booted
from ..actors.ports import Disconnected
from ..adapters.clocks import Clock
from ..adapters.crash_points import crash_point, is_armed
from ..adapters.record_codec import decode_record
from .condensing import condensed
from .core import Core, is_urgent
from .inbox import Inbox
from .inputs import Asked, Committed, Input, Posted, Stopping, StoreFailed, StoreRestored
from .inquiries import Inquiries
from .interrupts import sheltered
from .io_tasks import IoTasks
from .live_parts import Boot, InputLog, LiveStore
from .recovery import Memory, state_format
from .snapshots_kept import SnapshotKeeper
from .watchdog import Watchdog, WatchdogLimits

INPUT_BOUND = 100_000
"""Inputs that may wait for a tick; a port that brings more is restarted, and then reads the account anew."""

STARVED_S = 0.005
"""A commit under way for longer has the pump wait for it: a busy Python thread starves the writer's."""

log = logging.getLogger("ordersmith")

NO_ANSWER = ReplyTo(0)
"""What a request has before the core gives it its own."""


class LiveRuntime:
    """Runs one core. `core_of(last)` makes it for a journal that ends with the record `last`.

    `account` names the port and the connection; `questions(runtime)` makes the endpoint that reads the journal for it.
    """

    def __init__(
        self,
        core_of: Callable[[int], Core],
        store: LiveStore,
        clock: Clock,
        boot: Boot,
        *,
        account: str,
        questions: Callable[[LiveRuntime], Any],
        input_log: InputLog | None = None,
        snapshot_every: int = 20_000,
        limits: WatchdogLimits = WatchdogLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.store, self.clock, self.boot = store, clock, boot
        self.core: Core
        self.ready, self.ended = anyio.Event(), anyio.Event()
        self.on_failure: Callable[[], None] = lambda: None
        self.on_tick: Callable[[], None] = lambda: None
        self.on_committed: Callable[[int], None] = lambda _: None
        self.on_open: Callable[[int], Awaitable[None]] = lambda _: anyio.lowlevel.checkpoint()
        self._core_of = core_of
        self._input_log = input_log
        self._keeper = SnapshotKeeper(store, snapshot_every)
        self._tasks = IoTasks(self, account)
        self._endpoint = f"broker/{account}"
        self._questions = questions(self)
        self._inputs = Inbox()
        self._news, self._commit_news = anyio.Event(), anyio.Event()
        self._commit_began: float | None = None
        self._inquiries = Inquiries()
        self._idle_listeners: dict[Callable[[], None], None] = {}
        self._group: anyio.abc.TaskGroup
        self._giving_up = False
        self._unheard: Exception | None = None
        self._fault = ""
        self._halted = False
        self._passed = self._last_ns = 0
        self._failed_hosts = 0
        self._watchdog = Watchdog(limits, self._at_work, self.warn, self._missed)

    # --- Run -----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the journal, begin, and pump until the tree has stopped; then close the journal.

        Raises JournalError if the journal cannot be opened or trusted.
        """
        await self.store.open()
        self.store.watch(self._store_failed, self._store_restored)
        try:
            self._last_ns = await anyio.to_thread.run_sync(self._last_time)
            await self.on_open(self._last_ns)
            self.core = self._core_of(self.store.durable)
            memory = await anyio.to_thread.run_sync(self._memory)
            self._connect()
            now_ns, booted = self._beginning(memory)
            async with anyio.create_task_group() as self._group:
                self._tasks.group = self._group
                self._group.start_soon(sheltered(self.store.run))
                self._group.start_soon(sheltered(self._questions.run))
                self._group.start_soon(sheltered(self._watchdog.watch_lag))
                self._watchdog.start()
                self.core.begin(now_ns, booted, memory)
                del memory  # the core has it
                self._after_tick()
                await self._pump()
                await self._keeper.finish(at_once=self._giving_up)
                await self.store.close()
                self._group.cancel_scope.cancel()
        finally:
            self._watchdog.stop()
            await self.store.close()
            if self._input_log is not None:
                self._input_log.close()
            self._inquiries.give_all(
                ExecutorFailed("the executor stopped before it answered; look the orders up by id")
            )
            self.ended.set()
            self._tell_idle()

    def _last_time(self) -> int:
        """Return the time of the journal's last record, 0 for none."""
        last = self.store.read(max(self.store.durable - 1, 0))
        return max((decode_record(data).at_ns for data in last), default=0)

    def _memory(self) -> Memory:
        number, states = self.store.load_snapshots(state_format())
        self._keeper.remembered = number
        records = map(decode_record, self.store.read(number))
        return condensed(self.core.dispatcher, number, states, records, self.store.history)

    def _connect(self) -> None:
        core = self.core
        core.answered = self._inquiries.give
        core.dispatcher.log.answered = self.committed
        core.lifecycle.run = self._tasks.start
        core.dispatcher.ports[self._endpoint] = self._tasks.broker
        core.dispatcher.ports["store"] = self._questions

    def _beginning(self, memory: Memory) -> tuple[int, Booted]:
        self.clock.go_on_from(self._last_ns)
        now_ns = self.clock.now_ns()
        booted = Booted(self.store.boot, self.boot.instance, self.boot.epoch, self.boot.version)
        if self._input_log is not None:
            self._input_log.begin(self.core, now_ns, booted, memory)
        return now_ns, booted

    async def _pump(self) -> None:
        while not (self._giving_up or (self.core.stopped and (self.core.dispatcher.log.settled or self._fault))):
            await self._wait()
            if self._unheard is not None:
                raise self._unheard
            inputs = self._taken()
            now_ns = self.clock.now_ns()
            stepped_s = self.clock.stepped()
            if stepped_s:
                self._missed(f"the clock stepped by {stepped_s:.1f} s: it was set, or the machine slept")
            if self._input_log is not None:
                self._input_log.tick(now_ns, inputs)
            self._watchdog.tick_begins()
            self.core.tick(now_ns, inputs)
            self._watchdog.tick_ends()
            self._after_tick()

    async def _wait(self) -> None:
        """Wait for an input or the next timer, and for a commit that takes long whatever else there is."""
        began = self._commit_began
        if began is not None and not self._fault and time.monotonic() - began > STARVED_S:
            await self._commit_news.wait()
        if self._inputs:
            await anyio.lowlevel.checkpoint()
            return
        deadline_ns = self.core.next_deadline_ns()
        with anyio.move_on_after(None if deadline_ns is None else self.clock.seconds_until(deadline_ns)):
            self._news = anyio.Event()
            await self._news.wait()

    def _taken(self) -> list[Input]:
        if self._keeper.is_overdue(self.core.dispatcher.log):
            return self._inputs.take_only(OF_THE_STORE)
        return self._inputs.take()

    def _after_tick(self) -> None:
        core = self.core
        if is_armed():
            self._pass_points("recorded", self._passed, core.dispatcher.log.last)
            self._passed = core.dispatcher.log.last
        if core.started and not self.ready.is_set():
            self.ready.set()
        if core.dispatcher.log.writing and self._commit_began is None:
            self._commit_began = time.monotonic()
            self._commit_news = anyio.Event()
        for name, error in list(core.failed_hosts.items())[self._failed_hosts :]:
            log.error("%s raised; nothing new is traded until a person resumes", name, exc_info=error)
            self._failed_hosts += 1
        if core.refusal:
            raise BrokerAuthError(f"{core.refusal}; nothing was sent, and nothing will be")
        if core.lifecycle.halted and not self._halted:
            self._halted = True
            for command in self.core.emergency_cancels():
                self._tasks.broker.accept(command, 0)
            self.on_failure()
        if self._keeper.is_due(core.dispatcher.log) and (memory := core.memory()) is not None:
            self._keeper.begin(memory[0])
            self._group.start_soon(sheltered(self._keeper.keep), *memory)
        self.on_tick()
        if self._idle_listeners and (self.is_idle or self._fault):
            self._tell_idle()

    # --- Inputs --------------------------------------------------------------------------------------------------------

    def put(self, made: Input) -> None:
        """Take an input for the next tick."""
        self._inputs.put(made)
        self._news.set()

    def post(self, actor: str, message: Any, cause: int = 0) -> None:
        """Take a message for an actor. Raises Overloaded at the bound, which ends whoever brings so many."""
        if len(self._inputs) >= INPUT_BOUND:
            raise Overloaded(f"{len(self._inputs)} inputs wait for a tick; whoever brings them is too fast")
        self.put(Posted(actor, message, cause))

    def last_record(self) -> int:
        """Return the number of the last record."""
        return self.core.dispatcher.log.last

    def look_again(self) -> None:
        """Have the pump look at clock and timers: somebody has set the clock."""
        self._news.set()

    def committed(self, number: int) -> None:
        """Take the store's answer: what waited for it leaves now, the rest is for the next tick."""
        if is_armed():
            self._pass_points("durable", self.core.dispatcher.log.durable, number)
        self._commit_began = None
        self._commit_news.set()
        self.put(Committed(number))
        try:
            self.on_committed(number)
            self.core.release(number)
        except Exception as error:  # noqa: BLE001 - a callback of the loop has nobody to raise it to; the pump does
            self._unheard = error

    async def ask(self, actor: str, request: Any) -> Any:
        """Ask an actor and wait for its answer, which comes after the commit that it rests on. Cancelling recalls nothing.

        Raises Overloaded at the bound, JournalError while the journal cannot be written (cancels, halts and questions are
        answered all the same), and ExecutorFailed when the executor stops first.
        """
        if self.ended.is_set():
            raise ExecutorFailed("the executor has stopped")
        if self._fault and not is_urgent(request):
            raise JournalError(f"{self._fault}; trading is halted, cancels still work")
        inquiry = self._inquiries.open(request)
        self.put(Asked(inquiry.number, actor, request))
        try:
            return await inquiry.answer()
        finally:
            self._inquiries.close(inquiry)

    # --- What ports and others read ----------------------------------------------------------------------------------------

    def epoch(self) -> int | None:
        """Return the present trading epoch, None while nothing may be sent."""
        return self.core.epoch()

    def standstill(self) -> str:
        """Say why nothing may be sent, "" while something may."""
        return self.core.standstill()

    @property
    def is_idle(self) -> bool:
        """Whether dispatcher, journal and port have nothing to do at this instant."""
        deadline_ns = self.core.next_deadline_ns()
        return (
            not self._inputs
            and self.core.is_idle
            and self._tasks.are_idle
            and not self._questions.waiting
            and (deadline_ns is None or deadline_ns > self.clock.now_ns())
        )

    async def idle(self) -> None:
        """Wait until dispatcher, journal and port have nothing to do, or can do nothing: the journal failed, or all has ended."""
        while not (self.is_idle or self._fault or self.ended.is_set()):
            news = anyio.Event()
            with self.telling_idle(news.set):
                await news.wait()

    @contextmanager
    def telling_idle(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called after each tick that ends idle."""
        self._idle_listeners[wake] = None
        try:
            yield
        finally:
            del self._idle_listeners[wake]

    def _tell_idle(self) -> None:
        for wake in list(self._idle_listeners):
            wake()

    @property
    def fault(self) -> str:
        """What is wrong with the journal, empty for nothing."""
        return self._fault

    @property
    def failure(self) -> BaseException | None:
        """What the tree gave up for."""
        return self.core.lifecycle.failure if self._halted else None

    # --- Trouble -------------------------------------------------------------------------------------------------------

    def _store_failed(self, fault: Exception) -> None:
        self._fault = str(fault)
        log.error("%s", fault)
        self.put(StoreFailed(self._fault))
        self._commit_news.set()
        lost = JournalError(f"{fault}; what was asked may still be carried out: look it up by id")
        self._inquiries.give_all(lost, but=is_urgent)

    def _store_restored(self) -> None:
        self._fault = ""
        self.put(StoreRestored())

    async def mend(self) -> None:
        """Have the store try again, because the cause is gone, and make its reserve whole.

        Raises the JournalError that is still in the way; a reserve that cannot be made is only told.
        """
        is_failing = bool(self._fault)
        try:
            await self.store.resume()
        except JournalError as error:
            if is_failing:
                raise
            self.warn(f"{error}; the journal goes on without its reserve of disk space")

    def _missed(self, text: str) -> None:
        """Take note that time has passed in which nobody listened: what the broker said then is lost, as after a disconnect."""
        self.warn(text)
        self.put(Posted(self._tasks.broker.speaks_to, Disconnected(text)))

    def warn(self, text: str) -> None:
        """Say something that a person should know; from any thread."""
        log.warning(text)

    def _at_work(self) -> str:
        cell, message, _ = self.core.dispatcher.at_work
        return f"{cell.name} <- {type(message).__name__}"

    def _pass_points(self, stage: str, after: int, last: int) -> None:
        log_ = self.core.dispatcher.log
        for record in log_.records[max(after - log_.base, 0) : last - log_.base]:
            crash_point(f"{stage}:{type(record.event).__name__}")

    # --- Stop ----------------------------------------------------------------------------------------------------------

    async def stop(self, within_s: float) -> bool:
        """Stop the tree in order and wait; return whether that was done in time. Past the deadline it is broken off."""
        self.put(Stopping())
        with anyio.move_on_after(within_s):
            await self.ended.wait()
            return True
        self.give_up()
        await self.ended.wait()
        return False

    def give_up(self) -> None:
        """Stop pumping at once: what is not durable is lost, and was never sent."""
        self._giving_up = True
        self._commit_news.set()
        self._news.set()


OF_THE_STORE = frozenset({Committed, StoreFailed, StoreRestored})
