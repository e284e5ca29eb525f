"""Records, batches and sessions to test a journal store with."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - imported now: somebody else might not be allowed to
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.events import OrderCancelRequested, OrderIntended
from ordersmith.adapters.journal_format import Batch
from ordersmith.adapters.journal_problems import JournalFault
from ordersmith.adapters.sqlite_journal import SqliteJournal
from ordersmith.supervisor.commit import ENCODER

SMALL = 4096
"""A ballast that costs nothing to fill."""


def encoded(number: int, event: Event | None = None) -> bytes:
    """Return a record; by default one of five orders'."""
    return ENCODER.encode(Record(number, 1000 * number, -1, event or default_event(number)))


def default_event(number: int) -> Event:
    order = f"x-{number % 5}"
    return OrderCancelRequested(order) if number % 7 == 0 else OrderIntended(order, f"{order}.{number}")


def batch(first: int, records: Iterable[bytes]) -> Batch:
    data, ends = bytearray(), []
    for record in records:
        data += record
        ends.append(len(data))
    return Batch(first, data, ends)


def records(first: int, last: int) -> list[bytes]:
    return [encoded(number) for number in range(first, last + 1)]


@contextmanager
def quick() -> Iterator[Path]:
    """A folder in memory where there is one, for tests of many files whose disk is a model: syncs would cost minutes."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """A folder of a user's whom rights concern: root, to whom they do not apply, becomes somebody else for a while."""
    root, nobody = os.geteuid() == 0, 65534
    with quick() as folder:
        if root:
            os.chown(folder, nobody, nobody)
            os.seteuid(nobody)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            for inside in folder.iterdir():
                inside.chmod(0o700)


class Session:
    """A running store, and what it said."""

    def __init__(self, store: SqliteJournal) -> None:
        self.store = store
        self.said: list[str] = []
        self.committed: list[int] = []
        self.faults: list[JournalFault] = []
        self.failed_at: list[float] = []
        self.heard = anyio.Event()
        store.watch(self._on_failed, lambda: self._hear("restored"))

    def hand_over(self, records: list[bytes], number: int | None = None) -> None:
        """Append without waiting; `number` is the first one's."""
        self.store.append(*batch(number or self.store.durable + 1, records), self._on_committed)

    async def append(self, *counts: int) -> None:
        """Append batches of so many records, each when the one before is durable."""
        for count in counts:
            first = self.store.durable + 1
            self.hand_over(records(first, first + count - 1))
            await self.until(lambda last=first + count - 1: self.store.durable >= last)

    async def until(self, condition: Any) -> None:
        """Wait until the store has said something that makes it so; a store that falls silent fails the test."""
        with anyio.fail_after(20):
            while not condition():
                self.heard = anyio.Event()
                await self.heard.wait()

    def _on_committed(self, number: int) -> None:
        self.committed.append(number)
        self._hear(f"committed {number}")

    def _on_failed(self, fault: JournalFault) -> None:
        self.faults.append(fault)
        self.failed_at.append(anyio.current_time())
        self._hear(f"failed {fault.problem}")

    def _hear(self, what: str) -> None:
        self.said.append(what)
        self.heard.set()


@asynccontextmanager
async def session(path: Path, **options: Any) -> AsyncIterator[Session]:
    """Run a store for the length of a block, and close it."""
    store = SqliteJournal(path, **{"ballast_bytes": SMALL, **options})
    await store.open()
    async with anyio.create_task_group() as group:
        group.start_soon(store.run)
        try:
            yield Session(store)
        finally:
            await store.close(0.5)
