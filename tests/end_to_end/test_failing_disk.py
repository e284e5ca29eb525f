"""The live system on a disk whose calls fail: whatever fails, no order leaves before its intent is on the disk."""

from __future__ import annotations

import os
import random
import sqlite3

import anyio
import apsw
import pytest
from fragile_disk import FragileDisk
from live_kit import ExchangePort, LiveWorld

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import JournalError
from ordersmith.actors.messages import CancelOrders, GetOrderStatus, ResumeTrading, SubmitOrders
from ordersmith.actors.model import Order, OrderState, Side, TradingState, exactly
from ordersmith.actors.ports import CommandKind, NewOrder, NotSent
from ordersmith.adapters import journal_files, journal_writer, sqlite_journal
from ordersmith.adapters.sqlite_journal import SqliteJournal

pytestmark = pytest.mark.anyio
MINUTE_NS = 60_000_000_000
EVERY = 1 if int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "1")) > 1 else 3
NAMES = ("one", "two", "three", "four")


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Witness(ExchangePort):
    """Looks, before it takes a new order, whether the intent would outlive a power cut at this very moment."""

    def __init__(self, world):
        super().__init__(world.exchange)
        self.world = world

    async def run(self, line):
        handlers = self.exchange.handlers
        while True:
            command, cause = await line.receive()
            if isinstance(command, NewOrder):
                if line.epoch() != command.trading_epoch:
                    line.post(self.world.not_sent(command), cause)
                    continue
                self.world.sent.append(command.order.client_order_id)
                if not self.world.intended(command.order.client_order_id):
                    self.world.unjournaled.append(command)
            for report in handlers[type(command)](command, line.now_ns):
                line.post(report, cause)


class FailingWorld(LiveWorld):
    def __init__(self, folder, disk):
        super().__init__(folder)
        self.disk, self.sent, self.unjournaled, self.images = disk, [], [], 0
        self.port = lambda: Witness(self)

    def not_sent(self, command):
        return NotSent(command.wire_id, CommandKind.NEW, "the trading state changed after the order was approved")

    def intended(self, order_id):
        self.images += 1
        folder = self.folder / f"image-{self.images}"
        folder.mkdir()
        for name, data in self.disk.image(len(self.disk.log), random.Random(0), kept=0.0).items():
            (folder / name).write_bytes(data)
        with sqlite3.connect(folder / self.journal.name) as database:
            rows = database.execute(
                "SELECT count(*) FROM records WHERE type = 'OrderIntended' AND client_order_id = ?", (order_id,)
            )
            return rows.fetchone()[0] == 1


def order(name):
    terms = {"order_type": "LIMIT", "limit_price": "5"} if name == "two" else {}
    return exactly(Order(symbol="A", side=Side.BUY, quantity=10, client_order_id=name, **terms))


async def insist(runtime, actor, request):
    """Ask until the journal takes it, mending and resuming as a person would; None for an order that it did not take."""
    for _ in range(50):
        try:
            return await runtime.ask(actor, request)
        except JournalError:
            await mend(runtime)
            if isinstance(request, SubmitOrders):
                return None
    raise AssertionError("the journal never came back")


async def mend(runtime):
    for _ in range(50):
        try:
            await runtime.mend()
            break
        except JournalError:
            pass
    assert await insist(runtime, "circuit_breaker", ResumeTrading("mended")) is TradingState.ACTIVE


async def trade(world):
    """Submit, cancel and fill, whatever the disk does, and return how the orders ended."""
    store = SqliteJournal(world.journal, connect=world.disk.connect, ballast_bytes=0)
    async with world.running(store=store, snapshot_every=10**6) as runtime:
        world.disk.begun = world.disk.calls
        await world.trade(runtime, Bars(1, runtime.clock.now_ns(), 1, False, {"A": (10.0, 11.0, 9.0, 10.0, 1e6)}))
        for name in NAMES:
            await insist(runtime, "desk", SubmitOrders((order(name),), fresh=True))
        await runtime.idle()
        await insist(runtime, "desk", CancelOrders(("two",)))
        if runtime.fault:
            await mend(runtime)
        with anyio.fail_after(20):
            await runtime.idle()
        after = runtime.clock.now_ns() + MINUTE_NS
        await world.trade(runtime, Bars(after, after + MINUTE_NS, 1, False, {"A": (10.0, 11.0, 9.0, 10.0, 1e6)}))
        if runtime.fault:
            await mend(runtime)
            await runtime.idle()
        statuses = await insist(runtime, "desk", GetOrderStatus(NAMES, None))
        world.disk.ended = world.disk.calls
        world.disk.fails = lambda number, call: None
    return {status.client_order_id: status for status in statuses if status is not None}


@pytest.fixture
def fresh_disk(monkeypatch):
    """Return what puts a new disk under the store."""
    monkeypatch.setattr(sqlite_journal, "RETRY_S", (0.0,))

    def put_in():
        disk = FragileDisk()
        monkeypatch.setattr(journal_files, "sync_folder", disk.sync_folder)
        monkeypatch.setattr(journal_writer, "sync_folder", disk.sync_folder)
        return disk

    return put_in


@pytest.mark.parametrize("lasting", [1, 5])
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError], ids=["full", "I/O"])
async def test_nothing_leaves_unjournaled_whichever_call_fails(tmp_path, fresh_disk, error, lasting):
    """For every call of a run, failing once or for a while: intents are durable before the port has them, and nothing is lost."""
    disk = fresh_disk()
    world = FailingWorld(prepared(tmp_path / "whole"), disk)
    statuses = await trade(world)
    assert [statuses[name].state for name in NAMES] == [
        OrderState.FILLED,
        OrderState.CANCELLED,
        *[OrderState.FILLED] * 2,
    ]
    assert world.sent == list(NAMES)
    assert not world.unjournaled
    calls = disk.ended - disk.begun
    assert calls > 20
    halted = 0
    for nth in range(1, calls + 1, EVERY):
        again = fresh_disk()
        world = FailingWorld(prepared(tmp_path / f"failing-{nth}"), again)
        again.fails = lambda number, call, disk=again, nth=nth: (
            error if hasattr(disk, "begun") and 0 <= number - disk.begun - nth < lasting else None
        )
        statuses = await trade(world)
        assert not world.unjournaled
        assert len(world.sent) == len(set(world.sent)), "nothing is sent twice"
        for name, status in statuses.items():
            assert status.is_closed, name
            assert (status.state is OrderState.FILLED) <= (name in world.sent)
        halted += len(world.sent) < len(NAMES)
    assert halted, "some failures come between an approval and the sending"


def prepared(folder):
    folder.mkdir()
    return folder
