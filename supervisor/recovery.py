"""What a core remembers over the end of its process, and how it recalls it: snapshots, and the records after them.

A snapshot holds the folded state of every actor, and which orders are in memory: their records are in the journal, and an
order's state is never stored, it is folded again. Snapshots are a shortcut only. They are used by exactly the code that made
them (`state_format`); any other folds the whole journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .. import actors
from ..actors.actor import Record
from ..actors.events import OrderEvent, OrderSubmitted
from ..actors.machines.order import OrderMachine
from ..adapters.record_codec import decode_record
from .commit import ENCODER

if TYPE_CHECKING:
    from .dispatcher import Dispatcher
    from .lifecycle import Lifecycle

ORDERS = "orders/"
"""The key of the orders in memory among the states; no actor is called so."""


class Memory(msgspec.Struct, frozen=True):
    """What a journal holds: states as of the record `number`, the records after it, and the history of any order."""

    number: int
    states: dict[str, bytes]
    records: list[Record]
    history: Callable[[str], Iterable[bytes]]

    @classmethod
    def empty(cls) -> Memory:
        """Return what a new journal holds."""
        return cls(0, {}, [], lambda _: ())


@cache
def state_format() -> str:
    """Return what names the form of the states: a digest of the code that folds them."""
    digest = hashlib.sha256()
    folder = Path(next(iter(actors.__path__)))
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def remember(dispatcher: Dispatcher) -> tuple[int, dict[str, bytes]] | None:
    """Return the number of the last record and the states as of it; None while not everything is durable and released."""
    number = dispatcher.log.last
    dispatcher.snapshot()
    if dispatcher.log.base != number:
        return None
    cells = dispatcher.cells.values()
    states = {cell.name: cell.snapshot for cell in cells if not cell.entity and cell.snapshot is not None}
    return number, {**states, ORDERS: ENCODER.encode([order_id_of(cell.name) for cell in cells if cell.entity])}


def recall(dispatcher: Dispatcher, memory: Memory) -> None:
    """Give a dispatcher that has not begun its records and its actors' states back."""
    dispatcher.log.recall(memory.number, memory.records)
    for name, state in memory.states.items():
        if name in dispatcher.cells:
            dispatcher.cells[name].snapshot = state


def revive_orders(lifecycle: Lifecycle, memory: Memory) -> None:
    """Bring back the orders that were in memory; the desk, which has begun, says which of the closed ones were."""
    cells = lifecycle.dispatcher.cells
    desk, held = cells["desk"].actor.state, cells["risk_gate"].actor.state.exposure.open
    for order_id, history in _histories(memory).items():
        # The desk would let the leaving ones go at once.
        kept = order_id in desk.closed or order_id in desk.quarantined or order_id in held
        if kept or not _is_closed(history):
            _revive(lifecycle, "order/" + order_id, history)


def _is_closed(history: list[Record]) -> bool:
    """Tell whether an order needs nobody any more; one whose history cannot be folded does, and is quarantined then."""
    try:
        return OrderMachine.fold(history).is_closed
    except Exception:  # noqa: BLE001 - the lifecycle deals with it
        return False


def _revive(lifecycle: Lifecycle, name: str, history: list[Record]) -> None:
    cell = lifecycle.dispatcher.cells[name] = lifecycle.child("orders", name)
    cell.history = history
    lifecycle.incarnate(cell)


def _histories(memory: Memory) -> dict[str, list[Record]]:
    """Return the records of each order that was in memory at the snapshot or was heard of since."""
    remembered = msgspec.msgpack.decode(memory.states[ORDERS]) if ORDERS in memory.states else []
    from_journal: dict[str, None] = dict.fromkeys(remembered)
    histories: dict[str, list[Record]] = {}
    for record in memory.records:
        event = record.event
        if isinstance(event, OrderEvent):
            order_id = event.client_order_id
            if type(event) is OrderSubmitted:
                histories[order_id] = []
            if order_id in histories:
                histories[order_id].append(record)
            else:  # older than the snapshot: it was in memory then, or a late report has brought it back
                from_journal[order_id] = None
    for order_id in from_journal:
        histories[order_id] = [decode_record(data) for data in memory.history(order_id)]
    return histories


def order_id_of(actor: str) -> str:
    """Return the id of the order that an actor looks after."""
    return actor.partition("/")[2]
