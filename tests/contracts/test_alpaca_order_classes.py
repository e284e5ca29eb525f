"""Brackets, OTOs and OCOs at Alpaca: one command, several orders, each told under its own wire id by whatever way it is heard of.

The exits have client order ids that Alpaca made up. A naive adapter takes them for somebody else's orders: it tells none of their
fills, cannot cancel them, and counts them a second time as externals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from port_host import PortHost
from port_worlds import FOREVER_NS, SYMBOL, AlpacaWorld, ready

from ordersmith.actors.model import Order, Side, Terms
from ordersmith.actors.order_class import Exits, OrderClass
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRequest,
    Executed,
    NewOrder,
    NotSent,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    Rejected,
    ReplaceRefused,
    ReplaceRequest,
    Restated,
    StatusRequest,
)
from ordersmith.actors.snapshots import AccountSnapshot, ReadDue

pytestmark = pytest.mark.anyio

ENTRY, PROFIT, STOP = "b.0", "b-tp.0", "b-sl.0"
GROUP = (ENTRY, PROFIT, STOP)
BRACKET = {"take_profit": Decimal(110), "stop_loss": Decimal(90)}
WORKING = BrokerOrderState.WORKING


def placed(order: Order, order_class: OrderClass = OrderClass.BRACKET, **prices: Decimal) -> NewOrder:
    """Return the command to place an order with exits, at 110 and 90 where nothing else is said."""
    exits = Exits.of(order_class, ENTRY, **(prices or BRACKET))
    return NewOrder(ENTRY, order, FOREVER_NS, 0, exits)


def buy(limit: str | None = None, quantity: Any = 10, **terms: Any) -> Order:
    return Order.buy(SYMBOL, quantity, limit, **terms)


async def resting_bracket(host: PortHost) -> None:
    """Have a bracket whose entry waits below the market."""
    host.send(placed(buy("95")))
    for wire_id in GROUP:
        await host.told(Accepted, wire_id)


async def filled_bracket(world: AlpacaWorld, host: PortHost) -> None:
    """Have a bracket whose entry has filled."""
    await resting_bracket(host)
    await fill(world, ENTRY, 10, "95")
    await host.told(Executed, ENTRY)


async def group(world: AlpacaWorld) -> dict[str, Any]:
    """Return the sandbox's own orders of the group, by our names."""
    (entry,) = await world._do(world.sandbox.orders, client_order_id=ENTRY)
    nested = await world._do(world.sandbox.alpaca, "GET", f"/v2/orders/{entry['id']}?nested=true")
    names = {"limit": PROFIT, "stop": STOP, "stop_limit": STOP}
    return {ENTRY: nested, **{names[leg["type"]]: leg for leg in nested["legs"]}}


async def fill(world: AlpacaWorld, wire_id: str, quantity: int, price: str) -> None:
    await world.fill_id((await group(world))[wire_id]["id"], quantity, price)


async def restarted(world: AlpacaWorld, host: PortHost) -> str:
    """Let another process take over, which knows nothing, and return its cursor."""
    await host.kill()
    world.forget()
    host.reports.clear()
    host.start()
    return await ready(host)


def fills(host: PortHost, wire_id: str) -> set[tuple[str, Decimal, Decimal]]:
    told = [report for report in host.reports if isinstance(report, Executed) and report.wire_id == wire_id]
    return {(each.fill.fill_key, each.fill.quantity, each.cumulative_quantity) for each in told}


def strangers(host: PortHost) -> set[str]:
    """Return the wire ids that reports were about and that are none of ours."""
    return {report.wire_id for report in host.reports if getattr(report, "wire_id", ENTRY) not in GROUP}


@pytest.fixture
async def slow_stream() -> AsyncIterator[AlpacaWorld]:
    """Return a broker at which orders take a while to work."""
    made = AlpacaWorld(new_delay_ns=300_000_000)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


# --- Placing -----------------------------------------------------------------------------------------------------------


async def test_a_bracket_is_one_post_and_three_orders(world: AlpacaWorld) -> None:
    """The entry and both exits are accepted under their own names, with three ids of the broker, by one request."""
    async with world.host.running() as host:
        await ready(host)
        await resting_bracket(host)
        ids = {wire_id: (await host.told(Accepted, wire_id)).broker_order_id for wire_id in GROUP}
        assert ids == {wire_id: row["id"] for wire_id, row in (await group(world)).items()}
        assert len(await world.log(method="POST")) == 1
        snapshot = await host.read()
        assert {(each.wire_id, each.state, each.open_quantity) for each in snapshot.orders} == {
            (wire_id, WORKING, 10) for wire_id in GROUP
        }
        assert snapshot.externals == ()
        assert not strangers(host)


