"""What a live system must not get wrong when things happen at the wrong moment."""

from __future__ import annotations

import time

import anyio
import pytest
from live_kit import ExchangePort, FailingStore, LiveWorld, ask, bars, connected, order, status_of, until

from ordersmith.actors.events import OrderAccepted, OrderSubmitted
from ordersmith.actors.machines import order_changes
from ordersmith.actors.machines.session import Phase
from ordersmith.actors.messages import CancelOrders, HaltTrading, SubmitOrders
from ordersmith.actors.model import OrderState, TradingState
from ordersmith.actors.ports import CancelRequest, Disconnected, NewOrder

pytestmark = pytest.mark.anyio
MINUTE_NS = 60_000_000_000


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


def resting(name):
    return order(name, order_type="LIMIT", limit_price="5", time_in_force="GTC")


@pytest.mark.parametrize("records", [1, 2, 3, 4, 5, 8])
async def test_a_stop_is_no_moment_to_be_remembered(tmp_path, records):
    """However near the next snapshot is when the tree stops, the next start knows the open order and the halt by hand."""
    world = LiveWorld(tmp_path)
    async with world.running(snapshot_every=10**6) as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        await ask(runtime, "desk", SubmitOrders((resting("one"),)))
        await runtime.idle()
        assert await ask(runtime, "circuit_breaker", HaltTrading("by hand")) is TradingState.HALTED
        await runtime.idle()
        runtime._keeper._every = runtime.last_record() - records + 1  # due within the stop
        runtime._keeper.remembered = records
    async with world.running() as runtime:
        status = await status_of(runtime, "one")
        assert status.state is OrderState.SUBMITTED
        assert "one" in runtime.core.dispatcher.view("risk_gate").exposure.open
        assert runtime.core.dispatcher.view("circuit_breaker").trading_state is TradingState.HALTED


async def test_cancels_and_halts_work_for_as_long_as_the_disk_is_full(tmp_path):
    """Not only in the moment of the failure: whoever looks for a while still gets them out, one after the other."""
    world = LiveWorld(tmp_path)
    disk = FailingStore(world.journal)
    async with world.running(store=disk) as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        names = ("one", "two", "three")
        await ask(runtime, "desk", SubmitOrders(tuple(map(resting, names))))
        await runtime.idle()
        disk.broken = True
        for name in names:
            assert await ask(runtime, "desk", CancelOrders((name,))) == [True]
            await until(runtime, lambda name=name: f"{name}.0" in cancelled(world))
            await anyio.sleep(0.05)
        assert await ask(runtime, "circuit_breaker", HaltTrading("look")) is TradingState.HALTED
        disk.broken = False
        await runtime.mend()
        await runtime.idle()
        for name in names:
            assert (await status_of(runtime, name)).state is OrderState.CANCELLED


def cancelled(world):
    return {command.wire_id for port in world.ports for command in port.taken if isinstance(command, CancelRequest)}


async def test_a_cancel_that_found_no_session_is_asked_again(tmp_path):
    """Who was told True gets it: after the reconnect the cancel goes out."""
    world = LiveWorld(tmp_path)
    async with world.running() as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        await ask(runtime, "desk", SubmitOrders((resting("one"),)))
        await runtime.idle()
        runtime.post("connection/main", Disconnected("the line is down"))
        assert await ask(runtime, "desk", CancelOrders(("one",))) == [True]
        assert not cancelled(world)
        await until(runtime, lambda: connected(runtime))
        await until(runtime, lambda: "one.0" in cancelled(world))
        await runtime.idle()
        assert (await status_of(runtime, "one")).state is OrderState.CANCELLED


async def test_nothing_new_is_sent_under_a_session_that_was_lost_meanwhile(tmp_path):
    """An order that was approved and waits for its commit is not sent when the session ends before that."""
    world = LiveWorld(tmp_path)
    sent = []

    class Port(ExchangePort):
        async def run(self, line):
            while True:
                command, _ = await line.receive()
                if isinstance(command, NewOrder):
                    sent.append((line.epoch(), line.standstill()))
                else:
                    for report in self.exchange.handlers[type(command)](command, line.now_ns):
                        line.post(report)

    world.port = lambda: Port(world.exchange)
    async with world.running() as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.ask, "desk", SubmitOrders((order("one"),)))
            await until(runtime, lambda: runtime.core.dispatcher.log.writing)
            runtime.post("connection/main", Disconnected("the line is down"))
        await until(runtime, lambda: bool(sent))
        await until(runtime, lambda: not runtime.standstill())
    assert sent == [(None, "the broker's session was lost, it is being opened again")]


async def test_a_standstill_says_what_stands_in_the_way(tmp_path):
    """A session that is not ready, one that is lost and a halt are told apart; while trading goes on there is nothing to say."""
    world = LiveWorld(tmp_path)
    async with world.running() as runtime:
        await runtime.idle()
        core = runtime.core
        assert (core.standstill(), core.epoch() is None) == ("", False)
        session = core.dispatcher.view("connection/main")
        for phase, words in (
            (Phase.SYNCING, "the broker's session is not ready"),
            (Phase.DISCONNECTED, "the broker's session was lost"),
            (Phase.REFUSED, "the broker refused the session"),
        ):
            session.phase = phase
            assert core.standstill().startswith(words)
            assert core.epoch() is None
        core.lifecycle.halted = True
        assert core.standstill() == "trading was halted"
        core.lifecycle.halted, session.phase = False, Phase.READY


async def test_an_order_whose_records_cannot_be_folded_is_quarantined_at_the_start(tmp_path, monkeypatch):
    """The others live on, and trading is possible."""
    world = LiveWorld(tmp_path)
    async with world.running() as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        await ask(runtime, "desk", SubmitOrders((resting("bad"), resting("good"))))
        await runtime.idle()
    accepted = order_changes._accepted

    def poisoned(machine, event, at_ns):
        if event.client_order_id == "bad":
            raise ArithmeticError("a record that cannot be")
        accepted(machine, event, at_ns)

    monkeypatch.setitem(order_changes.CHANGES, OrderAccepted, poisoned)
    async with world.running() as runtime:
        assert (await status_of(runtime, "good")).state is OrderState.SUBMITTED
        assert runtime.core.dispatcher.cells["order/bad"].status == "quarantined"
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        (status,) = await ask(runtime, "desk", SubmitOrders((order("new"),)))
        assert status.state is OrderState.SUBMITTED


async def test_more_orders_at_once_than_fit_a_channel_are_all_sent(tmp_path):
    """They wait for the port; none comes back."""
    world = LiveWorld(tmp_path, cash=10**9)
    async with world.running() as runtime:
        await world.trade(runtime, bars(runtime.clock.now_ns() - MINUTE_NS))
        began = time.monotonic()
        statuses = await ask(runtime, "desk", SubmitOrders(tuple(order(f"o{number}") for number in range(1_500)), True))
        assert {status.state for status in statuses} == {OrderState.SUBMITTED}
        await runtime.idle()
        events = [record.event for record in runtime.core.dispatcher.log.records]
        assert sum(isinstance(event, OrderSubmitted) for event in events) == 1_500
        assert {type(command).__name__ for command in world.ports[0].taken[-1_500:]} == {"NewOrder"}
        assert {(await status_of(runtime, f"o{number}")).state for number in (0, 999, 1_000, 1_499)} == {
            OrderState.SUBMITTED
        }
        assert time.monotonic() - began < 60
