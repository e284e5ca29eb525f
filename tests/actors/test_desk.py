"""The front door: ids, cancels, replacements, statuses, and orders that have left memory."""

from __future__ import annotations

from decimal import Decimal

import pytest
from trading_world import World, accepted, executed, wait_for

from ordersmith.actors import desk
from ordersmith.actors.errors import OrderCommandError
from ordersmith.actors.events import OrderApproved, OrderFilled, OrderSubmitted, Undelivered
from ordersmith.actors.messages import CommandRefused, GetOrderStatus, SubmitOrders
from ordersmith.actors.model import Order, OrderState, OrderStatus, OrderType, Side, Terms
from ordersmith.actors.ports import (
    BrokerOrderState,
    Cancelled,
    CancelRequest,
    Expired,
    NewOrder,
    OrderFound,
    Rejected,
    ReplaceRequest,
)
from ordersmith.supervisor.executor import BacktestExecutor

D = Decimal


def buy(order_id: str, quantity: object = 10, limit: str | None = None, symbol: str = "A", **terms: object) -> Order:
    return Order.buy(symbol, quantity, limit, client_order_id=order_id, **terms)  # type: ignore[arg-type]


# --- Ids ---------------------------------------------------------------------------------------------------------------


def test_the_same_id_with_the_same_terms_is_the_first_order() -> None:
    """Submitting an order again returns what became of the first, and sends nothing."""
    world = World(scripted=True).bar()
    world.submit(buy("o"))
    world.says(accepted("o.0"), executed("o.0", "k", 4, 10, 4))
    (again,) = world.submit(buy("o"))
    assert (again.state, again.filled_quantity) == (OrderState.PARTIALLY_FILLED, D(4))
    (written_otherwise,) = world.submit(buy("o", "10.0"))
    assert written_otherwise == again
    assert [type(command) for command in world.broker.take()] == [NewOrder]
    assert len(world.events(OrderSubmitted)) == 1


def test_the_same_id_with_other_terms_is_refused() -> None:
    """An id that was used for another order is an error that shows the first terms, and the first order goes on."""
    world = World(scripted=True).bar()
    world.submit(buy("o"))
    (answer,) = world.submit(buy("o", 11))
    assert isinstance(answer, CommandRefused)
    assert "'o' was used before with other terms" in answer.text
    assert "Decimal('10')" in answer.text
    assert len(world.broker.take()) == 1
    assert world.status("o").quantity == 10


def test_an_id_twice_in_one_call_is_one_order() -> None:
    """Within one call the second order of an id meets the first."""
    world = World(scripted=True).bar()
    first, second, other = world.submit(buy("o"), buy("o"), buy("o", 3))
    assert isinstance(first, OrderStatus)
    assert second.order == first.order
    assert isinstance(other, CommandRefused)
    assert len(world.broker.take()) == 1


@pytest.mark.parametrize("order_id", ["x" * 41, "a b", "a.b", "é", "a/b", "a\n", "-" * 40 + "!"])
def test_an_id_of_another_form_is_refused(order_id: str) -> None:
    """An id has at most 40 letters, digits and a few signs; no dot, because legs are counted behind one."""
    world = World(scripted=True).bar()
    good, bad = world.submit(buy("good"), buy(order_id))
    assert isinstance(good, OrderStatus)
    assert isinstance(bad, CommandRefused)
    assert "1 to 40 letters" in bad.text
    assert len(world.broker.take()) == 1


@pytest.mark.parametrize("order_id", ["x" * 40, "a", "A-1_b:2"])
def test_an_id_of_the_right_form_is_kept(order_id: str) -> None:
    """The caller's own id is the order's id."""
    world = World(scripted=True).bar()
    (status,) = world.submit(buy(order_id))
    assert status.client_order_id == order_id
    assert world.broker.take()[0].wire_id == order_id + ".0"


def test_the_executor_raises_what_the_desk_refuses() -> None:
    """To an embedding application a refused command is an OrderCommandError, and ids are made for orders without one."""
    executor = BacktestExecutor({}, feed=World().backtest.feed)
    wait_for(executor.advance())
    one, two = wait_for(executor.submit_orders([Order.buy("A", 1), Order.buy("A", 1)]))
    assert one.client_order_id != two.client_order_id
    wait_for(executor.submit_orders([buy("o")]))
    with pytest.raises(OrderCommandError, match="used before with other terms"):
        wait_for(executor.submit_orders([buy("o", 11)]))
    with pytest.raises(OrderCommandError, match="no order was submitted under ghost"):
        wait_for(executor.get_order_status(["o", "ghost"]))
    with pytest.raises(OrderCommandError, match="ghost is not known"):
        wait_for(executor.replace_order("ghost", quantity=3))
    assert wait_for(executor.cancel_orders(["o", "ghost"])) == [True, False]


