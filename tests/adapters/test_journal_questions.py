"""The live endpoint `store`: what it answers, when, and that nothing holds it up or makes it forget a question."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_kit import Session, encoded, quick, records, session

from ordersmith.actors.actor import ActorRef, Event
from ordersmith.actors.events import MessagePoisoned, OrderApproved, OrderFilled, OrderIntended
from ordersmith.actors.messages import FilledFound, HistoryFound
from ordersmith.actors.model import Fill, OrderState, Side
from ordersmith.actors.ports import ReadFilled, ReadHistory
from ordersmith.adapters import asyncio_island, journal_questions
from ordersmith.adapters.journal_problems import JournalFault, JournalProblem
from ordersmith.adapters.journal_questions import BOUND, JournalQuestions
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.memory_journal import MemoryJournal, StoreReader

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request) -> str:
    return request.param


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.journal"


class Asking:
    """A running endpoint, and what it said."""

    def __init__(self, running: Session) -> None:
        self.session = running
        self.last: int | None = None
        self.posted: list[tuple[str, Any, int]] = []
        self.faults: list[JournalFault] = []
        self.endpoint = JournalQuestions(
            running.store, last=self._last, post=lambda *posted: self.posted.append(posted), failed=self.faults.append
        )

    def _last(self) -> int:
        return self.session.store.durable if self.last is None else self.last

    async def until(self, condition: Callable[[], object]) -> None:
        with anyio.fail_after(20):
            while not condition():
                await anyio.lowlevel.checkpoint()

    async def ask(self, *commands: ReadHistory | ReadFilled) -> list[Any]:
        """Ask all at once; return the answers in the order in which they came."""
        before = len(self.posted)
        for cause, command in enumerate(commands):
            self.endpoint.accept(command, cause)
        await self.until(lambda: len(self.posted) == before + len(commands))
        return [answer for _, answer, _ in self.posted[before:]]


@asynccontextmanager
async def asking(path: Path) -> AsyncIterator[Asking]:
    async with session(path) as running, anyio.create_task_group() as group:
        asked = Asking(running)
        group.start_soon(asked.endpoint.run)
        yield asked
        group.cancel_scope.cancel()


def numbers(answer: HistoryFound) -> list[int]:
    return [record.number for record in answer.history]


def filled(order: str) -> OrderFilled:
    fill = Fill(fill_key=f"{order}-1", quantity=Decimal(1), price=Decimal(2), at_ns=3)
    one = Decimal(1)
    return OrderFilled(order, "main", "", "AAPL", Side.BUY, fill, one, one, one, OrderState.FILLED)


def approved(order: str) -> OrderApproved:
    return OrderApproved(order, "main", "AAPL", Side.BUY, Decimal(1), Decimal(2))


# --- Answers ---------------------------------------------------------------------------------------------------------


async def test_a_history_is_found(path: Path) -> None:
    """All records of an order go to the journal actor, with what was to be done then, and the cause of the question."""
    async with asking(path) as asked:
        await asked.session.append(12)
        asked.endpoint.accept(ReadHistory("x-1", "then"), 17)
        await asked.until(lambda: asked.posted)
        ((to, found, cause),) = asked.posted
        assert (to, cause, found.client_order_id, found.then) == ("journal", 17, "x-1", "then")
        assert numbers(found) == [1, 6, 11]
        (nothing,) = await asked.ask(ReadHistory("unknown", None))
        assert nothing.history == ()


ORDERS = st.sampled_from(["x", "y", "z"])
EVENTS = st.one_of(
    st.builds(lambda order: OrderIntended(order, f"{order}.0"), ORDERS),
    st.builds(approved, ORDERS),
    st.builds(filled, ORDERS),
    st.just(MessagePoisoned("desk", "x", "y")),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, min_size=1, max_size=12), piece=st.integers(1, 3))
def test_it_answers_as_the_store_in_memory_does(events: list[Event], piece: int) -> None:
    """Whatever was recorded: every history, and what filled above any number, is what a backtest's store says."""
    data = [encoded(number, event) for number, event in enumerate(events, 1)]
    questions = [
        *(ReadHistory(order, "then") for order in ("x", "y", "z", "nobody")),
        *(ReadFilled(after, f"reply {after}") for after in range(len(events) + 1)),
    ]
    expected: list[Any] = []
    memory = MemoryJournal()
    for number, record in enumerate(data, 1):
        memory.append(number, record, [len(record)], lambda _: None)
    reader = StoreReader(memory, lambda: None, lambda _, message, cause: expected.append(message), ActorRef("journal"))
    for question in questions:
        reader.accept(question, 0)

    async def main(path: Path) -> None:
        async with asking(path) as asked:
            asked.session.hand_over(data)
            asked.last = len(data)
            found = await asked.ask(*questions)
        assert sorted(map(repr, found)) == sorted(map(repr, expected))

    with quick() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_questions, "PIECE", piece)
        anyio.run(main, folder / "x.journal")


