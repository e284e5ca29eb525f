"""The journal store in memory: what was appended comes back, in order, across chunks, by order and from any number on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.actor import ActorRef, Event, Record, ReplyTo
from ordersmith.actors.errors import JournalError
from ordersmith.actors.events import (
    MessagePoisoned,
    OrderAccepted,
    OrderApproved,
    OrderCancelRequested,
    OrderFilled,
    OrderIntended,
    TargetOrdered,
)
from ordersmith.actors.messages import FilledFound, HistoryFound
from ordersmith.actors.model import Fill, OrderState, Side
from ordersmith.actors.ports import ReadFilled, ReadHistory
from ordersmith.adapters import memory_journal
from ordersmith.adapters.memory_journal import MemoryJournal, StoreReader
from ordersmith.adapters.record_codec import decode_record
from ordersmith.supervisor.commit import ENCODER, CommitLog


def batch(first: int, payloads: list[bytes]) -> tuple[int, bytes, list[int]]:
    ends, end = [], 0
    for payload in payloads:
        end += len(payload)
        ends.append(end)
    return first, b"".join(payloads), ends


def written(*events: Event, store: MemoryJournal | None = None) -> MemoryJournal:
    """Return a store with these events, each as a batch of its own."""
    store = store or MemoryJournal()
    for event in events:
        record = Record(store.count + 1, 1000 * (store.count + 1), -1, event)
        store.append(*batch(store.count + 1, [ENCODER.encode(record)]), lambda number: None)
    return store


def filled(order_id: str) -> OrderFilled:
    fill = Fill(fill_key="f", quantity=Decimal(1), price=Decimal(10), at_ns=0)
    return OrderFilled(
        order_id, "main", "", "A", Side.BUY, fill, Decimal(1), Decimal(10), Decimal(0), OrderState.FILLED
    )


EVENTS = [OrderIntended("x", "x.0"), OrderIntended("y", "y.0"), OrderCancelRequested("x"), filled("y")]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=6), max_size=12),
    st.integers(0, 80),
    st.integers(0, 60),
)
def test_everything_comes_back_across_chunks(batches: list[list[bytes]], after: int, chunk_bytes: int) -> None:
    """Whatever the batches, the chunks and the number to read after, each record comes back once, in order, as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_journal, "CHUNK_BYTES", chunk_bytes)
        store, all_payloads, answers = MemoryJournal(), [], []
        for payloads in batches:
            store.append(*batch(store.count + 1, payloads), answers.append)
            all_payloads += payloads
            assert answers[-1] == store.count == len(all_payloads)
        assert list(store.read()) == all_payloads
        assert list(store.read(after)) == all_payloads[after:]
        assert [store._one(number + 1) for number in range(store.count)] == all_payloads


def test_chunks_are_closed_when_they_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new chunk begins once the last one is above its size, so that no chunk grows without end."""
    monkeypatch.setattr(memory_journal, "CHUNK_BYTES", 10)
    store = MemoryJournal()
    for number in range(1, 8):
        store.append(*batch(number, [b"four"]), lambda number: None)
    assert [chunk.first for chunk in store._chunks] == [1, 4, 7]
    assert list(store.read(2)) == [b"four"] * 5


@pytest.mark.parametrize("first", [0, 2, 5])
def test_the_wrong_order_is_refused(first: int) -> None:
    """A batch that does not begin with the next number is refused with both numbers, nothing is kept and nothing is answered."""
    store = written(*EVENTS[:2])
    answers: list[int] = []
    with pytest.raises(JournalError, match=f"in order: {first} after 2"):
        store.append(*batch(first, [b"payload"]), answers.append)
    assert (store.count, len(list(store.read())), answers) == (2, 2, [])


def test_what_is_read_is_the_record() -> None:
    """Records written by the commit log decode to the records that were made."""
    store = MemoryJournal()
    log = CommitLog(store)
    log.records += [Record(number, 5 * number, -number, event) for number, event in enumerate(EVENTS, 1)]
    log.write()
    assert [decode_record(data) for data in store.read()] == log.records


def test_a_history_is_an_orders_records() -> None:
    """The history of an order has its own records only, oldest first, also those that are appended after it was first asked for."""
    approved = OrderApproved("x", "main", "A", Side.BUY, Decimal(1), Decimal(1))
    store = written(*EVENTS, approved)
    numbers = lambda order_id: [decode_record(data).number for data in store.history(order_id)]
    assert (numbers("x"), numbers("y"), numbers("z")) == ([1, 3, 5], [2, 4], [])
    written(OrderAccepted("x", "x.0", "b"), OrderIntended("z", "z.0"), store=store)
    assert (numbers("x"), numbers("y"), numbers("z")) == ([1, 3, 5, 6], [2, 4], [7])


def test_a_history_has_nothing_that_only_names_the_order() -> None:
    """A poisoned message or a plan that names an order is no record of the order's life."""
    store = written(
        MessagePoisoned("desk", "X", "error", "x"), TargetOrdered("p", "A", "x", Decimal(1)), OrderIntended("x", "x.0")
    )
    assert [decode_record(data).number for data in store.history("x")] == [3]


def test_keeping_only_open_orders_keeps_no_records() -> None:
    """With keep="open" the store counts, answers and checks the order, and holds nothing."""
    answers: list[int] = []
    store = written(*EVENTS, store=MemoryJournal("open"))
    store.append(*batch(5, [b"payload"]), answers.append)
    assert (store.count, answers) == (5, [5])
    assert (list(store.read()), store.history("x")) == ([], [])
    with pytest.raises(JournalError):
        store.append(*batch(5, [b"payload"]), answers.append)


# --- The endpoint ----------------------------------------------------------------------------------------------------


class Reader:
    """The endpoint `store` with a store of its own, and what it has posted."""

    def __init__(self, *events: Event) -> None:
        self.posted: list[tuple[str, Any, int]] = []
        self.unwritten = list(events)
        self.store = MemoryJournal()
        self.endpoint = StoreReader(
            self.store,
            self._write,
            lambda ref, message, cause: self.posted.append((ref.name, message, cause)),
            ActorRef("journal"),
        )

    def _write(self) -> None:
        written(*self.unwritten, store=self.store)
        self.unwritten.clear()


def test_the_endpoint_finds_a_history() -> None:
    """A read of a history is answered to the journal actor, with what was to be done then, and the cause of the question."""
    reader = Reader(*EVENTS)
    reader.endpoint.accept(ReadHistory("x", "then"), 17)
    ((to, found, cause),) = reader.posted
    assert (to, cause) == ("journal", 17)
    assert isinstance(found, HistoryFound)
    assert (found.client_order_id, found.then) == ("x", "then")
    assert [record.number for record in found.history] == [1, 3]


@pytest.mark.parametrize(("after", "expected"), [(0, [[1, 5], [2, 4]]), (3, [[2, 4], [1, 5]]), (4, [[1, 5]]), (5, [])])
def test_the_endpoint_finds_what_filled(after: int, expected: list[list[int]]) -> None:
    """Of the orders with a record above `after`, those that have a fill are found with all their records."""
    reader = Reader(
        OrderIntended("x", "x.0"), OrderIntended("y", "y.0"), OrderIntended("z", "z.0"), filled("y"), filled("x")
    )
    reader.endpoint.accept(ReadFilled(after, ReplyTo(3)), -4)
    ((_, found, cause),) = reader.posted
    assert isinstance(found, FilledFound)
    assert (found.reply_to, cause) == (ReplyTo(3), -4)
    assert [[record.number for record in history] for history in found.histories] == expected