@pytest.mark.parametrize("fault", ["504_after_accept", "drop_after", "garbage", "hang_after"])
async def test_a_bracket_whose_answer_is_lost_is_one_bracket(world: AlpacaWorld, fault: str) -> None:
    """All three are in doubt, there is one of each at the broker, and a question finds each by its name (M1, M2)."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault(fault, method="POST", path="/v2/orders", count=5, seconds=30)
        host.send(placed(buy("95")))
        await world.until_posted(ENTRY)
        rows = await group(world)
        for wire_id in GROUP:
            host.send(StatusRequest(wire_id, asked_ns=3))
            found = await host.told(OrderFound, wire_id, within=3)
            assert (found.broker_order_id, found.state) == (rows[wire_id]["id"], WORKING)
            if fault != "hang_after":
                await host.told(OutcomeUnknown, wire_id)
        assert await world.posts(ENTRY) == 1
        assert len(await world._do(world.sandbox.orders)) == 3
        assert host.about("b", Rejected, NotSent) == []
        assert not strangers(host)
        await host.kill()


async def test_a_bracket_that_was_never_taken_is_absent(world: AlpacaWorld) -> None:
    """After a 504 before acceptance none of the three is found."""
    async with world.host.running() as host:
        await ready(host)
        await world.fault("504_before_accept", method="POST", path="/v2/orders")
        host.send(placed(buy("95")))
        for wire_id in GROUP:
            await host.told(OutcomeUnknown, wire_id)
            host.send(StatusRequest(wire_id, asked_ns=5))
            assert (await host.told(OrderAbsent, wire_id)).asked_ns == 5


async def test_a_bracket_that_is_refused_is_refused_whole(world: AlpacaWorld) -> None:
    """A refusal by Alpaca is told of the entry and of both exits, in Alpaca's words."""
    async with world.host.running() as host:
        await ready(host)
        host.send(placed(buy("95", quantity=10**6)))
        told = [await host.told(Rejected, wire_id) for wire_id in GROUP]
        assert len({(each.code, each.text) for each in told}) == 1
        assert "buying power" in told[0].text


async def test_what_alpaca_would_refuse_is_not_posted(world: AlpacaWorld) -> None:
    """A bracket for the opening auction is refused with Alpaca's code, and nothing goes over the wire."""
    async with world.host.running() as host:
        await ready(host)
        host.send(placed(buy("95", time_in_force="OPG")))
        told = [await host.told(Rejected, wire_id) for wire_id in GROUP]
        assert {each.code for each in told} == {"42210000"}
        assert await world.log(method="POST") == []


async def test_a_bracket_of_another_trading_epoch_is_not_sent(world: AlpacaWorld) -> None:
    """What is held back is held back with its exits."""
    async with world.host.running() as host:
        await ready(host)
        host.trading_epoch = 1
        host.send(placed(buy("95")))
        for wire_id in GROUP:
            await host.told(NotSent, wire_id)
        assert await world.log(method="POST") == []


# --- The life of a bracket ---------------------------------------------------------------------------------------------


async def test_the_profit_fills_and_the_stop_is_cancelled(world: AlpacaWorld) -> None:
    """Each is told under its own name, and the take profit's fill has one key from stream, activities and poll."""
    async with world.host.running() as host:
        cursor = await ready(host)
        await filled_bracket(world, host)
        assert (await group(world))[PROFIT]["status"] == "new"
        await world.trade(111)
        await host.told(Executed, PROFIT)
        await host.told(Cancelled, STOP)
        by_stream = fills(host, PROFIT)
        assert len(by_stream) == 1
        await restarted(world, host)
        snapshot = await host.read(cursor)
        read = {
            (each.fill.fill_key, each.fill.quantity, each.cumulative_quantity)
            for each in snapshot.executions
            if each.wire_id == PROFIT
        }
        assert read == by_stream
        assert {each.wire_id for each in snapshot.executions} == {ENTRY, PROFIT}
        assert (snapshot.positions, snapshot.orders, snapshot.externals) == ((), (), ())