async def test_what_is_not_durable_yet_is_waited_for(path: Path) -> None:
    """A question that came after records which are still to be written is answered when they are durable, with them."""
    async with asking(path) as asked:
        await asked.session.append(6)
        asked.last = 8
        asked.endpoint.accept(ReadHistory("x-2", None), 0)
        await asked.session.append(1)
        await anyio.lowlevel.checkpoint()
        assert (asked.posted, asked.endpoint.waiting) == ([], 1)
        await asked.session.append(4)
        await asked.until(lambda: asked.posted)
        assert asked.session.store.durable == 11
        assert numbers(asked.posted[0][1]) == [2, 7]


async def test_a_short_question_does_not_wait_for_a_long_one(path: Path, monkeypatch) -> None:
    """A history is found while an answer with many is collected; that one ends where the journal did when it was asked for."""
    monkeypatch.setattr(journal_questions, "PIECE", 2)
    events = [*(filled(f"o-{n}") for n in range(9)), filled("o-3"), filled("late")]
    async with asking(path) as asked:
        asked.session.hand_over([encoded(number, event) for number, event in enumerate(events, 1)])
        await asked.session.until(lambda: asked.session.store.durable == 11)
        asked.last = 9
        short, long = await asked.ask(ReadFilled(0, None), ReadHistory("o-8", None))
        assert isinstance(short, HistoryFound)
        assert isinstance(long, FilledFound)
        assert [[record.number for record in history] for history in long.histories] == [[n] for n in range(1, 10)]


# --- Trouble ---------------------------------------------------------------------------------------------------------


class Hold:
    """Makes every reading hang until it is let go."""

    def __init__(self, monkeypatch) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        history = JournalReader.history

        def hang(reader: JournalReader, order: str) -> list[bytes]:
            self.begun.set()
            self.go.wait()
            return history(reader, order)

        monkeypatch.setattr(JournalReader, "history", hang)


@pytest.fixture
def hold(monkeypatch) -> Iterator[Hold]:
    hold = Hold(monkeypatch)
    yield hold
    hold.go.set()


async def test_the_loop_turns_while_it_reads(path: Path, hold: Hold) -> None:
    """A disk that takes its time holds up the answer and nothing else: commits go on."""
    async with asking(path) as asked:
        asked.endpoint.accept(ReadHistory("x-1", None), 0)
        await asked.until(hold.begun.is_set)
        await asked.session.append(2, 3)
        assert asked.posted == []
        hold.go.set()
        await asked.until(lambda: asked.posted)
        assert numbers(asked.posted[0][1]) == [1]


async def test_a_disk_that_hangs_does_not_hold_up_the_end(path: Path, hold: Hold, monkeypatch) -> None:
    """Cancelling `run` is bounded, and the question is not lost: another `run` answers it."""
    monkeypatch.setattr(asyncio_island, "GRACE_S", 0.05)
    monkeypatch.setattr(journal_questions, "GRACE_S", 0.05)
    async with session(path) as running:
        await running.append(2)
        asked = Asking(running)
        asked.endpoint.accept(ReadHistory("x-2", None), 4)
        for turn in range(2):
            async with anyio.create_task_group() as group:
                group.start_soon(asked.endpoint.run)
                if not turn:
                    await asked.until(hold.begun.is_set)
                else:
                    await asked.until(lambda: asked.posted)
                group.cancel_scope.cancel()
            if not turn:
                assert (asked.posted, asked.endpoint.waiting) == ([], 1)
                hold.go.set()
        assert numbers(asked.posted[0][1]) == [2]


