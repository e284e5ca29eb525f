"""Orders that a poll finds to be gone: what became of them is told once, and of one that works on under another id no end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio.to_thread
import pytest
from scripted_alpaca import ScriptedAlpaca, order_row, scripted_alpaca
from scripted_exits import ENTRY, FILLS, ORDERS, PROFIT, STOP, Lists, entry, profit, stop
from scripted_world import FAST, ScriptedWorld, ready

from ordersmith.actors.ports import BrokerOrderState, Cancelled, Disconnected, Executed, OrderFound, Restated
from ordersmith.actors.snapshots import ReadDue

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def alpaca() -> Iterator[ScriptedAlpaca]:
    with scripted_alpaca() as made:
        yield made


async def polled(alpaca: ScriptedAlpaca, times: int) -> None:
    """Wait for so many polls more."""
    so_far = len(alpaca.seen("GET", FILLS))
    await anyio.to_thread.run_sync(alpaca.wait, lambda: len(alpaca.seen("GET", FILLS)) > so_far + times)


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
