"""The asyncio side of the SQLite journal: one connection by aiosqlite, which opens, writes, proves and closes.

Everything here runs in an island. Errors come out as JournalFault, and after one the connection is good for nothing but
`prove`: a failed commit may have happened or not, and what a second look finds in the database may be in the kernel's
memory only, when it was the sync that failed. So `prove` opens the file anew, compares its end with what was to be
written, and has SQLite carry all of it over into the database and sync that, before it says that anything is durable.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from .crash_points import crash_point
from .journal_files import Ballast, FileLock, keep_private, make_file, sync_folder
from .journal_format import (
    APPLICATION_ID,
    ENCODING,
    INSERT_RECORD,
    SCHEMA,
    VERSION,
    Batch,
    Head,
    Header,
    link_boot,
    link_group,
    rows_of,
)
from .journal_problems import JournalFault, JournalProblem, fault_of
from .journal_snapshots import Step, save

T = TypeVar("T")
Connect = Callable[[Path], sqlite3.Connection]

BUSY_S = 0.3
"""How long to wait for a lock: whoever holds one is in the wrong place, and trading halts within a second."""

SETTINGS = (
    "PRAGMA synchronous = FULL",  # in WAL mode: sync the log at every commit
    "PRAGMA fullfsync = ON",  # where fsync alone does not reach the disk (macOS)
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA secure_delete = OFF",  # nothing is deleted but snapshots, and overwriting them would cost as much as writing them
)


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file with Python's own SQLite. Writing statements begin a transaction that has the write lock."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level="IMMEDIATE")


def _untold(_: Head) -> None:
    """Tell nobody."""


class _Connection(aiosqlite.Connection):
    """A connection that writes a group in one go, and whose end can be waited for."""

    _end: asyncio.Future[Any] | None = None

    async def transact(self, steps: Iterable[Step], done: Callable[[], None]) -> None:
        """Execute and commit in one visit to the thread, and call `done` there: each visit costs more than the work."""

        def work() -> None:
            for sql, rows in steps:
                self._conn.executemany(sql, rows)
            crash_point("journal:written")
            self._conn.commit()
            crash_point("journal:committed")
            done()

        await self._execute(work)  # type: ignore[no-untyped-call]

    def stop(self) -> asyncio.Future[Any] | None:
        self._end = super().stop()
        return self._end

    async def ended(self) -> None:
        """Wait for the end of one that could not be made: its thread reports to the loop, which must live till then."""
        if self._end is not None:
            await self._end


class JournalWriter:
    """The one writer of a journal. `connect` is how a connection is made: tests bring disks that fail."""

    def __init__(self, path: Path, connect: Connect = connect, ballast_bytes: int = 0) -> None:
        self.boot = 0
        self.head = Head(0, b"")
        self._path = path
        self._connect = connect
        self._lock = FileLock(path)
        self._ballast = Ballast(path, ballast_bytes)
        self._database: _Connection | None = None
        self._turn, self._saving = asyncio.Lock(), asyncio.Lock()
        self._beginning = b""
        self._closing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Lock the journal, make it if it is new, prove its end, and begin a boot; `boot` and `head` are then set."""
        await asyncio.to_thread(self._lock.take)
        try:
            await self._guarded(self._open)
        except BaseException:
            await self._drop()
            self._lock.release()
            raise

    async def write(self, batch: Batch, durable: Callable[[Head], None] = _untold) -> Head:
        """Make a batch durable: one transaction. After a failure only `prove` is allowed.

        `durable` is called in the thread that has just made it so, two hops before this returns.
        """
        return await self._guarded(self._write, batch, durable)

    async def prove(self, batch: Batch | None) -> Head:
        """Open the database anew, find out whether `batch` is in it, write it if it is not, and return what is durable."""
        return await self._guarded(self._prove, batch)

    async def free_ballast(self) -> None:
        await asyncio.to_thread(self._ballast.free)

    async def fill_ballast(self) -> None:
        await self._guarded(asyncio.to_thread, self._ballast.fill)

    async def save_snapshots(self, number: int, states: Mapping[str, bytes], format_: str) -> None:
        """Keep the states of actors as of record `number`, the end of a group, while batches are written."""
        async with self._saving:
            crash_point("journal:snapshot")
            await save(self, number, states, format_)
            crash_point("journal:snapshot-kept")

    async def transact(self, *steps: Step) -> None:
        """Execute statements as one transaction that has nothing to do with records."""
        await self._guarded(self._transact, steps)

    async def look_up(self, sql: str, *parameters: object) -> list[Any]:
        return await self._guarded(self._rows, sql, *parameters)

    async def close(self) -> None:
        """Close the database, which empties the log into it, and let others trade the journal.

        That goes on, and the lock is held, when the caller stops waiting for it.
        """
        self._closing = self._closing or asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        async with self._turn:
            crash_point("journal:close")
            await self._drop()
            self._lock.release()
            crash_point("journal:closed")

    # --- Under the lock ------------------------------------------------------------------------------------------------

    async def _guarded(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """One at a time: a transaction takes several calls. And every error says which file and what to do."""
        async with self._turn:
            try:
                return await work(*arguments)
            except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: aiosqlite's, of a closed connection
                raise fault_of(error, self._path) from error

    async def _open(self) -> None:
        await asyncio.to_thread(make_file, self._path)
        database, new = await self._join()
        await asyncio.to_thread(keep_private, self._path)
        if new:
            await self._create(database)
        # The switch to WAL, in this start or one that broke off, left a rollback journal behind and removed it: were that to
        # come back with a power cut, SQLite would roll everything back.
        await asyncio.to_thread(sync_folder, self._path.parent)
        self._beginning = (await self._checked_header()).link
        self.head = await self._end()
        await self._begin_boot(database)
        await self._carry_over()

    async def _join(self) -> tuple[_Connection, bool]:
        """Connect, and return whether the file is empty. Nothing is changed in a file that is somebody else's."""
        database = _Connection(lambda: self._connect(self._path), iter_chunk_size=64)
        try:
            await database
        except BaseException:
            await database.ended()
            raise
        self._database = database
        (mark,), (tables,) = (
            await self._row("PRAGMA application_id"),
            await self._row("SELECT count(*) FROM sqlite_master"),
        )
        if mark != APPLICATION_ID and (mark or tables):
            raise JournalFault(JournalProblem.NOT_A_JOURNAL, self._path)
        mode = await self._row("PRAGMA journal_mode = WAL")
        if mode != ("wal",):
            raise JournalFault(JournalProblem.IO_ERROR, self._path, f"no write-ahead log is possible here: {mode}")
        for setting in SETTINGS:
            await self._row(setting)
        return database, not tables

    async def _create(self, database: _Connection) -> None:
        """Make the tables, all or none: a file that was left empty by a crash is new still."""
        salt, created_ns = os.urandom(16), time.time_ns()
        header = f"INSERT INTO header VALUES (1, {VERSION}, {ENCODING}, {created_ns}, x'{salt.hex()}')"  # noqa: S608
        marks = (f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION}")
        await database.executescript(";\n".join(("BEGIN IMMEDIATE", *SCHEMA, header, *marks, "COMMIT")))

    async def _checked_header(self) -> Header:
        """Return the header of a journal that this program can continue."""
        version = await self._row("PRAGMA user_version")
        row = await self._row("SELECT version, encoding, created_ns, salt FROM header")
        return check_header(self._path, version, row, await self._rows("SELECT sql FROM sqlite_master"))

    async def _end(self) -> Head:
        row = await self._row("SELECT number, chain FROM records ORDER BY number DESC LIMIT 1")
        if row is None:
            return Head(0, self._beginning)
        if row[1] is None:
            raise JournalFault(JournalProblem.EDITED, self._path, f"record {row[0]} is the last and ends no group")
        return Head(*row)

    async def _begin_boot(self, database: _Connection) -> None:
        last = await self._row("SELECT boot, chain FROM boots ORDER BY boot DESC LIMIT 1") or (0, self._beginning)
        boot, at_ns = last[0] + 1, time.time_ns()
        link = link_boot(last[1], boot, at_ns, self.head)
        await database.execute("INSERT INTO boots VALUES (?, ?, ?, ?)", (boot, at_ns, self.head.number, link))
        await database.commit()
        self.boot = boot

    async def _write(self, batch: Batch, durable: Callable[[Head], None] = _untold) -> Head:
        head = Head(batch.last, link_group(self.head.link, self.boot, batch))
        await self._transact([(INSERT_RECORD, rows_of(batch, self.boot, head.link))], partial(durable, head))
        self.head = head
        return head

    async def _prove(self, batch: Batch | None) -> Head:
        await self._drop()
        await self._join()
        if (await self._checked_header()).link != self._beginning:
            raise JournalFault(
                JournalProblem.EDITED, self._path, "this is another journal than the one that was opened"
            )
        if await self._row("SELECT max(boot) FROM boots") != (self.boot,):
            raise JournalFault(JournalProblem.FENCED, self._path)
        end = await self._end()
        written = batch and Head(batch.last, link_group(self.head.link, self.boot, batch))
        if end not in (self.head, written):
            raise JournalFault(JournalProblem.EDITED, self._path, f"it ends at {end} where {self.head} was left")
        await self._carry_over()
        self.head = end
        return self.head if batch is None or end == written else await self._write(batch)

    async def _carry_over(self) -> None:
        """Copy all of the log into the database and sync both: what is found there is then durable, whatever failed before."""
        crash_point("journal:checkpoint")
        busy, logged, carried = await self._row("PRAGMA wal_checkpoint(TRUNCATE)")
        crash_point("journal:checkpointed")
        if busy and logged != carried:
            raise JournalFault(JournalProblem.LOCKED, self._path, "the log could not be carried over")

    async def _transact(self, steps: Iterable[Step], done: Callable[[], None] = lambda: None) -> None:
        """Execute and commit, all or nothing: what a failed transaction left open must not go out with the next one."""
        database = self._joined()
        try:
            await database.transact(steps, done)
        except BaseException:
            with suppress(sqlite3.Error, ValueError):
                await database.rollback()
            raise

    # --- The connection ------------------------------------------------------------------------------------------------

    def _joined(self) -> _Connection:
        if self._database is None:
            raise JournalFault(JournalProblem.CLOSED, self._path)
        return self._database

    async def _row(self, sql: str, *parameters: object) -> Any:
        return next(iter(await self._rows(sql, *parameters)), None)

    async def _rows(self, sql: str, *parameters: object) -> list[Any]:
        rows: Iterable[Any] = await self._joined().execute_fetchall(sql, parameters)
        return [tuple(row) for row in rows]

    async def _drop(self) -> None:
        """Close the connection, whatever it says: what was not committed is rolled back."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error, ValueError):
                await database.close()


def check_header(path: Path, version: Any, row: Any, statements: Iterable[tuple[str | None]]) -> Header:
    """Return the header of a journal that this program understands and nobody has rebuilt."""
    if version is None or version[0] > VERSION:
        detail = f"version {version and version[0]}; this one reads up to {VERSION}"
        raise JournalFault(JournalProblem.NEWER, path, detail)
    if row is None or row[0] != version[0]:
        raise JournalFault(JournalProblem.EDITED, path, "its header is missing or contradicts itself")
    header = Header(*row)
    if header.encoding > ENCODING:
        detail = f"encoding {header.encoding}; this one reads up to {ENCODING}"
        raise JournalFault(JournalProblem.NEWER, path, detail)
    if missing := set(SCHEMA) - {sql for (sql,) in statements}:
        raise JournalFault(JournalProblem.EDITED, path, f"changed: {min(missing).split('(')[0].strip()}")
    return header
