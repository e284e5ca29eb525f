"""What goes wrong between a program and Alpaca, each fault that was measured, and what the port makes of it.

The real SDK runs against the sandbox, which is told to misbehave. A naive adapter (SDK defaults, the answer is the truth)
fails each of these. The findings and their numbers: `docs/` of the adapter, and the tables of the issue tracker's bugs that
the tests name.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import anyio
import pytest
from port_host import PortHost
from port_worlds import SYMBOL, AlpacaWorld

from ordersmith.actors.model import Order, Terms
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    CashKind,
    CashMovement,
    CommandKind,
    Connect,
    Connected,
    ConnectRefused,
    Disconnected,
    Executed,
    NewOrder,
    NotSent,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    PositionAdjustment,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
    Restated,
    StatusRequest,
)
from ordersmith.actors.snapshots import ReadDue, SnapshotFailed, SyncAccount

pytestmark = pytest.mark.anyio

FOREVER_NS = 1 << 62
SECOND_NS = 1_000_000_000


@pytest.fixture
async def world() -> AsyncIterator[AlpacaWorld]:
    made = AlpacaWorld()
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def new(name: str, quantity: Any = 10, *, not_after_ns: int = FOREVER_NS, **terms: Any) -> NewOrder:
    return NewOrder(f"{name}.0", Order.buy(SYMBOL, quantity, **{"limit_price": "50", **terms}), not_after_ns, 0)


async def resting(host: PortHost, name: str, quantity: Any = 10, **terms: Any) -> Accepted:
    host.send(new(name, quantity, **terms))
    return await host.told(Accepted, f"{name}.0")


async def ready(host: PortHost) -> str:
    """Connect, read the account once, and return the cursor."""
    await host.connect()
    return (await host.read()).cursor


async def sum_of_fills(host: PortHost, base_id: str) -> Decimal:
    """Return what was told to be filled, each execution counted once, in its last revision."""
    told: dict[str, Executed] = {}
    for each in host.about(base_id, Executed):
        known = told.get(each.fill.fill_key)
        if known is None or each.fill.revision > known.fill.revision:
            told[each.fill.fill_key] = each
    return sum((each.fill.quantity for each in told.values()), Decimal(0))


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


# --- Keys and secrets (A.4.1, M4) --------------------------------------------------------------------------------------


async def test_a_refused_key_is_said_within_seconds(world: AlpacaWorld) -> None:
    """A wrong secret is an authentication error at once, after one question, not an endless loop."""
    world.secret = "not-the-secret"
    async with world.host.running() as host:
        host.send(Connect())
        refused = await host.heard(ConnectRefused, within=5)
        assert "key" in refused.reason or "auth" in refused.reason
        assert "not-the-secret" not in refused.reason
        assert len(await world.log()) <= 3


async def test_a_key_that_is_refused_later_is_an_outage(world: AlpacaWorld) -> None:
    """After a session a refused key is a lost session, which may come back."""
    async with world.host.running() as host:
        await ready(host)
        await host.kill()
        host.reports.clear()
        await world.fault("unauthorized", count=2)
        await world.fault("refuse_key", method="GET", path="/v2/account", count=1)
        host.start()
        host.send(Connect())
        lost = await host.heard(Disconnected, within=5)
        assert "refused" in lost.reason
        assert not [report for report in host.reports if isinstance(report, ConnectRefused)]


@pytest.mark.parametrize("kind", ["a live key", "a live account"])
async def test_a_key_of_the_other_mode_is_refused(kind: str) -> None:
    """In paper mode a live key, or an account that is not a paper account, is refused with the reason."""
    world = AlpacaWorld(**({"account_number": "912345678"} if kind == "a live account" else {}))
    world.key = "AKLIVE00000000000" if kind == "a live key" else None
    await world.open()
    try:
        async with world.host.running() as host:
            host.send(Connect())
            assert "paper" in (await host.heard(ConnectRefused, within=5)).reason
    finally:
        await world.close()


async def test_the_secret_is_in_no_output(
    world: AlpacaWorld, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At DEBUG, over a whole session with errors, the secret is in no log record, in no report and in no output (M4)."""
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "urllib3", "alpaca", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.fault("502_html", method="POST", path="/v2/orders")
        host.send(new("two"))
        await host.told(OutcomeUnknown, "two.0")
        await world.fault("close_1011")
        await host.heard(Disconnected)
        host.send(Connect())
        await host.read(within=20)
    written = "".join(capfd.readouterr())
    said = "\n".join([repr(host.reports), *(record.getMessage() for record in caplog.records), caplog.text, written])
    assert world.sandbox.secret not in said
    assert len(said) > 1000


# --- Overnight (E8, E16, B13) ------------------------------------------------------------------------------------------


