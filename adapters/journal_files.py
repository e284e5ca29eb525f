"""The files around a journal: who may read them, who may write, and what is kept in reserve.

Beside `x.journal` lie SQLite's `-wal` and `-shm`, which take its mode; `x.journal.lock`, locked by the process that trades
it; and `x.journal.ballast`, space that is given back when the disk is full so that the last records still fit.

The database itself is never opened here while SQLite has it open: closing it would drop SQLite's own locks on it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .journal_problems import JournalFault, JournalProblem, fault_of

PRIVATE = 0o600
PIECE = 1 << 20


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to the journal at `path`."""
    return path.with_name(path.name + suffix)


def make_file(path: Path) -> None:
    """Make the file if there is none: empty, for its owner alone, and so that it outlives a power cut."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, PRIVATE))
        sync_folder(path.parent)


def keep_private(path: Path) -> None:
    """Let nobody but the owner read or write the database and SQLite's files beside it."""
    for file in (path, beside(path, "-wal"), beside(path, "-shm")):
        with suppress(FileNotFoundError):
            if file.stat().st_mode & 0o777 != PRIVATE:
                file.chmod(PRIVATE)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileLock:
    """The right to trade a journal, held from `take` to `release`, or the end of the process however that comes."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = beside(journal, ".lock")
        self._descriptor = -1

    def take(self) -> None:
        """Lock at once, or raise JournalFault IN_USE with the number of the process that has it."""
        import fcntl  # not on Windows, where the rest of this file can be imported

        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise fault_of(error, self._journal) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise JournalFault(JournalProblem.IN_USE, self._journal, f"process {holder or 'unknown'}") from error
        # Who holds it is told to people only. A full disk must not keep us from starting.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it. The lock file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Ballast:
    """Space on the disk that can be given back. Blocks, so call it where blocking is allowed."""

    def __init__(self, journal: Path, size: int) -> None:
        self._journal = journal
        self._path = beside(journal, ".ballast")
        self._size = size

    def fill(self) -> None:
        """Take the space, if it is not taken; without room for it raise JournalFault and take nothing."""
        with suppress(FileNotFoundError):
            if self._path.stat().st_size == self._size:
                return
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
            try:
                rest = self._size
                while rest:  # of bytes that no file system can compress
                    rest -= os.write(descriptor, os.urandom(min(rest, PIECE)))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.free()
            raise fault_of(error, self._journal) from error

    def free(self) -> None:
        """Give the space back."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            sync_folder(self._path.parent)
