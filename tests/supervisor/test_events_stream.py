"""`executor.events()`: what was recorded, once it is durable, without a gap and without a copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from driven import feed, orders_on
from embedded import fast_folder, paper, records_of

from ordersmith import Order, PaperExecutor, Record, UsageError
from ordersmith.actors.events import OrderFilled, SessionClosed
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.supervisor import events_stream
from ordersmith.supervisor.events_stream import Events

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as found:
        yield found


@pytest.fixture(autouse=True)
async def in_time() -> Any:
    """A test that hangs fails."""
    with anyio.fail_after(30):
        yield


async def trade_all(executor: PaperExecutor) -> None:
    async for bars in executor.market():
        await executor.submit_orders(orders_on(bars))


async def read(events: Events, into: list[Record], every: int = 1) -> None:
    """Collect all records; rest a while at every so many."""
    async for record in events:
        into.append(record)
        if len(into) % every == 0:
            await anyio.lowlevel.checkpoint()


async def test_readers_get_every_record_once(folder: Path) -> None:
    """Whoever begins at the start, in the middle, or late in the run has what the journal has from there on, to its last record."""
    found: dict[int, list[Record]] = {0: [], 2: []}
    late: list[Record] = []
    async with anyio.create_task_group() as tasks, PaperExecutor(paper(folder), data=feed()) as executor:
        for after, into in found.items():
            tasks.start_soon(read, executor.events(after), into)
        await trade_all(executor)
        tasks.start_soon(read, executor.events(), late)
    journal = records_of(folder / "journal.db")
    assert found[0] == late == journal
    assert found[2] == journal[2:]
    assert any(isinstance(record.event, OrderFilled) for record in found[0])
    assert any(isinstance(record.event, SessionClosed) for record in found[0])


async def test_a_program_goes_on_where_it_stopped(folder: Path) -> None:
    """The number of the last record is all that is to be kept from one process to the next."""
    found: list[Record] = []
    for _ in range(2):
        async with PaperExecutor(paper(folder), data=feed()) as executor:
            market = executor.market()
            for _ in range(3):
                await executor.submit_orders(orders_on(await anext(market)))
            events = executor.events(found[-1].number if found else 0)
            while not found or found[-1].number < executor._system.runtime.store.durable:
                found.append(await anext(events))
            await events.aclose()
            assert await events.next() is None
    assert found == records_of(folder / "journal.db")[: len(found)]


@pytest.mark.parametrize("bound", [1, 3, 40])
async def test_who_falls_behind_reads_from_the_file(folder: Path, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is slower than the tail is long loses nothing, and comes back to the tail."""
    monkeypatch.setattr(events_stream, "PIECE", 5)
    pieces: list[int] = []
    read_file = JournalReader.read

    def counted(reader: JournalReader, after: int = 0) -> Iterator[bytes]:
        pieces.append(after)
        return read_file(reader, after)

    monkeypatch.setattr(JournalReader, "read", counted)
    slow: list[Record] = []
    async with anyio.create_task_group() as tasks, PaperExecutor(paper(folder), data=feed()) as executor:
        tail = executor._tail
        tail.records = type(tail.records)(maxlen=bound)
        tasks.start_soon(read, executor.events(), slow, 3)
        await trade_all(executor)
    assert slow == records_of(folder / "journal.db")
    assert len(pieces) >= 2


async def test_only_what_is_durable_is_given_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is there when the journal's file has it, not before."""
    async with PaperExecutor(paper(folder), data=feed()) as executor, anyio.create_task_group() as tasks:
        ahead: list[bool] = []

        async def watch() -> None:
            with JournalReader(folder / "journal.db") as file:
                async for record in executor.events():
                    ahead.append(record.number > file.head().number)  # noqa: PERF401 - looked at when it comes

        tasks.start_soon(watch)
        await trade_all(executor)
        tasks.cancel_scope.cancel()
    assert len(ahead) > 100
    assert not any(ahead)


async def test_a_number_that_is_not_there_yet_is_refused(folder: Path) -> None:
    """So is a second task at one stream: each has a stream of its own."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        with pytest.raises(UsageError, match=r"after=100000.*ends with record"):
            executor.events(100_000)
        with pytest.raises(UsageError, match="after=-1"):
            executor.events(-1)
        events = executor.events()
        events._waiting = True
        with pytest.raises(UsageError, match="two tasks"):
            await anext(events)


async def test_a_wait_may_be_called_off(folder: Path) -> None:
    """A timeout around the next record loses none."""
    async with PaperExecutor(paper(folder), data=feed()) as executor:
        await executor.get_account_info()  # all is quiet then
        events, found = executor.events(), []
        durable = executor._system.runtime.store.durable
        while len(found) < durable:
            with anyio.CancelScope() as scope:
                if len(found) % 2 and not scope.cancel_called:
                    scope.cancel()
                    await events.next()
            found.append(await anext(events))
        with anyio.move_on_after(0.01):
            await anext(events)
        await executor.submit_orders([Order.buy("A", 1, client_order_id="late")])
        following = await anext(events)
        assert following.number == durable + 1
    assert [record.number for record in found] == list(range(1, durable + 1))
