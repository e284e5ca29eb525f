"""A disk that can be taken away: an SQLite VFS that notes every call, fails the ones it is told to, and knows what was synced.

The store's own code runs on it, through aiosqlite, on a connection that looks like Python's; SQLite itself is apsw's. After a
run, `image` gives what could lie on the disk had the power gone at any point of it.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
MADE_TO_FAIL = {
    apsw.FullError: sqlite3.SQLITE_FULL,
    apsw.IOError: sqlite3.SQLITE_IOERR,
    apsw.BusyError: sqlite3.SQLITE_BUSY,
}
NAMES = count(1)

Op = tuple[Any, ...]
Image = dict[str, bytes]


class FragileDisk:
    """All files of one folder. `fails(call number, call name)` says which calls fail, and with what."""

    def __init__(self) -> None:
        self.log: list[Op] = []
        self.calls = 0
        self.fails: Callable[[int, str], type[apsw.Error] | None] = lambda number, call: None
        self._vfs = _Vfs(f"fragile-{next(NAMES)}", self)

    def connect(self, path: Path, settings: Iterable[str] = ()) -> Any:
        """Open a database, as the store's `connect` does. Without shared memory: nobody else can read it meanwhile."""
        with _translated():
            database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs.name)
            for setting in ("PRAGMA locking_mode = EXCLUSIVE", *settings):
                database.execute(setting)
        return _LikeSqlite3(database, self)

    def note(self, *op: Any) -> None:
        self.log.append(op)

    def call(self, name: str) -> None:
        self.calls += 1
        error = self.fails(self.calls, name)
        if error is not None:
            self.note("failed", name)
            raise error(f"call {self.calls}, {name}, was made to fail")

    def sync_folder(self, folder: Path) -> None:
        """Stand in for the store's own."""
        self.note("sync folder")

    def put(self, image: Image, folder: Path) -> None:
        """Begin with what another disk's power cut left, all of it durable."""
        for name, data in image.items():
            (folder / name).write_bytes(data)
            self.note("write", name, 0, data)
            self.note("sync", name)
        self.note("sync folder")

    def image(self, upto: int, chance: random.Random, kept: float, torn: bool = False) -> Image:
        """Return the files after a power cut before log entry `upto`.

        Of what was not synced each write survives with the chance `kept`; `torn` ones up to a sector somewhere inside.
        """
        files: dict[str, _File] = {}
        for op, *details in self.log[:upto]:
            if op in {"write", "truncate", "sync", "delete"}:
                files.setdefault(details[0], _File()).take(op, *details[1:])
            elif op == "sync folder":
                for file in files.values():
                    file.settle_names()
        images = {name: file.after_cut(chance, kept, torn) for name, file in files.items()}
        return {name: data for name, data in images.items() if data is not None}


class _File:
    """What is synced of a file, and the operations since. None is a file that is not there."""

    def __init__(self) -> None:
        self._synced: bytes | None = None
        self._since: list[Op] = []

    def take(self, op: str, *details: Any) -> None:
        self._since.append((op, *details))
        if op == "sync":
            self._synced, self._since = self._applied(self._since), []

    def settle_names(self) -> None:
        """Take note that the folder was synced: a file that was deleted stays so."""
        deleted = [index for index, op in enumerate(self._since) if op[0] == "delete"]
        if deleted:
            self._synced, self._since = None, self._since[deleted[-1] + 1 :]

    def _applied(self, ops: list[Op]) -> bytes | None:
        data = None if self._synced is None else bytearray(self._synced)
        for op, *details in ops:
            if op == "delete":
                data = None
                continue
            data = bytearray() if data is None else data
            if op == "write":
                offset, piece = details
                data.extend(bytes(max(0, offset + len(piece) - len(data))))
                data[offset : offset + len(piece)] = piece
            elif op == "truncate":
                del data[details[0] :]
        return None if data is None else bytes(data)

    def after_cut(self, chance: random.Random, kept: float, torn: bool) -> bytes | None:
        survivors = []
        for op in self._since:
            if chance.random() >= kept:
                continue
            if torn and op[0] == "write" and len(op[2]) > SECTOR:
                survivors.append((op[0], op[1], op[2][: SECTOR * chance.randrange(len(op[2]) // SECTOR + 1)]))
            else:
                survivors.append(op)
        return self._applied(survivors)


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: FragileDisk) -> None:
        super().__init__(name, "")
        self.name = name
        self._disk = disk

    def xOpen(self, name, flags):  # noqa: N802
        self._disk.call("open")
        return _VfsFile(self._disk, name, flags)

    def xDelete(self, name, sync_folder):  # noqa: N802
        self._disk.call("delete")
        super().xDelete(name, sync_folder)
        self._disk.note("delete", Path(name).name)
        if sync_folder:
            self._disk.note("sync folder")


class _VfsFile(apsw.VFSFile):
    def __init__(self, disk: FragileDisk, name: Any, flags: Any) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = Path(name if isinstance(name, str) else name.filename()).name if name else "temporary"

    def xRead(self, amount, offset):  # noqa: N802
        self._disk.call("read")
        return super().xRead(amount, offset)

    def xWrite(self, data, offset):  # noqa: N802
        self._disk.call("write")
        super().xWrite(data, offset)
        self._disk.note("write", self._name, offset, bytes(data))

    def xTruncate(self, size):  # noqa: N802
        self._disk.call("truncate")
        super().xTruncate(size)
        self._disk.note("truncate", self._name, size)

    def xSync(self, flags):  # noqa: N802
        self._disk.call("sync")
        self._disk.note("sync", self._name)  # noted, and not done: this disk is as durable as its log says

    def xLock(self, level):  # noqa: N802
        self._disk.call("lock")
        super().xLock(level)

    def xFileSize(self):  # noqa: N802
        self._disk.call("size")
        return super().xFileSize()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of apsw as those of Python's sqlite3."""
    try:
        yield
    except apsw.Error as error:
        translated = sqlite3.OperationalError(str(error))
        translated.sqlite_errorcode = getattr(error, "extendedresult", 0) or MADE_TO_FAIL[type(error)]
        raise translated from error


class _LikeSqlite3:
    """As much of sqlite3.Connection as the store uses, with its implicit transactions. A statement is a call, too."""

    def __init__(self, database: apsw.Connection, disk: FragileDisk) -> None:
        self._database = database
        self._disk = disk

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        with _translated():
            self._disk.call("statement")
            self._begin(sql)
            return _Rows(list(self._database.execute(sql, tuple(parameters))))

    def executemany(self, sql: str, rows: Any) -> Any:
        with _translated():
            self._disk.call("statement")
            self._begin(sql)
            self._database.executemany(sql, rows)
            return _Rows([])

    def executescript(self, script: str) -> Any:
        with _translated():
            self._database.execute(script)
            return _Rows([])

    def commit(self) -> None:
        with _translated():
            self._disk.call("statement")
            if self._database.in_transaction:
                self._database.execute("COMMIT")

    def rollback(self) -> None:
        with _translated():
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def close(self) -> None:
        with _translated():
            self._database.close(True)

    def _begin(self, sql: str) -> None:
        if sql.startswith(("INSERT", "DELETE")) and not self._database.in_transaction:
            self._database.execute("BEGIN IMMEDIATE")


class _Rows:
    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchall(self) -> list[Any]:
        return self._rows

    def close(self) -> None:
        pass
