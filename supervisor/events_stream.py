"""What was recorded, as it becomes durable: for a host that follows what its executor does, or goes on where it stopped.

All streams of an executor share one tail of the newest records. Whoever keeps up reads from it. Whoever is further behind,
because it began with an old number or reads slowly, reads from the journal's file, in a thread, until it has come to the
tail. So nothing is left out, nothing comes twice, and a slow reader costs no memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Self

import anyio
import anyio.lowlevel
import anyio.to_thread

from ..actors.actor import Record
from ..actors.errors import UsageError
from ..adapters.journal_reader import JournalReader
from ..adapters.record_codec import decode_record
from .live import LiveRuntime

TAIL = 10_000
"""How many records a reader may be behind before it reads from the file."""

PIECE = 500
"""How many records are read from the file at a time."""


class Tail:
    """The newest durable records of a runtime, kept from the first stream on."""

    def __init__(self, runtime: LiveRuntime, journal: Path, bound: int = TAIL) -> None:
        self.journal = journal
        self.durable = 0
        self.records: deque[Record] = deque(maxlen=bound)
        self._runtime = runtime
        self._news = anyio.Event()
        self._is_read = False
        self._over = False
        runtime.on_committed = self._committed

    def begin(self) -> None:
        """Keep records from now on."""
        if not self._is_read:
            self._is_read = True
            self.durable = self._runtime.store.durable

    def end(self) -> None:
        """Take note that there are no more records."""
        self._over = True
        self._news.set()

    def at(self, number: int) -> Record | None:
        """Return a record by its number, None if it is older than the tail."""
        place = number - (self.durable - len(self.records)) - 1
        return self.records[place] if place >= 0 else None

    async def reaches(self, number: int) -> bool:
        """Wait until this record is durable; False if it never will be."""
        while self.durable < number:
            if self._over:
                return False
            await self._news.wait()
        return True

    def _committed(self, number: int) -> None:
        if not self._is_read:
            return
        log = self._runtime.core.dispatcher.log
        self.records.extend(log.records[self.durable - log.base : number - log.base])
        self.durable = number
        news, self._news = self._news, anyio.Event()
        news.set()


class Events(AsyncIterator[Record]):
    """`async for record in executor.events(after=number)`: the durable records above `after`, each once, in order.

    `record.number` is what to go on from, also after a restart; `record.event` says what has happened. A reader that is
    more than 10,000 records behind is given them from the journal's file, and nothing is dropped. The stream ends after the
    last record of the executor's life.
    """

    def __init__(self, tail: Tail, after: int) -> None:
        tail.begin()
        if not 0 <= after <= tail.durable:
            raise UsageError(f"events(after={after}): the journal ends with record {tail.durable}; accepted: 0 to that")
        self._tail = tail
        self._after = after
        self._found: deque[Record] = deque()
        self._file: JournalReader | None = None
        self._rest: Iterator[bytes] = iter(())
        self._waiting = self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        record = await self.next()
        if record is None:
            raise StopAsyncIteration
        return record

    async def next(self) -> Record | None:
        """Return the next record, None after the last one or `aclose`."""
        if self._waiting:
            raise UsageError("two tasks iterate over one events(); call events() for each of them")
        self._waiting = True
        try:
            record = None if self._closed else await self._arrival()
        finally:
            self._waiting = False
        if record is None:
            await self.aclose()
        else:
            self._after = record.number
        return record

    async def aclose(self) -> None:
        """Stop reading; another stream goes on from the number of the last record."""
        self._closed = True
        self._leave_file()

    async def _arrival(self) -> Record | None:
        await anyio.lowlevel.checkpoint()
        if self._found:
            return self._found.popleft()
        tail, wanted = self._tail, self._after + 1
        if not await tail.reaches(wanted):
            return None
        record = tail.at(wanted)
        if record is not None:
            self._leave_file()
            return record
        file, rest = self._file, self._rest
        self._file, self._rest = None, iter(())  # who is called off now reads the file anew
        found, self._file, self._rest = await anyio.to_thread.run_sync(self._piece, file, rest)
        self._found.extend(found)
        return self._found.popleft()

    def _piece(
        self, file: JournalReader | None, rest: Iterator[bytes]
    ) -> tuple[list[Record], JournalReader, Iterator[bytes]]:
        """Read on in the file; what it goes on to when it was read to its end is found by opening it anew. Blocks."""
        piece = list(islice(rest, PIECE))
        if not piece:
            if file is not None:
                file.close()
            file = JournalReader(self._tail.journal)
            rest = file.read(self._after)
            piece = list(islice(rest, PIECE))
        assert file is not None
        return [decode_record(data) for data in piece], file, rest

    def _leave_file(self) -> None:
        file, self._file, self._rest = self._file, None, iter(())
        if file is not None:
            file.close()
