"""What can be wrong with a journal, in one line each: which file, what is wrong, what to do.

Trouble with the disk passes: the store halts and tries again. What puts the contents in question does not pass: somebody
has to look, and the store writes nothing more.
"""

from __future__ import annotations

import errno
import sqlite3
from enum import StrEnum
from pathlib import Path

from ..actors.errors import JournalError

FENCED = "fenced"
"""What the database's triggers say to a writer that was replaced."""


class JournalProblem(StrEnum):
    """The kinds of trouble."""

    DISK_FULL = "DISK_FULL"
    IO_ERROR = "IO_ERROR"
    LOCKED = "LOCKED"
    STALLED = "STALLED"
    NO_RIGHTS = "NO_RIGHTS"
    MISSING = "MISSING"
    CORRUPT = "CORRUPT"
    EDITED = "EDITED"
    NEWER = "NEWER"
    NOT_A_JOURNAL = "NOT_A_JOURNAL"
    IN_USE = "IN_USE"
    FENCED = "FENCED"
    CLOSED = "CLOSED"


P = JournalProblem

PASSING = frozenset({P.DISK_FULL, P.IO_ERROR, P.LOCKED, P.STALLED, P.NO_RIGHTS, P.MISSING})
"""Trouble that goes away with its cause: the contents are not in question."""

ADVICE = {
    P.DISK_FULL: "the disk is full; free some space, then resume",
    P.IO_ERROR: "the disk reports an error; check the disk and its mount, then resume",
    P.LOCKED: "another program keeps the database locked; close it, then resume",
    P.STALLED: "the disk does not answer; check it, then resume",
    P.NO_RIGHTS: "this user has no right to it; correct the owner or the rights of the folder and the file",
    P.MISSING: "there is no such file or folder; check the name, or make the folder",
    P.CORRUPT: "the file is damaged; run `ordersmith journal verify` on it and restore a backup",
    P.EDITED: "the contents were changed by something else; run `ordersmith journal verify` on it and restore a backup",
    P.NEWER: "a newer Ordersmith wrote it; use that version, or another journal",
    P.NOT_A_JOURNAL: "this is not a journal of Ordersmith; name another file",
    P.IN_USE: "another process trades this journal; stop it, or name another journal",
    P.FENCED: "another process has taken this journal over; stop one of the two",
    P.CLOSED: "the journal is closed",
}


class JournalFault(JournalError):
    """A journal that cannot be written or read just now, or (`final`) must not be any more."""

    def __init__(self, problem: JournalProblem, path: Path, detail: str = "") -> None:
        super().__init__(f"{path}: {ADVICE[problem]}" + (f" ({detail})" if detail else ""))
        self.problem = problem
        self.path = path
        self.detail = detail

    @property
    def final(self) -> bool:
        """Whether only a person can put this right, and not from outside while the program runs."""
        return self.problem not in PASSING


# SQLite's result codes, their low byte: https://www.sqlite.org/rescode.html
PROBLEMS = {
    sqlite3.SQLITE_FULL: P.DISK_FULL,
    sqlite3.SQLITE_IOERR: P.IO_ERROR,
    sqlite3.SQLITE_NOMEM: P.IO_ERROR,
    sqlite3.SQLITE_BUSY: P.LOCKED,
    sqlite3.SQLITE_LOCKED: P.LOCKED,
    sqlite3.SQLITE_PROTOCOL: P.LOCKED,
    sqlite3.SQLITE_PERM: P.NO_RIGHTS,
    sqlite3.SQLITE_READONLY: P.NO_RIGHTS,
    sqlite3.SQLITE_CANTOPEN: P.NO_RIGHTS,
    sqlite3.SQLITE_AUTH: P.NO_RIGHTS,
    sqlite3.SQLITE_CORRUPT: P.CORRUPT,
    sqlite3.SQLITE_NOTADB: P.NOT_A_JOURNAL,
}
SQLITE_IOERR_CORRUPTFS = 8458

PROBLEMS_OF_SYSTEM = {
    errno.ENOSPC: P.DISK_FULL,
    errno.EDQUOT: P.DISK_FULL,
    errno.EFBIG: P.DISK_FULL,
    errno.EACCES: P.NO_RIGHTS,
    errno.EPERM: P.NO_RIGHTS,
    errno.EROFS: P.NO_RIGHTS,
    errno.EISDIR: P.NOT_A_JOURNAL,
    errno.ENOENT: P.MISSING,
    errno.ENOTDIR: P.MISSING,
}


def fault_of(error: Exception, path: Path) -> JournalFault:
    """Say what an exception from SQLite or the operating system means for the journal at `path`."""
    if isinstance(error, JournalFault):
        return error
    if isinstance(error, OSError):
        return JournalFault(PROBLEMS_OF_SYSTEM.get(error.errno or 0, P.IO_ERROR), path, error.strerror or str(error))
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python's own: text that is none, or a closed connection
        problem = P.CORRUPT if isinstance(error, sqlite3.OperationalError | UnicodeError) else P.IO_ERROR
        return JournalFault(problem, path, str(error))
    if code & 0xFF == sqlite3.SQLITE_CONSTRAINT:
        return JournalFault(P.FENCED if FENCED in str(error) else P.EDITED, path, str(error))
    problem = P.CORRUPT if code == SQLITE_IOERR_CORRUPTFS else PROBLEMS.get(code & 0xFF, P.CORRUPT)
    return JournalFault(problem, path, str(error))
