"""Records on their way to the store, and what waits for them: the output commit.

Everything that leaves the dispatcher goes into one FIFO outbox, tagged with the last record number at the end of its
turn, and is released once that record is durable. One batch is in flight at a time; while the writer is busy, records
collect: that is the group commit.

While the store cannot write, only what lessens risk leaves although it is not durable: cancels, and answers that are `urgent`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import msgspec

from ..actors.actor import Record
from ..actors.ports import CancelRequest, JournalStore

GROUP = 256
"""How many records a volatile store is handed at a time."""

ENCODER = msgspec.msgpack.Encoder()


class urgent:  # noqa: N801 - read as what it says of an answer
    """An answer that is given although what it rests on cannot be made durable."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[Any], None]) -> None:
        self._answer = answer

    def __call__(self, value: Any) -> None:
        self._answer(value)


class CommitLog:
    """All records since the last snapshot, the last durable number, and the outbox.

    `records[i]` has the number `base + i + 1`. A store that is `volatile` can make nothing more durable than it is
    here: then every record counts as durable at once, and is written in groups. `trace_hash` covers the encoded record
    stream, so it does not depend on the groups. The store's answer goes to `answered`, which hands it on to `committed`, at once
    or as an input of a later tick.
    """

    __slots__ = (
        "_busy",
        "_durable",
        "_group",
        "_hash",
        "_store",
        "_written",
        "answered",
        "base",
        "failing",
        "is_volatile",
        "outbox",
        "records",
    )

    def __init__(self, store: JournalStore, last: int = 0) -> None:
        self.records: list[Record] = []
        self.base = last
        self.outbox: deque[tuple[int, Callable[..., None], tuple[Any, ...]]] = deque()
        self._store = store
        self.is_volatile = store.volatile
        self._group = GROUP if store.volatile else 1
        self._durable = last
        self._written = 0
        self._busy = False
        self.failing = False
        self.answered: Callable[[int], None] = self.committed
        self._hash = hashlib.sha256()

    def recall(self, base: int, records: list[Record]) -> None:
        """Take back what a journal holds: the durable records above `base`, the number of a snapshot."""
        self.base, self._written = base, len(records)
        self.records.extend(records)

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self.base + len(self.records)

    @property
    def durable(self) -> int:
        """The number of the last durable record."""
        return self.last if self.is_volatile else self._durable

    @property
    def writing(self) -> bool:
        """Whether a batch is on its way to the store."""
        return self._busy

    @property
    def settled(self) -> bool:
        """Whether everything is durable and nothing waits to be released."""
        return not self.outbox and self.durable == self.last

    @property
    def trace_hash(self) -> str:
        """SHA-256 over every record, encoded; with a store that is still writing, over those handed to it."""
        if not self._busy:
            self.write()
        return self._hash.hexdigest()

    def flush(self) -> None:
        """At the end of a tick: hand the writer what it is due, and release what is durable.

        With a volatile store ticks of which nothing leaves may do without.
        """
        if len(self.records) - self._written >= self._group and not self._busy:
            self.write()
        if self.outbox:
            self.release()

    def write(self) -> None:
        """Encode the records that are not written yet and hand them to the store as one batch."""
        records = self.records[self._written :]
        if not records:
            return
        first = self.base + self._written + 1
        encoded = list(map(ENCODER.encode, records))
        data, ends = b"".join(encoded), list(accumulate(map(len, encoded)))
        self._written += len(records)
        self._hash.update(data)
        self._busy = True
        self._store.append(first, data, ends, self.answered)

    def reached(self, number: int) -> None:
        """Take note that everything up to `number` is durable, before the writer's answer is taken."""
        self._durable = number

    def committed(self, number: int) -> None:
        """Take the writer's answer: everything up to `number` is durable."""
        self._durable = number
        self._busy = False

    def release(self) -> None:
        """Let out what rests on durable records only, oldest first."""
        outbox, volatile = self.outbox, self.is_volatile
        while outbox and (volatile or outbox[0][0] <= self._durable):
            _, deliver, arguments = outbox.popleft()
            deliver(*arguments)
        if self.failing and outbox:
            self._release_what_lessens_risk()

    def _release_what_lessens_risk(self) -> None:
        waiting = list(self.outbox)
        self.outbox.clear()
        for entry in waiting:
            _, deliver, arguments = entry
            if type(deliver) is urgent or type(arguments[0]) is CancelRequest:
                deliver(*arguments)
            else:
                self.outbox.append(entry)

    def backlog(self, now_ns: int) -> tuple[int, int]:
        """Return how many records are not durable, and for how long the oldest of them has not been, in nanoseconds."""
        behind = self.last - self.durable
        return (behind, now_ns - self.records[-behind].at_ns) if behind else (0, 0)

    def forget(self) -> bool:
        """Drop the records if all are durable and written; return whether that was so.

        For whoever has snapshots of them.
        """
        if self._busy or not self.settled:
            return False
        self.write()
        if self._busy:
            return False
        self.base += len(self.records)
        self.records.clear()
        self._written = 0
        return True
