"""Sending an order, a cancel, a replacement to Alpaca, when the answer is lost, late, wrong, or overtaken.

The real SDK runs against the sandbox, which is told to misbehave. A naive adapter (SDK defaults, the answer is the truth)
fails each of these.
"""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from port_worlds import FOREVER_NS, AlpacaWorld, new, ready, resting

from ordersmith.actors.model import Terms
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    CommandKind,
    Executed,
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
from ordersmith.actors.snapshots import SnapshotFailed, SyncAccount

pytestmark = pytest.mark.anyio

SECOND_NS = 1_000_000_000


# --- Sending: never twice (M1, M2, A1, A5) -----------------------------------------------------------------------------

ACCEPTED_UNSAID = ["504_after_accept", "502_html_after", "500_after", "drop_after", "garbage", "hang_after"]
NOT_ACCEPTED = ["504_before_accept", "502_html", "500", "drop_before"]


@pytest.mark.parametrize("fault", ACCEPTED_UNSAID)
async def test_an_order_whose_answer_is_lost_is_one_order(world: AlpacaWorld, fault: str) -> None:
    """An order that was taken without an answer is posted once, is one order, and is found by its client id at once."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault(fault, method="POST", path="/v2/orders", count=5, seconds=30)
        host.send(new("one"))
        await world.until_posted("one.0")
        host.send(StatusRequest("one.0", asked_ns=7))
        found = await host.told(OrderFound, "one.0", within=3)
        assert found.state is BrokerOrderState.WORKING
        if fault != "hang_after":
            await host.told(OutcomeUnknown, "one.0")
        await host.kill()
        assert host.about("one", Rejected, NotSent) == []
        assert await world.posts("one.0") == 1
        assert await world.orders_named("one") == [("one.0", Decimal(10), Decimal(0))]


@pytest.mark.parametrize("fault", NOT_ACCEPTED)
async def test_an_order_that_never_arrived_is_not_sent_again(world: AlpacaWorld, fault: str) -> None:
    """An error in place of an answer leaves the outcome open: nothing is posted again, and the look-up says absent."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault(fault, method="POST", path="/v2/orders", count=5)
        host.send(new("one"))
        await host.told(OutcomeUnknown, "one.0")
        host.send(StatusRequest("one.0", asked_ns=7))
        assert (await host.told(OrderAbsent, "one.0")).asked_ns == 7
        assert await world.posts("one.0") == 1
        assert host.about("one", Accepted, Rejected) == []


async def test_an_answer_with_a_status_that_nobody_knows_is_no_refusal(world: AlpacaWorld) -> None:
    """An order whose answer has a new status is there: it is not called rejected, and not posted again (M3)."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault("unknown_status_answer", method="POST", path="/v2/orders")
        host.send(new("one"))
        await host.heard(object, lambda report: isinstance(report, Accepted | OutcomeUnknown))
        host.send(StatusRequest("one.0", asked_ns=7))
        assert (await host.told(OrderFound, "one.0")).state is BrokerOrderState.WORKING
        assert await world.posts("one.0") == 1
        assert host.about("one", Rejected, NotSent) == []


async def test_an_order_that_arrives_after_its_error_is_found(world: AlpacaWorld) -> None:
    """An order that Alpaca takes two seconds after the 504 is told by the stream, and is the only one (A5)."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault("504_then_accept", method="POST", path="/v2/orders", seconds=1)
        host.send(new("one"))
        await host.told(OutcomeUnknown, "one.0")
        await host.told(Accepted, "one.0")
        assert await world.posts("one.0") == 1


async def test_a_port_that_dies_with_a_hung_order_leaves_it_in_doubt(world: AlpacaWorld) -> None:
    """The death of a port in the middle of a POST makes its outcome unknown, and the next port finds the order."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault("hang_after", method="POST", path="/v2/orders", seconds=30)
        host.send(new("one"))
        await world.until_posted("one.0")
        begin = time.monotonic()
        await host.kill()
        assert time.monotonic() - begin < 5
        assert (await host.told(OutcomeUnknown, "one.0")).reason
        host.start()
        await host.connect()
        host.send(StatusRequest("one.0", asked_ns=9))
        await host.told(OrderFound, "one.0")
        assert await world.posts("one.0") == 1


async def test_an_order_over_the_rate_waits_or_is_not_sent(world: AlpacaWorld) -> None:
    """A 429 took no order: it is posted again after the reset if its deadline allows, and is NotSent if not."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault("429", method="POST", path="/v2/orders", count=1, seconds=1)
        host.send(new("patient"))
        await host.told(Accepted, "patient.0")
        await world.fault("429", method="POST", path="/v2/orders", count=1, seconds=30)
        host.send(new("hasty", not_after_ns=time.time_ns() + SECOND_NS))
        await host.told(NotSent, "hasty.0", within=3)
        assert await world.orders_named("hasty") == []
        assert await world.orders_named("patient") == [("patient.0", Decimal(10), Decimal(0))]


