"""What every broker port keeps, whatever the broker: the contract between `actors/ports.py` and whoever speaks to a broker.

Each test runs on asyncio and on trio, against the local paper account and against Alpaca's protocol with the real SDK.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from port_worlds import CASH, FOREVER_NS, SYMBOL, WORLDS, World, new, ready, resting

from ordersmith.actors.model import Order, OrderType, Terms, TimeInForce
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Executed,
    Expired,
    NewOrder,
    NotSent,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
    StatusRequest,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=sorted(WORLDS))
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    made: World = WORLDS[request.param](tmp_path)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def keys(executions: Any) -> list[tuple[str, int]]:
    return [(each.fill.fill_key, each.fill.revision) for each in executions]


# --- Session -----------------------------------------------------------------------------------------------------------


async def test_a_session_names_its_account_and_what_the_broker_can(world: World) -> None:
    """Connecting is answered by the account's name and by capabilities that have limit orders for the day."""
    async with world.host.running() as host:
        connected = await host.connect()
        assert connected.account
        assert (OrderType.LIMIT, TimeInForce.DAY) in connected.capabilities.taken
        assert not host.about("", OutcomeUnknown)


async def test_an_account_is_read_whole(world: World) -> None:
    """A read has the cash, the positions and the open orders, and comes back with the number that it was asked with."""
    async with world.host.running() as host:
        await host.connect()
        empty = await host.read()
        assert (empty.cash, empty.positions, empty.orders, empty.externals) == (CASH, (), (), ())
        await resting(host, "one")
        host.send(new("two", 5, limit_price="200"))
        await world.trade(100)
        bought = await host.heard(Executed, lambda report: report.cumulative_quantity == 5)
        read = await host.read()
        assert read.cash == CASH - 5 * bought.fill.price
        assert [(each.symbol, each.quantity) for each in read.positions] == [(SYMBOL, Decimal(5))]
        (open_order,) = read.orders
        assert (open_order.wire_id, open_order.state, open_order.open_quantity) == (
            "one.0",
            BrokerOrderState.WORKING,
            Decimal(10),
        )


# --- Sending -----------------------------------------------------------------------------------------------------------


async def test_an_order_is_accepted_and_there_once(world: World) -> None:
    """A new order is accepted with the broker's id, and the broker has one order of that name."""
    async with world.host.running() as host:
        await ready(host)
        accepted = await resting(host, "one")
        assert accepted.broker_order_id
        assert await world.orders_named("one") == [("one.0", Decimal(10), Decimal(0))]


async def test_the_same_command_again_makes_no_second_order(world: World) -> None:
    """A command that is handed over twice leaves one order at the broker, which works."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        host.send(new("one"))
        await host.heard(object, lambda report: isinstance(report, OutcomeUnknown | Rejected))
        assert await world.orders_named("one") == [("one.0", Decimal(10), Decimal(0))]
        host.send(StatusRequest("one.0", asked_ns=7))
        assert (await host.told(OrderFound, "one.0")).state is BrokerOrderState.WORKING


async def test_orders_at_once_are_all_sent_once(world: World) -> None:
    """Twenty orders handed over together are twenty orders at the broker, each accepted."""
    async with world.host.running() as host:
        await ready(host)
        names = [f"many-{number}" for number in range(20)]
        for name in names:
            host.send(new(name, 1))
        for name in names:
            await host.told(Accepted, f"{name}.0")
        assert [await world.orders_named(name) for name in names] == [
            [(f"{name}.0", Decimal(1), Decimal(0))] for name in names
        ]


async def test_what_the_broker_will_not_take_is_rejected(world: World) -> None:
    """An order beyond the account's means is rejected with a code and a text, and never worked."""
    async with world.host.running() as host:
        await ready(host)
        host.send(new("dear", 1_000_000, limit_price="90"))
        rejected = await host.told(Rejected, "dear.0")
        assert rejected.code
        assert rejected.text
        assert host.about("dear", Accepted) == []
        assert await world.orders_named("dear") == []


