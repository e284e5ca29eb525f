"""Exits at an Alpaca that shows them otherwise than the sandbox does: not at all, beneath an order that is over, or moved about.

The documentation does not say where an open exit stands on a list once its entry has filled; so each place is tried.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio.to_thread
import pytest
from port_host import PortHost
from scripted_alpaca import ScriptedAlpaca, order_row
from scripted_exits import ENTRY, FILLS, ORDERS, PROFIT, STOP, Lists, entry, profit, stop
from scripted_world import FAST, ScriptedWorld, ready

from ordersmith.actors.model import Order
from ordersmith.actors.order_class import Exits, OrderClass
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Disconnected,
    Executed,
    NewOrder,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    Rejected,
    Restated,
    StatusRequest,
)
from ordersmith.actors.snapshots import ReadDue
from ordersmith.adapters.alpaca.activities import begin, text_of
from ordersmith.adapters.alpaca.port import PortMemory

pytestmark = pytest.mark.anyio
BY_CLIENT_ID = "/v2/orders:by_client_order_id"
NOT_THERE = {"code": 40410000, "message": "order not found"}


def bracket() -> NewOrder:
    exits = Exits.of(OrderClass.BRACKET, ENTRY, take_profit=Decimal(60), stop_loss=Decimal(40))
    return NewOrder(ENTRY, Order.buy("A", 10, "50"), 1 << 62, 0, exits)


def found_second(alpaca: ScriptedAlpaca, row: dict[str, Any]) -> None:
    """Know nothing of the first client id that is asked for, and answer the next ones with this order."""
    alpaca.only("GET", BY_CLIENT_ID, 404, body=NOT_THERE)
    alpaca.answer("GET", BY_CLIENT_ID, body=row)


async def asked(host: PortHost, wire_id: str) -> OrderFound:
    host.send(StatusRequest(wire_id, asked_ns=1))
    return await host.told(OrderFound, wire_id)


# --- Where exits stand on a list ---------------------------------------------------------------------------------------


async def test_exits_beneath_a_filled_entry_are_open_and_the_entry_is_not(alpaca: ScriptedAlpaca) -> None:
    """A list of open orders that shows the filled entry above its exits tells of the exits alone."""
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [*lists.all, order_row("z-9", id="z", order_class="bracket", status="filled", legs=[profit(id="zp")])]
    async with world.host.running() as host:
        await ready(host)
        snapshot = await host.read()
        assert {each.wire_id for each in snapshot.orders} == {PROFIT, STOP}
        assert [each.broker_order_id for each in snapshot.externals] == ["zp"]


async def test_exits_that_no_list_shows_are_found_by_name(alpaca: ScriptedAlpaca) -> None:
    """An exit that is missing from the list is found by a question for it, and cancelled by its name."""
    world = ScriptedWorld(alpaca)
    Lists(alpaca, entry(legs=[profit(), stop()]))
    found_second(alpaca, entry())
    async with world.host.running() as host:
        await ready(host)
        assert (await host.read()).orders == ()
        found = await asked(host, STOP)
        assert (found.broker_order_id, found.state) == ("s", BrokerOrderState.WORKING)
        alpaca.only("DELETE", f"{ORDERS}/s", 422, body={"code": 42210000, "message": "no"})
        host.send(CancelRequest(STOP))
        await host.told(CancelRefused, STOP)


async def test_an_exit_by_itself_is_found_by_what_came_with_it(alpaca: ScriptedAlpaca) -> None:
    """Its entry is sought among the orders of its symbol since a minute before it, once for both exits."""
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [profit(), stop()]
    async with world.host.running() as host:
        await ready(host)
        snapshot = await host.read()
        assert {each.wire_id for each in snapshot.orders} == {PROFIT, STOP}
        assert {each.query["nested"] for each in alpaca.seen("GET", ORDERS) if each.query.get("status") == "open"} == {
            "false"  # with nested=true a list of open orders has no exits of entries that have filled
        }
        (seen,) = lists.asked
        assert (seen.query["symbols"], seen.query["nested"], seen.query["after"][:19]) == (
            "A",
            "true",
            "2026-11-22T07:59:00",
        )


async def test_a_strangers_exit_is_sought_once(alpaca: ScriptedAlpaca) -> None:
    """An exit of an order that is not ours is looked for once, however often it is seen, and stays an external."""
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, order_row("z-9", id="z", order_class="bracket", legs=[profit(), stop()]))
    lists.open = [profit(), stop()]
    async with world.host.running() as host:
        await ready(host)
        for _ in range(3):
            snapshot = await host.read()
        assert [each.broker_order_id for each in snapshot.externals] == ["p"]
        assert len(lists.asked) == 1


async def test_a_held_stop_that_is_on_no_list_is_open_beside_its_profit(alpaca: ScriptedAlpaca) -> None:
    """A new process tells of the stop that Alpaca holds and does not list, as long as the exit beside it is listed."""
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [profit()]
    async with world.host.running() as host:
        await ready(host)
        snapshot = await host.read()
        assert {(each.wire_id, each.open_quantity) for each in snapshot.orders} == {(PROFIT, 10), (STOP, 10)}
        lists.open = []
        assert (await host.read()).orders == ()


async def test_a_held_stop_that_was_moved_is_open_beside_its_profit(alpaca: ScriptedAlpaca) -> None:
    """The stop that is on no list is the one that took the first one's place, with the price that it has now."""
    world = ScriptedWorld(alpaca)
    moved = stop(id="s2", replaces="s", stop_price="45")
    lists = Lists(alpaca, entry(legs=[profit(), moved]), stop("replaced", replaced_by="s2"))
    lists.all, lists.open = lists.all[:1], [profit()]
    async with world.host.running() as host:
        await ready(host)
        snapshot = await host.read()
        assert {(each.wire_id, each.broker_order_id) for each in snapshot.orders} == {(PROFIT, "p"), (STOP, "s2")}
        assert (await host.told(Restated, STOP)).terms.stop_price == 45


