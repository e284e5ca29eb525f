"""Alpaca's stream of trade updates, when it loses, repeats, mixes up or withholds what it should say.

The real SDK runs against the sandbox, which is told to misbehave. A naive adapter (SDK defaults, the answer is the truth)
fails each of these.
"""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import Any

import anyio
import pytest
from port_host import PortHost
from port_worlds import AlpacaWorld, new, ready, resting

from ordersmith.actors.ports import (
    Accepted,
    Cancelled,
    CancelRequest,
    Connect,
    Connected,
    Disconnected,
    Executed,
    Rejected,
)
from ordersmith.actors.snapshots import ReadDue, SnapshotFailed

pytestmark = pytest.mark.anyio


async def sum_of_fills(host: PortHost, base_id: str) -> Decimal:
    """Return what was told to be filled, each execution counted once, in its last revision."""
    told: dict[str, Executed] = {}
    for each in host.about(base_id, Executed):
        known = told.get(each.fill.fill_key)
        if known is None or each.fill.revision > known.fill.revision:
            told[each.fill.fill_key] = each
    return sum((each.fill.quantity for each in told.values()), Decimal(0))


# --- The stream (M3, M5, B1-B7) ----------------------------------------------------------------------------------------


async def test_fills_during_a_gap_of_the_stream_arrive(world: AlpacaWorld) -> None:
    """What fills while the stream is away is told after it, once, and the loss is said."""
    async with world.host.running() as host:
        cursor = await ready(host)
        await resting(host, "one")
        await world.fault("refuse_second", count=1)
        await world.fault("close_1011")
        await world.fill("one.0", 4)
        await host.heard(Disconnected)
        await world.fill("one.0", 6)
        host.send(Connect())
        read = await host.read(cursor, within=20)
        told = [*(each for each in read.executions if each.wire_id == "one.0"), *host.about("one", Executed)]
        assert {each.cumulative_quantity for each in told} == {4, 10}
        assert len({each.fill.fill_key for each in told}) == 2


async def test_an_order_that_filled_long_ago_is_found(world: AlpacaWorld) -> None:
    """Fills while nobody was there are found before and behind more executions than a page has, by a port that never saw the order."""
    async with world.host.running() as host:
        cursor = await ready(host)
        await resting(host, "old")
        await host.kill()
        await world.fill("old.0", 4)
        await world.strangers_trade(120)
        await world.fill("old.0", 6)
        world.forget()
        host.reports.clear()
        host.start()
        await host.connect()
        read = await host.read(cursor, within=20)
        mine = [each for each in read.executions if each.wire_id == "old.0"]
        assert [(each.fill.quantity, each.cumulative_quantity) for each in mine] == [(4, 4), (6, 10)]


@pytest.mark.parametrize(
    "fault", ["duplicate_frame", "reorder", "unknown_event", "unknown_status", "bare_fill", "delay"]
)
async def test_a_disorderly_stream_tells_every_fill_once(world: AlpacaWorld, fault: str) -> None:
    """Frames that come twice, in another order, late, or with words that nobody knows, change nothing of what is filled."""
    async with world.host.running() as host:
        cursor = await ready(host)
        await world.fault(fault, count=4, seconds=0.3)
        await resting(host, "one")
        for quantity in (2, 3, 5):
            await world.fill("one.0", quantity)
        await host.heard(Executed, lambda report: report.cumulative_quantity == 10)
        with anyio.fail_after(10):
            while await sum_of_fills(host, "one") < 10:
                await host.news()
        assert await sum_of_fills(host, "one") == 10
        read = await host.read(cursor)
        keys = {each.fill.fill_key for each in read.executions if each.wire_id == "one.0"}
        assert keys == {each.fill.fill_key for each in host.about("one", Executed)}
        assert host.about("one", Rejected, Cancelled) == []