async def test_the_stop_takes_the_place_of_the_profit(world: AlpacaWorld) -> None:
    """A market that falls ends the take profit, and the stop fills under its name."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await world.trade(89)
        await host.told(Cancelled, PROFIT)
        assert (await host.told(Executed, STOP)).cumulative_quantity == 10
        assert not strangers(host)


async def test_a_part_of_the_profit_restates_the_stop(world: AlpacaWorld) -> None:
    """The stop stands for what is left, and says so under its name; another process hears it, too."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await fill(world, PROFIT, 4, "110")
        told = await host.heard(Restated, lambda report: report.wire_id == STOP and report.terms.quantity == 6)
        assert told.terms == Terms(Decimal(6), stop_price=Decimal(90))
        await restarted(world, host)
        await host.heard(Restated, lambda report: report.wire_id == STOP and report.terms.quantity == 6)
        snapshot = await host.read()
        assert {(each.wire_id, each.cumulative_quantity, each.open_quantity) for each in snapshot.orders} == {
            (PROFIT, 4, 6),
            (STOP, 0, 6),
        }


async def test_a_part_of_the_entry_works_no_exit(world: AlpacaWorld) -> None:
    """With four of ten bought the exits are still held, which is working to us, and none of them fills."""
    async with world.host.running() as host:
        await ready(host)
        await resting_bracket(host)
        await fill(world, ENTRY, 4, "95")
        await host.told(Executed, ENTRY)
        await world.trade(111)
        snapshot = await host.read()
        assert {(each.wire_id, each.state) for each in snapshot.orders} == {(wire_id, WORKING) for wire_id in GROUP}
        assert fills(host, PROFIT) == set()
        assert [each.quantity for each in snapshot.positions] == [4]


async def test_cancelling_the_entry_takes_the_exits(world: AlpacaWorld) -> None:
    """One cancel ends three orders, each under its name."""
    async with world.host.running() as host:
        await ready(host)
        await resting_bracket(host)
        host.send(CancelRequest(ENTRY))
        for wire_id in GROUP:
            await host.told(Cancelled, wire_id)
        assert len(await world.log(method="DELETE")) == 1
        assert (await host.read()).orders == ()


@pytest.mark.parametrize("restarts", [False, True], ids=["known", "restarted"])
async def test_an_exit_is_cancelled_by_its_name(world: AlpacaWorld, restarts: bool) -> None:
    """A cancel of the stop ends it, and the take profit with it, also by a process that has never heard of either."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        if restarts:
            await host.kill()
            world.forget()
            host.reports.clear()
            host.start()
            await host.connect()
        host.send(CancelRequest(STOP))
        await host.told(Cancelled, STOP)
        await host.told(Cancelled, PROFIT)
        assert not strangers(host)


async def test_a_cancel_right_behind_the_bracket_finds_its_exit(slow_stream: AlpacaWorld) -> None:
    """A cancel of an exit that is sent before the bracket is answered waits for the answer and reaches it."""
    async with slow_stream.host.running() as host:
        await ready(host)
        host.send(placed(buy("95")))
        host.send(CancelRequest(PROFIT))
        for wire_id in GROUP:
            await host.told(Cancelled, wire_id)


async def test_exits_of_the_day_end_with_it(world: AlpacaWorld) -> None:
    """At the close both exits are over under their names."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await world.end_session()
        for wire_id in (PROFIT, STOP):
            await host.heard(object, lambda report, wire_id=wire_id: _ends(report, wire_id))  # type: ignore[misc]


def _ends(report: Any, wire_id: str) -> bool:
    return type(report).__name__ in {"Cancelled", "Expired"} and report.wire_id == wire_id


@pytest.mark.parametrize("wire_id", GROUP)
async def test_none_of_a_group_is_replaced_by_cancelling_it(world: AlpacaWorld, wire_id: str) -> None:
    """A replacement of one of them is refused: its cancel would end the others, and leave the position bare."""
    async with world.host.running() as host:
        await ready(host)
        await resting_bracket(host)
        new_id = wire_id.replace(".0", ".1")
        host.send(ReplaceRequest(wire_id, new_id, Terms(Decimal(10), Decimal(96)), FOREVER_NS, 0))
        assert "without its exits" in (await host.told(ReplaceRefused, new_id)).text
        assert await world.log(method="DELETE") == []
        assert {row["status"] for row in (await group(world)).values()} <= {"new", "held"}


# --- OCO and OTO -------------------------------------------------------------------------------------------------------


