"""The live driver: the same tree against a clock and a disk, on asyncio and on trio."""

from __future__ import annotations

import time

import anyio
import pytest
from live_kit import ExchangePort, FailingStore, LiveWorld, ask, bars, connected, order, status_of, until

from ordersmith.actors.errors import JournalError
from ordersmith.actors.messages import (
    CancelOrders,
    GetAccountInfo,
    GetOrderStatus,
    GetPositions,
    ResumeTrading,
    SubmitOrders,
)
from ordersmith.actors.model import OrderState, TradingState
from ordersmith.actors.ports import CancelRequest, Connect, NewOrder
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.clocks import WallClock
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.record_codec import decode_record

pytestmark = pytest.mark.anyio
MINUTE_NS = 60_000_000_000


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


async def test_an_order_is_durable_before_the_port_has_it_and_fills(tmp_path):
    """Submitting answers when the intent is durable; the fill arrives as the broker tells it."""
    world = LiveWorld(tmp_path)
    async with world.running() as runtime:
        now = runtime.clock.now_ns()
        await world.trade(runtime, bars(now - MINUTE_NS))
        (status,) = await ask(runtime, "desk", SubmitOrders((order("one"),), reply_to=None))
        assert status.state is OrderState.SUBMITTED
        assert runtime.store.durable >= status.last_record
        await world.trade(runtime, bars(runtime.clock.now_ns() + MINUTE_NS))
        (status,) = await ask(runtime, "desk", GetOrderStatus(("one",), None))
        assert status.state is OrderState.FILLED
        positions = await ask(runtime, "positions", GetPositions(None))
        assert positions["A"].quantity == 10


async def test_a_second_process_goes_on_where_the_first_ended(tmp_path):
    """Orders, positions and cash are the same after a stop and a start on the same journal."""
    world = LiveWorld(tmp_path)
    async with world.running() as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        await ask(runtime, "desk", SubmitOrders((order("one"), order("two", order_type="LIMIT", limit_price="5"))))
        await world.trade(runtime, bars(runtime.clock.now_ns() + MINUTE_NS))
        before = await ask(runtime, "risk_gate", GetAccountInfo(None))
        statuses = await ask(runtime, "desk", GetOrderStatus(("one", "two"), None))
    async with world.running() as runtime:
        again = await ask(runtime, "desk", GetOrderStatus(("one", "two"), None))
        assert [each.state for each in again] == [each.state for each in statuses] == ["FILLED", "SUBMITTED"]
        after = await ask(runtime, "risk_gate", GetAccountInfo(None))
        assert after.cash == before.cash


class DyingPort(ExchangePort):
    """Dies with the command in its hand that is the `dies_at`-th new order; the next incarnation works."""

    def __init__(self, exchange, world):
        super().__init__(exchange)
        self.world = world

    async def run(self, line):
        while True:
            command, cause = await line.receive()
            if isinstance(command, NewOrder) and not self.world.died:
                self.world.died = True
                raise ConnectionError("the wire was cut")
            for report in self.exchange.handlers[type(command)](command, line.now_ns):
                line.post(report, cause)


async def test_a_port_that_dies_leaves_what_it_held_in_doubt_and_is_started_again(tmp_path):
    """The command in hand has an unknown outcome; after the backoff the session is opened anew and the order is asked about."""
    world = LiveWorld(tmp_path)
    world.died = False
    world.port = lambda: DyingPort(world.exchange, world)
    async with world.running() as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        await ask(runtime, "desk", SubmitOrders((order("one"),)))
        await until(runtime, lambda: runtime.core.dispatcher.view("order/one").status().in_doubt)
        await until(runtime, lambda: connected(runtime))
        assert world.died
        assert (await status_of(runtime, "one")).state is OrderState.SUBMITTED
        (again,) = await ask(runtime, "desk", SubmitOrders((order("two"),)))
        assert again.state is OrderState.SUBMITTED
        await world.trade(runtime, bars(runtime.clock.now_ns() + MINUTE_NS))
        assert (await status_of(runtime, "two")).state is OrderState.FILLED
        assert (await status_of(runtime, "one")).state is OrderState.SUBMITTED, "nobody resends"


