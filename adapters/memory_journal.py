"""A journal store in memory: every record stays encoded, or, with `keep="open"`, only their number is kept.

It is as durable as a backtest needs: it commits at once.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, Literal

from ..actors.actor import ActorRef, Record
from ..actors.errors import JournalError
from ..actors.events import NO_CHANGE, OrderEvent, OrderFilled
from ..actors.messages import FilledFound, HistoryFound
from ..actors.ports import ReadFilled, ReadHistory
from .record_codec import decode_record

CHUNK_BYTES = 1_000_000


class _Chunk:
    """Consecutive records: record `first + i` is `data[ends[i-1]:ends[i]]`."""

    __slots__ = ("data", "ends", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self.data = bytearray()
        self.ends = array("L")

    def record(self, number: int) -> bytes:
        offset = number - self.first
        return bytes(self.data[self.ends[offset - 1] if offset else 0 : self.ends[offset]])


class MemoryJournal:
    """Implements `JournalStore`. Orders are indexed when somebody first asks for one."""

    volatile = True

    def __init__(self, keep: Literal["all", "open"] = "all") -> None:
        self.count = 0
        self._keep = keep
        self._chunks: list[_Chunk] = []
        self._index: dict[str, array[int]] = {}
        self._indexed = 0

    def append(self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]) -> None:
        if first != self.count + 1:
            raise JournalError(f"records must be appended in order: {first} after {self.count}")
        self.count += len(ends)
        if self._keep == "all":
            chunks = self._chunks
            if not chunks or len(chunks[-1].data) > CHUNK_BYTES:
                chunks.append(_Chunk(first))
            chunk = chunks[-1]
            begin = len(chunk.data)
            chunk.data += data
            chunk.ends.extend(map(begin.__add__, ends))
        committed(self.count)

    def read(self, after: int = 0) -> Iterator[bytes]:
        for chunk in self._chunks[max(bisect_right(self._chunks, after + 1, key=_first) - 1, 0) :]:
            for number in range(max(chunk.first, after + 1), chunk.first + len(chunk.ends)):
                yield chunk.record(number)

    def history(self, client_order_id: str) -> list[bytes]:
        for data in self.read(self._indexed):
            record = decode_record(data)
            if isinstance(record.event, OrderEvent):  # others name orders too, such as the plan that makes one
                self._index.setdefault(record.event.client_order_id, array("Q")).append(record.number)
            self._indexed = record.number
        return [self._one(number) for number in self._index.get(client_order_id, ())]

    def _one(self, number: int) -> bytes:
        return self._chunks[bisect_right(self._chunks, number, key=_first) - 1].record(number)


def _first(chunk: _Chunk) -> int:
    return chunk.first


class StoreReader:
    """The endpoint `store`: answers the journal actor's questions from the store."""

    def __init__(
        self,
        store: MemoryJournal,
        write: Callable[[], None],
        post: Callable[[ActorRef[Any], Any, int], None],
        journal: ActorRef[Any],
    ) -> None:
        self._store = store
        self._write = write
        self._post = post
        self._journal = journal

    def accept(self, command: ReadHistory | ReadFilled, cause: int) -> None:
        """Read and post what was found, the records that were not written yet included."""
        self._write()
        if isinstance(command, ReadHistory):
            self._post(
                self._journal,
                HistoryFound(command.client_order_id, self._history(command.client_order_id), command.then),
                cause,
            )
        else:
            touched: dict[str, None] = {}
            for data in self._store.read(command.after):
                event = decode_record(data).event
                if isinstance(event, OrderEvent) and type(event) not in NO_CHANGE:  # an approval changes no order
                    touched[event.client_order_id] = None
            histories = [self._history(order_id) for order_id in touched]
            filled = tuple(
                history for history in histories if any(type(record.event) is OrderFilled for record in history)
            )
            self._post(self._journal, FilledFound(filled, command.reply_to), cause)

    def _history(self, order_id: str) -> tuple[Record, ...]:
        return tuple(decode_record(data) for data in self._store.history(order_id))
