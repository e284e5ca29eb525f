"""Snapshots are written between the commits, hold none of them up, and leave neither a torn set nor a growing file."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from journal_kit import batch, quick, records, session

from ordersmith.adapters import sqlite_journal
from ordersmith.adapters.journal_problems import JournalFault, JournalProblem
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.journal_snapshots import KEPT, PART_BYTES
from ordersmith.adapters.journal_writer import JournalWriter, _Connection
from ordersmith.adapters.sqlite_journal import SqliteJournal

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path() -> Iterator[Path]:
    with quick() as folder:
        yield folder / "x.journal"


def states(seed: int, parts: int) -> dict[str, bytes]:
    """Return states of three actors that fill so many parts."""
    chance = random.Random(seed)
    return {actor: chance.randbytes(parts * PART_BYTES // 3 - 100) for actor in ("positions", "desk", "orders")}


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir() if file.suffix in {".journal", ".journal-wal"})


def loose_parts(path: Path) -> int:
    database = sqlite3.connect(path)
    (count,) = database.execute(
        "SELECT count(*) FROM snapshot_parts WHERE number NOT IN (SELECT number FROM snapshots)"
    ).fetchone()
    database.close()
    return count


class Failing(sqlite3.Connection):
    """Raises a disk's error at the statement that `at` says: by its text, and for the how manieth time it comes."""

    at: tuple[str, int] = ("", 0)

    def executemany(self, sql: str, rows: Any) -> Any:
        text, times = Failing.at
        result = super().executemany(sql, rows)
        if text and text in sql:
            Failing.at = ("", 0) if times == 1 else (text, times - 1)
            if times == 1:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
        return result


def failing(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level="IMMEDIATE", factory=Failing)


async def test_a_commit_waits_for_one_part_at_most(path: Path, monkeypatch) -> None:
    """Records that come while a large set is being written go in as soon as the part under way is."""
    transact, order, writing = _Connection.transact, [], []
    writer = JournalWriter(path)
    await writer.open()
    await writer.write(batch(1, records(1, 3)))

    async def noted(database: _Connection, steps: Any, done: Any) -> None:
        table = (
            "records" if "INTO records" in steps[0][0] else "parts" if "INTO snapshot_parts" in steps[0][0] else "rest"
        )
        order.append(table)
        if order.count("parts") in (4, 9, 10) and table == "parts":
            first = 4 + len(writing)
            writing.append(asyncio.create_task(writer.write(batch(first, records(first, first)))))
            await asyncio.sleep(0)  # it waits for its turn now
        await transact(database, steps, done)

    monkeypatch.setattr(_Connection, "transact", noted)
    await writer.save_snapshots(3, states(1, 12), "1")
    await asyncio.gather(*writing)
    await writer.close()
    parts = ["parts"] * 12
    assert order == ["rest", *parts[:4], "records", *parts[:5], "records", "parts", "records", *parts[:2], "rest"]
    with JournalReader(path) as reader:
        assert reader.verify().problem is None
        assert reader.head().number == 6
        assert reader.snapshots("1") == (3, states(1, 12))


async def test_the_file_does_not_grow_by_snapshots(path: Path) -> None:
    """Two sets are kept, the space of older ones is used again, and no part is left over."""
    sizes = []
    async with session(path) as running:
        for turn in range(1, 13):
            await running.append(2)
            await running.store.save_snapshots(2 * turn, states(turn, 20), "1")
            sizes.append(size(path))
            with JournalReader(path) as reader:
                kept = reader._rows("SELECT number FROM snapshots ORDER BY number")
            assert kept == [(2 * n,) for n in range(max(1, turn - KEPT + 1), turn + 1)]
    one = 20 * PART_BYTES
    assert max(sizes) < 1.05 * max(sizes[:5])
    assert size(path) < (KEPT + 1.2) * one
    assert loose_parts(path) == 0
    with JournalReader(path) as reader:
        assert reader.verify().problem is None
        assert reader.snapshots("1") == (24, states(12, 20))


@pytest.mark.parametrize(
    "at", [("INTO snapshot_parts", 1), ("INTO snapshot_parts", 7), ("INTO snapshots", 1), ("FROM snapshot_parts", 2)]
)
async def test_a_set_that_broke_off_is_no_set(path: Path, at: tuple[str, int]) -> None:
    """A failure at any part leaves the sets as they were or complete, harms no record, and the next set removes what it left."""
    async with session(path, connect=failing) as running:
        for number in (1, 2, 3):
            await running.append(1)
            await running.store.save_snapshots(number, states(number, 10), "1")
        Failing.at = at
        await running.append(1)
        with pytest.raises(JournalFault) as raised:
            await running.store.save_snapshots(4, states(4, 10), "1")
        assert raised.value.problem is JournalProblem.IO_ERROR
        await running.append(3)
        expected = 4 if at[0] == "FROM snapshot_parts" else 3
        with JournalReader(path) as reader:
            assert reader.verify().problem is None
            assert reader.snapshots("1") == (expected, states(expected, 10))
    async with session(path) as running:
        await running.store.save_snapshots(7, states(7, 10), "1")
        assert running.said == []
        with JournalReader(path) as reader:
            assert reader.verify().problem is None
            assert reader.snapshots("1") == (7, states(7, 10))
    assert loose_parts(path) == 0