async def test_a_journal_that_fails_halts_and_lets_cancels_out(tmp_path):
    """While the disk is full nothing new leaves, a cancel does; afterwards all is written, and a person resumes."""
    world = LiveWorld(tmp_path)
    disk = FailingStore(world.journal)
    async with world.running(store=disk) as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        await ask(runtime, "desk", SubmitOrders((order("one", order_type="LIMIT", limit_price="5"),)))
        await runtime.idle()
        disk.broken = True
        async with anyio.create_task_group() as group:
            group.start_soon(expect_journal_error, runtime, order("two"))
            await until(runtime, lambda: runtime.fault)
            assert await ask(runtime, "desk", CancelOrders(("one",))) == [True]
            await until(runtime, lambda: any(isinstance(each, CancelRequest) for each in world.ports[0].taken))
        assert not any(
            isinstance(each, NewOrder) and each.order.client_order_id == "two" for each in world.ports[0].taken
        )
        with pytest.raises(JournalError, match=r"journal\.db"):
            await ask(runtime, "desk", SubmitOrders((order("three"),)))
        disk.broken = False
        await runtime.mend()
        await runtime.idle()
        assert (await status_of(runtime, "one")).state is OrderState.CANCELLED
        two = await status_of(runtime, "two")
        assert (two.state, two.reason) == (OrderState.CANCELLED, "NOT_SENT"), (
            "the halt came between approval and sending"
        )
        state = await ask(runtime, "circuit_breaker", ResumeTrading("the disk has room again"))
        assert state is TradingState.ACTIVE
        (fourth,) = await ask(runtime, "desk", SubmitOrders((order("four"),)))
        assert fourth.state is OrderState.SUBMITTED


async def expect_journal_error(runtime, made):
    with pytest.raises(JournalError, match="look it up by id"):
        await ask(runtime, "desk", SubmitOrders((made,)))


async def test_a_start_folds_what_came_after_the_snapshot_only(tmp_path):
    """With snapshots the second start has the same orders and money, and reads few records."""
    world = LiveWorld(tmp_path)
    async with world.running(snapshot_every=50) as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        for number in range(60):
            await ask(runtime, "desk", SubmitOrders((order(f"o{number}"),)))
            await world.trade(runtime, bars(runtime.clock.now_ns() + (number + 1) * MINUTE_NS))
        before = await ask(runtime, "risk_gate", GetAccountInfo(None))
        totals = runtime.core.dispatcher.view("tally")
        last = runtime.last_record()
    async with world.running() as runtime:
        assert len(runtime.core.dispatcher.log.records) < last / 2
        assert (await ask(runtime, "risk_gate", GetAccountInfo(None))).cash == before.cash
        assert runtime.core.dispatcher.view("tally").fills == totals.fills == 60
        assert (await status_of(runtime, "o0")).state is OrderState.FILLED
        (again,) = await ask(runtime, "desk", SubmitOrders((order("o0"),)))
        assert again.state is OrderState.FILLED, "the same id with the same terms is the first order"


async def test_a_clock_that_steps_is_taken_as_a_reconnect(tmp_path):
    """Nobody knows what was missed, so the session is opened anew and the account read before anything is sent."""
    wall = [1_700_000_000_000_000_000]
    started = time.monotonic_ns()
    clock = WallClock(lambda: wall[0] + time.monotonic_ns() - started)
    world = LiveWorld(tmp_path, clock=clock)
    async with world.running() as runtime:
        await runtime.idle()
        before = sum(isinstance(each, Connect) for each in world.ports[0].taken)
        wall[0] += 3_600_000_000_000
        runtime.look_again()
        await until(runtime, lambda: sum(isinstance(each, Connect) for each in world.ports[0].taken) > before)
        await until(runtime, lambda: connected(runtime))


class Trader(Strategy):
    """Fails on its first bars."""

    def on_bars(self, bars):
        raise ZeroDivisionError("no idea")


async def test_a_strategy_that_raises_loses_the_right_to_new_risk(tmp_path):
    """Live nothing ends: what lessens risk goes on, and a person is told."""
    world = LiveWorld(tmp_path)
    world.strategies = (("main", Trader()),)
    async with world.running() as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        info = await ask(runtime, "risk_gate", GetAccountInfo(None))
        assert info.trading_state is TradingState.REDUCING
        (status,) = await ask(runtime, "desk", SubmitOrders((order("one"),)))
        assert (status.state, status.reason) == (OrderState.REJECTED, "TRADING_REDUCING")


@pytest.mark.parametrize("snapshot_every", [1, 1_000_000])
async def test_a_boot_goes_on_from_the_time_of_the_last_record(tmp_path, snapshot_every):
    """The clock was an hour ahead, and was set right: deadlines from then would else wait for that hour to pass."""
    ahead = LiveWorld(tmp_path, clock=WallClock(lambda: time.time_ns() + 60 * MINUTE_NS))
    async with ahead.running(snapshot_every=snapshot_every) as runtime:
        await runtime.idle()
    with JournalReader(ahead.journal) as reader:
        last_ns = max(decode_record(data).at_ns for data in reader.read())
    world = LiveWorld(tmp_path)
    async with world.running() as runtime:
        assert last_ns <= runtime.clock.now_ns() < last_ns + MINUTE_NS
