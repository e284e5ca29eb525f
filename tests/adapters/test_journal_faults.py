"""The journal in trouble: whatever fails, `committed` is never called for what is not durable, and nothing is dropped."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.lowlevel
import apsw
import pytest
from fragile_disk import FragileDisk
from journal_kit import Session, batch, ordinary_user, quick, records, session

from ordersmith.actors.errors import JournalError
from ordersmith.adapters import journal_files, journal_snapshots, journal_writer, sqlite_journal
from ordersmith.adapters.journal_files import beside
from ordersmith.adapters.journal_problems import JournalFault, JournalProblem
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.journal_writer import JournalWriter, connect
from ordersmith.adapters.sqlite_journal import SqliteJournal, StoreState

ROUNDS = int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "1"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.journal"


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    with quick() as folder:
        yield folder


@pytest.fixture
def disk(monkeypatch) -> FragileDisk:
    disk = FragileDisk()
    monkeypatch.setattr(journal_snapshots, "PART_BYTES", 1_500)
    monkeypatch.setattr(journal_files, "sync_folder", disk.sync_folder)
    monkeypatch.setattr(journal_writer, "sync_folder", disk.sync_folder)
    monkeypatch.setattr(sqlite_journal, "RETRY_S", (0.0,))
    return disk


# --- Every n-th call fails -------------------------------------------------------------------------------------------

OFTEN = ["PRAGMA wal_autocheckpoint = 8"]
COUNTS = (1, 12, 3, 1)
LAST = sum(COUNTS)
SET = {"positions": b"p" * 3_000, "desk": b"d" * 2_000}


async def run_with_failures(disk: FragileDisk, path: Path) -> Session:
    """Append batches as a dispatcher does, on a disk that fails; a start that fails is tried again, as a person would."""

    def open_database(path: Path):
        return disk.connect(path, OFTEN)

    for _ in range(20):
        try:
            async with session(path, connect=open_database, ballast_bytes=0) as running:
                await append_all(disk, running)
                return running
        except JournalFault as fault:
            if fault.final:
                raise
    raise AssertionError("it never started")


async def append_all(disk: FragileDisk, running: Session) -> None:
    """Append batch after batch, with snapshots; trouble must be told within a second, and what had to wait is told twice."""
    for count in COUNTS:
        first = running.store.durable + 1
        data = batch(first, records(first, first + count - 1))
        began, told = anyio.current_time(), len(running.failed_at)

        def committed(number: int) -> None:
            disk.note("committed", number)
            running._on_committed(number)

        running.store.append(*data, committed)
        await running.until(lambda last=data.last: running.store.durable == last)
        assert all(at - began < 1 for at in running.failed_at[told : told + 1])
        if count == max(COUNTS):
            with suppress(JournalFault):  # tried once: a set more or less is no loss
                await running.store.save_snapshots(data.last, SET, "1")
    assert_restored(running.said)


def assert_restored(said: list[str]) -> None:
    """Assert that every failure ended with a commit and the word that it is over, and that nothing else did."""
    failed = False
    for what, then in pairwise([*said, ""]):
        assert (what == "restored") <= failed, said
        failed = what.startswith("failed") or (failed and what != "restored")
        assert not (failed and what.startswith("committed")) or then == "restored", said
    assert not failed, said


def durable_records(image: dict[str, bytes], folder: Path) -> int:
    """Return the number of the last record that SQLite finds in an image of the disk."""
    folder.mkdir()
    for name, data in image.items():
        (folder / name).write_bytes(data)
    database = sqlite3.connect(folder / "x.journal")
    try:
        return database.execute("SELECT coalesce(max(number), 0) FROM records").fetchone()[0]
    finally:
        database.close()


class FailFrom:
    """Fails the calls number n to n+lasting-1 of those that can fail so: a file's with a disk's error, statements and locks as BUSY."""

    def __init__(self, kind: type[apsw.Error], n: int, lasting: int) -> None:
        self.kind = kind
        self.failing = range(n, n + lasting)
        self.calls = 0

    def __call__(self, _: int, call: str) -> type[apsw.Error] | None:
        if (self.kind is apsw.BusyError) != (call in {"lock", "statement"}):
            return None
        self.calls += 1
        return self.kind if self.calls in self.failing else None


def every_nth_call(kind: type[apsw.Error], lasting: int, step: int, disk: FragileDisk, folder: Path) -> int:
    """Run once for each n with the calls n to n+lasting-1 failing, check each run, and return how many calls there were."""
    n = 0
    while True:
        n += random.Random(n).randint(1, step)
        disk.log.clear()
        disk.fails = fails = FailFrom(kind, n, lasting)
        where = folder / f"{kind.__name__}-{lasting}-{n}"
        where.mkdir()
        running = anyio.run(run_with_failures, disk, where / "x.journal")
        for place, op in enumerate(disk.log):
            if op[0] == "committed":
                image = disk.image(place, random.Random(n), 0.0)
                assert durable_records(image, where / f"image-{op[1]}") >= op[1], f"call {n}: {op[1]} was not durable"
        with JournalReader(where / "x.journal") as reader:
            assert reader.verify().problem is None
            assert list(reader.read()) == records(1, LAST)
        assert running.store.durable == LAST
        assert not any(fault.final for fault in running.faults)
        shutil.rmtree(where)
        if fails.calls < n:
            return fails.calls


@pytest.mark.parametrize(
    ("kind", "lasting", "step"),
    [
        (apsw.FullError, 1, 2),
        (apsw.IOError, 1, 1),
        (apsw.BusyError, 1, 1),
        (apsw.IOError, 7, 8),
        (apsw.FullError, 9, 8),
        (apsw.BusyError, 4, 2),
    ],
)
def test_no_failing_call_makes_a_false_promise(
    kind: type[apsw.Error], lasting: int, step: int, disk: FragileDisk, quick_folder: Path
) -> None:
    """With any call of a run failing, for once or for a while, what was told committed is on the disk, and in the end all is."""
    calls = every_nth_call(kind, lasting, 1 if ROUNDS > 1 else step, disk, quick_folder)
    assert calls > (30 if kind is apsw.BusyError else 120)


def test_a_sync_that_lies_at_first_is_not_believed(disk: FragileDisk, quick_folder: Path) -> None:
    """After a failed sync the file looks written in memory; nothing is promised until all of it was written and synced anew."""
    syncs: list[int] = []

    def second_commit_fails(number: int, call: str) -> type[apsw.Error] | None:
        syncs.append(number) if call == "sync" else None
        return apsw.IOError if call == "sync" and failing and len(syncs) == failing[0] + 1 else None

    failing: list[int] = []
    disk.fails = second_commit_fails

    async def main() -> list[str]:
        async with session(quick_folder / "x.journal", connect=disk.connect) as running:
            await running.append(2)
            failing.append(len(syncs))
            await running.append(3)
            return running.said

    assert anyio.run(main) == ["committed 2", "failed IO_ERROR", "committed 5", "restored"]
    place = max(place for place, op in enumerate(disk.log) if op[0] == "failed")
    after = [op[:2] for op in disk.log[place:] if op[0] in {"write", "sync"}]
    assert ("write", "x.journal") in after
    assert ("sync", "x.journal") in after


# --- A full disk -----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_full_database_halts_and_goes_on_when_there_is_room(path: Path) -> None:
    """DISK_FULL is told, `committed` is not; when there is room, the same batch is durable, and `restored` is told."""
    room: list[str] = []

    def limited(path: Path) -> sqlite3.Connection:
        database = connect(path)
        database.execute("PRAGMA max_page_count = 30" if not room else "PRAGMA max_page_count = 3000")
        return database

    async with session(path, connect=limited) as running:
        await running.append(3)
        running.hand_over(records(4, 3003))
        await running.until(lambda: running.faults)
        store = running.store
        assert (store.state, store.durable) == (StoreState.FAILED, 3)
        assert running.said == ["committed 3", "failed DISK_FULL"]
        assert (
            str(running.faults[0])
            == f"{path}: the disk is full; free some space, then resume (database or disk is full)"
        )
        with pytest.raises(JournalFault, match="the disk is full"):
            await store.resume()
        room.append("")
        await store.resume()
        assert running.said == ["committed 3", "failed DISK_FULL", "committed 3003", "restored"]
        assert (store.state, store.fault) == (StoreState.OPEN, None)
        await running.append(1)
        assert list(store.read()) == records(1, 3004)


LIMITED = """
import anyio, resource, sys
from pathlib import Path
from journal_kit import records, session
from ordersmith.adapters.journal_files import beside