async def test_the_held_exits_of_an_open_entry_are_read_with_it(alpaca: ScriptedAlpaca) -> None:
    """A new process that sees the entry alone on the list asks once what hangs on it."""
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, entry("new", "0", legs=[profit("held"), stop()]))
    lists.open = [entry("new", "0")]
    async with world.host.running() as host:
        await ready(host)
        for _ in range(2):
            snapshot = await host.read()
            assert {each.wire_id for each in snapshot.orders} == {ENTRY, PROFIT, STOP}
        assert len(alpaca.seen("GET", f"{ORDERS}/e")) == 1


async def test_held_exits_cost_no_questions(alpaca: ScriptedAlpaca) -> None:
    """Polls do not ask for an exit that is held beside one that is listed."""
    world = ScriptedWorld(alpaca, FAST)
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [profit()]
    async with world.host.running() as host:
        await ready(host)
        polls = len(alpaca.seen("GET", FILLS))
        await anyio.to_thread.run_sync(alpaca.wait, lambda: len(alpaca.seen("GET", FILLS)) > polls + 3)
        assert alpaca.seen("GET", f"{ORDERS}/s") == []


# --- What the stream leaves out ----------------------------------------------------------------------------------------


async def test_a_cancel_that_the_stream_does_not_say_is_found_at_once(alpaca: ScriptedAlpaca) -> None:
    """The take profit fills, the stop is cancelled without a word, and that counts not against the stream (alpaca-py#198)."""
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [profit()]
    async with world.host.running() as host:
        await ready(host)
        await host.read()
        lists.open = []
        filled = profit("filled", filled_qty="10", filled_avg_price="60")
        alpaca.only("GET", f"{ORDERS}/p", body=filled)
        alpaca.only("GET", f"{ORDERS}/s", body=stop("canceled"))
        alpaca.say({"event": "fill", "order": filled, "price": "60", "qty": "10", "execution_id": "x"})
        await host.told(Executed, PROFIT)
        await host.told(Cancelled, STOP)
        assert not [report for report in host.reports if isinstance(report, ReadDue | Disconnected)]