@pytest.mark.parametrize("why", ["too late", "another epoch", "halted"])
async def test_what_must_not_be_sent_any_more_is_not(world: World, why: str) -> None:
    """An order after its deadline, of another trading epoch, or while trading is halted, is not written."""
    async with world.host.running() as host:
        await ready(host)
        host.trading_epoch = None if why == "halted" else 0
        host.send(new("late", epoch=int(why == "another epoch"), not_after_ns=-1 if why == "too late" else FOREVER_NS))
        assert (await host.told(NotSent, "late.0")).reason
        host.trading_epoch = 0
        assert await world.orders_named("late") == []


# --- Fills -------------------------------------------------------------------------------------------------------------


async def test_fills_are_told_once_and_have_the_same_key_everywhere(world: World) -> None:
    """A partial fill and the rest are told with their sums, and a read tells the same executions by the same keys."""
    async with world.host.running() as host:
        begin = await ready(host)
        await resting(host, "one")
        await world.trade(50, 4)
        part = await host.heard(Executed, lambda report: report.cumulative_quantity == 4)
        await world.trade(50)
        whole = await host.heard(Executed, lambda report: report.cumulative_quantity == 10)
        assert [(each.fill.quantity, each.fill.price) for each in (part, whole)] == [(4, 50), (6, 50)]
        read = await host.read(begin)
        mine = [each for each in read.executions if each.wire_id == "one.0"]
        assert [each.cumulative_quantity for each in mine] == [4, 10]
        assert keys(mine) == keys([part, whole])
        assert set(keys(host.about("one", Executed))) == set(keys([part, whole]))


async def test_a_market_order_fills(world: World) -> None:
    """A market order is executed for its whole quantity at the market's price."""
    async with world.host.running() as host:
        await ready(host)
        await world.trade(100)
        host.send(NewOrder("now.0", Order.buy(SYMBOL, 10), FOREVER_NS, 0))
        await host.told(Accepted, "now.0")
        await world.trade(100)
        filled = await host.heard(Executed, lambda report: report.cumulative_quantity == 10)
        assert 99 < filled.fill.price < 101


async def test_an_order_that_is_not_filled_by_the_close_expires(world: World) -> None:
    """A day order ends with the session as expired, after what it filled."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.trade(50, 4)
        await host.heard(Executed)
        await world.end_session()
        await host.told(Expired, "one.0")
        assert host.about("one", Executed)[-1].cumulative_quantity == 4


# --- Cancels and replacements ------------------------------------------------------------------------------------------


async def test_a_working_order_is_cancelled(world: World) -> None:
    """A cancel ends an order, and what it filled before stays."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.trade(50, 4)
        await host.heard(Executed)
        host.send(CancelRequest("one.0"))
        await host.told(Cancelled, "one.0")
        host.send(StatusRequest("one.0", asked_ns=7))
        found = await host.told(OrderFound, "one.0")
        assert (found.state, found.cumulative_quantity) == (BrokerOrderState.CANCELLED, 4)


async def test_a_cancel_of_a_filled_order_is_refused(world: World) -> None:
    """An order that is done cannot be cancelled, which is said with a code."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.trade(50)
        await host.heard(Executed)
        host.send(CancelRequest("one.0"))
        assert (await host.told(CancelRefused, "one.0")).code
        assert host.about("one", Cancelled) == []


async def test_a_replacement_after_a_partial_fill_is_for_the_new_total(world: World) -> None:
    """An order for 10 of which 4 filled, replaced by one for 12, fills 8 more and no others."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.trade(50, 4)
        await host.heard(Executed)
        host.send(ReplaceRequest("one.0", "one.1", Terms(Decimal(12), Decimal(51)), FOREVER_NS, 0))
        replaced = await host.told(Replaced, "one.1")
        assert replaced.terms.quantity == 12
        assert host.about("one", Cancelled) == []
        await world.trade(50)
        filled = await host.heard(Executed, lambda report: report.cumulative_quantity == 12)
        assert filled.wire_id == "one.1"
        assert sum(each.fill.quantity for each in _once(host.about("one", Executed))) == 12
        assert [(each.symbol, each.quantity) for each in (await host.read()).positions] == [(SYMBOL, Decimal(12))]