async def test_an_oco_closes_a_position_once(world: AlpacaWorld) -> None:
    """Its order is the take profit and has its own client id; the stop is found beneath it, and one fill ends both."""
    async with world.host.running() as host:
        await ready(host)
        host.send(NewOrder("h.0", buy(), FOREVER_NS, 0))
        await host.told(Executed, "h.0")
        host.send(placed(Order.sell(SYMBOL, 10, "110", purpose="exit"), OrderClass.OCO, stop_loss=Decimal(90)))
        await host.told(Accepted, ENTRY)
        await host.told(Accepted, STOP)
        rows = await group(world)
        assert (rows[ENTRY]["order_class"], rows[ENTRY]["limit_price"], rows[STOP]["stop_price"]) == (
            "oco",
            "110",
            "90",
        )
        snapshot = await host.read()
        assert {each.wire_id for each in snapshot.orders} == {ENTRY, STOP}
        await world.trade(89)
        await host.told(Cancelled, ENTRY)
        assert (await host.told(Executed, STOP)).fill.quantity == 10
        assert (await host.read()).positions == ()


@pytest.mark.parametrize(
    ("prices", "wire_id", "kind"),
    [
        ({"take_profit": Decimal(110)}, PROFIT, "limit"),
        ({"stop_loss": Decimal(90)}, STOP, "stop"),
        ({"stop_loss": Decimal(90), "stop_loss_limit": Decimal("89.5")}, STOP, "stop_limit"),
    ],
)
async def test_an_oto_has_the_exit_that_was_asked_for(
    world: AlpacaWorld, prices: dict[str, Decimal], wire_id: str, kind: str
) -> None:
    """The one exit works once the entry has filled, under its name; the other is not there."""
    async with world.host.running() as host:
        await ready(host)
        host.send(placed(buy("101"), OrderClass.OTO, **prices))
        await host.told(Executed, ENTRY)
        await host.told(Accepted, wire_id)
        row = (await group(world))[wire_id]
        assert (row["type"], row["status"]) == (kind, "new")
        (other,) = {PROFIT, STOP} - {wire_id}
        host.send(StatusRequest(other, asked_ns=9))
        await host.told(OrderAbsent, other)
        assert [each.wire_id for each in (await host.read()).orders] == [wire_id]


async def test_a_short_bracket_is_the_mirror(world: AlpacaWorld) -> None:
    """A short entry is covered by exits that buy, told under the same names."""
    async with world.host.running() as host:
        await ready(host)
        order = Order.sell(SYMBOL, 10, "99")
        host.send(placed(order, take_profit=Decimal(90), stop_loss=Decimal(110)))
        await host.told(Executed, ENTRY)
        snapshot = await host.read()
        assert {(each.wire_id, each.side) for each in snapshot.orders} == {(PROFIT, Side.BUY), (STOP, Side.BUY)}
        await world.trade(90)
        await host.told(Executed, PROFIT)


# --- A stream that is not there, and a process that is new --------------------------------------------------------------


async def test_exits_that_fill_while_away_are_told_by_name(world: AlpacaWorld) -> None:
    """A new process hears of entry and take profit from the activities alone, under their names, and of nobody else's."""
    async with world.host.running() as host:
        cursor = await ready(host)
        await resting_bracket(host)
        await host.kill()
        world.forget()
        host.reports.clear()
        await fill(world, ENTRY, 10, "95")
        await world.trade(111)
        host.start()
        await host.connect()
        snapshot = await host.read(cursor)
        assert {(each.wire_id, each.cumulative_quantity) for each in snapshot.executions} == {(ENTRY, 10), (PROFIT, 10)}
        assert snapshot.externals == ()
        host.send(StatusRequest(STOP, asked_ns=1))
        assert (await host.told(OrderFound, STOP)).state is BrokerOrderState.CANCELLED


async def test_open_exits_are_ours_to_a_new_process(world: AlpacaWorld) -> None:
    """Exits that stand on the list by themselves, their entry being filled, are found by what was placed when they were."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await restarted(world, host)
        snapshot = await host.read()
        assert {each.wire_id for each in snapshot.orders} == {PROFIT, STOP}
        assert snapshot.externals == ()
        await world.trade(111)
        await host.told(Executed, PROFIT)
        await host.told(Cancelled, STOP)
        assert not strangers(host)


async def test_a_dropped_fill_of_an_exit_is_told_by_the_poll(world: AlpacaWorld) -> None:
    """What the stream does not say of an exit is told within 10 s, under its name and with the key of its execution."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await world.fault("drop_frame", count=50)
        await world.trade(111)
        await host.told(Executed, PROFIT, within=10)
        await host.told(Cancelled, STOP, within=10)
        ((key, quantity, cumulative),) = fills(host, PROFIT)
        assert (key, quantity, cumulative) == (f"{(await group(world))[PROFIT]['id']}:10", 10, 10)
        await host.heard(ReadDue)


