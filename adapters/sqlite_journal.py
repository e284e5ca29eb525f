"""The journal store of live trading: SQLite, durable at every commit, and in trouble a state instead of a crash.

The dispatcher hands over a batch with `append` and goes on; it is written in an island, whose thread says when it is durable:
then `committed` is called. `run`, a task of the host's, sees to it that this happens. `committed` is called for what is
durable, never for anything else. When a commit fails the store says so at once (`failed`), and does not know at first what
became of the batch: it opens the file anew, looks, makes what it finds durable or writes the batch again, and only then calls
`committed`, and `restored`. It keeps trying, with space from the ballast, for as long as the trouble is one that passes;
nothing is dropped meanwhile. A fault that is `final` ends the writing: whatever is above `durable` is not in the journal.

    store = SqliteJournal(path)
    await store.open()
    store.watch(failed=..., restored=...)
    task_group.start_soon(store.run)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from itertools import chain, repeat
from math import inf
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

from ..actors.errors import JournalError
from .asyncio_island import GRACE_S, STOP_S, Call, Island, IslandDown
from .journal_format import Batch, Head
from .journal_problems import JournalFault, JournalProblem
from .journal_reader import JournalReader
from .journal_writer import Connect, JournalWriter, connect

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

BALLAST_BYTES = 8 << 20
"""What a full log (1,000 pages) and the records of an orderly end need, twice."""

STALL_S = 2.0
"""How long a commit may take before it counts as trouble. New risk is denied much sooner, by how far the journal is behind."""

RETRY_S = (0.0, 0.1, 0.3, 1.0, 3.0)
"""How long to wait before each new attempt; the last goes on for ever."""

FREES_BALLAST = frozenset({JournalProblem.DISK_FULL, JournalProblem.IO_ERROR})
"""A quota, or a limit of the process, is reported as an I/O error."""


class StoreState(StrEnum):
    """OPEN writes. FAILED tries to. BROKEN will not any more. CLOSED has ended, or not begun."""

    OPEN = "OPEN"
    FAILED = "FAILED"
    BROKEN = "BROKEN"
    CLOSED = "CLOSED"


class SqliteJournal:
    """Implements `JournalStore` and `FallibleStore`. One batch is in flight at a time.

    `open`, `run`, `resume` and `close` belong to one event loop, asyncio's or trio's; all callbacks come in that loop.
    """

    volatile = False

    def __init__(self, path: Path, *, connect: Connect = connect, ballast_bytes: int = BALLAST_BYTES) -> None:
        self.path = path
        self.state = StoreState.CLOSED
        self.fault: JournalFault | None = None
        self._island = Island(f"journal {path.name}")
        self._writer = JournalWriter(path, connect, ballast_bytes)
        self._reader: JournalReader | None = None
        self._head = Head(0, b"")
        self._batch: Batch | None = None
        self._committed: Callable[[int], None] = lambda _: None
        self._flight: Call[Head] | None = None  # the first attempt, begun as soon as the batch came
        self._flying = False  # whether that goes on without `run`
        self._failed: Callable[[JournalFault], None] = lambda _: None
        self._restored: Callable[[], None] = lambda: None
        self._running = False
        self._in_doubt = False  # whether the batch was tried, and how that ended is not known
        self._work, self._settled = anyio.Event(), anyio.Event()
        self._retry, self._attempted = anyio.Event(), anyio.Event()
        self._advanced = anyio.Event()
        self._began: float | None = None
        self._shield: anyio.CancelScope | None = None

    @property
    def durable(self) -> int:
        return self._head.number

    @property
    def head(self) -> Head:
        """The end of what is durable; noted outside, it shows later whether the journal's end was cut off."""
        return self._head

    @property
    def boot(self) -> int:
        """The number of this opening of the journal for writing: 1 for the first."""
        return self._writer.boot

    def watch(self, failed: Callable[[JournalFault], None], restored: Callable[[], None]) -> None:
        self._failed, self._restored = failed, restored

    # --- Opening and closing ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Lock the journal and prove its end; raise JournalFault and leave nothing open if that is not possible.

        Without room for the ballast there is none: that alone keeps nobody from trading.
        """
        await self._island.start()
        try:
            await self._do(self._writer.open)
            self._head = self._writer.head
            with suppress(JournalFault):
                await self._do(self._writer.fill_ballast)
        except BaseException:
            await self.close(0)
            raise
        self.state = StoreState.OPEN

    async def close(self, deadline_s: float = STOP_S) -> bool:
        """Write what was appended, then close; return whether all of it is durable and the file is closed.

        What is not written by the deadline stays unwritten. A disk that hangs keeps its thread and the lock until it
        answers, or the process ends: nobody else may trade this journal while that thread may still write.
        """
        closed = False
        with anyio.CancelScope(shield=True):
            if self._batch is not None and self.state in (StoreState.OPEN, StoreState.FAILED):
                with anyio.move_on_after(deadline_s):
                    await (self._settled.wait() if self._running else self._settle(self._batch))
            self.state = StoreState.CLOSED
            self._work.set()
            self._retry.set()
            if self._began is not None and self._shield is not None:
                self._shield.cancel()
            if self._reader is not None:
                self._reader.close()
            with anyio.move_on_after(deadline_s + GRACE_S), suppress(IslandDown):
                await self._island.call(self._writer.close)
                closed = True
            if closed or not self._island.open:
                await self._island.stop(0)
        return closed and self._batch is None

    # --- Writing ---------------------------------------------------------------------------------------------------------

    def append(self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]) -> None:
        """Take a batch; `committed` is called when it is durable. A store that failed takes it and keeps trying."""
        if self.state is StoreState.CLOSED:
            raise JournalFault(JournalProblem.CLOSED, self.path)
        if self._batch is not None:
            raise JournalError(f"{self.path}: one batch at a time: record {first} came while others are being written")
        if first != self.durable + 1 or not ends:
            raise JournalError(f"{self.path}: records must be appended in order: {first} after {self.durable}")
        batch = self._batch = Batch(first, data, ends)
        self._committed = committed
        self._settled = anyio.Event()
        if self._running and self.state is StoreState.OPEN:
            with suppress(JournalFault):  # the attempt will meet it
                self._flight, self._flying = self._begin(batch), True
                return
        self._work.set()

    async def run(self) -> None:
        """Write what is appended until the store is closed. A cancelled `run` first ends the commit under way."""
        self._running = True
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch_for_stalls)
                while self.state is not StoreState.CLOSED:
                    if self._batch is None or self._flying or self.state is StoreState.BROKEN:
                        await self._work.wait()
                        self._work = anyio.Event()
                    else:
                        await self._settle(self._batch)
                group.cancel_scope.cancel()
        finally:
            try:
                if self._batch is not None and self._flying and self.state is not StoreState.CLOSED:
                    fault = await self._attempt(self._batch, anyio.current_time() + STOP_S)
                    if fault is not None:
                        self._fail(fault)
            finally:
                self._running = False

    async def resume(self, wait_s: float = STOP_S) -> None:
        """Say that the cause of a failure is gone: try at once, and return when the journal and its ballast are whole.

        Raises the JournalFault that is still in the way after `wait_s`. Whether trading goes on is not decided here.
        """
        with anyio.move_on_after(wait_s):
            for _ in range(2):  # an attempt under way may have begun before the cause was gone
                if self.state is StoreState.FAILED:
                    self._attempted = anyio.Event()
                    self._retry.set()
                    await self._attempted.wait()
        if self.fault is not None:
            raise self.fault
        await self._do(self._writer.fill_ballast)

    async def reaches(self, number: int) -> None:
        """Return when all records up to `number` are durable: at once, later, or, after a final fault, never."""
        while self.durable < number:
            if self._advanced.is_set():
                self._advanced = anyio.Event()
            await self._advanced.wait()

    async def save_snapshots(self, number: int, states: Mapping[str, bytes], format_: str) -> None:
        """Keep encoded states of actors as of `number`, the end of a durable batch. A set of another format is not loaded.

        Batches are written meanwhile. A failure raises JournalFault and harms no record: snapshots are a shortcut, the
        records are the truth.
        """
        await self._do(self._writer.save_snapshots, number, dict(states), format_)

    # --- Reading ---------------------------------------------------------------------------------------------------------

    def read(self, after: int = 0) -> Iterator[bytes]:
        """Yield the durable records above `after`, oldest first, each checked against the hash chain. Blocks."""
        return self._reading().read(after)

    def history(self, client_order_id: str) -> list[bytes]:
        return self._reading().history(client_order_id)

    def load_snapshots(self, format_: str) -> tuple[int, dict[str, bytes]]:
        """Return the newest whole set of snapshots of this format, and the number that it was taken at; else (0, {})."""
        return self._reading().snapshots(format_)

    # --- Parts -----------------------------------------------------------------------------------------------------------

    async def _settle(self, batch: Batch) -> None:
        """Make a batch durable, however often it takes; give up when the fault is final or the store closes."""
        for wait_s in chain(RETRY_S, repeat(RETRY_S[-1])):
            fault = await self._attempt(batch)
            self._attempted.set()
            if fault is None:
                return
            self._fail(fault)
            if fault.final:
                return
            if fault.problem in FREES_BALLAST:
                with suppress(JournalFault):
                    await self._do(self._writer.free_ballast)
            with anyio.move_on_after(wait_s):
                await self._retry.wait()
            self._retry = anyio.Event()
            if self.state is StoreState.CLOSED:
                return

    async def _attempt(self, batch: Batch, deadline: float = inf) -> JournalFault | None:
        """Try once, in one piece even if the host cancels us; return what went wrong."""
        with anyio.CancelScope(shield=self._running, deadline=deadline) as self._shield:
            try:
                flight, self._flight = self._flight or self._begin(batch), None
                self._durable(batch, await self._island.finish(flight))
            except (JournalFault, IslandDown) as error:
                if self._batch is batch:
                    self._began = None
                    return error if isinstance(error, JournalFault) else self._closed(error)
            return None
        self._began = None
        await anyio.lowlevel.checkpoint_if_cancelled()
        return JournalFault(JournalProblem.STALLED, self.path)

    def _begin(self, batch: Batch) -> Call[Head]:
        """Begin to write a batch; or, if it may be in the file already, to find out."""
        self._began = anyio.current_time()
        try:
            if self._in_doubt:
                return self._island.begin(self._writer.prove, batch)
            self._in_doubt = True
            return self._island.begin(self._write, batch)
        except IslandDown as error:
            raise self._closed(error) from error

    async def _write(self, batch: Batch) -> Head:
        """Write a batch, in the island. Who waits for it is told by the thread that wrote it; only a failure wakes `run`."""
        tell = self._island.tell
        try:
            return await self._writer.write(batch, lambda head: tell(partial(self._durable, batch, head)))
        except BaseException:
            tell(self._land)
            raise

    def _land(self) -> None:
        """Have `run` see to the batch."""
        self._flying = False
        self._work.set()

    def _durable(self, batch: Batch, head: Head) -> None:
        """Take note that a batch is durable: from the thread that made it so, and again when its attempt ends."""
        if self._batch is not batch:
            return
        recovered, self.fault = self.fault is not None, None
        if self.state is StoreState.FAILED:
            self.state = StoreState.OPEN
        self._head, self._batch, self._flight = head, None, None
        self._began, self._in_doubt, self._flying = None, False, False
        self._settled.set()
        self._advanced.set()
        self._committed(head.number)
        if recovered:
            self._restored()

    def _fail(self, fault: JournalFault) -> None:
        news = self.fault is None or self.fault.problem is not fault.problem
        self.fault = fault
        if self.state is not StoreState.CLOSED:
            self.state = StoreState.BROKEN if fault.final else StoreState.FAILED
        if fault.final:
            self._settled.set()
        if news:
            self._failed(fault)

    async def _watch_for_stalls(self) -> None:
        try:
            while True:
                await anyio.sleep(STALL_S / 2)
                if self._began is not None and self.fault is None and anyio.current_time() - self._began >= STALL_S:
                    self._fail(JournalFault(JournalProblem.STALLED, self.path))
                    self._land()
        finally:
            # The host cancels us: the attempt under way may end, but a disk that hangs must not hold the host up.
            if self._shield is not None:
                self._shield.deadline = anyio.current_time() + STOP_S

    async def _do(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        try:
            return await self._island.call(function, *arguments)
        except IslandDown as error:
            raise self._closed(error) from error

    def _closed(self, error: IslandDown) -> JournalFault:
        return JournalFault(JournalProblem.CLOSED, self.path, str(error))

    def _reading(self) -> JournalReader:
        if self._reader is None:
            if self.state is StoreState.CLOSED:
                raise JournalFault(JournalProblem.CLOSED, self.path)
            self._reader = JournalReader(self.path)
        return self._reader