async def main(path):
    async with session(path, ballast_bytes=4096) as running:
        await running.append(3)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
        running.hand_over(records(4, 1503))
        await running.until(lambda: running.faults)
        print(running.faults[0].problem, running.committed)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await running.store.resume()
        print(running.said[-2:], len(list(running.store.read())), beside(path, ".ballast").exists())

anyio.run(main, Path(sys.argv[1]))
"""


def test_a_limit_of_the_operating_system_is_survived(path: Path) -> None:
    """With a real write that the kernel refuses, the store fails, and is whole again when the limit is gone."""
    kit = Path(__file__).resolve().parents[1] / "kit"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        env={**os.environ, "PYTHONPATH": str(kit)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "IO_ERROR [3]",
        "['committed 1503', 'restored'] 1503 True",
    ]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.anyio
async def test_the_ballast_makes_room_for_the_last_records(path: Path, monkeypatch) -> None:
    """On a full disk the ballast is freed before the next attempt, which then has the room: the record that says HALT fits."""
    monkeypatch.setattr(sqlite_journal, "RETRY_S", (0.0, 60.0))

    class FullDisk(sqlite3.Connection):
        def executemany(self, sql, rows):
            if ballast.exists():
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().executemany(sql, rows)

    def on_full_disk(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level="IMMEDIATE", factory=FullDisk)

    ballast = beside(path, ".ballast")
    async with session(path, connect=on_full_disk, ballast_bytes=3 << 20) as running:
        assert ballast.stat().st_size == 3 << 20
        running.hand_over(records(1, 2))
        await running.until(lambda: "restored" in running.said)
        assert running.said == ["failed DISK_FULL", "committed 2", "restored"]
        assert not ballast.exists()
        await running.append(1)
        await running.store.resume()
        assert ballast.stat().st_size == 3 << 20


@pytest.mark.anyio
async def test_resume_is_refused_without_room_for_the_ballast(path: Path, monkeypatch) -> None:
    """A journal that works but has no reserve is not whole: `resume` raises DISK_FULL, and writing goes on."""
    async with session(path) as running:
        beside(path, ".ballast").unlink()
        monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(JournalFault, match=r"x\.journal: the disk is full.*No space left"):
            await running.store.resume()
        assert not beside(path, ".ballast").exists()
        await running.append(1)


# --- Locked, stalled, taken over ---------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_locked_database_is_waited_out(path: Path) -> None:
    """While another program holds the write lock nothing is committed; LOCKED is told within a second, and then it goes on."""
    async with session(path) as running:
        await running.append(1)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = anyio.current_time()
        running.hand_over(records(2, 2))
        await running.until(lambda: running.faults)
        assert anyio.current_time() - began < 1
        assert running.faults[0].problem is JournalProblem.LOCKED
        assert running.committed == [1]
        other.execute("ROLLBACK")
        other.close()
        await running.store.resume()
        assert running.committed == [1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_disk_that_does_not_answer_is_told(path: Path, monkeypatch) -> None:
    """A commit that hangs is STALLED, the host's loop turns meanwhile, and when it ends it is committed and restored."""
    monkeypatch.setattr(sqlite_journal, "STALL_S", 0.02)
    hang, hung = threading.Event(), threading.Event()

    class Hanging(sqlite3.Connection):
        def executemany(self, sql, rows):
            hung.set()
            hang.wait()
            return super().executemany(sql, rows)

    def hanging(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level="IMMEDIATE", factory=Hanging)

    async with session(path, connect=hanging) as running:
        running.hand_over(records(1, 2))
        await running.until(lambda: running.faults)
        assert hung.is_set()
        assert running.said == ["failed STALLED"]
        assert running.store.state is StoreState.FAILED
        hang.set()
        await running.until(lambda: running.committed)
        assert running.said == ["failed STALLED", "committed 2", "restored"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("end", ["close", "cancel"])
async def test_a_disk_that_hangs_does_not_hold_up_the_end(path: Path, monkeypatch, end: str) -> None:
    """Closing, and cancelling, is bounded and says that something is not durable; the lock is held while its thread may write."""
    monkeypatch.setattr("ordersmith.adapters.asyncio_island.GRACE_S", 0.05)
    monkeypatch.setattr(sqlite_journal, "GRACE_S", 0.05)
    monkeypatch.setattr(sqlite_journal, "STOP_S", 0.05)
    hang, hung = threading.Event(), threading.Event()

    class Hanging(sqlite3.Connection):
        def executemany(self, sql, rows):
            hung.set()
            hang.wait()

    def hanging(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level="IMMEDIATE", factory=Hanging)

    store, told = SqliteJournal(path, connect=hanging, ballast_bytes=0), []
    await store.open()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(store.run)
            while not store._running:
                await anyio.lowlevel.checkpoint()
            store.append(*batch(1, records(1, 2)), told.append)
            while not hung.is_set():
                await anyio.lowlevel.checkpoint()
            if end == "cancel":
                group.cancel_scope.cancel()
            else:
                assert not await store.close(0.05)
        assert not await store.close(0.05)
    assert told == []
    with pytest.raises(JournalFault, match="another process trades this journal"):
        await SqliteJournal(path).open()
    hang.set()
    with anyio.fail_after(10):
        while store._writer._lock._descriptor >= 0:
            await anyio.lowlevel.checkpoint()
    async with session(path) as running:
        assert running.store.durable == 0


@pytest.mark.anyio
async def test_a_replaced_writer_cannot_write(path: Path) -> None:
    """A boot by somebody else, past the lock, ends this writer's right: its batch is not written, and it knows that for good."""
    async with session(path) as running:
        await running.append(2)
        other = sqlite3.connect(path)
        other.execute("INSERT INTO boots VALUES (2, 0, 2, zeroblob(32))")
        other.commit()
        other.close()
        running.hand_over(records(3, 4))
        await running.until(lambda: running.faults)
        assert [fault.problem for fault in running.faults] == [JournalProblem.FENCED]
        assert running.store.state is StoreState.BROKEN
        with pytest.raises(JournalFault, match="taken this journal over"):
            await running.store.resume()
        with pytest.raises(JournalFault, match="taken this journal over"):
            await running.store.save_snapshots(2, {"a": b""}, "1")
        assert running.committed == [2]
    with JournalReader(path) as reader:
        assert list(reader.read()) == records(1, 2)


@pytest.mark.anyio
async def test_a_second_look_tells_a_replaced_writer(path: Path) -> None:
    """After a failed commit, records of a later boot mean that this writer was replaced, not that the file was edited."""
    writer = JournalWriter(path)
    await writer.open()
    other = sqlite3.connect(path)
    other.execute("INSERT INTO boots VALUES (2, 0, 0, zeroblob(32))")
    other.execute("INSERT INTO records VALUES (1, 'X', NULL, x'00', 2, zeroblob(32))")
    other.commit()
    other.close()
    with pytest.raises(JournalFault) as raised:
        await writer.prove(batch(1, records(1, 1)))
    assert raised.value.problem is JournalProblem.FENCED
    await writer.close()


@pytest.mark.anyio
async def test_a_failed_commit_that_happened_is_found(path: Path) -> None:
    """When the answer to a commit is an error and the commit is in the file all the same, it is not written twice."""
    answers = [sqlite3.OperationalError("disk I/O error")]

    class Ambiguous(sqlite3.Connection):
        def commit(self):
            super().commit()
            if answers and self.execute("SELECT count(*) FROM records").fetchone()[0]:
                raise answers.pop()

    def ambiguous(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level="IMMEDIATE", factory=Ambiguous)

    answers[0].sqlite_errorcode = sqlite3.SQLITE_IOERR
    async with session(path, connect=ambiguous) as running:
        await running.append(2)
        await running.append(1)
        assert running.said == ["failed IO_ERROR", "committed 2", "restored", "committed 3"]
        assert list(running.store.read()) == records(1, 3)


@pytest.mark.anyio
async def test_closing_writes_what_a_cancelled_run_could_not(path: Path, monkeypatch) -> None:
    """A batch whose commit failed, with nobody running any more, is proved and written by `close` when the disk is well again."""
    monkeypatch.setattr(sqlite_journal, "RETRY_S", (60.0,))
    ill, faults, told = [True], [], []

    class Ill(sqlite3.Connection):
        def commit(self):
            if ill and self.execute("SELECT count(*) FROM records").fetchone()[0]:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            super().commit()

    def made(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level="IMMEDIATE", factory=Ill)

    store = SqliteJournal(path, connect=made, ballast_bytes=0)
    await store.open()
    store.watch(faults.append, lambda: None)
    async with anyio.create_task_group() as group:
        group.start_soon(store.run)
        store.append(*batch(1, records(1, 3)), told.append)
        with anyio.fail_after(10):
            while not faults:
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert told == []
    ill.clear()
    assert await store.close()
    assert told == [3]
    with JournalReader(path) as reader:
        assert list(reader.read()) == records(1, 3)


@pytest.mark.anyio
async def test_records_of_somebody_else_end_the_writing(path: Path) -> None:
    """When the file ends elsewhere than it was left, nothing more is written, and the fault is final."""
    async with session(path) as running:
        await running.append(2)
        other = sqlite3.connect(path)
        other.execute("INSERT INTO records VALUES (3, 'X', NULL, x'00', 1, zeroblob(32))")
        other.commit()
        other.close()
        running.hand_over(records(3, 3))
        await running.until(lambda: running.faults)
        assert running.faults[-1].problem is JournalProblem.EDITED
        assert running.store.state is StoreState.BROKEN
        assert running.committed == [2]


# --- At the start ------------------------------------------------------------------------------------------------------


async def refusal(path: Path) -> str:
    store = SqliteJournal(path, ballast_bytes=0)
    with pytest.raises(JournalError) as raised:
        await store.open()
    assert store.state is StoreState.CLOSED
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.anyio
async def test_a_second_process_is_kept_out(path: Path) -> None:
    """Opening a journal that is being traded says by which process, and does not disturb it."""
    async with session(path) as running:
        assert (
            await refusal(path)
            == f"{path}: another process trades this journal; stop it, or name another journal (process {os.getpid()})"
        )
        await running.append(1)
    async with session(path) as running:
        assert running.store.durable == 1


def newer_version(path: Path) -> None:
    execute(path, "PRAGMA user_version = 99", "UPDATE header SET version = 99")


def newer_encoding(path: Path) -> None:
    execute(path, "UPDATE header SET encoding = 99")


def foreign_database(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE something (x)")


def foreign_file(path: Path) -> None:
    path.write_text("these are not records\n" * 100)


def no_end(path: Path) -> None:
    execute(path, "INSERT INTO records (number, type, data) VALUES (10, 'X', x'00')")


def execute(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


REFUSED: dict[Callable[[Path], None], str] = {
    newer_version: "a newer Ordersmith wrote it; use that version, or another journal (version 99; this one reads up to 1)",
    newer_encoding: "a newer Ordersmith wrote it; use that version, or another journal (encoding 99; this one reads up to 1)",
    foreign_database: "this is not a journal of Ordersmith; name another file",
    foreign_file: "this is not a journal of Ordersmith; name another file (file is not a database)",
    no_end: "the contents were changed by something else; run `ordersmith journal verify` on it and restore a backup"
    " (record 10 is the last and ends no group)",
}


@pytest.mark.anyio
@pytest.mark.parametrize("how", REFUSED, ids=lambda how: how.__name__)
async def test_what_is_not_ours_to_write_is_refused(path: Path, how: Callable[[Path], None]) -> None:
    """A newer journal, another program's file or a torn one is refused with what to do, and left as it was."""
    async with session(path) as running:
        await running.append(1)
    how(path)
    before = path.read_bytes()
    assert await refusal(path) == f"{path}: {REFUSED[how]}"
    assert path.read_bytes() == before


@pytest.mark.anyio
async def test_a_folder_without_rights_is_named() -> None:
    """A folder that may not be written to is said so, and nothing is left in it."""
    with ordinary_user() as home:
        folder = home / "closed"
        folder.mkdir(mode=0o500)
        assert "this user has no right to it" in await refusal(folder / "x.journal")
        assert list(folder.iterdir()) == []


@pytest.mark.anyio
async def test_rights_are_asked_of_the_operating_system(path: Path, monkeypatch) -> None:
    """When the system refuses to make the files, the message says that it is about rights."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert await refusal(path) == (
        f"{path}: this user has no right to it; correct the owner or the rights of the folder and the file (Permission denied)"
    )


@pytest.mark.anyio
async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A folder that is not there is not made."""
    assert "there is no such file or folder" in await refusal(tmp_path / "nowhere" / "x.journal")
    assert not (tmp_path / "nowhere").exists()


def test_a_reader_says_what_it_cannot_read(tmp_path: Path) -> None:
    """Reading a file that is missing, or no journal, is a JournalFault that names it."""
    with pytest.raises(JournalFault, match=r"x\.journal: there is no such file"):
        JournalReader(tmp_path / "x.journal")
    (tmp_path / "x.journal").write_text("no journal " * 1000)
    with pytest.raises(JournalFault, match="not a journal of Ordersmith"):
        JournalReader(tmp_path / "x.journal")
