"""The power goes at every write of a run: nothing that was told committed is lost, and what is there is a prefix.

Each image of a disk after a cut is opened by the real store. ORDERSMITH_TEST_ROUNDS=20 cuts in more ways at each place.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import anyio
import apsw
import pytest
from fragile_disk import FragileDisk
from journal_kit import quick, records, session

from ordersmith.adapters import journal_files, journal_snapshots, journal_writer
from ordersmith.adapters.journal_problems import JournalFault
from ordersmith.adapters.journal_reader import JournalReader

ROUNDS = int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "1"))
WAYS = [(0.0, False), (1.0, False), (0.5, False), (0.8, True)]
"""Which share of the writes since the last sync survives, and whether they may be torn."""

OFTEN = ["PRAGMA wal_autocheckpoint = 12"]

SETS = {74: {"positions": b"seventy" * 900}, 107: {"positions": b"hundred" * 900}}
"""What is kept at which record."""


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    with quick() as folder:
        yield folder


def new_disk(monkeypatch) -> FragileDisk:
    """Return a disk that is from now on the one whose folders are synced."""
    disk = FragileDisk()
    monkeypatch.setattr(journal_files, "sync_folder", disk.sync_folder)
    monkeypatch.setattr(journal_writer, "sync_folder", disk.sync_folder)
    return disk


@pytest.fixture
def disk(monkeypatch) -> FragileDisk:
    monkeypatch.setattr(journal_snapshots, "PART_BYTES", 1_500)
    return new_disk(monkeypatch)


async def reference_run(disk: FragileDisk, path: Path) -> None:
    """Write batches of all sizes, over several checkpoints, with snapshots in parts, an orderly end and a second boot."""
    for counts in ((1, 3, 1, 60, 2, 7), (1, 1, 25, 4)):
        async with session(path, connect=lambda path: disk.connect(path, OFTEN)) as running:
            for count in counts:
                await running.append(count)
                disk.note("committed", running.store.durable)
            number = running.store.durable
            async with anyio.create_task_group() as group:
                group.start_soon(running.store.save_snapshots, number, SETS[number], "1")
                for _ in range(2):
                    await running.append(1)
                    disk.note("committed", running.store.durable)
            disk.note("snapshots", number)


def promised(disk: FragileDisk, upto: int, what: str = "committed") -> int:
    return max((op[1] for op in disk.log[:upto] if op[0] == what), default=0)


async def check_image(folder: Path, image: dict[str, bytes], at_least: int, set_at_least: int = 0) -> int:
    """Open what a cut left, as a start after it would, and return the number of its records.

    The set of snapshots that it finds is that number or a later one, and as it was written.
    """
    folder.mkdir()
    for name, data in image.items():
        (folder / name).write_bytes(data)
    path = folder / "x.journal"
    async with session(path) as running:
        found, durable = list(running.store.read()), running.store.durable
        number, states = running.store.load_snapshots("1")
        await running.append(1)
    assert number >= set_at_least
    assert states == SETS.get(number, {})
    assert durable >= at_least
    assert found == records(1, durable)
    with JournalReader(path) as reader:
        assert reader.verify().problem is None
    return len(found)


def test_a_power_cut_loses_nothing_committed(disk: FragileDisk, quick_folder: Path) -> None:
    """After a cut at any write every committed record is there, the rest is a prefix, and the journal can be continued."""
    (quick_folder / "run").mkdir()

    async def main() -> None:
        await reference_run(disk, quick_folder / "run" / "x.journal")
        last = 0
        for upto in range(len(disk.log) + 1):
            for way in range(ROUNDS):
                kept, torn = WAYS[(upto + way) % len(WAYS)]
                image = disk.image(upto, random.Random(upto * 1000 + way), kept, torn)
                folder = quick_folder / f"{upto}-{way}"
                last = await check_image(folder, image, promised(disk, upto), promised(disk, upto, "snapshots"))
                shutil.rmtree(folder)
        assert last == 109

    anyio.run(main)
    assert sum(op[0] == "committed" for op in disk.log) == 14
    assert sum(op[0] == "sync" for op in disk.log) > 40


def test_a_second_cut_while_the_first_is_put_right_loses_nothing(
    disk: FragileDisk, quick_folder: Path, monkeypatch
) -> None:
    """The power goes again while a start looks at what the first cut left, at any write of that start and of its first commit."""
    (quick_folder / "run").mkdir()
    chance = random.Random(2)

    async def main() -> int:
        await reference_run(disk, quick_folder / "run" / "x.journal")
        cuts = 0
        for upto in range(chance.randrange(40), len(disk.log), max(40 // ROUNDS, 1)):
            kept, torn = WAYS[chance.randrange(len(WAYS))]
            again = new_disk(monkeypatch)
            folder = quick_folder / f"{upto}"
            folder.mkdir()
            again.put(disk.image(upto, chance, kept, torn), folder)
            begun = len(again.log)
            async with session(
                folder / "x.journal", connect=lambda path, disk=again: disk.connect(path, OFTEN)
            ) as running:
                await running.append(2)
                again.note("committed", running.store.durable)
            for place in range(begun, len(again.log) + 1):
                kept, torn = WAYS[chance.randrange(len(WAYS))]
                at_least = max(promised(disk, upto), promised(again, place))
                image = again.image(place, chance, kept, torn)
                await check_image(folder / f"{place}", image, at_least, promised(disk, upto, "snapshots"))
                cuts += 1
            shutil.rmtree(folder)
        return cuts

    assert anyio.run(main) > 100


def test_a_disk_that_syncs_nothing_is_found_out(disk: FragileDisk, quick_folder: Path) -> None:
    """Without the syncs the same cuts do lose what was committed: the check above can fail."""
    (quick_folder / "run").mkdir()

    async def main() -> None:
        await reference_run(disk, quick_folder / "run" / "x.journal")
        disk.log = [op for op in disk.log if op[0] != "sync"]
        with pytest.raises(AssertionError):
            await check_image(
                quick_folder / "cut", disk.image(len(disk.log), random.Random(0), 0.0), promised(disk, len(disk.log))
            )

    anyio.run(main)


@pytest.mark.parametrize("broken_from", [None, *range(20, 45)])
def test_a_rollback_journal_cannot_come_back(broken_from: int | None, disk: FragileDisk, quick_folder: Path) -> None:
    """Once the journal is open, also after a start that broke off, no cut brings back the file that making it needed.

    SQLite would take it as an order to undo everything since.
    """
    failing = range(broken_from, broken_from + 9) if broken_from else range(0)
    disk.fails = lambda number, call: apsw.IOError if number in failing else None
    path = quick_folder / "x.journal"

    async def main() -> None:
        for _ in range(12):
            try:
                async with session(path, connect=disk.connect) as running:
                    opened = len(disk.log)
                    await running.append(3)
                break
            except JournalFault:
                continue
        for upto in range(opened, len(disk.log) + 1):
            assert "x.journal-journal" not in disk.image(upto, random.Random(0), 0.0)

    anyio.run(main)
    assert any(op[:2] == ("delete", "x.journal-journal") for op in disk.log)
