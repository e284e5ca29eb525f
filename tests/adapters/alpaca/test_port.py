"""The port against an Alpaca that does what no well-behaved one does, with the real SDK, on asyncio and on trio.

What the sandbox can do is in `tests/contracts`; here are the answers and the moments that have to be made by hand.
"""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import Any

import anyio
import pytest
from port_host import PortHost
from scripted_alpaca import ACCOUNT, ScriptedAlpaca, Seen, order_row
from scripted_world import FAST, SLOW, ScriptedWorld, ready

from ordersmith.actors.model import Order, Terms
from ordersmith.actors.ports import (
    Accepted,
    Cancelled,
    CancelRefused,
    CancelRequest,
    CommandKind,
    Connect,
    Connected,
    ConnectRefused,
    Disconnect,
    Disconnected,
    Executed,
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
from ordersmith.actors.snapshots import AccountSnapshot, ReadDue, SnapshotFailed, SyncAccount

pytestmark = pytest.mark.anyio

FOREVER_NS = 1 << 62
SECOND_NS = 1_000_000_000
ORDERS = "/v2/orders"
BY_CLIENT_ID = "/v2/orders:by_client_order_id"


def new(name: str = "one.0", **terms: Any) -> NewOrder:
    return NewOrder(name, Order.buy("A", 10, "50"), **{"not_after_ns": FOREVER_NS, "trading_epoch": 0, **terms})


def posted(seen: Seen) -> dict[str, Any]:
    return order_row(seen.body["client_order_id"], "pending_new", qty=seen.body["qty"])


def event(name: str, row: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"event": name, "timestamp": "2026-11-22T08:11:09Z", "order": row, **fields}


async def do(work: Any, *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(work, *arguments)


async def resting(alpaca: ScriptedAlpaca, host: PortHost) -> None:
    """Have one order that works."""
    alpaca.only("POST", ORDERS, body=posted)
    host.send(new())
    await host.told(Accepted, "one.0")
    alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row())
    alpaca.only("GET", BY_CLIENT_ID, body=order_row())


# --- Sending -----------------------------------------------------------------------------------------------------------


async def test_what_the_stream_says_before_the_answer_counts(alpaca: ScriptedAlpaca) -> None:
    """An order that fills before its POST is answered is told as filled, and the older answer takes nothing back (A.1)."""
    world = ScriptedWorld(alpaca)
    fill = event("fill", order_row(filled="10", status="filled"), execution_id="e", price="50", qty="10")
    alpaca.before_answer = lambda seen: [event("new", order_row()), fill] if seen.method == "POST" else []
    alpaca.only("POST", ORDERS, body=posted)
    async with world.host.running() as host:
        await ready(host)
        host.send(new())
        await host.told(Executed, "one.0")
        await host.heard(Accepted)
        known = world.memory.orders.by_id["id-one.0"]
        assert known.order.filled == 10
        assert known.is_final
        assert host.about("one", Rejected, OutcomeUnknown, Cancelled) == []


async def test_a_hung_order_is_unknown_in_time_and_holds_up_nothing(alpaca: ScriptedAlpaca) -> None:
    """Six hung orders are unknown after the time-out, while a cancel and a question are answered at once (M2)."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("POST", ORDERS, hang_s=30)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body={"code": 42210000, "message": "not cancelable"})
        for number in range(6):
            host.send(new(f"hung-{number}.0"))
        host.send(CancelRequest("one.0"))
        host.send(StatusRequest("one.0", asked_ns=1))
        assert (await host.told(CancelRefused, "one.0", within=1)).code == "42210000"
        await host.told(OrderFound, "one.0", within=1)
        for number in range(6):
            assert (await host.told(OutcomeUnknown, f"hung-{number}.0", within=5)).kind is CommandKind.NEW
        assert len(alpaca.seen("POST")) == 7


async def test_an_order_that_waits_for_the_rate_limit_is_said_not_to_be_sent_in_time(alpaca: ScriptedAlpaca) -> None:
    """An order that would wait for the rate limit longer than the core waits for it is certainly not sent, and that is said at once."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        used_up = {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(time.time() + 8)}
        alpaca.only("POST", ORDERS, body=posted, headers=used_up)
        host.send(new("one.0"))
        await host.told(Accepted, "one.0")
        host.send(new("two.0"))
        withheld = await host.told(NotSent, "two.0", within=2)
        assert "200 requests a minute" in withheld.reason
        assert len(alpaca.seen("POST")) == 1


async def test_an_order_behind_others_that_hang_is_said_not_to_be_sent_in_time(alpaca: ScriptedAlpaca) -> None:
    """An order that finds no thread free in half the core's patience was not sent, and is not while the others hang or later."""
    world = ScriptedWorld(alpaca, SLOW._replace(read_s=2.0, answer_s=3.0), answer_s=1.0)
    alpaca.only("POST", ORDERS, hang_s=20)
    async with world.host.running() as host:
        await ready(host)
        for number in range(5):
            host.send(new(f"hung-{number}.0"))
        await host.heard(NotSent, lambda report: "that Alpaca does not answer" in report.reason, within=1.5)
        assert host.about("hung-0", OutcomeUnknown) == []
        await host.heard(OutcomeUnknown, lambda _: sum(isinstance(each, OutcomeUnknown) for each in host.reports) == 4)
        assert len(alpaca.seen("POST")) == 4


async def test_an_answer_that_never_ends_is_not_waited_for(alpaca: ScriptedAlpaca) -> None:
    """What the time-outs of the connection do not end, because bytes keep coming or they are long, ends with the whole request's."""
    world = ScriptedWorld(alpaca, SLOW._replace(read_s=30.0, answer_s=0.5))
    alpaca.only("POST", ORDERS, hang_s=20)
    async with world.host.running() as host:
        await ready(host)
        host.send(new())
        assert "no answer within 0.5 s" in (await host.told(OutcomeUnknown, "one.0", within=3)).reason


async def test_a_client_id_that_is_taken_is_no_rejection(alpaca: ScriptedAlpaca) -> None:
    """The refusal of a client id that was used before may be about the order itself: it is unknown (40010001)."""
    world = ScriptedWorld(alpaca)
    alpaca.only("POST", ORDERS, 422, body={"code": 40010001, "message": "client_order_id must be unique"})
    async with world.host.running() as host:
        await ready(host)
        host.send(new())
        await host.told(OutcomeUnknown, "one.0")
        assert host.about("one", Rejected) == []


async def test_a_taken_order_with_an_unknown_status_is_accepted(alpaca: ScriptedAlpaca) -> None:
    """An answer whose status nobody knows says that the order is there; asked for it, the port proves nothing by it."""
    world = ScriptedWorld(alpaca)
    alpaca.only("POST", ORDERS, body=order_row(status="a_new_word"))
    alpaca.only("GET", BY_CLIENT_ID, body=order_row(status="a_new_word"))
    async with world.host.running() as host:
        await ready(host)
        host.send(new())
        await host.told(Accepted, "one.0")
        host.send(StatusRequest("one.0", asked_ns=1))
        await do(alpaca.wait, lambda: alpaca.seen("GET", BY_CLIENT_ID))
        alpaca.only("GET", BY_CLIENT_ID, 404, body={"code": 40410000, "message": "order not found"})
        host.send(StatusRequest("other.0", asked_ns=2))
        await host.told(OrderAbsent, "other.0")
        assert host.about("one", OrderFound, OrderAbsent) == []


async def test_a_page_of_a_proxy_is_no_absence(alpaca: ScriptedAlpaca) -> None:
    """A 404 that is not Alpaca's own says nothing about an order."""
    world = ScriptedWorld(alpaca)
    alpaca.only("GET", BY_CLIENT_ID, 404, body="<html>no such page</html>")
    async with world.host.running() as host:
        await ready(host)
        host.send(StatusRequest("one.0", asked_ns=1))
        await do(alpaca.wait, lambda: alpaca.seen("GET", BY_CLIENT_ID))
        alpaca.only("GET", BY_CLIENT_ID, 404, body={"code": 40410000, "message": "order not found"})
        host.send(StatusRequest("two.0", asked_ns=2))
        await host.told(OrderAbsent, "two.0")
        assert host.about("one") == []


async def test_a_reading_comes_after_the_orders_before_it(alpaca: ScriptedAlpaca) -> None:
    """An order that is on its way when the account is asked for is written, and here answered, before the reading."""
    world = ScriptedWorld(alpaca)
    alpaca.only("POST", ORDERS, body=posted, hang_s=0.15)
    async with world.host.running() as host:
        await ready(host)
        before = len(alpaca.requests)
        host.send(new())
        host.send(SyncAccount(99, ""))
        await host.heard(AccountSnapshot, lambda report: report.as_of == 99)
        assert alpaca.requests[before].method == "POST"
        kinds = [type(report) for report in host.reports]
        assert kinds.index(Accepted) < len(kinds) - 1 - kinds[::-1].index(AccountSnapshot)


# --- Replacing ---------------------------------------------------------------------------------------------------------

REPLACE = ReplaceRequest("one.0", "one.1", Terms(Decimal(12), Decimal(51)), FOREVER_NS, 0)


def cancellable(alpaca: ScriptedAlpaca, filled: str = "0") -> None:
    alpaca.only("DELETE", f"{ORDERS}/id-one.0", 204)
    alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(status="canceled", filled=filled))