async def test_a_restated_stop_is_told_by_the_poll(world: AlpacaWorld) -> None:
    """A stop that was lessened while the stream lost its frames is told with what is left of it."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await world.fault("drop_frame", count=50)
        await fill(world, PROFIT, 4, "110")
        await host.heard(Restated, lambda report: report.wire_id == STOP and report.terms.quantity == 6, within=10)


async def test_a_lessened_stop_that_fills_is_filled_whole(world: AlpacaWorld) -> None:
    """A stop whose restatement was lost says what it was for when it fills, and so has nothing left open."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await world.fault("drop_frame", count=2)
        await fill(world, PROFIT, 4, "110")
        await world.trade(89)
        executed = await host.told(Executed, STOP)
        (restated,) = {report.terms for report in host.about("b-sl", Restated)}
        assert (executed.cumulative_quantity, restated.quantity) == (6, 6)
        assert host.reports.index(executed) > host.reports.index(host.about("b-sl", Restated)[0])


async def test_a_lessened_stop_that_fills_unheard_is_filled_whole(world: AlpacaWorld) -> None:
    """The poll, too, says what the stop was for before it says that it has filled."""
    async with world.host.running() as host:
        await ready(host)
        await filled_bracket(world, host)
        await world.fault("drop_frame", count=50)
        await fill(world, PROFIT, 4, "110")
        await world.trade(89)
        executed = await host.told(Executed, STOP, within=10)
        (restated, *_) = host.about("b-sl", Restated)
        assert (executed.cumulative_quantity, restated.terms.quantity) == (6, 6)
        assert host.reports.index(executed) > host.reports.index(restated)


async def test_a_stop_that_a_person_has_moved_is_the_same_stop(world: AlpacaWorld) -> None:
    """An exit that was replaced in the dashboard keeps its name, for us and for a new process, and says its new price."""
    async with world.host.running() as host:
        cursor = await ready(host)
        await filled_bracket(world, host)
        old = (await group(world))[STOP]["id"]
        await world.by_hand("replace", old, stop_price="92")
        moved = await host.heard(Restated, lambda report: report.wire_id == STOP and report.terms.stop_price == 92)
        assert moved.terms.quantity == 10
        await restarted(world, host)
        snapshot = await host.read()
        assert {each.wire_id for each in snapshot.orders} == {PROFIT, STOP}
        assert snapshot.externals == ()
        await host.heard(Restated, lambda report: report.wire_id == STOP and report.terms.stop_price == 92)
        await world.trade(91)
        assert (await host.told(Executed, STOP)).fill.quantity == 10
        assert {each.wire_id for each in (await host.read(cursor)).executions} == {ENTRY, STOP}


async def test_many_exits_are_found_by_few_questions(world: AlpacaWorld) -> None:
    """The exits of twelve brackets are ours to a new process after a look at one list, and not one look each."""
    async with world.host.running() as host:
        await ready(host)
        for number in range(12):
            name = f"m{number}.0"
            exits = Exits.of(OrderClass.BRACKET, name, take_profit=Decimal(110), stop_loss=Decimal(90))
            host.send(NewOrder(name, buy(quantity=1), FOREVER_NS, 0, exits))
        for number in range(12):
            await host.told(Executed, f"m{number}.0")
        await host.kill()
        world.forget()
        host.start()
        await host.connect()
        before = len(await world.log(method="GET"))
        snapshot = await host.read()
        assert len(snapshot.orders) == 24
        assert snapshot.externals == ()
        assert len(await world.log(method="GET")) - before < 20


# --- Somebody else's ---------------------------------------------------------------------------------------------------


async def test_a_strangers_bracket_stays_a_strangers(world: AlpacaWorld) -> None:
    """Its entry counts while it is open, then one exit does; the exit that is held counts never, and nothing is told of it."""
    async with world.host.running() as host:
        await ready(host)
        legs = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
        row = await world._admin(
            "/order",
            symbol=SYMBOL,
            side="buy",
            type="limit",
            limit_price="95",
            qty="10",
            time_in_force="day",
            order_class="bracket",
            **legs,
        )
        before = await host.read()
        assert _counted(before) == {(row["id"], Side.BUY, Decimal(10))}
        await world.fill_id(row["id"], 10, "95")
        after = await host.read()
        profit = next(leg["id"] for leg in row["legs"] if leg["type"] == "limit")
        assert _counted(after) == {(profit, Side.SELL, Decimal(10))}
        assert after.orders == ()
        assert host.about("b") == []
        await world.trade(111)
        assert (await host.read()).externals == ()


