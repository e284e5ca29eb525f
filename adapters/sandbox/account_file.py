"""The account on disk: the whole of it, put in place of the old one in one step, by one sandbox at a time.

Beside it lies `<name>.lock`, locked by the sandbox that has it. The lock ends with the process, however that ends; the file stays.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ...actors.errors import DataError
from ..journal_files import FileLock
from ..journal_problems import JournalFault, JournalProblem


class AccountFile:
    """A file that at every moment is either the account before a change or after it. With no path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._last = b""
        self._lock = None if path is None else FileLock(path)

    def take(self) -> None:
        """Keep other sandboxes from the file until `release`, or the end of the process. Raises DataError."""
        if self._lock is None:
            return
        self._check_folder()
        try:
            self._lock.take()
        except JournalFault as fault:
            what = "cannot be locked"
            if fault.problem is JournalProblem.IN_USE:
                what = "another sandbox has this account; stop it, or name another file"
            raise DataError(f"--account {self.path}: {what} ({fault.detail})") from fault

    def release(self) -> None:
        """Let another sandbox have it."""
        if self._lock is not None:
            self._lock.release()

    def read(self) -> bytes | None:
        """Return what was written last, None where there is no file. Raises DataError."""
        if self.path is None:
            return None
        try:
            self._last = self.path.read_bytes()
        except FileNotFoundError:
            self._check_folder()
            return None
        except OSError as error:
            raise DataError(f"--account {self.path}: cannot be read: {error.strerror}") from error
        return self._last

    def write(self, data: bytes) -> None:
        """Put the account there, unless it is what is there. Raises OSError."""
        if self.path is None or data == self._last:
            return
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        self._last = data

    def _check_folder(self) -> None:
        assert self.path is not None
        if not self.path.parent.is_dir():
            raise DataError(f"--account {self.path}: there is no folder {self.path.parent}; make it first")