async def test_what_happened_overnight_explains_the_account(world: AlpacaWorld) -> None:
    """A split, a dividend and a fee are told before the account that they changed, and account for all of the change."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one", limit_price="50")
        await world.fill("one.0", 10)
        await host.heard(Executed)
        before = await host.read((await host.read()).cursor)
        await host.kill()
        await world.book("SPLIT", symbol=SYMBOL, qty="10", ratio="2")
        await world.book("DIV", symbol=SYMBOL, qty="20", per_share_amount="0.51", net_amount="10.20")
        await world.book("FEE", net_amount="-0.03")
        host.reports.clear()
        host.start()
        await host.connect()
        after = await host.read(before.cursor)
        until = host.reports[: host.reports.index(after)]
        cash = [report for report in until if isinstance(report, CashMovement)]
        moved = [report for report in until if isinstance(report, PositionAdjustment)]
        assert {report.kind for report in cash} == {CashKind.DIVIDEND, CashKind.FEE}
        assert sum(report.amount for report in cash) == after.cash - before.cash
        assert [(report.symbol, report.quantity) for report in moved] == [(SYMBOL, Decimal(10))]
        assert [(each.symbol, each.quantity) for each in after.positions] == [(SYMBOL, Decimal(20))]
        ids = [report.activity_id for report in (*cash, *moved)]
        assert len(set(ids)) == 3
        again = await host.read(before.cursor)
        assert again.cash == after.cash
        repeated = {report.activity_id for report in host.reports if isinstance(report, CashMovement)}
        assert repeated == {report.activity_id for report in cash}


async def test_the_past_of_an_adopted_account_is_not_told(world: AlpacaWorld) -> None:
    """The first read ever tells no activity from before it: the account as it is says all of it."""
    await world.book("CSD", net_amount="1000")
    await world.book("FEE", net_amount="-1")
    async with world.host.running() as host:
        cursor = await ready(host)
        assert [report for report in host.reports if isinstance(report, CashMovement)] == []
        await world.book("INT", net_amount="-2")
        await host.read(cursor)
        amounts = {report.amount for report in host.reports if isinstance(report, CashMovement)}
        assert amounts == {Decimal(-2)}


# --- People and other programs in the same account (D7) ----------------------------------------------------------------


async def test_orders_of_others_are_external(world: AlpacaWorld) -> None:
    """An order that bears no id of ours is in the account as an external one, and is left alone."""
    async with world.host.running() as host:
        await ready(host)
        await world.by_hand("place", qty="3", type="limit", limit_price="40")
        read = await host.read()
        assert read.orders == ()
        assert [(each.symbol, each.open_quantity, each.limit_price) for each in read.externals] == [
            (SYMBOL, Decimal(3), Decimal(40))
        ]


async def test_an_order_that_a_person_cancels_is_cancelled(world: AlpacaWorld) -> None:
    """Our order that somebody cancels in the dashboard is told as cancelled and is not sent again."""
    async with world.host.running() as host:
        await ready(host)
        accepted = await resting(host, "one")
        await world.by_hand("cancel", accepted.broker_order_id)
        await host.told(Cancelled, "one.0")
        assert await world.posts("one.0") == 1


async def test_an_order_that_a_person_replaces_is_followed(world: AlpacaWorld) -> None:
    """Our order that somebody replaces in the dashboard goes on under our name, with its new terms (C12)."""
    async with world.host.running() as host:
        await ready(host)
        accepted = await resting(host, "one")
        replacement = await world.by_hand("replace", accepted.broker_order_id, limit_price="51")
        restated = await host.told(Restated, "one.0", within=15)
        assert (restated.terms.quantity, restated.terms.limit_price) == (10, 51)
        assert host.about("one", Cancelled) == []
        await world.fill_id(replacement["id"], 10, "51")
        filled = await host.heard(Executed, lambda report: report.cumulative_quantity == 10)
        assert filled.wire_id == "one.0"


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


@pytest.fixture
async def slow_world() -> AsyncIterator[AlpacaWorld]:
    made = AlpacaWorld(cancel_delay_ns=600_000_000)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


# --- Detection (M5, B5, B6, B7) ----------------------------------------------------------------------------------------

DETECTED_WITHIN_S = {"half_open": 15.0, "drop_frame": 10.0, "mute": 30.0}


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_stream_that_fails_silently_is_noticed_in_time(record_property: Any) -> None:
    """A half-open stream is noticed within 15 s, a dropped fill within 10 s, a mute stream within 30 s."""
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
            elif fault == "mute":
                await _keep_filling(world, host)
            else:
                await host.heard(Disconnected, within=20)
            took[fault] = time.monotonic() - begin
    finally:
        await world.close()


async def _keep_filling(world: AlpacaWorld, host: PortHost) -> None:
    """Let something happen now and then that the mute stream does not say, until the port has lost its trust in it."""
    with anyio.move_on_after(35):
        while not any(isinstance(report, Disconnected) for report in host.reports):
            await anyio.sleep(3)
            await world.fill("one.0", 1)


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
