"""What a hostile reader found about orders: moments in which one would live on unseen, or more would fill than was asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio
import pytest
from port_host import PortHost
from scripted_alpaca import ScriptedAlpaca, Seen, order_row
from scripted_world import FAST, SLOW, ScriptedWorld, ready

from ordersmith.actors.model import Order, Purpose, Terms
from ordersmith.actors.ports import (
    Accepted,
    Cancelled,
    CancelRefused,
    CancelRequest,
    CommandKind,
    Executed,
    NewOrder,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
    Restated,
    StatusRequest,
)
from ordersmith.actors.snapshots import ReadDue
from ordersmith.adapters.alpaca.known_orders import KnownOrder, KnownOrders
from ordersmith.adapters.alpaca.wire import WireOrder

pytestmark = pytest.mark.anyio

FOREVER_NS = 1 << 62
ORDERS, FILLS = "/v2/orders", "/v2/account/activities/FILL"
BY_CLIENT_ID = "/v2/orders:by_client_order_id"
NOT_CANCELABLE = {"code": 42210000, "message": "order is not cancelable"}
NOT_FOUND = {"code": 40410000, "message": "order not found"}
REPLACE = ReplaceRequest("one.0", "one.1", Terms(Decimal(12), Decimal(51)), FOREVER_NS, 0)


def new(name: str = "one.0", purpose: Purpose = Purpose.ENTRY) -> NewOrder:
    return NewOrder(name, Order.buy("A", 10, "50", purpose=purpose), FOREVER_NS, 0)


def posted(seen: Seen) -> dict[str, Any]:
    return order_row(seen.body["client_order_id"], "pending_new", qty=seen.body["qty"])


def event(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"event": name, "timestamp": "2026-11-22T08:11:09Z", "order": row}


def fill_row(order_id: str, cumulative: int, quantity: int) -> dict[str, Any]:
    numbers = {"cum_qty": str(cumulative), "qty": str(quantity), "price": "50"}
    names = {"id": f"20261122::{order_id}:{cumulative}", "activity_type": "FILL", "order_id": order_id, "symbol": "A"}
    return {**names, **numbers, "transaction_time": "2026-11-22T08:11:09Z", "side": "buy"}


async def do(work: Any, *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(work, *arguments)


async def resting(alpaca: ScriptedAlpaca, host: PortHost) -> None:
    """Have one order that works."""
    alpaca.only("POST", ORDERS, body=posted)
    host.send(new())
    await host.told(Accepted, "one.0")
    alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row())
    alpaca.only("GET", BY_CLIENT_ID, body=order_row())


# --- Replacing what somebody else has touched --------------------------------------------------------------------------


@pytest.mark.parametrize("said", [True, False])
async def test_what_somebody_cancelled_is_not_sent_anew(alpaca: ScriptedAlpaca, said: bool) -> None:
    """An order that a person cancels just before it is to be replaced stays cancelled, whether the stream has said so or not (D7)."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        gone = order_row(status="canceled")
        if said:
            await do(alpaca.say, event("canceled", gone))
            await host.told(Cancelled, "one.0")
            host.reports.clear()
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body=NOT_CANCELABLE)
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=gone)
        host.send(REPLACE)
        await host.told(Cancelled, "one.0")
        assert len(alpaca.seen("POST")) == 1


async def test_what_somebody_replaced_is_not_replaced_as_well(alpaca: ScriptedAlpaca) -> None:
    """An order that a person replaced, of which the stream has said nothing, gets no second successor; what it is now is told (C6)."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body=NOT_CANCELABLE)
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(status="replaced", replaced_by="id-x"))
        alpaca.only(
            "GET", f"{ORDERS}/id-x", body=order_row("x", client_order_id="theirs", replaces="id-one.0", qty="8")
        )
        host.send(REPLACE)
        await host.told(ReplaceRefused, "one.1")
        assert (await host.told(Restated, "one.0")).terms.quantity == 8
        assert len(alpaca.seen("POST")) == 1


async def test_a_replacement_waits_until_it_knows_what_has_filled(alpaca: ScriptedAlpaca) -> None:
    """A leg that is over is no proof while a leg before it cannot be looked up: its fills would be bought once more."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", BY_CLIENT_ID, 503, body="<html>")
        await do(alpaca.say, event("new", order_row("one.1", qty="8")))
        await host.heard(ReadDue)
        alpaca.only("DELETE", f"{ORDERS}/id-one.1", 204)
        alpaca.only("GET", f"{ORDERS}/id-one.1", body=order_row("one.1", "canceled", qty="8"))
        alpaca.only("POST", ORDERS, body=posted)
        host.send(ReplaceRequest("one.1", "one.2", Terms(Decimal(12), Decimal(51)), FOREVER_NS, 0))
        await do(alpaca.wait, lambda: len(alpaca.seen("GET", f"{ORDERS}/id-one.1")) > 0)
        alpaca.only("GET", BY_CLIENT_ID, body=order_row(status="canceled", filled="4"))
        await host.told(Replaced, "one.2")
        assert alpaca.seen("POST")[-1].body["qty"] == "8"


