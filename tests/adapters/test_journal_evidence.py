"""Nobody changes a journal unnoticed: what a fault or a hand can do to the file, and that it is found."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_kit import encoded, quick, records, session

from ordersmith.adapters.journal_problems import JournalFault, JournalProblem
from ordersmith.adapters.journal_reader import JournalReader

SIZES = (1, 4, 2, 30, 1, 6)
LAST = sum(SIZES)


@pytest.fixture(scope="module")
def original() -> Iterator[Path]:
    """A journal of two boots with snapshots, closed."""

    async def write(path: Path, sizes: tuple[int, ...]) -> None:
        async with session(path) as running:
            await running.append(*sizes)
            await running.store.save_snapshots(running.store.durable, {"a": b"state of a", "b": b"state of b"}, "1")

    with quick() as folder:
        anyio.run(write, folder / "original.journal", SIZES[:3])
        anyio.run(write, folder / "original.journal", SIZES[3:])
        yield folder / "original.journal"


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "x.journal"))


def edit(path: Path, *statements: str) -> None:
    """Change the file as somebody who knows SQLite and nothing of the chain."""
    database = sqlite3.connect(path, isolation_level=None)
    guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in guards:
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        database.execute(statement)
    for _, sql in guards:
        database.execute(sql)
    database.close()


def problem_of(path: Path) -> str | None:
    try:
        with JournalReader(path) as reader:
            return reader.verify().problem
    except JournalFault as fault:
        return str(fault)


def contents(path: Path) -> list[object]:
    """Everything that a program takes from a journal."""
    with JournalReader(path) as reader:
        histories = [reader.history(f"x-{order}") for order in range(5)]
        return [list(reader.read()), histories, list(reader.boots()), reader.snapshots("1"), reader.head()]


def test_an_untouched_journal_is_whole(original: Path) -> None:
    """Verifying counts records, groups and boots, finds nothing, and changes nothing."""
    before = original.read_bytes()
    with JournalReader(original) as reader:
        verdict = reader.verify()
        assert list(reader.read()) == records(1, LAST)
    assert (verdict.problem, verdict.head.number, verdict.groups, verdict.boots) == (None, LAST, len(SIZES), 2)
    assert original.read_bytes() == before


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_changes_nothing(original: Path, place: float, bit: int) -> None:
    """Of every bit of the file: either it is found, or it lies in space that is not used and all contents are the same."""
    with quick() as folder:
        path = folder / "x.journal"
        data = bytearray(original.read_bytes())
        data[int(place * len(data))] ^= 1 << bit
        path.write_bytes(data)
        assert problem_of(path) is not None or contents(path) == contents(original)


def test_every_byte_of_every_record_counts(original: Path) -> None:
    """A change of any byte of the records' data is found: the chain covers all of it."""
    with quick() as folder:
        path = folder / "x.journal"
        chance = random.Random(1)
        for number in range(1, LAST + 1):
            data = bytearray(encoded(number))
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            shutil.copy(original, path)
            edit(path, f"UPDATE records SET data = x'{data.hex()}' WHERE number = {number}")
            assert "not as it was written" in (problem_of(path) or "")


EDITS: dict[str, tuple[str, ...]] = {
    **{f"record {n} removed": (f"DELETE FROM records WHERE number = {n}",) for n in range(1, LAST + 1)},
    **{f"type of {n}": (f"UPDATE records SET type = 'OrderFilled' WHERE number = {n}",) for n in (1, 7, LAST)},
    **{f"order of {n}": (f"UPDATE records SET client_order_id = 'y' WHERE number = {n}",) for n in (2, LAST)},
    **{f"order of {n} cleared": (f"UPDATE records SET client_order_id = NULL WHERE number = {n}",) for n in (2, LAST)},
    **{f"boot of {n}": (f"UPDATE records SET boot = 3 WHERE number = {n}",) for n in (1, LAST)},
    **{f"link of {n}": (f"UPDATE records SET chain = zeroblob(32) WHERE number = {n}",) for n in (1, LAST)},
    "groups joined": ("UPDATE records SET chain = NULL, boot = NULL WHERE number = 1",),
    "data as text": ("UPDATE records SET data = 'text' WHERE number = 3",),
    "link as text": ("UPDATE records SET chain = 'text' WHERE number = 1",),
    "records swapped": (
        "UPDATE records SET number = 1000 WHERE number = 9",
        "UPDATE records SET number = 9 WHERE number = 10",
        "UPDATE records SET number = 10 WHERE number = 1000",
    ),
    "groups swapped": (
        "UPDATE records SET number = number + 1000 WHERE number IN (1, 38)",
        "UPDATE records SET number = 38 WHERE number = 1001",
        "UPDATE records SET number = 1 WHERE number = 1038",
    ),
    "a record inserted": (f"INSERT INTO records SELECT {LAST + 1}, type, client_order_id, data, 2, chain FROM records LIMIT 1",),
    "a record doubled": ("INSERT INTO records SELECT 1000, type, client_order_id, data, NULL, NULL FROM records LIMIT 1",),
    "numbers moved": ("UPDATE records SET number = number + 1000", "UPDATE records SET number = number - 999"),
    "a boot removed": ("DELETE FROM boots WHERE boot = 1",),
    "a boot's time": ("UPDATE boots SET at_ns = at_ns + 1 WHERE boot = 1",),
    "a boot's time as text": ("UPDATE boots SET at_ns = 'noon' WHERE boot = 2",),
    "a boot's place": ("UPDATE boots SET after = 5 WHERE boot = 2",),
    "a snapshot": ("UPDATE snapshot_parts SET data = x'80' WHERE number = 7",),
    "a snapshot as text": ("UPDATE snapshot_parts SET data = 'text' WHERE number = 7",),
    "a snapshot removed": ("DELETE FROM snapshot_parts WHERE number = 7",),
    "a snapshot's end removed": ("UPDATE snapshots SET parts = 2 WHERE number = 7",),
    "a snapshot lengthened": ("INSERT INTO snapshot_parts SELECT number, 1, data, boot FROM snapshot_parts",),
    "a snapshot moved": ("UPDATE snapshots SET number = 8 WHERE number = 7", "UPDATE snapshot_parts SET number = 8 WHERE number = 7"),
    "a snapshot of another format": ("UPDATE snapshots SET format = '3' WHERE number = 7",),
    "a snapshot's digest as a number": ("UPDATE snapshots SET digest = 5",),
    "the beginning": ("UPDATE header SET salt = zeroblob(16)",),
    "the version": ("UPDATE header SET version = 0",),
    "the header": ("DELETE FROM header",),
    "the index": ("DROP INDEX records_of_order", "CREATE INDEX records_of_order ON records (client_order_id) WHERE number > 5"),
    "the index removed": ("DROP INDEX records_of_order",),
}  # fmt: skip