async def test_a_replacement_below_what_filled_buys_nothing_more(world: World) -> None:
    """A replacement by a total that is filled already leaves no more than that to be filled."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.trade(50, 4)
        await host.heard(Executed)
        host.send(ReplaceRequest("one.0", "one.1", Terms(Decimal(4), Decimal(51)), FOREVER_NS, 0))
        answer = await host.heard(object, lambda report: isinstance(report, Cancelled | ReplaceRefused))
        if isinstance(answer, Cancelled):
            await world.trade(50)
            assert sum(each.fill.quantity for each in _once(host.about("one", Executed))) == 4


async def test_a_filled_order_cannot_be_replaced(world: World) -> None:
    """A replacement of a filled order is refused under the name of the leg that was not made, which never exists."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.trade(50)
        await host.heard(Executed)
        host.send(ReplaceRequest("one.0", "one.1", Terms(Decimal(12), Decimal(51)), FOREVER_NS, 0))
        await host.told(ReplaceRefused, "one.1")
        assert "one.1" not in [name for name, _, _ in await world.orders_named("one")]


async def test_a_replacement_that_comes_too_late_is_not_sent(world: World) -> None:
    """A replacement after its deadline makes no new leg."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        host.send(ReplaceRequest("one.0", "one.1", Terms(Decimal(12), Decimal(51)), -1, 0))
        await host.heard(object, lambda report: isinstance(report, NotSent) and report.wire_id == "one.1")
        assert "one.1" not in [name for name, _, _ in await world.orders_named("one")]


def _once(executions: list[Executed]) -> list[Executed]:
    return list({each.fill.fill_key: each for each in executions}.values())


# --- Questions ---------------------------------------------------------------------------------------------------------


async def test_an_order_is_looked_up_by_our_name(world: World) -> None:
    """A look-up finds a working order with what it filled; what was never sent is absent, with the question's time."""
    async with world.host.running() as host:
        await ready(host)
        accepted = await resting(host, "one")
        await world.trade(50, 4)
        await host.heard(Executed)
        host.send(StatusRequest("one.0", asked_ns=7))
        found = await host.told(OrderFound, "one.0")
        assert (found.broker_order_id, found.state, found.cumulative_quantity) == (
            accepted.broker_order_id,
            BrokerOrderState.WORKING,
            4,
        )
        host.send(StatusRequest("never.0", asked_ns=8))
        assert (await host.told(OrderAbsent, "never.0")).asked_ns == 8


# --- Deaths ------------------------------------------------------------------------------------------------------------


async def test_what_waits_in_a_dying_port_was_not_sent(world: World) -> None:
    """Of commands that a port never took it is said that they were certainly not sent, and they were not."""
    async with world.host.running() as host:
        await ready(host)
        await host.kill()
        host.send(new("orphan"))
        await host.told(NotSent, "orphan.0")
        host.start()
        await ready(host)
        assert await world.orders_named("orphan") == []


async def test_the_next_port_finds_what_the_dead_one_left(world: World) -> None:
    """After a port died, another one reads the same executions by the same keys, and goes on with the open orders."""
    async with world.host.running() as host:
        begin = await ready(host)
        await resting(host, "one")
        await world.trade(50, 4)
        told = await host.heard(Executed)
        await host.kill()
        host.reports.clear()
        host.start()
        await ready(host)
        read = await host.read(begin)
        assert keys(each for each in read.executions if each.wire_id == "one.0") == keys([told])
        assert [(each.wire_id, each.cumulative_quantity) for each in read.orders] == [("one.0", 4)]
        await world.trade(50)
        rest = await host.heard(Executed, lambda report: report.cumulative_quantity == 10)
        assert (rest.wire_id, rest.fill.quantity) == ("one.0", 6)
        host.send(CancelRequest("one.0"))
        await host.told(CancelRefused, "one.0")