def test_the_executor_takes_numbers_as_they_come() -> None:
    """An order built with an int or a float is the same as one built with Decimals, and what is no number raises at once."""
    executor = BacktestExecutor({}, feed=World().backtest.feed)
    wait_for(executor.advance())
    order = Order(symbol="A", side=Side.BUY, quantity=10, order_type=OrderType.LIMIT, limit_price=9.5)  # type: ignore[arg-type]
    (status,) = wait_for(executor.submit_orders([order]))
    assert (status.state, status.quantity, status.order.limit_price) == (OrderState.SUBMITTED, D(10), D("9.5"))
    with pytest.raises(ValueError, match="quantity"):
        wait_for(executor.submit_orders([Order(symbol="A", side=Side.BUY, quantity=D("sNaN"))]))


def test_no_orders_are_an_empty_answer() -> None:
    """A call about nothing is answered at once."""
    world = World(scripted=True).bar()
    assert world.submit() == []
    assert world.cancel() == []


# --- Cancel, replace, status -------------------------------------------------------------------------------------------


def test_a_cancel_is_taken_once() -> None:
    """True says that the cancel is durable, also when it is asked again; one command goes out, and the state is the proof."""
    world = World(scripted=True).bar()
    world.submit(buy("o"))
    world.says(accepted("o.0"))
    world.broker.take()
    assert world.cancel("o") == [True]
    assert world.cancel("o") == [True]
    assert world.broker.take() == [CancelRequest("o.0")]
    assert world.status("o").state is OrderState.SUBMITTED
    assert world.status("o").pending == ("cancel",)
    world.says(Cancelled("o.0"))
    assert (world.status("o").state, world.status("o").reason) == (OrderState.CANCELLED, "REQUESTED")


def test_a_closed_or_unknown_order_cannot_be_cancelled() -> None:
    """False says that there is nothing to cancel; the rest of the call is done."""
    world = World(scripted=True).bar()
    world.submit(buy("done"), buy("open"))
    world.says(Rejected("done.0", "NO", ""))
    assert world.cancel("done", "ghost", "open") == [False, False, True]


def test_a_status_is_known_for_every_order_that_was_submitted() -> None:
    """Open, denied and finished orders have a status; an id that was never submitted has none."""
    world = World(scripted=True).bar()
    world.submit(buy("open"), buy("denied", "0.5"), buy("rejected"))
    world.says(Rejected("rejected.0", "NO", "no money"))
    statuses = world.ask("desk", lambda to: GetOrderStatus(("open", "denied", "ghost", "rejected"), to))
    assert [status and status.state for status in statuses] == [
        OrderState.SUBMITTED,
        OrderState.REJECTED,
        None,
        OrderState.REJECTED,
    ]
    assert [status and status.reason for status in statuses] == ["", "LOT_SIZE", None, "NO"]


def test_a_replacement_is_sent_with_its_new_total() -> None:
    """What is not given stays; the answer shows the question as open."""
    world = World(scripted=True).bar()
    world.submit(buy("o", 10, "9"))
    world.says(accepted("o.0"))
    world.broker.take()
    status = world.replace("o", limit_price="9.5")
    assert status.pending == ("replace",)
    (command,) = world.broker.take()
    assert isinstance(command, ReplaceRequest)
    assert (command.wire_id, command.new_wire_id, command.terms) == ("o.0", "o.1", Terms(D(10), D("9.5")))


def test_only_an_open_order_can_be_replaced() -> None:
    """An unknown or a closed order refuses new terms and says why."""
    world = World(scripted=True).bar()
    world.submit(buy("o", 10, "9"))
    world.says(Rejected("o.0", "NO", ""))
    assert "it is REJECTED" in world.replace("o", 5).text
    assert "ghost is not known" in world.replace("ghost", 5).text


# --- Quarantine --------------------------------------------------------------------------------------------------------


def quarantined() -> World:
    world = World(scripted=True).bar()
    world.submit(buy("o"))
    world.says(accepted("o.0"))
    world.broker.take()
    for _ in range(6):
        world.backtest.lifecycle.crash("order/o", RuntimeError("a bug"))
    world.run()
    return world