@pytest.mark.parametrize("statements", EDITS.values(), ids=EDITS)
def test_an_edit_is_found(copy: Path, statements: tuple[str, ...]) -> None:
    """A row that was removed, changed, moved or added is found, and the message names the file."""
    edit(copy, *statements)
    problem = problem_of(copy)
    assert problem is not None
    assert problem.startswith(f"{copy}: ")
    assert "\n" not in problem


def test_a_removed_guard_is_found(copy: Path) -> None:
    """Without the triggers that keep replaced writers out, a journal is not the one that was made."""
    database = sqlite3.connect(copy)
    database.execute("DROP TRIGGER records_of_the_last_boot")
    database.close()
    assert "CREATE TRIGGER records_of_the_last_boot" in str(problem_of(copy))


def test_the_first_bad_group_is_named(copy: Path) -> None:
    """The verdict says how far the journal is whole, and which group is the first that is not."""
    edit(copy, "UPDATE records SET data = x'00' WHERE number = 20")
    with JournalReader(copy) as reader:
        verdict = reader.verify()
        assert (verdict.head.number, verdict.groups) == (7, 3)
        assert "the group of records 8 to 37, after 7: it is not as it was written" in str(verdict.problem)
        reading = reader.read()
        assert [next(reading) for _ in range(7)] == records(1, 7)
        with pytest.raises(JournalFault, match="8 to 37") as raised:
            next(reading)
        assert raised.value.problem is JournalProblem.EDITED
        assert raised.value.final


def test_a_snapshot_of_another_history_is_not_loaded(copy: Path) -> None:
    """A set that does not fit what was recorded before it is passed over for the older one, and for none."""
    with JournalReader(copy) as reader:
        assert reader.snapshots("1")[0] == LAST
    edit(copy, f"UPDATE snapshot_parts SET data = x'80' WHERE number = {LAST}")
    with JournalReader(copy) as reader:
        assert reader.snapshots("1") == (7, {"a": b"state of a", "b": b"state of b"})
    edit(copy, "UPDATE snapshots SET format = '2' WHERE number = 7")
    with JournalReader(copy) as reader:
        assert reader.snapshots("1") == (0, {})
        assert reader.snapshots("2") == (0, {})


def test_parts_of_a_set_that_was_not_finished_are_no_fault(copy: Path) -> None:
    """What a crash left of a set is neither loaded nor counts against the journal."""
    edit(copy, f"DELETE FROM snapshots WHERE number = {LAST}")
    with JournalReader(copy) as reader:
        assert reader.verify().problem is None
        assert reader.snapshots("1")[0] == 7


def test_a_cut_end_is_found_by_who_noted_the_head(copy: Path) -> None:
    """Whole groups cut off the end leave a whole journal; only a head that was noted before shows it."""
    with JournalReader(copy) as reader:
        head = reader.head()
    edit(copy, "DELETE FROM records WHERE number > 37", "DELETE FROM snapshots WHERE number > 37")
    with JournalReader(copy) as reader:
        assert reader.verify().problem is None
        assert not reader.has(head)


def damage(where: Callable[[bytearray], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = bytearray(path.read_bytes())
        where(data)
        path.write_bytes(data)

    return apply


def overwrite(data: bytearray) -> None:
    data[4096:8192] = random.Random(0).randbytes(4096)


def cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


@pytest.mark.parametrize("how", [overwrite, cut])
def test_a_damaged_file_is_never_written_to(copy: Path, how: Callable[[bytearray], None]) -> None:
    """Pages that are lost or overwritten are found by `verify`, and reading for a start breaks off with a JournalFault."""
    damage(how)(copy)
    assert problem_of(copy) is not None

    async def start() -> None:
        async with session(copy) as running:
            list(running.store.read())

    with pytest.raises((BaseExceptionGroup, JournalFault)) as raised:
        anyio.run(start)
    fault = raised.value
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    assert isinstance(fault, JournalFault)
    assert fault.final