async def test_an_order_to_nobody_was_not_sent(world: AlpacaWorld) -> None:
    """Where no connection could be made nothing was written, which is certain."""
    async with world.host.running() as host:
        await ready(host)
        await world.stop_server()
        host.send(new("one"))
        await host.told(NotSent, "one.0", within=5)


async def test_a_hung_read_holds_up_no_cancel(world: AlpacaWorld) -> None:
    """A cancel goes through while the reading of the account hangs, and the reading says that it failed."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.fault("hang_before", method="GET", path="/v2/positions", count=9, seconds=30)
        host.send(SyncAccount(50, ""))
        host.send(CancelRequest("one.0"))
        await host.told(Cancelled, "one.0", within=3)


@pytest.mark.parametrize("path", ["/v2/account", "/v2/positions", "/v2/orders", "/v2/account/activities"])
async def test_a_read_that_fails_anywhere_is_no_empty_account(world: AlpacaWorld, path: str) -> None:
    """A part of the account that cannot be read makes the whole reading a failure, never an empty one (D3)."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.fault("500", method="GET", path=path, count=1)
        answer = await host.read_once()
        assert isinstance(answer, SnapshotFailed), answer
        assert answer.reason
        assert [order.wire_id for order in (await host.read()).orders] == ["one.0"]


# --- Cancels that race (C1, C2, C6) ------------------------------------------------------------------------------------


async def test_a_cancel_that_a_fill_overtakes_is_not_told_as_cancelled(slow_world: AlpacaWorld) -> None:
    """A 204 is no cancel: the fill that comes after it is told, and nothing is called cancelled."""
    async with slow_world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        host.send(CancelRequest("one.0"))
        await slow_world.until_logged("DELETE")
        await slow_world.fill("one.0", 10)
        await host.heard(Executed, lambda report: report.cumulative_quantity == 10)
        assert host.about("one", Cancelled) == []


async def test_a_replacement_that_a_fill_overtakes_makes_no_new_leg(slow_world: AlpacaWorld) -> None:
    """When the old leg fills while it is being cancelled for a replacement, the replacement is refused: 10 and not 20."""
    async with slow_world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        host.send(ReplaceRequest("one.0", "one.1", Terms(Decimal(10), Decimal(51)), FOREVER_NS, 0))
        await slow_world.until_logged("DELETE")
        await slow_world.fill("one.0", 10)
        await host.told(ReplaceRefused, "one.1")
        assert host.about("one", Replaced) == []
        assert await slow_world.posts("one.1") == 0


@pytest.mark.parametrize("fault", ["500", "drop_before", "502_html"])
async def test_a_cancel_without_an_answer_is_in_doubt(world: AlpacaWorld, fault: str) -> None:
    """An error in place of a cancel's answer proves nothing: the cancel's outcome is unknown and the order is not (C3)."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.fault(fault, method="DELETE", path="/v2/orders", count=1)
        host.send(CancelRequest("one.0"))
        unknown = await host.told(OutcomeUnknown, "one.0")
        assert unknown.kind is CommandKind.CANCEL
        assert host.about("one", Cancelled, CancelRefused) == []
        host.send(CancelRequest("one.0"))
        await host.told(Cancelled, "one.0")


async def test_a_replacement_whose_answer_is_lost_is_one_new_leg(world: AlpacaWorld) -> None:
    """A lost answer to a replacement's second half leaves the new leg in doubt, and it is one order for the rest (C8)."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.fill("one.0", 4)
        await host.heard(Executed)
        await world.fault("504_after_accept", method="POST", path="/v2/orders", count=3)
        host.send(ReplaceRequest("one.0", "one.1", Terms(Decimal(10), Decimal(51)), FOREVER_NS, 0))
        await host.heard(object, lambda report: isinstance(report, OutcomeUnknown | Replaced))
        host.send(StatusRequest("one.1", asked_ns=7))
        found = await host.told(OrderFound, "one.1")
        assert (found.state, found.cumulative_quantity) == (BrokerOrderState.WORKING, 4)
        assert await world.posts("one.1") == 1
        assert (await world.orders_named("one"))[-1] == ("one.1", Decimal(6), Decimal(0))
