"""Orders that a poll finds to be gone: what became of them is told once, and of one that works on under another id no end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import pytest
from port_host import PortHost
from scripted_alpaca import ScriptedAlpaca, order_row
from scripted_exits import ENTRY, FILLS, ORDERS, PROFIT, STOP, Lists, entry, profit, stop
from scripted_world import FAST, ScriptedWorld, ready

from ordersmith.actors.ports import BrokerOrderState, Cancelled, Disconnected, Executed, OrderFound, Restated
from ordersmith.actors.snapshots import ReadDue
from ordersmith.adapters.alpaca import session

pytestmark = pytest.mark.anyio

SUSPICIOUS = FAST._replace(silence_s=0.6)


async def polled(alpaca: ScriptedAlpaca, times: int) -> None:
    """Wait for so many polls more."""
    so_far = len(alpaca.seen("GET", FILLS))
    await anyio.to_thread.run_sync(alpaca.wait, lambda: len(alpaca.seen("GET", FILLS)) > so_far + times)


def fill_row(name: str, cumulative: int, quantity: int) -> dict[str, Any]:
    return {
        "id": f"2026::{name}:{cumulative}",
        "activity_type": "FILL",
        "transaction_time": "2026-11-22T08:11:09Z",
        "order_id": f"id-{name}",
        "cum_qty": str(cumulative),
        "qty": str(quantity),
        "price": "50",
    }


@asynccontextmanager
async def missing_a_fill(alpaca: ScriptedAlpaca) -> AsyncIterator[PortHost]:
    """Run a port whose stream did not say that its one order filled; a poll has."""
    world = ScriptedWorld(alpaca, SUSPICIOUS)
    lists = Lists(alpaca, order_row("one.0"))
    lists.open = [order_row("one.0")]
    async with world.host.running() as host:
        await ready(host)
        await polled(alpaca, 1)
        lists.open = []
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row("one.0", "filled", "10"))
        alpaca.only("GET", FILLS, body=[fill_row("one.0", 10, 10)])
        await host.told(Executed, "one.0", within=5)
        yield host


async def test_a_stream_that_misses_one_order_and_then_says_nothing_is_opened_anew(alpaca: ScriptedAlpaca) -> None:
    """One order's fill on a mute stream is told by the poll, and the stream closed, although nothing else ever happens."""
    async with missing_a_fill(alpaca) as host:
        lost = await host.heard(Disconnected, within=5)
        assert "mute" in lost.reason
        await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.handshakes == 2)


async def test_a_stream_that_speaks_after_a_miss_is_kept(alpaca: ScriptedAlpaca) -> None:
    """A frame that was lost costs a reading of the account, and no stream that says something within a moment."""
    async with missing_a_fill(alpaca) as host:
        alpaca.say({"event": "new", "order": order_row("of somebody else")})
        await polled(alpaca, 4)
        assert not [report for report in host.reports if isinstance(report, Disconnected)]


async def test_the_orders_of_an_earlier_program_count_not_against_the_stream(alpaca: ScriptedAlpaca) -> None:
    """Orders that were over before the port met them have no end that the stream could have said, and none is asked for twice."""
    world = ScriptedWorld(alpaca, SUSPICIOUS)
    Lists(alpaca, order_row("old.0", "canceled", "4"), order_row("two.0", "filled", "10"))
    alpaca.only("GET", FILLS, body=[fill_row("old.0", 4, 4), fill_row("two.0", 10, 6)])
    async with world.host.running() as host:
        await ready(host)
        await polled(alpaca, 6)
        assert not [report for report in host.reports if isinstance(report, ReadDue | Disconnected)]
        assert world.memory.orders.working() == []
        assert [len(alpaca.seen("GET", f"{ORDERS}/id-{name}.0")) for name in ("old", "two")] == [1, 1]


