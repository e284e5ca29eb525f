"""How long a record takes to be durable, next to what the same disk does without us, in one run.

    python benchmarks/journal.py [--commits 400] [--records 1000000] [--folder DIR]

Everything writes a record of the same size a commit, WAL and synchronous=FULL. The contestants take turns in short rounds, so
that a disk that is busy for a while is so for all. "submit → durable" is from `append` to `committed`, in the host's loop.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiosqlite
import anyio

from ordersmith.actors.actor import Record
from ordersmith.actors.events import OrderRejected
from ordersmith.adapters.journal_format import lookup_keys
from ordersmith.adapters.sqlite_journal import SqliteJournal
from ordersmith.supervisor.commit import ENCODER

ROUNDS = 8
WARM_UP = 5
TEXT = "x" * 150
SETUP = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS r (n INTEGER PRIMARY KEY, data BLOB);"
INSERT = "INSERT INTO r (data) VALUES (?)"
GROUPS = (10, 100, 1_000)
FDATASYNC, SQLITE3, AIOSQLITE, OURS = "fdatasync", "sqlite3", "aiosqlite", "journal, asyncio"
SNAPSHOT_BYTES = 5 << 20


class Percentiles(NamedTuple):
    """Of times in seconds, and how many there are a second when one follows the other."""

    p50: float
    p99: float
    rate: float


def percentiles(times: list[float]) -> Percentiles:
    return Percentiles(percentile(times, 50), percentile(times, 99), len(times) / sum(times))


def percentile(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) * percent // 100, len(times) - 1)]


def record(number: int) -> bytes:
    return ENCODER.encode(
        Record(number, 1_700_000_000_000_000_000, -1, OrderRejected(f"bench-{number // 6}", "CODE", TEXT))
    )


def fdatasync(path: Path, commits: int) -> list[float]:
    with path.open("ab", buffering=0) as file:
        return [timed(lambda: (file.write(record(1)), os.fdatasync(file.fileno()))) for _ in range(commits)]


def plain_sqlite3(path: Path, commits: int) -> list[float]:
    database = sqlite3.connect(path)
    database.executescript(SETUP)
    times = [timed(lambda: (database.execute(INSERT, (record(1),)), database.commit())) for _ in range(commits)]
    database.close()
    return times


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_aiosqlite(path: Path, commits: int) -> list[float]:
    async def main() -> list[float]:
        async with aiosqlite.connect(path) as database:
            await database.executescript(SETUP)
            times = []
            for _ in range(commits):
                began = time.perf_counter()
                await database.executemany(INSERT, [(record(1),)])
                await database.commit()
                times.append(time.perf_counter() - began)
            return times

    return asyncio.run(main())


def journal(backend: str, path: Path, commits: int, group: int = 1) -> list[float]:
    return anyio.run(append_groups, path, commits, group, backend=backend)


async def append_groups(path: Path, commits: int, group: int) -> list[float]:
    """Append groups one after the other, as a dispatcher does that has always as much to say; return their times."""
    store = SqliteJournal(path)
    await store.open()
    times: list[float] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        for _ in range(commits):
            first = store.durable + 1
            data, ends = bytearray(), []
            for number in range(first, first + group):
                data += record(number)
                ends.append(len(data))
            done = anyio.Event()
            began = time.perf_counter()
            store.append(first, data, ends, lambda _, done=done: done.set())
            await done.wait()
            times.append(time.perf_counter() - began)
        await store.close()
    return times


CONTESTANTS: dict[str, Callable[[Path, int], list[float]]] = {
    FDATASYNC: fdatasync,
    SQLITE3: plain_sqlite3,
    AIOSQLITE: bare_aiosqlite,
    OURS: partial(journal, "asyncio"),
    "journal, trio": partial(journal, "trio"),
}
BASELINES = (FDATASYNC, SQLITE3, AIOSQLITE)


def times_of(names: Iterable[str], folder: Path, commits: int, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Return how long each took for its commits; they take turns, each in a file of its own."""
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in times:
            path = folder / f"commits of {name}"
            times[name] += CONTESTANTS[name](path, WARM_UP + commits // rounds)[WARM_UP:]
    return times


def baselines(folder: Path, commits: int = 400, rounds: int = ROUNDS) -> dict[str, Percentiles]:
    """Return what one durable record costs on the disk of `folder` without us: one fdatasync, sqlite3, aiosqlite.

    For a benchmark that wants to be compared with them: call it in the same run, best before and after with half of the
    commits each, for the disk of one minute is not that of the next.
    """
    return {name: percentiles(own) for name, own in times_of(BASELINES, folder, commits, rounds).items()}


def compare_commits(folder: Path, commits: int) -> float:
    """Print how long a commit takes for each; return aiosqlite's rate of single commits."""
    results = {name: percentiles(own) for name, own in times_of(CONTESTANTS, folder, commits).items()}
    print(f"{'one record a commit':<20} {'p50 ms':>9} {'p99 ms':>9} {'a second':>9}  p50 / {AIOSQLITE}'s")
    bare = results[AIOSQLITE]
    for name, own in results.items():
        print(f"{name:<20} {own.p50 * 1e3:>9.3f} {own.p99 * 1e3:>9.3f} {own.rate:>9,.0f}  {own.p50 / bare.p50:.2f}")
    return bare.rate


def compare_groups(folder: Path, commits: int, bare_rate: float) -> None:
    print(
        f"\n{'records a commit':<20} {'p50 ms':>9} {'p99 ms':>9} {'a second':>9}  rate / {AIOSQLITE}'s single commits"
    )
    for group in GROUPS:
        own = percentiles(journal("asyncio", folder / f"groups-{group}", max(commits // 4, 20), group))
        rate = group * own.rate
        print(f"{group:<20} {own.p50 * 1e3:>9.3f} {own.p99 * 1e3:>9.3f} {rate:>9,.0f}  {rate / bare_rate:.1f}")


def time_beside_snapshots(folder: Path, commits: int) -> None:
    """Print how long a commit takes while a large set of snapshots is being written."""
    states = {"state": os.urandom(SNAPSHOT_BYTES)}
    beside: list[float] = []
    saves: list[float] = []

    async def main() -> None:
        store = SqliteJournal(folder / "snapshots")
        await store.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.run)
            await append_one(store)
            while len(beside) < commits:
                saved = anyio.Event()

                async def save(saved: anyio.Event = saved) -> None:
                    began = time.perf_counter()
                    await store.save_snapshots(store.durable, states, "1")
                    saves.append(time.perf_counter() - began)
                    saved.set()

                tasks.start_soon(save)
                while not saved.is_set():
                    beside.append(await append_one(store))
            await store.close()

    anyio.run(main)
    own = percentiles(beside)
    print(
        f"\na commit beside a set of {SNAPSHOT_BYTES >> 20} MB: p50 {own.p50 * 1e3:.3f} ms, p99 {own.p99 * 1e3:.3f} ms;"
        f" the set takes {percentile(saves, 50) * 1e3:.0f} ms"
    )


async def append_one(store: SqliteJournal) -> float:
    """Append a record; return how long it took to be durable."""
    data, done = record(store.durable + 1), anyio.Event()
    began = time.perf_counter()
    store.append(store.durable + 1, data, [len(data)], lambda _: done.set())
    await done.wait()
    return time.perf_counter() - began


def time_start(folder: Path, records: int) -> None:
    """Print how long it takes to open a journal of so many records and to read them all, and from a snapshot on."""
    path = folder / "start"
    journal("asyncio", path, records // 1_000, 1_000)
    size = path.stat().st_size / 1e6

    async def start() -> None:
        store = SqliteJournal(path)
        began = time.perf_counter()
        await store.open()
        opened = time.perf_counter()
        count = sum(1 for _ in store.read())
        read = time.perf_counter()
        late = sum(1 for _ in store.read(count - 10_000))
        read_late = time.perf_counter()
        await store.close()
        print(
            f"\na journal of {count:,} records, {size:,.0f} MB: open {opened - began:.3f} s, read and check all {read - opened:.2f} s"
        )
        print(f"the last {late:,}: {read_late - read:.3f} s")

    anyio.run(start)
    data = record(1)
    print(
        f"looking up the keys of a record of {len(data)} bytes: {timed(lambda: [lookup_keys(data) for _ in range(10_000)]) * 100:.2f} µs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=400)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument(
        "--folder", type=Path, help="on the disk to measure (default: the system's for temporary files)"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        rate = compare_commits(Path(folder), chosen.commits)
        compare_groups(Path(folder), chosen.commits, rate)
        time_beside_snapshots(Path(folder), chosen.commits)
        time_start(Path(folder), chosen.records)


if __name__ == "__main__":
    main()