async def test_a_replacement_is_for_the_rest_after_proof(alpaca: ScriptedAlpaca) -> None:
    """The new leg is posted once the old one is proved over, for what that has not filled; the old end is told to nobody."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        cancellable(alpaca, filled="4")
        host.send(REPLACE)
        replaced = await host.told(Replaced, "one.1")
        await do(alpaca.say, event("canceled", order_row(status="canceled", filled="4")))
        await do(alpaca.say, event("new", order_row("one.1", qty="8")))
        await host.told(Accepted, "one.1")
        post = alpaca.seen("POST")[-1].body
        assert (post["client_order_id"], post["qty"], post["limit_price"]) == ("one.1", "8", "51")
        assert (replaced.broker_order_id, replaced.terms) == ("id-one.1", REPLACE.terms)
        assert host.about("one", Cancelled) == []


async def test_without_proof_the_new_leg_is_never_sent(alpaca: ScriptedAlpaca) -> None:
    """A leg that is not over in time makes the replacement unknown; nothing is posted then or later, and its end is told."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 204)
        host.send(REPLACE)
        assert (await host.told(OutcomeUnknown, "one.1")).kind is CommandKind.REPLACE
        await do(alpaca.say, event("canceled", order_row(status="canceled")))
        await host.told(Cancelled, "one.0")
        assert len(alpaca.seen("POST")) == 1


