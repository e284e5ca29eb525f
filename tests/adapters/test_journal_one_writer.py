"""One connection writes a journal and carries its log over; whoever reads changes nothing, whenever they come and go.

SQLite before 3.51.3 can damage a database when two connections carry the log over at once: https://sqlite.org/wal.html
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_kit import quick, records, session

from ordersmith.adapters import sqlite_journal
from ordersmith.adapters.journal_reader import JournalReader

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path() -> Iterator[Path]:
    with quick() as folder:
        yield folder / "x.journal"


def bytes_of(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), path.with_name("x.journal-wal").read_bytes()


def read_all(path: Path) -> int:
    """Read in every way that there is, and try to carry the log over; return the number of records."""
    with JournalReader(path) as reader:
        assert reader.verify().problem is None
        count = sum(1 for _ in reader.read())
        assert reader.history("x-1")
        for kind in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
            try:
                ((busy, _, carried),) = reader._database.execute(f"PRAGMA wal_checkpoint({kind})").fetchall()
                assert busy or carried <= 0
            except sqlite3.OperationalError:
                pass
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._database.execute("DELETE FROM boots")
        return count


async def test_a_reader_beside_the_writer_carries_nothing_over(path: Path) -> None:
    """Readers come and go while the log is full: neither it nor the database changes."""
    async with session(path) as running:
        await running.append(3, 40, 2)
        before = bytes_of(path)
        assert len(before[1]) > 3 * 4096
        assert [read_all(path) for _ in range(3)] == [45, 45, 45]
        assert list(running.store.read()) == records(1, 45)
        assert bytes_of(path) == before


@pytest.mark.parametrize("with_shm", [True, False])
async def test_a_reader_of_what_a_crash_left_carries_nothing_over(path: Path, with_shm: bool) -> None:
    """The only one who has the files open, and the last to close them, a reader leaves the log to the next writer."""
    left = path.with_name("left") / "x.journal"
    left.parent.mkdir()
    async with session(path) as running:
        await running.append(3, 40, 2)
        for file in path.parent.glob("x.journal*"):
            if with_shm or file.suffix != ".journal-shm":
                shutil.copy(file, left.parent)
    before = bytes_of(left)
    assert [read_all(left) for _ in range(2)] == [45, 45]
    assert bytes_of(left) == before
    async with session(left) as running:
        assert list(running.store.read()) == records(1, 45)
        await running.append(1)


async def test_there_is_never_a_second_connection_that_writes(path: Path, monkeypatch) -> None:
    """Also a second look after a failure, snapshots and reading leave the store with one connection that may write."""
    monkeypatch.setattr(sqlite_journal, "RETRY_S", (0.0,))
    live: set[int] = set()
    most, opened, failures = 0, 0, 2

    class Counted(sqlite3.Connection):
        def __init__(self, *arguments, **options):
            nonlocal most, opened
            super().__init__(*arguments, **options)
            live.add(id(self))
            opened += 1
            most = max(most, len(live))

        def executemany(self, sql, rows):
            nonlocal failures
            if "INTO records" in sql and failures:
                failures -= 1
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            return super().executemany(sql, rows)

        def close(self):
            super().close()
            live.discard(id(self))

    def counted(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level="IMMEDIATE", factory=Counted)

    async with session(path, connect=counted) as running:
        await running.append(3)
        await running.store.save_snapshots(3, {"a": b"state"}, "1")
        assert running.store.load_snapshots("1")[0] == 3
        await running.append(2)
    assert (most, opened, live) == (1, 3, set())
