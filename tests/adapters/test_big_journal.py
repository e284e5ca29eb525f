"""A journal of a long time: a start does not read it, and its first order is found as quickly as its last.

100,001 records; ORDERSMITH_TEST_ROUNDS above 1 makes it 1,000,001.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from big_journal import RECORDS_AN_ORDER, batches, order_id, write_journal
from journal_kit import batch, encoded, quick, session

from ordersmith.actors.events import SessionOpened
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.messages import FilledFound, HistoryFound
from ordersmith.actors.model import OrderState
from ordersmith.actors.ports import ReadFilled, ReadHistory
from ordersmith.adapters.journal_questions import JournalQuestions
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.record_codec import decode_record
from ordersmith.adapters.sqlite_journal import SqliteJournal

ORDERS = 200_000 if int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "1")) > 1 else 20_000
LAST = 1 + ORDERS * RECORDS_AN_ORDER
TAIL = 5_000
STATES = {"positions": random.Random(1).randbytes(5 << 20)}


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """The journal, with a snapshot near its end."""

    async def go_on(path: Path) -> None:
        async with session(path) as running:
            await running.store.save_snapshots(LAST, STATES, "1")
            running.hand_over([encoded(number) for number in range(LAST + 1, LAST + TAIL + 1)])
            await running.until(lambda: running.store.durable == LAST + TAIL)

    with quick() as folder:
        write_journal(folder / "x.journal", ORDERS)
        anyio.run(go_on, folder / "x.journal")
        yield folder / "x.journal"


def test_a_start_reads_the_end_only(path: Path) -> None:
    """Opening, loading the snapshots and reading what came after them takes less than two seconds, however long the history."""

    async def start() -> float:
        began = time.perf_counter()
        store = SqliteJournal(path)
        await store.open()
        number, states = store.load_snapshots("1")
        tail = list(store.read(number))
        took = time.perf_counter() - began
        await store.close()
        assert (number, states, len(tail)) == (LAST, STATES, TAIL)
        return took

    assert anyio.run(start) < 2


def test_the_first_order_is_found_at_once(path: Path) -> None:
    """A question about the first order takes as long as one about the last, milliseconds, and what filled lately is as near."""
    answers: list[HistoryFound | FilledFound] = []
    answered = anyio.Event()

    def take(to: str, answer: HistoryFound | FilledFound, cause: int) -> None:
        answers.append(answer)
        answered.set()

    async def timed(questions: JournalQuestions, command: ReadHistory | ReadFilled) -> float:
        nonlocal answered
        answered = anyio.Event()
        began = time.perf_counter()
        questions.accept(command, 0)
        with anyio.fail_after(20):
            await answered.wait()
        return time.perf_counter() - began

    async def main() -> None:
        async with session(path) as running, anyio.create_task_group() as group:
            store = running.store
            questions = JournalQuestions(store, last=lambda: store.durable, post=take, failed=pytest.fail)
            group.start_soon(questions.run)
            first = [await timed(questions, ReadHistory(order_id(index), None)) for index in range(100)]
            late = [await timed(questions, ReadHistory(order_id(ORDERS - 1 - index), None)) for index in range(100)]
            nobody = await timed(questions, ReadHistory("nobody", None))
            filled = await timed(questions, ReadFilled(LAST - 100 * RECORDS_AN_ORDER, None))
            group.cancel_scope.cancel()
        assert statistics.median(first) < 0.02
        assert statistics.median(late) < 0.02
        assert nobody < 0.5
        assert filled < 0.5

    anyio.run(main)
    histories = [answer.history for answer in answers if isinstance(answer, HistoryFound)]
    assert [OrderMachine.fold(history).status().state for history in histories[:-1]] == [OrderState.FILLED] * 200
    assert histories[-1] == ()
    assert isinstance(answers[-1], FilledFound)
    assert len(answers[-1].histories) == 100


def test_the_lives_are_as_the_runtime_would_write_them(path: Path) -> None:
    """The chain of the whole holds, numbers have no gap, and the orders fold to filled ones that leave no position."""
    with JournalReader(path) as reader:
        assert reader.verify().problem is None
    made = [
        bytes(one.data[begin:end]) for one in batches(10) for begin, end in zip([0, *one.ends], one.ends, strict=False)
    ]
    found = [decode_record(data) for data in made]
    assert [record.number for record in found] == list(range(1, 52))
    assert isinstance(found[0].event, SessionOpened)
    lives = [OrderMachine.fold(tuple(found[1 + 5 * index : 6 + 5 * index])).status() for index in range(10)]
    assert [life.state for life in lives] == [OrderState.FILLED] * 10
    signed = [life.filled_quantity * (1 if index % 2 else -1) for index, life in enumerate(lives)]
    assert sum(signed) == 0
    assert batch(1, made).data == next(batches(10)).data