async def test_the_end_of_the_old_leg_waits_for_the_proof_about_the_new_one(alpaca: ScriptedAlpaca) -> None:
    """While nobody knows whether the new leg is there, that the old one is cancelled is not the order's end; after the proof it is (C8)."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        cancellable(alpaca)
        alpaca.only("POST", ORDERS, 504, body="<html>")
        host.send(REPLACE)
        await host.told(OutcomeUnknown, "one.1")
        assert len(alpaca.seen("POST")) == 2
        for number in range(3):
            alpaca.only("GET", BY_CLIENT_ID, 404, body={"code": 40410000, "message": "order not found"})
            host.send(StatusRequest("one.1", asked_ns=10 + number))
            await host.heard(OrderAbsent, lambda report, number=number: report.asked_ns == 10 + number)
            alpaca.only("GET", BY_CLIENT_ID, body=order_row(status="canceled"))
            asked = len(alpaca.seen("GET", BY_CLIENT_ID))
            host.send(StatusRequest("one.0", asked_ns=20 + number))
            await do(alpaca.wait, lambda asked=asked: len(alpaca.seen("GET", BY_CLIENT_ID)) > asked)
            if number < 2:
                assert host.about("one", OrderFound, Cancelled) == []
            world.clock.added_ns += 6 * SECOND_NS
        await host.told(OrderFound, "one.0")
        assert len(alpaca.seen("POST")) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "wire_id"),
    [
        ((403, {"code": 40310000, "message": "insufficient buying power"}), Cancelled, "one.0"),
        ((504, "<html>"), OutcomeUnknown, "one.1"),
        ((200, "nonsense"), OutcomeUnknown, "one.1"),
    ],
)
async def test_what_a_failed_new_leg_means(
    alpaca: ScriptedAlpaca, answer: tuple[int, Any], kind: type[Any], wire_id: str
) -> None:
    """After the old leg is over a refusal of the new one ends the order, and no answer leaves it in doubt."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        cancellable(alpaca)
        alpaca.only("POST", ORDERS, answer[0], body=answer[1])
        host.send(REPLACE)
        await host.told(kind, wire_id)
        assert len(alpaca.seen("POST")) == 2