@pytest.mark.parametrize("asks", [False, True], ids=["told", "asked"])
async def test_a_profit_that_is_not_stated_beside_the_stop_that_replaced_it(alpaca: ScriptedAlpaca, asks: bool) -> None:
    """Where the entry shows the stop alone, a new process finds the take profit as what the stop has replaced."""
    gone, moved = profit("replaced", replaced_by="s"), stop("new", replaces="p")
    world = ScriptedWorld(alpaca)
    Lists(alpaca, entry(legs=[moved]))
    alpaca.only("GET", f"{ORDERS}/p", body=gone)
    found_second(alpaca, entry())
    async with world.host.running() as host:
        await ready(host)
        if asks:
            host.send(StatusRequest(PROFIT, asked_ns=1))
        else:
            alpaca.say({"event": "replaced", "order": gone})
        assert (await host.told(OrderFound, PROFIT)).broker_order_id == "p"
        filled = {**moved, "status": "filled", "filled_qty": "10", "filled_avg_price": "40"}
        alpaca.say({"event": "fill", "order": filled, "price": "40", "qty": "10", "execution_id": "x"})
        assert (await host.told(Executed, STOP)).cumulative_quantity == 10


@pytest.mark.parametrize("order_class", ["bracket", "oco"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
async def test_a_profit_that_the_stop_replaces_is_cancelled(
    alpaca: ScriptedAlpaca, is_known: bool, order_class: str
) -> None:
    """A touched stop takes the take profit's place, by id too: its fill is the stop's, and the profit is over (alpaca-py#198)."""
    name = PROFIT if order_class == "bracket" else ENTRY
    sell = {"side": "sell", "order_class": order_class, "replaced_by": "s"}
    moved = stop("new", replaces="p" if order_class == "bracket" else "e", order_class=order_class)
    if order_class == "bracket":
        gone, above = profit("replaced", **sell), entry(legs=[moved, profit("replaced", **sell)])
        rows = [above]
    else:
        gone = order_row(ENTRY, "replaced", id="e", limit_price="60", legs=[moved], **sell)
        rows = [gone]
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, *rows)
    alpaca.only("GET", f"{ORDERS}/{gone['id']}", body=gone)
    filled = {**moved, "status": "filled", "filled_qty": "10", "filled_avg_price": "40"}
    async with world.host.running() as host:
        await ready(host)
        if is_known:
            lists.open = [{**gone, "status": "new", "replaced_by": None, "legs": None}]
            assert {each.wire_id for each in (await host.read()).orders} == {name}
            lists.open = []
        alpaca.say({"event": "replaced", "order": gone})
        assert (await host.told(OrderFound, name)).state is BrokerOrderState.CANCELLED
        alpaca.say({"event": "fill", "order": filled, "price": "40", "qty": "10", "execution_id": "x"})
        executed = await host.told(Executed, STOP)
        assert (executed.cumulative_quantity, executed.fill.fill_key) == (10, "s:10")
        assert not [report for report in host.reports if isinstance(report, Executed) and report.wire_id != STOP]


# --- What the answers leave out ----------------------------------------------------------------------------------------


async def test_an_answer_without_exits_leaves_them_in_doubt(alpaca: ScriptedAlpaca) -> None:
    """The entry is accepted, and of the exits nobody knows until they are asked for."""
    world = ScriptedWorld(alpaca)
    alpaca.only("POST", ORDERS, body=entry("pending_new", "0"))
    async with world.host.running() as host:
        await ready(host)
        host.send(bracket())
        await host.told(Accepted, ENTRY)
        for wire_id in (PROFIT, STOP):
            await host.told(OutcomeUnknown, wire_id)
        Lists(alpaca, entry("new", "0", legs=[profit("held"), stop()]))
        found_second(alpaca, entry("new", "0"))
        assert (await asked(host, PROFIT)).broker_order_id == "p"


async def test_exits_that_are_not_stated_are_not_absent(alpaca: ScriptedAlpaca) -> None:
    """An entry at work whose exits the answer leaves out proves nothing of them; one that never opened anything has none."""
    world = ScriptedWorld(alpaca)
    Lists(alpaca, entry("new", "0", legs=None))
    found_second(alpaca, entry("new", "0"))
    async with world.host.running() as host:
        await ready(host)
        host.send(StatusRequest(PROFIT, asked_ns=1))
        await alpaca_saw(alpaca, f"{ORDERS}/e")
        Lists(alpaca, entry("canceled", "0", legs=None))
        found_second(alpaca, entry("canceled", "0"))
        host.send(StatusRequest(PROFIT, asked_ns=2))
        assert (await host.told(OrderAbsent, PROFIT)).asked_ns == 2
        assert [report.asked_ns for report in host.reports if isinstance(report, OrderAbsent)] == [2]


async def alpaca_saw(alpaca: ScriptedAlpaca, path: str) -> None:
    await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.seen("GET", path))