async def test_an_order_that_alpaca_has_forgotten_is_not_asked_for_for_ever(
    alpaca: ScriptedAlpaca, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reset of the account polls ask a few times for an order, have the core look, and then ask no more, until it is listed."""
    monkeypatch.setattr(session, "SPAN_NS", 300_000_000)
    world = ScriptedWorld(alpaca, FAST)
    lists = Lists(alpaca, order_row("one.0"))
    lists.open = [order_row("one.0")]
    async with world.host.running() as host:
        await ready(host)
        lists.open = []
        alpaca.only("GET", f"{ORDERS}/id-one.0", 404, body={"code": 40410000, "message": "order not found"})
        await host.heard(ReadDue, within=5)
        asked = len(alpaca.seen("GET", f"{ORDERS}/id-one.0"))
        assert asked >= 3
        await polled(alpaca, 4)
        assert len(alpaca.seen("GET", f"{ORDERS}/id-one.0")) == asked
        assert world.memory.orders.working() == []
        assert host.about("one") == []
        lists.open = [order_row("one.0")]
        await polled(alpaca, 2)
        assert [known.wire_id for known in world.memory.orders.working()] == ["one.0"]


async def test_an_exit_that_a_person_replaced_unheard_is_not_over(alpaca: ScriptedAlpaca) -> None:
    """A poll that finds a take profit replaced tells the new price, under its name, and no cancel."""
    world = ScriptedWorld(alpaca, FAST)
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [profit(), stop()]
    async with world.host.running() as host:
        await ready(host)
        moved = profit(id="p2", replaces="p", limit_price="65")
        alpaca.only("GET", f"{ORDERS}/p", body=profit("replaced", replaced_by="p2"))
        alpaca.only("GET", f"{ORDERS}/p2", body=moved)
        lists.all, lists.open = [entry(legs=[moved, stop()])], [moved, stop()]
        assert (await host.told(Restated, PROFIT)).terms.limit_price == 65
        assert (await host.told(OrderFound, PROFIT)).state is BrokerOrderState.WORKING
        await polled(alpaca, 3)
        assert host.about("b-tp", Cancelled) == []


async def test_a_held_stop_that_a_person_moved_unheard_says_its_new_price(alpaca: ScriptedAlpaca) -> None:
    """The stop that another one has replaced on the list waits beside nothing: polls and readings tell of the other alone."""
    world = ScriptedWorld(alpaca, FAST)
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [profit(), stop()]
    async with world.host.running() as host:
        await ready(host)
        moved = stop(id="s2", replaces="s", stop_price="45")
        alpaca.only("GET", f"{ORDERS}/s", body=stop("replaced", replaced_by="s2"))
        alpaca.only("GET", f"{ORDERS}/s2", body=moved)
        lists.all, lists.open = [entry(legs=[profit(), moved])], [profit(), moved]
        assert (await host.told(Restated, STOP)).terms.stop_price == 45
        assert {each.broker_order_id for each in (await host.read()).orders} == {"p", "s2"}


async def test_an_order_that_a_person_replaced_unheard_is_asked_for_once(alpaca: ScriptedAlpaca) -> None:
    """Once it is told what took its place, no poll asks for it again, and it counts as open no more."""
    world = ScriptedWorld(alpaca, FAST)
    lists = Lists(alpaca)
    lists.open = [order_row("one.0")]
    alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row("one.0"))
    async with world.host.running() as host:
        await ready(host)
        moved = order_row("77f0-9", id="n", replaces="id-one.0", limit_price="51")
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row("one.0", "replaced", replaced_by="n"))
        alpaca.only("GET", f"{ORDERS}/n", body=moved)
        lists.open = [moved]
        await host.told(Restated, "one.0")
        await polled(alpaca, 2)
        asked = len(alpaca.seen("GET", f"{ORDERS}/id-one.0"))
        await polled(alpaca, 3)
        assert len(alpaca.seen("GET", f"{ORDERS}/id-one.0")) == asked
        assert [known.broker_order_id for known in world.memory.orders.working()] == ["n"]


async def test_the_profit_of_an_oco_is_cancelled_without_a_word_too(alpaca: ScriptedAlpaca) -> None:
    """The order of an OCO stands beside its stop: that it is cancelled as the stop fills counts not against the stream."""
    world = ScriptedWorld(alpaca)
    beneath = stop(order_class="oco")
    above = order_row(ENTRY, id="e", order_class="oco", side="sell", limit_price="60", legs=[beneath])
    lists = Lists(alpaca, above)
    lists.open = [{**above, "legs": None}, beneath]
    async with world.host.running() as host:
        await ready(host)
        await host.read()
        lists.open = []
        filled = {**beneath, "status": "filled", "filled_qty": "10", "filled_avg_price": "40"}
        alpaca.only("GET", f"{ORDERS}/e", body={**above, "status": "canceled"})
        alpaca.only("GET", f"{ORDERS}/s", body=filled)
        alpaca.say({"event": "fill", "order": filled, "price": "40", "qty": "10", "execution_id": "x"})
        await host.told(Executed, STOP)
        await host.told(Cancelled, ENTRY)
        assert not [report for report in host.reports if isinstance(report, ReadDue | Disconnected)]
