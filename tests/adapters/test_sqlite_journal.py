"""The SQLite journal in good times: what was appended comes back, in order, for its owner alone, on asyncio and on trio."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_kit import batch, encoded, quick, records, session

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.errors import JournalError
from ordersmith.actors.events import (
    CashMoved,
    Denial,
    MessagePoisoned,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    TargetOrdered,
)
from ordersmith.actors.model import Fill, OrderState, Side
from ordersmith.actors.ports import CashKind
from ordersmith.adapters.journal_format import ENCODING, VERSION, lookup_keys
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.record_codec import decode_record
from ordersmith.adapters.sqlite_journal import SqliteJournal, StoreState
from ordersmith.supervisor.commit import ENCODER, CommitLog

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request) -> str:
    return request.param


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.journal"


# --- What goes in comes out ------------------------------------------------------------------------------------------

MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12)
TEXT = st.text(max_size=20)


@st.composite
def fills(draw) -> OrderFilled:
    fill = Fill(fill_key=draw(TEXT), quantity=draw(MONEY), price=draw(MONEY), at_ns=draw(st.integers(0, 2**62)))
    side, state = draw(st.sampled_from(Side)), draw(st.sampled_from(OrderState))
    return OrderFilled(draw(TEXT), "main", "", draw(TEXT), side, fill, draw(MONEY), draw(MONEY), Decimal(0), state)


EVENTS = st.one_of(
    st.builds(OrderIntended, TEXT, TEXT),
    fills(),
    st.builds(OrderDenied, TEXT, st.builds(Denial, TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3))),
    st.builds(MessagePoisoned, TEXT, TEXT, TEXT),
    st.builds(CashMoved, TEXT, TEXT, st.sampled_from(CashKind), MONEY, TEXT, TEXT),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(st.lists(EVENTS, min_size=1, max_size=8), max_size=6), split=st.integers(0, 6))
def test_records_come_back_as_they_were(batches: list[list[Event]], split: int) -> None:
    """Whatever is recorded, in batches of any size and over a reopening, is read back byte for byte and by order."""
    numbers = list(accumulate(map(len, batches), initial=0))
    groups = [
        [ENCODER.encode(Record(number, 5, -1, event)) for number, event in enumerate(events, first + 1)]
        for first, events in zip(numbers, batches, strict=False)
    ]
    everything = [record for group in groups for record in group]

    async def write(path: Path, groups: list[list[bytes]]) -> None:
        async with session(path) as running:
            for group in groups:
                last = running.store.durable + len(group)
                running.hand_over(group)
                await running.until(lambda last=last: running.store.durable == last)
            wanted = {order for data in everything if (order := lookup_keys(data)[2]) is not None}
            for order in wanted:
                mine = [data for data in everything[: running.store.durable] if lookup_keys(data)[2] == order]
                assert running.store.history(order) == mine
            for after in {0, 1, running.store.durable // 2, running.store.durable}:
                assert list(running.store.read(after)) == everything[after : running.store.durable]

    with quick() as folder:
        anyio.run(write, folder / "x.journal", groups[:split])
        anyio.run(write, folder / "x.journal", groups[split:])
        with JournalReader(folder / "x.journal") as reader:
            verdict = reader.verify()
            assert list(reader.read()) == everything
        assert (verdict.problem, verdict.head.number, verdict.boots) == (None, len(everything), 2)


def test_only_an_orders_own_events_are_filed_under_it() -> None:
    """A record's number, its event's type and its order are read without decoding the rest; a plan's event has no order."""
    assert lookup_keys(encoded(3, OrderIntended("x", "x.0"))) == (3, "OrderIntended", "x")
    assert lookup_keys(encoded(4, MessagePoisoned("desk", "x", "y"))) == (4, "MessagePoisoned", None)
    fields = ["x"] * len(TargetOrdered.__struct_fields__)
    assert lookup_keys(encoded(5, TargetOrdered(*fields))) == (5, "TargetOrdered", None)


async def test_committed_means_durable_and_in_order(path: Path) -> None:
    """`committed` comes once a batch, from `run`, when another connection can read the batch."""
    async with session(path) as running:
        running.hand_over(records(1, 3))
        assert running.said == []
        await running.until(lambda: running.said)
        with JournalReader(path) as reader:
            assert list(reader.read()) == records(1, 3)
        await running.append(1, 2)
        assert running.said == ["committed 3", "committed 4", "committed 6"]
        assert running.store.durable == 6


async def test_the_dispatchers_commit_log_works_on_it(path: Path) -> None:
    """A CommitLog releases what waits only when the store has committed, and groups what collects meanwhile."""
    async with session(path) as running:
        log, released = CommitLog(running.store), []
        for number in range(1, 4):
            log.records.append(Record(number, 5, -1, OrderIntended("x", f"x.{number}")))
            log.outbox.append((number, released.append, (number,)))
            log.flush()
        assert released == []
        while log.durable < 3:
            with anyio.fail_after(10):
                await anyio.lowlevel.checkpoint()
            log.flush()
        assert released == [1, 2, 3]
        assert [decode_record(data).event.wire_id for data in running.store.read()] == ["x.1", "x.2", "x.3"]
        with JournalReader(path) as reader:
            assert [group.head.number for group in reader.groups()] == [1, 3]