async def test_a_bracket_that_was_rejected_as_it_was_taken(alpaca: ScriptedAlpaca) -> None:
    """The status of the answer is that of all three."""
    world = ScriptedWorld(alpaca)
    alpaca.only("POST", ORDERS, body=entry("rejected", "0"))
    async with world.host.running() as host:
        await ready(host)
        host.send(bracket())
        for wire_id in (ENTRY, PROFIT, STOP):
            await host.told(Rejected, wire_id)


# --- What comes before the answer, and out of order --------------------------------------------------------------------


async def test_exits_that_speak_before_the_answer_are_known(alpaca: ScriptedAlpaca) -> None:
    """Their first events come before the POST is answered, and are told under their names."""
    world = ScriptedWorld(alpaca)
    Lists(alpaca, entry("new", "0", legs=[profit("held"), stop()]))
    events = [{"event": "held", "order": profit("held")}, {"event": "held", "order": stop()}]
    alpaca.before_answer = lambda seen: events if seen.method == "POST" else []
    alpaca.only("POST", ORDERS, 504)
    async with world.host.running() as host:
        await ready(host)
        host.send(bracket())
        for wire_id in (PROFIT, STOP):
            assert (await host.told(Accepted, wire_id)).broker_order_id in {"p", "s"}
            await host.told(OutcomeUnknown, wire_id)


async def test_an_exit_that_was_taken_for_a_strangers_becomes_ours(alpaca: ScriptedAlpaca) -> None:
    """Where the list lags behind, the exit is nobody's at first, and ours as soon as the answer shows it."""
    world = ScriptedWorld(alpaca)
    Lists(alpaca)
    alpaca.before_answer = lambda seen: [{"event": "held", "order": stop()}] if seen.method == "POST" else []
    alpaca.only("POST", ORDERS, body=entry("new", "0", legs=[profit("held"), stop()]))
    async with world.host.running() as host:
        await ready(host)
        host.send(bracket())
        await host.told(Accepted, STOP)
        alpaca.say({"event": "canceled", "order": stop("canceled")})
        await host.told(Cancelled, STOP)