async def test_a_leg_that_cannot_be_cancelled_is_kept(alpaca: ScriptedAlpaca) -> None:
    """A refused cancel of a working leg refuses the replacement."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body={"code": 42210000, "message": "pending"})
        host.send(REPLACE)
        assert (await host.told(ReplaceRefused, "one.1")).code == "42210000"
        assert len(alpaca.seen("POST")) == 1


async def test_a_cancel_meanwhile_stops_the_new_leg(alpaca: ScriptedAlpaca) -> None:
    """Who cancels an order that is being replaced gets no new leg: the order is cancelled."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 204)
        host.send(REPLACE)
        await do(alpaca.wait, lambda: alpaca.seen("DELETE"))
        host.send(CancelRequest("one.0"))
        await do(alpaca.wait, lambda: len(alpaca.seen("DELETE")) == 2)
        cancellable(alpaca)
        await host.told(Cancelled, "one.0")
        assert len(alpaca.seen("POST")) == 1


async def test_a_cancel_that_was_refused_before_is_no_hindrance(alpaca: ScriptedAlpaca) -> None:
    """An order whose cancel was refused, long ago, can be replaced."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("DELETE", f"{ORDERS}/id-one.0", 422, body={"code": 42210000, "message": "pending"})
        host.send(CancelRequest("one.0"))
        await host.told(CancelRefused, "one.0")
        cancellable(alpaca)
        host.send(REPLACE)
        await host.told(Replaced, "one.1")


# --- The session -------------------------------------------------------------------------------------------------------


async def test_the_symbols_are_told_before_the_session_and_not_every_time(alpaca: ScriptedAlpaca) -> None:
    """The rules of the symbols come first, once; later a list that cannot be read is no obstacle."""
    world = ScriptedWorld(alpaca)
    alpaca.only("GET", "/v2/assets", body=[{"symbol": "A", "status": "active", "tradable": True, "fractionable": True}])
    async with world.host.running() as host:
        await host.connect()
        assert world.instruments["A"].tradable
        await host.kill()
        host.reports.clear()
        alpaca.only("GET", "/v2/assets", 500, body="<html>")
        world.clock.added_ns = 13 * 3600 * SECOND_NS
        host.start()
        await host.connect()
        assert len(alpaca.seen("GET", "/v2/assets")) == 2


async def test_without_the_symbols_there_is_no_first_session(alpaca: ScriptedAlpaca) -> None:
    """Before the list was ever read a failure to read it is no session."""
    world = ScriptedWorld(alpaca)
    alpaca.only("GET", "/v2/assets", 500, body="<html>")
    async with world.host.running() as host:
        host.send(Connect())
        assert "assets" in (await host.heard(Disconnected)).reason
        assert not [report for report in host.reports if isinstance(report, Connected)]


@pytest.mark.parametrize("where", ["account", "stream"])
async def test_a_key_that_the_stream_alone_refuses_is_an_outage(alpaca: ScriptedAlpaca, where: str) -> None:
    """A key that REST refuses is refused for good before the first session; one that the stream refuses ends the session."""
    world = ScriptedWorld(alpaca)
    if where == "account":
        alpaca.only("GET", "/v2/account", 401, body={"message": "unauthorized"})
    alpaca.auth_status = "unauthorized"
    async with world.host.running() as host:
        host.send(Connect())
        kind = ConnectRefused if where == "account" else Disconnected
        assert "refused the key" in (await host.heard(kind, within=5)).reason
        assert alpaca.handshakes == int(where == "stream")


async def test_a_stream_that_comes_late_makes_a_reading_due(alpaca: ScriptedAlpaca) -> None:
    """A reading before the stream listens fails and says why; when it listens a reading is due, and succeeds."""
    world = ScriptedWorld(alpaca)
    alpaca.handshake_status = 429
    async with world.host.running() as host:
        await host.connect()
        failed = await host.read_once()
        assert isinstance(failed, SnapshotFailed)
        assert "stream of trade updates is not up" in failed.reason
        alpaca.handshake_status = 0
        await host.heard(ReadDue)
        await host.read()


async def test_a_reading_across_a_gap_of_the_stream_fails(alpaca: ScriptedAlpaca) -> None:
    """A reading during which the stream was lost is a failure even when the stream is up again at its end."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", "/v2/positions", body=[], hang_s=0.4)
        asked = len(alpaca.seen("GET", "/v2/positions"))
        host.send(SyncAccount(77, ""))
        await do(alpaca.wait, lambda: len(alpaca.seen("GET", "/v2/positions")) > asked)
        await do(alpaca.close_links)
        await do(alpaca.wait, lambda: alpaca.handshakes == 2)
        failed = await host.heard(SnapshotFailed, lambda report: report.as_of == 77)
        assert failed.reason


