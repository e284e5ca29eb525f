"""The endpoint `store` of a simulated process: the journal actor's questions, answered once all before them is durable.

What `adapters/journal_questions.py` does with threads and pieces, at one simulated instant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..actors.actor import Record
from ..actors.events import NO_CHANGE, OrderEvent, OrderFilled
from ..actors.messages import FilledFound, HistoryFound
from ..actors.ports import ReadFilled, ReadHistory
from ..adapters.record_codec import decode_record
from .store import Disk

ASKER = "journal"


class Questions:
    """Implements `Endpoint`. `last()` is the last record there is, `post(actor, message, cause)` takes the answer."""

    def __init__(self, disk: Disk, last: Callable[[], int], post: Callable[[str, Any, int], None]) -> None:
        self._disk, self._last, self._post = disk, last, post
        self._waiting: list[tuple[int, Any, int]] = []

    def accept(self, command: ReadHistory | ReadFilled, cause: int) -> None:
        self._waiting.append((self._last(), command, cause))
        self.look()

    def look(self) -> None:
        """Answer what can be answered now; called after each commit."""
        durable = len(self._disk.records)
        ready = [each for each in self._waiting if each[0] <= durable]
        self._waiting = [each for each in self._waiting if each[0] > durable]
        for _, command, cause in ready:
            self._post(ASKER, self._answer(command), cause)

    def _answer(self, command: ReadHistory | ReadFilled) -> HistoryFound | FilledFound:
        if isinstance(command, ReadHistory):
            return HistoryFound(command.client_order_id, self._history(command.client_order_id), command.then)
        touched: dict[str, None] = {}
        for data in self._disk.read(command.after):
            event = decode_record(data).event
            if isinstance(event, OrderEvent) and type(event) not in NO_CHANGE:
                touched[event.client_order_id] = None
        histories = [self._history(order_id) for order_id in touched]
        filled = tuple(history for history in histories if any(type(each.event) is OrderFilled for each in history))
        return FilledFound(filled, command.reply_to)

    def _history(self, order_id: str) -> tuple[Record, ...]:
        return tuple(decode_record(data) for data in self._disk.history(order_id))