async def test_a_cancel_of_an_exit_waits_for_the_answer_to_its_bracket(alpaca: ScriptedAlpaca) -> None:
    """Before the POST is answered nobody can find the exit; the cancel waits for it, and reaches the exit that it names."""
    world = ScriptedWorld(alpaca)
    alpaca.only("POST", ORDERS, body=entry("new", "0", legs=[profit("held"), stop()]), hang_s=0.3)
    alpaca.only("DELETE", f"{ORDERS}/p", 204)
    async with world.host.running() as host:
        await ready(host)
        host.send(bracket())
        host.send(CancelRequest(PROFIT))
        await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.seen("DELETE"))
        assert [seen.path for seen in alpaca.seen("DELETE")] == [f"{ORDERS}/p"]
        assert host.about("b-tp", CancelRefused) == []


# --- What a person has moved -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both", [False, True], ids=["the new alone", "old and new"])
async def test_a_stop_that_was_moved_twice_is_found_by_its_first(alpaca: ScriptedAlpaca, both: bool) -> None:
    """An execution of the first, before it was replaced twice, counts for the same exit as the last, which is what is open."""
    last = stop("new", id="s3", replaces="s2", qty="6", stop_price="45", created_at="2026-11-22T09:00:00Z")
    middle = stop("replaced", id="s2", replaces="s", replaced_by="s3", qty="6", created_at="2026-11-22T08:30:00Z")
    first = stop("replaced", filled_qty="4", filled_avg_price="40", replaced_by="s2")
    world = ScriptedWorld(alpaca)
    shown = [middle, last] if both else [last]
    lists = Lists(alpaca, entry(legs=[profit("canceled"), *shown]), first, middle, last)
    lists.all, lists.open = lists.all[:1], [last]
    row = {
        "id": "f1",
        "activity_type": "FILL",
        "transaction_time": "2026-11-22T08:11:09Z",
        "order_id": "s",
        "cum_qty": "4",
        "qty": "4",
        "price": "40",
    }
    alpaca.only("GET", FILLS, body=[row])
    async with world.host.running() as host:
        await ready(host)
        snapshot = await host.read(text_of(begin(world.clock.now_ns())))
        assert [(each.wire_id, each.cumulative_quantity) for each in snapshot.executions] == [(STOP, 4)]
        ((wire_id, cumulative, open_quantity),) = {
            (each.wire_id, each.cumulative_quantity, each.open_quantity) for each in snapshot.orders
        }
        assert (wire_id, cumulative, open_quantity) == (STOP, 4, 6)
        assert (await host.told(Restated, STOP)).terms.quantity == 10
        assert snapshot.externals == ()


async def test_a_late_word_of_a_stop_that_was_moved_twice(alpaca: ScriptedAlpaca) -> None:
    """An event of the first of three orders that were one exit is told under its name, though the list shows the last alone."""
    last = stop("new", id="s3", replaces="s2", qty="6")
    middle = stop("replaced", id="s2", replaces="s", replaced_by="s3", qty="6")
    first = stop("replaced", filled_qty="4", filled_avg_price="40", replaced_by="s2")
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, entry(legs=[profit("canceled"), last]), first, middle)
    lists.all = lists.all[:1]
    async with world.host.running() as host:
        await ready(host)
        alpaca.say({"event": "partial_fill", "order": first, "price": "40", "qty": "4", "execution_id": "x"})
        executed = await host.told(Executed, STOP)
        assert (executed.fill.fill_key, executed.cumulative_quantity) == ("s:4", 4)


async def test_the_exits_of_an_entry_that_was_replaced_keep_their_names(alpaca: ScriptedAlpaca) -> None:
    """Exits that hang on what took their entry's place are found from above and from below."""
    old = entry("replaced", "0", replaced_by="e2")
    new = order_row("random", id="e2", order_class="bracket", replaces="e", legs=[profit("held"), stop()])
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca, old, new)
    found_second(alpaca, old)
    async with world.host.running() as host:
        await ready(host)
        assert (await asked(host, STOP)).broker_order_id == "s"
        await host.kill()
        world.memory = PortMemory()  # another process
        host.start()
        lists.open = [stop("new")]
        await ready(host)
        assert {each.wire_id for each in (await host.read()).orders} == {STOP, PROFIT}