async def test_a_session_that_is_closed_has_no_stream(alpaca: ScriptedAlpaca) -> None:
    """Disconnect closes the stream and says so; the next Connect opens it again."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        host.send(Disconnect())
        await host.heard(Disconnected)
        await do(alpaca.wait, lambda: alpaca.sockets == 0)
        host.reports.clear()
        await ready(host)
        assert alpaca.sockets == 1


async def test_a_port_that_dies_leaves_no_socket(alpaca: ScriptedAlpaca) -> None:
    """The end of an incarnation closes its stream, so that the next one finds the slot free."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await host.kill()
        await do(alpaca.wait, lambda: alpaca.sockets == 0)
        assert not [thread for thread in threading.enumerate() if thread.name == "alpaca-stream"]


async def test_alpaca_that_answers_nothing_is_no_session(alpaca: ScriptedAlpaca) -> None:
    """When polls get no answer three times the session is lost, though the stream looks well."""
    world = ScriptedWorld(alpaca, FAST)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", ORDERS, 503, body="<html>")
        assert "does not answer" in (await host.heard(Disconnected, within=8)).reason


async def test_a_key_that_a_poll_finds_refused_ends_the_session(alpaca: ScriptedAlpaca) -> None:
    """A key that is taken back during a session is a lost session within a poll."""
    world = ScriptedWorld(alpaca, FAST)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", ORDERS, 401, body={"message": "unauthorized"})
        assert "refused the key" in (await host.heard(Disconnected, within=5)).reason


# --- What the stream does not say --------------------------------------------------------------------------------------


def fill_row(cumulative: int, quantity: int) -> dict[str, Any]:
    return {
        "id": f"20261122::{cumulative}",
        "activity_type": "FILL",
        "transaction_time": "2026-11-22T08:11:09Z",
        "order_id": "id-one.0",
        "cum_qty": str(cumulative),
        "qty": str(quantity),
        "price": "50",
        "symbol": "A",
        "side": "buy",
    }