def wire(order_id: str, client_order_id: str, status: str, filled: int, **fields: Any) -> WireOrder:
    numbers = {"qty": Decimal(10), "filled_qty": Decimal(filled), "filled_avg_price": Decimal(50)}
    return WireOrder(
        id=order_id, client_order_id=client_order_id, status=status, side="buy", symbol="A", **{**numbers, **fields}
    )


def learned(orders: KnownOrders, order: WireOrder) -> KnownOrder:
    known = orders.learn(order)
    assert known is not None
    orders.complete(known)
    return known


def test_a_leg_that_somebody_replaced_counts_with_all_that_it_was() -> None:
    """Of a leg that a person replaced in the dashboard both of Alpaca's orders count before the next leg of ours."""
    orders = KnownOrders()
    learned(orders, wire("b0", "a.0", "replaced", 3, replaced_by="theirs"))
    assert learned(orders, wire("theirs", "x", "canceled", 2, replaces="b0")).cumulative == 5
    assert learned(orders, wire("b1", "a.1", "new", 0)).cumulative == 5


def test_a_late_fill_of_a_leg_counts_for_those_after_it() -> None:
    """What fills of a leg after its end was told is counted by the next one, and taken back again by a bust: the rest is less (B17)."""
    orders = KnownOrders()
    learned(orders, wire("b0", "a.0", "replaced", 1, replaced_by="theirs"))
    theirs = learned(orders, wire("theirs", "x", "canceled", 3, replaces="b0"))
    after = learned(orders, wire("b1", "a.1", "new", 0))
    learned(orders, wire("theirs", "x", "canceled", 5, replaces="b0"))
    learned(orders, wire("b0", "a.0", "replaced", 2, replaced_by="theirs"))
    assert (theirs.cumulative, after.cumulative) == (7, 7)
    orders.revised(wire("theirs", "x", "canceled", 3, replaces="b0"))
    assert (theirs.cumulative, after.cumulative) == (5, 5)


def test_a_leg_is_not_over_while_the_one_in_its_place_is_not_known() -> None:
    """A leg that a person replaced is looked up until what it became is known, before anything counts over it."""
    orders = KnownOrders()
    learned(orders, wire("b0", "a.0", "replaced", 3, replaced_by="theirs"))
    after = orders.learn(wire("b1", "a.1", "new", 0))
    assert after is not None
    assert orders.complete(after) == ("a.0",)
    assert after.earlier is None


# --- Legs that were looked up in vain ----------------------------------------------------------------------------------


async def test_a_leg_whose_look_up_failed_once_is_told_by_the_poll(alpaca: ScriptedAlpaca) -> None:
    """A fill of a second leg is told over all legs, and kills no port, though the look-up of the first one failed when it was met."""
    world = ScriptedWorld(alpaca, FAST)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", BY_CLIENT_ID, 503, body="<html>")
        await do(alpaca.say, event("new", order_row("other.1")))
        await host.heard(ReadDue)
        alpaca.only("GET", BY_CLIENT_ID, body=order_row("other.0", "canceled", "3"))
        alpaca.only("GET", FILLS, body=[fill_row("id-other.1", 2, 2)])
        assert (await host.heard(Executed)).cumulative_quantity == 5


async def test_a_leg_after_one_that_was_never_sent_is_told_by_the_poll(alpaca: ScriptedAlpaca) -> None:
    """A replacement after one that was refused is told of by the poll, while the stream says nothing and look-ups fail."""
    world = ScriptedWorld(alpaca, FAST)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", ORDERS, body=[order_row()])
        await resting(alpaca, host)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body=NOT_CANCELABLE)
        host.send(REPLACE)
        await host.told(ReplaceRefused, "one.1")
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 204)
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(status="canceled"))
        alpaca.only("GET", BY_CLIENT_ID, 503, body="<html>")
        host.send(ReplaceRequest("one.0", "one.2", REPLACE.terms, FOREVER_NS, 0))
        await host.told(Replaced, "one.2")
        alpaca.only("GET", ORDERS, body=[order_row("one.2", qty="12", filled="2")])
        alpaca.only("GET", FILLS, body=[fill_row("id-one.2", 2, 2)])
        assert (await host.heard(Executed)).cumulative_quantity == 2


async def test_the_end_of_a_leg_is_not_told_after_a_boot_without_a_stream(alpaca: ScriptedAlpaca) -> None:
    """A process that boots while its stream is held learns from the poll that a later leg works, and ends nothing by the first (C6)."""
    world = ScriptedWorld(alpaca, FAST)
    alpaca.handshake_status = 429
    first = order_row(status="canceled", filled="3")
    alpaca.only("GET", FILLS, body=[fill_row("id-one.0", 3, 3)])
    alpaca.only("GET", f"{ORDERS}/id-one.0", body=first)
    alpaca.only("GET", BY_CLIENT_ID, body=first)
    alpaca.only("GET", ORDERS, body=[order_row("one.1", qty="9")])
    async with world.host.running() as host:
        await host.connect()
        await host.heard(Executed)
        looked = len(alpaca.seen("GET", ORDERS))
        await do(alpaca.wait, lambda: len(alpaca.seen("GET", ORDERS)) > looked + 6)
        assert host.about("one", Cancelled, OrderFound) == []