async def test_a_batch_out_of_turn_is_refused(path: Path) -> None:
    """A gap, a repetition, an empty batch, a second batch in flight or a closed store is an error, and writes nothing."""
    async with session(path) as running:
        await running.append(2)
        for first in (2, 4):
            with pytest.raises(JournalError, match=f"in order: {first} after 2"):
                running.hand_over(records(first, first), first)
        with pytest.raises(JournalError, match="in order"):
            running.hand_over([])
        running.hand_over(records(3, 3))
        with pytest.raises(JournalError, match="one batch at a time"):
            running.hand_over(records(4, 4), 4)
        await running.until(lambda: running.store.durable == 3)
        store = running.store
    with pytest.raises(JournalError, match=r"x\.journal: the journal is closed"):
        store.append(*batch(4, records(4, 4)), lambda number: None)


async def test_closing_writes_what_was_appended(path: Path) -> None:
    """A batch that was handed over just before the end is durable when `close` returns, and True says so."""
    store = SqliteJournal(path, ballast_bytes=0)
    await store.open()
    async with anyio.create_task_group() as group:
        group.start_soon(store.run)
        store.append(*batch(1, records(1, 9)), lambda number: None)
        assert await store.close()
    assert store.state is StoreState.CLOSED
    with JournalReader(path) as reader:
        assert reader.head().number == 9
    assert not path.with_name("x.journal-wal").exists() or not path.with_name("x.journal-wal").stat().st_size


async def test_a_cancelled_run_ends_its_commit(path: Path) -> None:
    """Cancelling the host's task does not tear a commit: it is finished and told."""
    store, told = SqliteJournal(path, ballast_bytes=0), []
    await store.open()
    async with anyio.create_task_group() as group:
        group.start_soon(store.run)
        store.append(*batch(1, records(1, 500)), told.append)
        while store._began is None:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert told == [500]
    assert await store.close()


# --- Reopening -------------------------------------------------------------------------------------------------------


async def test_every_opening_is_a_boot(path: Path) -> None:
    """Boots are numbered from 1 and say what they found; the numbers go on where they were."""
    heads = []
    for boot in (1, 2, 3):
        async with session(path) as running:
            assert running.store.boot == boot
            assert running.store.durable == 2 * (boot - 1)
            await running.append(2)
            heads.append(running.store.head)
    with JournalReader(path) as reader:
        assert [(boot.boot, boot.after) for boot in reader.boots()] == [(1, 0), (2, 2), (3, 4)]
        assert all(reader.has(head) for head in heads)
        assert not reader.has(heads[0]._replace(number=4))


async def test_snapshots_are_kept_with_the_history_they_are_of(path: Path) -> None:
    """The newest set of the wanted format comes back with its number; an older one follows when it is of no use."""
    async with session(path) as running:
        store = running.store
        assert store.load_snapshots("1") == (0, {})
        await running.append(3)
        await store.save_snapshots(3, {"positions": b"three", "desk": b""}, "1")
        await running.append(4)
        await store.save_snapshots(7, {"positions": b"seven"}, "2")
        assert store.load_snapshots("2") == (7, {"positions": b"seven"})
        assert store.load_snapshots("1") == (3, {"positions": b"three", "desk": b""})
        await running.append(1)
        await store.save_snapshots(8, {"positions": b"eight"}, "2")
    async with session(path) as running:
        assert running.store.load_snapshots("1") == (0, {})  # two sets are kept
        assert running.store.load_snapshots("2") == (8, {"positions": b"eight"})
        assert list(running.store.read(8)) == []


async def test_a_snapshot_is_taken_at_the_end_of_a_commit(path: Path) -> None:
    """A number that is not durable yet, or inside a commit, is refused, and writing goes on."""
    async with session(path) as running:
        await running.append(3)
        for number in (0, 2, 4):
            with pytest.raises(JournalError, match=f"record {number} is not"):
                await running.store.save_snapshots(number, {"a": b""}, "1")
        await running.append(1)
        await running.store.save_snapshots(4, {"a": b""}, "1")


# --- The files -------------------------------------------------------------------------------------------------------


async def test_only_the_owner_can_read_it(path: Path) -> None:
    """The database, its log, the lock and the ballast are private, also where a wider mode was set before."""
    async with session(path) as running:
        await running.append(1)
        modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
        names = {"x.journal", "x.journal-wal", "x.journal-shm", "x.journal.lock", "x.journal.ballast"}
        assert modes == dict.fromkeys(names, "0o600")
    path.chmod(0o644)
    async with session(path):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_every_commit_is_synced_in_a_write_ahead_log(path: Path) -> None:
    """The journal is in WAL mode, and its one writer syncs at every commit."""
    async with session(path) as running:
        found = await running.store._do(running.store._writer._row, "PRAGMA synchronous")
    assert found == (2,)
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert database.execute("SELECT version, encoding FROM header").fetchone() == (VERSION, ENCODING)
    database.close()


async def test_records_cannot_be_changed_by_a_slip(path: Path) -> None:
    """A person at the database's prompt cannot delete or change records without taking the guards away first."""
    async with session(path) as running:
        await running.append(3)
    database = sqlite3.connect(path)
    for statement in ("DELETE FROM records WHERE number = 2", "UPDATE records SET data = x'00' WHERE number = 2"):
        with pytest.raises(sqlite3.IntegrityError, match="records are never"):
            database.execute(statement)
    database.close()


async def test_it_is_read_in_pieces_while_it_is_written(path: Path, monkeypatch) -> None:
    """A reader sees whole commits and more of them as they come, and its end is that of when it gets there."""
    monkeypatch.setattr("ordersmith.adapters.journal_reader.PIECE", 2)
    async with session(path) as running:
        await running.append(3, 5)
        reading = running.store.read(1)
        assert next(reading) == encoded(2)
        await running.append(4)
        assert list(reading) == records(3, 12)