async def test_fills_that_the_stream_loses_come_by_poll_and_mute_is_noticed(alpaca: ScriptedAlpaca) -> None:
    """A fill that the stream does not bring is told by the poll; when it happens again the stream is closed as mute (B5, B6)."""
    world = ScriptedWorld(alpaca, FAST)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("GET", ORDERS, body=[order_row(filled="4", status="partially_filled")])
        await do(alpaca.wait, lambda: len(alpaca.seen("GET", "/v2/account/activities/FILL")) > 3)
        alpaca.only("GET", "/v2/account/activities/FILL", body=[fill_row(4, 4)])
        first = await host.heard(Executed, within=5)
        assert (first.fill.fill_key, first.cumulative_quantity) == ("id-one.0:4", 4)
        await host.heard(ReadDue)
        assert not [report for report in host.reports if isinstance(report, Disconnected)]
        alpaca.only("GET", "/v2/account/activities/FILL", body=[fill_row(4, 4), fill_row(7, 3)])
        lost = await host.heard(Disconnected, within=5)
        assert "mute" in lost.reason
        assert [each.fill.fill_key for each in host.about("one", Executed)] == ["id-one.0:4", "id-one.0:7"]


async def test_an_order_that_vanishes_is_asked_for(alpaca: ScriptedAlpaca) -> None:
    """An order that is open no more, and of whose end the stream said nothing, is looked up and told as it ended."""
    world = ScriptedWorld(alpaca, FAST)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", ORDERS, body=[order_row()])
        await resting(alpaca, host)
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(status="canceled"))
        alpaca.only("GET", ORDERS, body=[])
        await host.told(Cancelled, "one.0", within=5)


async def test_an_event_that_nobody_knows_is_looked_up(alpaca: ScriptedAlpaca) -> None:
    """A new word on the stream makes the port ask for the order, and a status that is new, too, leaves it in doubt (M3)."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(status="partially_filled", filled="4"))
        await do(alpaca.say, event("a_new_event", order_row(status="a_new_status")))
        assert (await host.told(OrderFound, "one.0")).cumulative_quantity == 4
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(status="a_new_status", filled="5"))
        await do(alpaca.say, event("another", order_row(status="a_new_status", filled="5")))
        assert "a_new_status" in (await host.told(OutcomeUnknown, "one.0")).reason


async def test_an_update_that_cannot_be_read_makes_the_account_be_read(alpaca: ScriptedAlpaca) -> None:
    """An update without what it needs is not dropped in silence: its order and the account are asked for."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        await do(alpaca.say, {"event": ["?"], "order": {"id": "id-one.0"}})
        await host.heard(ReadDue)
        await host.told(OrderFound, "one.0")


async def test_trouble_with_one_question_costs_no_other(alpaca: ScriptedAlpaca) -> None:
    """An update about an order whose earlier leg cannot be looked up makes a reading due, and the next update is told."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await resting(alpaca, host)
        alpaca.only("GET", BY_CLIENT_ID, 503, body="<html>")
        await do(alpaca.say, event("new", order_row("other.1")))
        await do(alpaca.say, event("canceled", order_row(status="canceled")))
        await host.heard(ReadDue)
        await host.told(Cancelled, "one.0")
        assert host.about("other", Accepted) == []


async def test_a_blocked_account_is_a_session(alpaca: ScriptedAlpaca) -> None:
    """An account that may not trade can still be read, and its orders cancelled."""
    world = ScriptedWorld(alpaca)
    alpaca.only("GET", "/v2/account", body={**ACCOUNT, "trading_blocked": True})
    async with world.host.running() as host:
        await ready(host)


async def test_nothing_is_sent_when_nobody_may(alpaca: ScriptedAlpaca) -> None:
    """A halt that comes while an order waits for a connection stops it at the moment of the write."""
    world = ScriptedWorld(alpaca)
    limit = {"X-RateLimit-Reset": "1"}
    alpaca.only("POST", ORDERS, 429, body={"message": "too many requests."}, headers=limit)
    async with world.host.running() as host:
        await ready(host)
        host.send(new())
        await do(alpaca.wait, lambda: alpaca.seen("POST"))
        host.trading_epoch = None
        assert "halted" in (await host.told(NotSent, "one.0")).reason
        assert len(alpaca.seen("POST")) == 1