# --- Orders of a person ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_poll", [True, False])
async def test_a_replacement_that_the_stream_did_not_tell_is_told(alpaca: ScriptedAlpaca, by_poll: bool) -> None:
    """The terms that a person gave to an order are told by the poll and with the account, too: the risk counts them."""
    world = ScriptedWorld(alpaca, FAST if by_poll else SLOW)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", ORDERS, body=[order_row()])
        await resting(alpaca, host)
        theirs = order_row("x", client_order_id="theirs", replaces="id-one.0", qty="100")
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(status="replaced", replaced_by="id-x"))
        alpaca.only("GET", f"{ORDERS}/id-x", body=theirs)
        alpaca.only("GET", ORDERS, body=[theirs])
        if not by_poll:
            await host.read()
        assert (await host.told(Restated, "one.0")).terms.quantity == 100


async def test_an_event_about_the_new_order_is_not_its_end(alpaca: ScriptedAlpaca) -> None:
    """A `replaced` that shows the order in the other one's place leaves it among those that are watched."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        theirs = order_row("x", client_order_id="theirs", replaces="id-one.0", qty="8")
        alpaca.only("GET", f"{ORDERS}/id-x", body=theirs)
        await do(alpaca.say, event("replaced", theirs))
        await host.told(Restated, "one.0")
        assert "id-x" in [known.broker_order_id for known in world.memory.orders.working()]


async def test_a_cancel_that_takes_long_is_not_refused(alpaca: ScriptedAlpaca) -> None:
    """A second cancel of an order that Alpaca is cancelling proves nothing: who asked goes on looking, until a person is called (C4)."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        await do(
            alpaca.say, event("pending_cancel", order_row(status="pending_cancel")), event("new", order_row("x.0"))
        )
        await host.told(Accepted, "x.0")
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body=NOT_CANCELABLE)
        host.send(CancelRequest("one.0"))
        assert (await host.told(OutcomeUnknown, "one.0")).kind is CommandKind.CANCEL
        assert host.about("one", CancelRefused) == []


# --- Who waits for whom ------------------------------------------------------------------------------------------------


async def test_an_exit_goes_out_past_entries_that_hang(alpaca: ScriptedAlpaca) -> None:
    """Hung entries take no thread from an order that lessens risk."""
    world = ScriptedWorld(alpaca, SLOW._replace(read_s=20.0, answer_s=20.0))
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("POST", ORDERS, hang_s=60)
        for number in range(6):
            host.send(new(f"hung-{number}.0"))
        await do(alpaca.wait, lambda: len(alpaca.seen("POST")) >= 4)
        alpaca.only("POST", ORDERS, body=posted)
        host.send(new("exit.0", Purpose.EXIT))
        await host.told(Accepted, "exit.0")
        assert [seen.body["client_order_id"] for seen in alpaca.seen("POST")][4:] == ["exit.0"]


async def test_a_look_up_that_hangs_holds_up_no_fill(alpaca: ScriptedAlpaca) -> None:
    """While the order of an unknown event is looked up in vain, what the stream says next is told."""
    world = ScriptedWorld(alpaca, SLOW._replace(read_s=20.0, answer_s=20.0))
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("GET", f"{ORDERS}/id-one.0", hang_s=60)
        await do(alpaca.say, event("a_new_event", order_row()), event("canceled", order_row("x.0", "canceled")))
        await host.told(Cancelled, "x.0")


async def test_a_cancel_that_waits_is_sent_once_however_often_it_is_asked(alpaca: ScriptedAlpaca) -> None:
    """Cancels and questions that are asked again while the rate limit is used up take no request from others when it is not."""
    world = ScriptedWorld(alpaca)
    used_up = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body=NOT_CANCELABLE)
        alpaca.only("GET", BY_CLIENT_ID, 404, body=NOT_FOUND, headers=used_up)
        host.send(StatusRequest("other.0", asked_ns=1))
        await host.told(OrderAbsent, "other.0")
        alpaca.only("GET", BY_CLIENT_ID, body=order_row())
        asked = len(alpaca.seen("GET", BY_CLIENT_ID))
        for _ in range(20):
            host.send(CancelRequest("one.0"))
            host.send(StatusRequest("one.0", asked_ns=2))
        await host.told(OrderFound, "one.0")
        host.send(StatusRequest("one.0", asked_ns=3))
        await do(alpaca.wait, lambda: len(alpaca.seen("GET", BY_CLIENT_ID)) > asked + 1)
        assert len(alpaca.seen("DELETE")) == 1
        assert len(alpaca.seen("GET", BY_CLIENT_ID)) == asked + 2
