"""What a person should know of the place where the journal lies, before trusting it with money."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..actors.errors import JournalError
from .journal_files import FileLock

IN_MEMORY = frozenset({"tmpfs", "ramfs", "overlay"})
"""File systems that lose everything, or whose lower half is thrown away with a container."""

MOUNTS = Path("/proc/mounts")
SYNCS = 20
TOO_FAST_S = 20e-6
SLOW_S = 0.05
MENDED_SQLITE = (3, 51, 3)
"""SQLite's release of 2026-03-13 mends a corruption of write-ahead logs that two connections could cause; we have one."""


class Finding(NamedTuple):
    """One thing that was looked at. `ok` is None for what a person should know and that stops nothing."""

    name: str
    ok: bool | None
    found: str
    to_do: str = ""


def check_journal_place(journal: Path, mounts: Path | None = None) -> Iterator[Finding]:
    """Look at the folder of a journal: whether it can be written, syncs, outlives a power cut, and is free."""
    folder = journal.parent
    if not folder.is_dir():
        yield Finding("journal", False, f"{folder} is no folder", "make it, or change journal.path")
        return
    kind = file_system_of(folder, mounts or MOUNTS)
    if kind in IN_MEMORY:
        to_do = (
            "put journal.path on a real disk, or a mounted volume" if kind != "tmpfs" else "put journal.path on a disk"
        )
        yield Finding("journal disk", False, f"{folder} is on {kind}, which does not outlive a restart", to_do)
    else:
        yield Finding("journal disk", True, f"{folder} is on {kind or 'a file system whose name is not known'}")
    yield _syncs(folder)
    yield _is_free(journal)
    version = ".".join(map(str, sqlite3.sqlite_version_info))
    is_mended = sqlite3.sqlite_version_info >= MENDED_SQLITE
    note = (
        ""
        if is_mended
        else "; before 3.51.3 a second connection that writes could corrupt the log: open the file read-only"
    )
    yield Finding("SQLite", True if is_mended else None, version + note)


def _syncs(folder: Path) -> Finding:
    try:
        times = sync_times(folder)
    except OSError as error:
        return Finding(
            "journal sync", False, f"{folder}: {error.strerror}", "correct the rights or the disk of the folder"
        )
    middle = times[len(times) // 2]
    found = f"a sync takes {middle * 1e3:.2f} ms, the slowest of {len(times)} took {times[-1] * 1e3:.2f} ms"
    if middle < TOO_FAST_S:
        return Finding("journal sync", None, found + "; no disk is that fast", "see whether the disk really syncs")
    if middle > SLOW_S:
        return Finding("journal sync", None, found, "each order waits for one sync; a faster disk makes them sooner")
    return Finding("journal sync", True, found)


def sync_times(folder: Path) -> list[float]:
    """Write and sync a small file a few times; return how many seconds each took, in rising order. Raises OSError."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)


def _is_free(journal: Path) -> Finding:
    if not journal.exists():
        return Finding("journal file", True, f"{journal} will be made by the first run")
    lock = FileLock(journal)
    try:
        lock.take()
    except JournalError as error:
        return Finding("journal file", None, str(error), "stop that process before this configuration is run again")
    lock.release()
    return Finding("journal file", True, f"{journal} is there, and nobody trades it")


def file_system_of(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of file system that a folder is on, empty where nobody says."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    here, best, kind = folder.resolve(), Path(), ""
    for line in lines:
        _, point, found, *_ = line.split(" ")
        place = Path(point.encode().decode("unicode_escape"))
        if here.is_relative_to(place) and len(place.parts) >= len(best.parts):
            best, kind = place, found
    return kind