async def test_a_failure_is_told_and_tried_again(path: Path, monkeypatch) -> None:
    """An error of the disk is told once, other questions are answered meanwhile, and in the end this one is."""
    monkeypatch.setattr(journal_questions, "RETRY_S", (0.0,))
    ill, tries = [True], []
    history = JournalReader.history

    def failing(reader: JournalReader, order: str) -> list[bytes]:
        tries.append(order)
        if order == "x-1" and ill:
            raise JournalFault(JournalProblem.IO_ERROR, path)
        return history(reader, order)

    monkeypatch.setattr(JournalReader, "history", failing)
    async with asking(path) as asked:
        await asked.session.append(4)
        asked.endpoint.accept(ReadHistory("x-1", None), 0)
        await asked.until(lambda: tries.count("x-1") > 3)
        assert [fault.problem for fault in asked.faults] == [JournalProblem.IO_ERROR]
        assert asked.endpoint.fault is not None
        asked.endpoint.accept(ReadHistory("x-2", None), 0)
        await asked.until(lambda: asked.posted)
        assert numbers(asked.posted[0][1]) == [2]
        ill.clear()
        await asked.until(lambda: len(asked.posted) == 2)
        assert numbers(asked.posted[1][1]) == [1]
        assert (asked.endpoint.fault, asked.endpoint.waiting) == (None, 0)


async def test_a_long_answer_that_breaks_off_is_begun_anew(path: Path, monkeypatch) -> None:
    """When reading fails between two pieces, the answer has every order once."""
    monkeypatch.setattr(journal_questions, "RETRY_S", (0.0,))
    monkeypatch.setattr(journal_questions, "PIECE", 2)
    rows, failures = JournalReader._rows, [5, 7]

    def failing(reader: JournalReader, sql: str, *parameters: object) -> list[Any]:
        if "type, data" in sql and failures:
            failures[0] -= 1
            if not failures[0]:
                failures.pop(0)
                raise JournalFault(JournalProblem.IO_ERROR, path)
        return rows(reader, sql, *parameters)

    monkeypatch.setattr(JournalReader, "_rows", failing)
    async with asking(path) as asked:
        asked.session.hand_over([encoded(number, filled(f"o-{number}")) for number in range(1, 8)])
        await asked.session.until(lambda: asked.session.store.durable == 7)
        (answer,) = await asked.ask(ReadFilled(0, None))
        assert [history[0].number for history in answer.histories] == list(range(1, 8))
        assert len(asked.faults) == 1
        assert failures == []


async def test_bytes_that_are_no_record_are_a_damaged_journal(path: Path, monkeypatch) -> None:
    """What cannot be decoded is told as CORRUPT, naming the file, and the question stays."""
    monkeypatch.setattr(JournalReader, "history", lambda reader, order: [b"\x94\x01"])
    async with asking(path) as asked:
        asked.endpoint.accept(ReadHistory("x-1", None), 0)
        await asked.until(lambda: asked.faults)
        assert asked.faults[0].problem is JournalProblem.CORRUPT
        assert str(asked.faults[0]).startswith(f"{path}: the file is damaged")
        assert asked.endpoint.waiting == 1


async def test_it_says_when_it_has_enough(path: Path) -> None:
    """At the bound it asks for no more to be let out; what comes all the same is answered, in order."""
    async with session(path) as running:
        await running.append(5)
        asked = Asking(running)
        for cause in range(BOUND + 3):
            assert asked.endpoint.full is (cause >= BOUND)
            asked.endpoint.accept(ReadHistory(f"x-{cause % 5}", cause), cause)
        async with anyio.create_task_group() as group:
            group.start_soon(asked.endpoint.run)
            await asked.until(lambda: not asked.endpoint.waiting)
            group.cancel_scope.cancel()
        assert [cause for _, _, cause in asked.posted] == list(range(BOUND + 3))
        assert not asked.endpoint.full
        assert list(running.store.read()) == records(1, 5)