async def test_a_bust_and_a_correction_are_revisions_of_the_fill(world: AlpacaWorld) -> None:
    """A corrected execution has the key of the first and its new price; a busted one has no quantity (B12)."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.fill("one.0", 4)
        first = await host.heard(Executed)
        await world.correct("one.0", "4", "49")
        corrected = await host.heard(Executed, lambda report: report.fill.revision > first.fill.revision)
        await world.bust("one.0")
        busted = await host.heard(Executed, lambda report: report.fill.revision > corrected.fill.revision)
        assert corrected.fill.fill_key == busted.fill.fill_key == first.fill.fill_key
        assert (corrected.fill.price, corrected.fill.quantity) == (49, 4)
        assert busted.fill.quantity == 0
        assert host.about("one", Cancelled) == []


async def test_a_held_slot_delays_readiness_and_not_cancels(world: AlpacaWorld) -> None:
    """While somebody else has the stream the session is open and reads fail, saying why; when it is free a read is due."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await host.kill()
        with world.other_listener():
            host.reports.clear()
            host.start()
            await host.connect()
            failed = await host.read_once()
            assert isinstance(failed, SnapshotFailed)
            assert "trade updates" in failed.reason
            host.send(CancelRequest("one.0"))
            await host.told(Cancelled, "one.0", within=5)
        await host.heard(ReadDue, within=40)
        await host.read()


async def test_dying_ports_leave_no_connection_behind(world: AlpacaWorld) -> None:
    """However often a port dies, the next one gets the only place at the stream at once, and no thread is left (A.4.5)."""
    async with world.host.running() as host:
        await ready(host)
        threads = {thread.name for thread in threading.enumerate()}
        for _ in range(5):
            await host.kill()
            host.reports.clear()
            host.start()
            await host.connect()
            await host.read(within=3)
        assert len((await world.state())["trade_links"]) == 1
        islands = [thread.name for thread in threading.enumerate() if thread.name not in threads]
        assert not [name for name in islands if "alpaca" in name]


# --- Detection (M5, B5, B6, B7) ----------------------------------------------------------------------------------------

DETECTED_WITHIN_S = {"half_open": 15.0, "drop_frame": 10.0, "mute": 30.0}


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_stream_that_fails_silently_is_noticed_in_time(record_property: Any) -> None:
    """A half-open stream is noticed within 15 s, a dropped fill within 10 s, a mute stream within 30 s of one fill, the only one."""
    took: dict[str, float] = {}
    async with anyio.create_task_group() as group:
        for fault in DETECTED_WITHIN_S:
            group.start_soon(_detect, fault, took)
    for fault, seconds in took.items():
        record_property(fault, round(seconds, 1))
    assert {fault: took[fault] < limit for fault, limit in DETECTED_WITHIN_S.items()} == dict.fromkeys(took, True), took


async def _detect(fault: str, took: dict[str, float]) -> None:
    world = AlpacaWorld()
    await world.open()
    try:
        async with world.host.running() as host:
            await ready(host)
            await resting(host, "one")
            await world.fault(fault, **({"count": 1} if fault == "drop_frame" else {}))
            begin = time.monotonic()
            await world.fill("one.0", 4)
            if fault == "drop_frame":
                await host.heard(Executed, within=12)
            else:
                await host.heard(Disconnected, within=35)
            took[fault] = time.monotonic() - begin
    finally:
        await world.close()


# --- Many orders -------------------------------------------------------------------------------------------------------


async def test_a_reconnect_with_many_orders_takes_less_than_five_seconds() -> None:
    """With 200 open orders a lost stream is back, and the account read, in less than five seconds."""
    world = AlpacaWorld(rate_limit=100_000)
    await world.open()
    try:
        async with world.host.running() as host:
            await ready(host)
            for number in range(200):
                host.send(new(f"many-{number}", 1, limit_price="10"))
            for number in range(200):
                await host.told(Accepted, f"many-{number}.0", within=30)
            await world.fault("close_1011")
            await host.heard(Disconnected)
            begin = time.monotonic()
            host.reports[:] = [report for report in host.reports if not isinstance(report, Connected)]
            await host.connect()
            read = await host.read(within=10)
            assert time.monotonic() - begin < 5
            assert len(read.orders) == 200
    finally:
        await world.close()
