"""Records on their way to the store, and what waits for them: the output commit.

Everything that leaves the dispatcher goes into one FIFO outbox, tagged with the last record number at the end of its turn, and is released
once that record is durable. One batch is in flight at a time; while the writer is busy, records collect: that is the group commit.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from ..actors.actor import Record
from ..actors.ports import JournalStore

ENCODER = msgspec.msgpack.Encoder()


class CommitLog:
    """All records since the last snapshot, the last durable number, and the outbox.

    `records[i]` has the number `base + i + 1`. `trace_hash` covers the encoded record stream, so it does not depend on the batches.
    """

    def __init__(self, store: JournalStore, last: int = 0) -> None:
        self.records: list[Record] = []
        self.base = last
        self.durable = last
        self.outbox: deque[tuple[int, Callable[..., None], tuple[Any, ...]]] = deque()
        self._store = store
        self._handed_over = 0
        self._busy = False
        self._hash = hashlib.sha256()

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self.base + len(self.records)

    @property
    def trace_hash(self) -> str:
        """SHA-256 over every record handed to the store so far, encoded."""
        return self._hash.hexdigest()

    @property
    def settled(self) -> bool:
        """Whether everything is durable and nothing waits to be released."""
        return not self.outbox and self.durable == self.last

    def flush(self) -> None:
        """Hand the records since the last batch to the writer if it is idle, and release what is durable."""
        if self._handed_over < len(self.records) and not self._busy:
            self._busy = True
            first = self.base + self._handed_over + 1
            data, ends = bytearray(), []
            encode_into = ENCODER.encode_into
            for record in self.records[self._handed_over :]:
                encode_into(record, data, -1)
                ends.append(len(data))
            self._handed_over = len(self.records)
            self._hash.update(data)
            self._store.append(first, data, ends, self.committed)
        self.release()

    def committed(self, number: int) -> None:
        """Take the writer's answer: everything up to `number` is durable."""
        self.durable = number
        self._busy = False

    def release(self) -> None:
        """Let out what rests on durable records only, oldest first."""
        outbox = self.outbox
        while outbox and outbox[0][0] <= self.durable:
            _, deliver, arguments = outbox.popleft()
            deliver(*arguments)

    def forget(self) -> int:
        """Drop the records that are durable and snapshotted; return how many. Call it only between ticks with the writer idle."""
        if self._busy or self._handed_over != len(self.records):
            return 0
        dropped = len(self.records)
        self.base += dropped
        self.records.clear()
        self._handed_over = 0
        return dropped