def test_a_quarantined_order_can_still_be_cancelled() -> None:
    """An order whose actor is given up takes no commands, but the cancel goes to the broker, and its exposure stays counted."""
    world = quarantined()
    assert world.status("o").quarantined
    assert world.cancel("o") == [True]
    assert world.broker.take() == [CancelRequest("o.0")]
    assert "quarantined; it can only be cancelled" in world.replace("o", 5).text
    assert world.exposure.open["o"].remaining == 10


def test_a_quarantined_order_harms_no_other() -> None:
    """Other orders live on, and new ones are taken."""
    world = quarantined()
    (status,) = world.submit(buy("next"))
    assert status.state is OrderState.SUBMITTED
    assert not world.backtest.lifecycle.halted


# --- Orders that have left memory --------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 2])
def crowded(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> World:
    """Return a world that keeps two closed orders; `old` has filled 4 of 10, was cancelled, and has left memory."""
    monkeypatch.setattr(desk, "KEPT_CLOSED", 2)
    monkeypatch.setattr(desk, "LEAVING_AT_ONCE", request.param)
    world = World(scripted=True).bar()
    world.submit(buy("old"))
    world.says(accepted("old.0"), executed("old.0", "k1", 4, 10, 4), Cancelled("old.0", "halted"))
    for number in range(4):
        world.submit(buy(f"n{number}"))
        world.says(Rejected(f"n{number}.0", "NO", ""))
    assert world.machine("old") is None
    assert world.machine("n3") is not None
    world.broker.take()
    return world


def test_only_so_many_closed_orders_stay_in_memory(crowded: World) -> None:
    """Beyond the bound the longest closed orders leave with the next submission, and open ones never do."""
    crowded.submit(buy("open"))
    for number in range(10):
        crowded.submit(buy(f"m{number}", "0.5"))
    orders = crowded.orders()
    assert "open" in orders
    assert len(orders) <= 4
    assert sum(crowded.backtest.states().values()) == len(crowded.events(OrderSubmitted)) == 16


def test_closed_orders_leave_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody leaves before a whole group is beyond the bound; one that has closed again meanwhile is the youngest."""
    monkeypatch.setattr(desk, "KEPT_CLOSED", 2)
    monkeypatch.setattr(desk, "LEAVING_AT_ONCE", 3)
    world = World(scripted=True).bar()

    def closed(order_id: str) -> None:
        world.submit(buy(order_id))
        world.says(Rejected(f"{order_id}.0", "NO", ""))

    world.submit(buy("filled"))
    world.says(accepted("filled.0"), executed("filled.0", "k1", 10, 10, 10))
    for number in range(3):
        closed(f"m{number}")
    world.says(executed("filled.0", "k2", 5, 10, 15))  # more than was ordered: it has closed once more
    closed("m3")
    assert list(world.orders()) == ["filled", "m0", "m1", "m2", "m3"]
    world.submit(buy("next"))
    assert list(world.orders()) == ["filled", "m3", "next"]


def test_who_leaves_memory_is_told_by_the_records_alone(crowded: World) -> None:
    """A desk that is rebuilt, at any moment, is the one that was: what it lets go is in no handler's hands."""
    dispatcher = crowded.backtest.dispatcher
    for step in range(3):
        crowded.submit(buy(f"x{step}", 0))
        cell = dispatcher.cells["desk"]
        before = cell.actor.snapshot()
        dispatcher.rebuild(cell, cell.spec.factory())
        assert cell.actor.snapshot() == before


def test_who_holds_something_does_not_leave(crowded: World) -> None:
    """An old order that the broker works after all is looked after until that is gone."""
    crowded.says(OrderFound("n3.0", "b", BrokerOrderState.WORKING, Decimal(0), None, open_quantity=Decimal(10)))
    for step in range(5):
        crowded.submit(buy(f"y{step}", 0))
    assert crowded.machine("n3") is not None
    crowded.says(OrderFound("n3.0", "b", BrokerOrderState.CANCELLED, Decimal(0), None))
    for step in range(5):
        crowded.submit(buy(f"z{step}", 0))
    assert crowded.machine("n3") is None


def test_an_old_order_still_has_its_status(crowded: World) -> None:
    """The records answer for an order that has left memory, and for its id."""
    status = crowded.status("old")
    assert (status.state, status.filled_quantity, status.reason) == (OrderState.CANCELLED, D(4), "BROKER")
    (again,) = crowded.submit(buy("old"))
    assert again == status
    (refused,) = crowded.submit(buy("old", 11))
    assert isinstance(refused, CommandRefused)
    assert crowded.broker.take() == []


def test_an_old_order_can_be_neither_cancelled_nor_replaced(crowded: World) -> None:
    """What has left memory is closed: a cancel is False, a replacement is refused with the state."""
    assert crowded.cancel("old") == [False]
    assert "it is CANCELLED" in crowded.replace("old", 5).text


def test_a_late_fill_brings_an_old_order_back(crowded: World) -> None:
    """A fill after an order left memory is counted: in its status, the position and the cash, once."""
    late = executed("old.0", "k2", 6, 11, 10)
    crowded.says(late, late)
    crowded.says(late)
    status = crowded.status("old")
    assert (status.state, status.filled_quantity, status.notional) == (OrderState.FILLED, D(10), D(106))
    assert crowded.held() == {"A": 10}
    assert crowded.exposure.account("main").cash == 100_000 - 106
    assert len(crowded.events(OrderFilled)) == 2
    assert sum(crowded.backtest.states().values()) == len(crowded.events(OrderSubmitted))


def test_several_reports_on_an_old_order_all_arrive(crowded: World) -> None:
    """Reports that come in one tick for an order out of memory are handled in their order."""
    crowded.says(executed("old.0", "k2", 1, 11, 5), executed("old.0", "k3", 2, 11, 7), Expired("old.0"))
    assert crowded.status("old").filled_quantity == 7
    assert crowded.status("old").state is OrderState.CANCELLED


def test_an_order_that_came_back_leaves_again(crowded: World) -> None:
    """A late report that says nothing new does not keep its order in memory for ever."""
    crowded.says(executed("old.0", "k1", 4, 10, 4))
    assert crowded.machine("old") is not None
    for number in range(5):
        crowded.submit(buy(f"m{number}", "0.5"))
    assert crowded.machine("old") is None
    assert sum(crowded.backtest.states().values()) == len(crowded.events(OrderSubmitted))


def test_a_report_on_an_order_that_never_was_is_recorded(crowded: World) -> None:
    """A report that nobody can take is a fact of the journal."""
    crowded.says(Cancelled("ghost.0"))
    assert crowded.events(Undelivered) == [Undelivered("order/ghost", "Cancelled")]


# --- Filled orders -----------------------------------------------------------------------------------------------------


def test_filled_orders_are_read_with_a_cursor() -> None:
    """Each call returns what has changed since, cumulative and oldest change first; the last record is the next cursor."""
    world = World(scripted=True).bar()
    world.submit(buy("a"), buy("b"), buy("none"))
    assert world.filled() == []
    world.says(accepted("a.0"), accepted("b.0"), accepted("none.0"))
    world.says(executed("b.0", "b1", 4, 10, 4), executed("a.0", "a1", 10, 10, 10))
    first = world.filled()
    assert [(status.client_order_id, status.filled_quantity) for status in first] == [("b", D(4)), ("a", D(10))]
    cursor = first[-1].last_record
    assert world.filled(cursor) == []
    world.says(executed("b.0", "b2", 6, 11, 10))
    (changed,) = world.filled(cursor)
    assert (changed.client_order_id, changed.filled_quantity, changed.notional) == ("b", D(10), D(106))
    assert [status.client_order_id for status in world.filled()] == ["a", "b"]
    assert all(status.last_record > cursor for status in world.filled(cursor))


def test_an_approval_does_not_change_an_order() -> None:
    """A record of the gate about a filled order does not bring it back behind the cursor."""
    world = World(scripted=True).bar()
    world.submit(buy("a", 10, "9"))
    world.says(accepted("a.0"), executed("a.0", "a1", 4, 9, 4))
    cursor = world.filled()[-1].last_record
    approval = world.events(OrderApproved)[0]
    world.dispatcher.state(approval)
    assert world.filled(cursor) == []


def test_orders_without_an_asker_are_taken_all_the_same() -> None:
    """A submission that waits for no answer makes its order, and a bad one does nothing."""
    world = World(scripted=True).bar()
    world.post("desk", SubmitOrders((buy("o"), buy("bad id"))))
    world.run()
    assert [event.client_order_id for event in world.events(OrderSubmitted)] == ["o"]