async def test_two_sets_at_once_are_both_whole(path: Path) -> None:
    """Sets that are asked for at the same time are written one after the other; one of the same number replaces the other."""
    async with session(path) as running:
        await running.append(1, 1)
        async with anyio.create_task_group() as group:
            for number, seed, format_ in ((1, 1, "1"), (2, 2, "1"), (2, 3, "2")):
                group.start_soon(running.store.save_snapshots, number, states(seed, 5), format_)
        assert running.store.load_snapshots("1") == (1, states(1, 5))
        assert running.store.load_snapshots("2") == (2, states(3, 5))
        with JournalReader(path) as reader:
            assert reader.verify().problem is None


async def test_a_snapshot_does_not_commit_half_a_batch(path: Path, monkeypatch) -> None:
    """Saved between a failed commit and the second look at it, a set has nothing of the batch that failed."""
    monkeypatch.setattr(sqlite_journal, "RETRY_S", (60.0,))
    async with session(path, connect=failing) as running:
        await running.append(2)
        Failing.at = ("INTO records", 1)
        running.hand_over(records(3, 8))
        await running.until(lambda: running.faults)
        await running.store.save_snapshots(2, states(1, 2), "1")
        with JournalReader(path) as reader:
            assert reader.head().number == 2
            assert reader.verify().problem is None
        assert running.committed == [2]
        await running.store.resume()
        assert running.said == ["committed 2", "failed IO_ERROR", "committed 8", "restored"]
        assert list(running.store.read()) == records(1, 8)


class HeldAt:
    """Holds a set at its third part until `go` says that it may go on."""

    def __init__(self, monkeypatch, go: Any) -> None:
        self.begun = threading.Event()
        transact, parts = _Connection.transact, count(1)

        async def held(database: _Connection, steps: Any, done: Any) -> None:
            if "INTO snapshot_parts" in steps[0][0] and next(parts) == 3:
                self.begun.set()
                while not go():  # noqa: ASYNC110 - the host's thread has no event of this loop
                    await asyncio.sleep(0)
            await transact(database, steps, done)

        monkeypatch.setattr(_Connection, "transact", held)

    async def reached(self) -> None:
        with anyio.fail_after(20):
            while not self.begun.is_set():
                await anyio.lowlevel.checkpoint()


async def test_a_set_that_nobody_waits_for_any_more_is_left(path: Path, monkeypatch) -> None:
    """Cancelled in the middle, a set is no set, the store goes on, and the next one is whole."""
    held = HeldAt(monkeypatch, lambda: False)
    async with session(path) as running:
        await running.append(3)
        async with anyio.create_task_group() as group:
            group.start_soon(running.store.save_snapshots, 3, states(1, 6), "1")
            await held.reached()
            group.cancel_scope.cancel()
        await running.append(2)
        assert running.store.load_snapshots("1") == (0, {})
        await running.store.save_snapshots(5, states(2, 6), "1")
        assert running.store.load_snapshots("1") == (5, states(2, 6))
    assert loose_parts(path) == 0


async def test_an_end_does_not_wait_for_a_set(path: Path, monkeypatch) -> None:
    """Closing takes the turn after the part under way; the set is told that the journal is closed."""
    store = SqliteJournal(path, ballast_bytes=0)
    held = HeldAt(monkeypatch, lambda: store._writer._closing is not None)
    told: list[JournalProblem] = []

    async def save() -> None:
        with pytest.raises(JournalFault) as raised:
            await store.save_snapshots(3, states(1, 6), "1")
        told.append(raised.value.problem)

    await store.open()
    async with anyio.create_task_group() as group:
        group.start_soon(store.run)
        store.append(*batch(1, records(1, 3)), lambda _: None)
        await store.reaches(3)
        group.start_soon(save)
        await held.reached()
        assert await store.close()
    assert told == [JournalProblem.CLOSED]
    with JournalReader(path) as reader:
        assert reader.verify().problem is None
        assert reader.head().number == 3
        assert reader.snapshots("1") == (0, {})