def _counted(snapshot: AccountSnapshot) -> set[tuple[str, Side, Decimal]]:
    return {(each.broker_order_id, each.side, each.open_quantity) for each in snapshot.externals}


async def test_an_order_that_is_named_like_an_exit_is_what_it_is(world: AlpacaWorld) -> None:
    """A simple order of the name `b-tp` is found as itself, and one of a name whose entry has no exits is absent."""
    async with world.host.running() as host:
        await ready(host)
        host.send(NewOrder(PROFIT, buy("50"), FOREVER_NS, 0))
        host.send(NewOrder("c.0", buy("50"), FOREVER_NS, 0))
        accepted = await host.told(Accepted, PROFIT)
        await host.told(Accepted, "c.0")
        host.send(StatusRequest(PROFIT, asked_ns=1))
        assert (await host.told(OrderFound, PROFIT)).broker_order_id == accepted.broker_order_id
        host.send(StatusRequest("c-sl.0", asked_ns=1))
        await host.told(OrderAbsent, "c-sl.0")


# --- Amounts, fractions, hours, auctions -------------------------------------------------------------------------------


async def test_an_order_for_an_amount_is_counted_and_never_ours(world: AlpacaWorld) -> None:
    """A person's order for 250.50 dollars counts as at least as many shares as it can buy, and with what it costs."""
    async with world.host.running() as host:
        await ready(host)
        await world._admin("/close_session")
        await world.trade(100)
        row = await world.by_hand("place", notional="250.5", limit_price="60")
        (external,) = (await host.read()).externals
        assert external.broker_order_id == row["id"]
        assert external.open_quantity >= Decimal("250.5") / 60
        assert external.open_quantity * (external.limit_price or 0) == Decimal("250.5")
        assert (await host.read()).orders == ()


async def test_a_fraction_arrives_and_is_told_to_nine_decimals(world: AlpacaWorld) -> None:
    """0.123456789 shares are posted as that text, and fill as that number, by stream and by activities alike."""
    exact = Decimal("0.123456789")
    async with world.host.running() as host:
        cursor = await ready(host)
        host.send(NewOrder("f.0", buy(quantity=exact), FOREVER_NS, 0))
        executed = await host.told(Executed, "f.0")
        assert (executed.fill.quantity, executed.cumulative_quantity) == (exact, exact)
        (posted,) = await world._do(world.sandbox.orders, client_order_id="f.0")
        assert (posted["qty"], posted["notional"]) == ("0.123456789", None)
        snapshot = await host.read(cursor)
        assert [each.quantity for each in snapshot.positions] == [exact]
        assert {each.fill.fill_key for each in snapshot.executions} == {executed.fill.fill_key}


@pytest.mark.parametrize(
    ("terms", "seen"),
    [
        ({"extended_hours": True}, ("day", True)),
        ({"extended_hours": True, "time_in_force": "GTC"}, ("gtc", True)),
        ({"time_in_force": "OPG"}, ("opg", False)),
        ({"time_in_force": "CLS"}, ("cls", False)),
    ],
    ids=["extended-day", "extended-gtc", "opg", "cls"],
)
async def test_hours_and_auctions_are_posted_as_they_are(
    world: AlpacaWorld, terms: dict[str, Any], seen: tuple[str, bool]
) -> None:
    """The terms arrive as they were given, and whatever becomes of the order is told."""
    async with world.host.running() as host:
        await ready(host)
        host.send(NewOrder("t.0", buy("50", **terms), FOREVER_NS, 0))
        await host.told(Accepted, "t.0")
        (row,) = await world._do(world.sandbox.orders, client_order_id="t.0")
        assert (row["time_in_force"], row["extended_hours"], row["limit_price"]) == (*seen, "50")


async def test_an_order_for_the_close_trades_at_the_close(world: AlpacaWorld) -> None:
    """A CLS order does not trade before the close, and fills or ends with it, told under its name."""
    async with world.host.running() as host:
        await ready(host)
        host.send(NewOrder("t.0", buy("101", time_in_force="CLS"), FOREVER_NS, 0))
        await host.told(Accepted, "t.0")
        await world.trade(99)
        assert fills(host, "t.0") == set()
        await world.end_session()
        assert (await host.told(Executed, "t.0")).cumulative_quantity == 10
