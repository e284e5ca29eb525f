"""The journal's disk, simulated: what outlives a process is in `Disk`, a boot writes through its `Store`.

A commit takes its time, and as a unit: all of a batch is durable or nothing of it. It may stall, fail for a while, or fail
although it happened. What the store says of it is what the real one says (`adapters/sqlite_journal.py`); SQLite itself and
its file are tested elsewhere.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from random import Random

from ..actors.actor import Record
from ..actors.errors import JournalError
from ..actors.events import OrderEvent
from ..adapters.record_codec import decode_record
from .faults import Fault, FaultPlan
from .schedule import SECOND_NS, Schedule

COMMIT_NS = (200_000, 3_000_000)
"""How long a commit takes: at least, at most."""

STALL_NS = 2 * SECOND_NS
"""How long a commit may take before the store says that something is wrong."""

Failed = Callable[[str], None]


class Disk:
    """What is durable: records, and the last snapshot. `digest` is of everything that ever became durable."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.snapshot: tuple[int, dict[str, bytes]] = (0, {})
        self.boots = 0
        self.digest = hashlib.sha256()
        self.orders: dict[str, array[int]] = {}

    def write(self, first: int, data: bytes, ends: list[int], events: list[Record]) -> None:
        """Make a batch durable."""
        assert first == len(self.records) + 1, f"record {first} after {len(self.records)}"
        begin = 0
        for end in ends:
            self.records.append(data[begin:end])
            begin = end
        for record in events:
            event = record.event
            if isinstance(event, OrderEvent):
                self.orders.setdefault(event.client_order_id, array("Q")).append(record.number)
        self.digest.update(data)

    def read(self, after: int = 0) -> Iterator[bytes]:
        """Yield the records above `after`, oldest first."""
        for index in range(after, len(self.records)):
            yield self.records[index]

    def history(self, client_order_id: str) -> list[bytes]:
        """Return the records of an order, oldest first."""
        return [self.records[number - 1] for number in self.orders.get(client_order_id, ())]

    def order_records(self, client_order_id: str) -> Iterator[Record]:
        """Yield the records of an order, oldest first."""
        return map(decode_record, self.history(client_order_id))

    def restore(self, last: int) -> None:
        """Put an old copy back: everything after the record `last` is gone."""
        del self.records[last:]
        for numbers in self.orders.values():
            while numbers and numbers[-1] > last:
                numbers.pop()
        if self.snapshot[0] > last:
            self.snapshot = (0, {})
        self.digest.update(b"restored to %d" % last)


class Store:
    """Implements `JournalStore` for one boot. `failed` and `restored` are called as `FallibleStore.watch` says.

    `recorded(first, last)` gives the records of a batch as they were stated, so that nobody needs to decode them.
    """

    volatile = False

    def __init__(
        self,
        disk: Disk,
        schedule: Schedule,
        random: Random,
        plan: FaultPlan,
        recorded: Callable[[int, int], list[Record]],
        durable: Callable[[list[Record]], None],
    ) -> None:
        self.disk = disk
        self.failed: Failed = lambda _: None
        self.restored: Callable[[], None] = lambda: None
        self.failing = False
        self._schedule, self._random, self._plan = schedule, random, plan
        self._recorded, self._durable = recorded, durable
        self._batch: tuple[int, bytes, list[int], list[Record], Callable[[int], None]] | None = None
        self._next: Fault | None = None
        self._alive = True

    def append(self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]) -> None:
        assert self._batch is None, "one batch at a time"
        records = self._recorded(first, first + len(ends) - 1)
        self._batch = (first, bytes(data), list(ends), records, committed)
        fault, self._next = self._next, None
        if fault is None or self._plan.quiet:
            self._schedule.after(self._random.randrange(*COMMIT_NS), self._commit)
            return
        self._plan.count(fault)
        lasts_ns = int(self._random.uniform(0.2, 60) * SECOND_NS)
        if fault is Fault.DISK_STALL:
            self._schedule.after(STALL_NS, lambda: self._fail("the disk does not answer"))
            self._schedule.after(STALL_NS + lasts_ns, self._commit)
        elif fault is Fault.COMMIT_AMBIGUOUS:
            self._schedule.after(1_000_000, self._write)
            self._schedule.after(2_000_000, lambda: self._fail("the commit failed, perhaps"))
            self._schedule.after(2_000_000 + lasts_ns, self._commit)
        else:
            self._schedule.after(1_000_000, lambda: self._fail("the disk is full"))
            self._schedule.after(1_000_000 + lasts_ns, self._commit)

    def fail_next(self, fault: Fault) -> None:
        """Have something go wrong with the next commit."""
        self._next = fault

    def read(self, after: int = 0) -> Iterator[bytes]:
        return self.disk.read(after)

    def history(self, client_order_id: str) -> list[bytes]:
        return self.disk.history(client_order_id)

    def end(self, *, batch_survives: bool) -> None:
        """The process ends now: a batch under way is on the disk as a whole, or not at all."""
        if self._batch is not None and batch_survives:
            self._write()
        self._alive, self._batch = False, None

    def _fail(self, text: str) -> None:
        if self._alive:
            self.failing = True
            self.failed(text)

    def _write(self) -> None:
        """Have the batch on the disk, whatever is said about it."""
        if self._alive and self._batch is not None:
            first, data, ends, records, _ = self._batch
            if len(self.disk.records) < first:
                self.disk.write(first, data, ends, records)
                self._durable(records)

    def _commit(self) -> None:
        if not self._alive or self._batch is None:
            return
        self._write()
        committed, self._batch = self._batch[4], None
        was_failing, self.failing = self.failing, False
        committed(len(self.disk.records))
        if was_failing:
            self.restored()


def records_of(disk: Disk, after: int) -> Iterator[Record]:
    """Yield what a boot reads."""
    return map(decode_record, disk.read(after))


class NoStore:
    """The store of a core that only folds. Implements `JournalStore`."""

    volatile = False

    def append(self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]) -> None:
        raise JournalError("who only folds writes nothing")

    def history(self, client_order_id: str) -> list[bytes]:
        return []

    def read(self, after: int = 0) -> list[bytes]:
        return []
