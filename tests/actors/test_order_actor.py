"""The order actor between gate and broker: what it asks, what it writes down, and that reports may come in any order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_world import World, accepted, executed

from ordersmith.actors.doubt_events import OrderOverfilled
from ordersmith.actors.events import (
    OrderAccepted,
    OrderCancelled,
    OrderCancelRefused,
    OrderFilled,
    OrderInDoubt,
    OrderReplaced,
    OrderReplaceRefused,
    OrderRestated,
)
from ordersmith.actors.messages import (
    CancelOrders,
    Change,
    CommandRefused,
    Recheck,
    ReplaceOrder,
    ReplacePassed,
    SubmitOrders,
    Unknown,
)
from ordersmith.actors.model import Order, OrderState, OrderStatus, Terms
from ordersmith.actors.order import Order as OrderActor
from ordersmith.actors.ports import (
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    CommandKind,
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
    Restated,
    StatusRequest,
)

D = Decimal
ORDER = Order.buy("A", 10, "9", client_order_id="o")
SUBMITTED, PARTIALLY_FILLED, FILLED = OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED, OrderState.FILLED
REJECTED, CANCELLED = OrderState.REJECTED, OrderState.CANCELLED


def sent(*reports: Any) -> World:
    """Return a world with the order `o` sent, and these reports said about it."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.broker.take()
    if reports:
        world.says(*reports)
    return world


def working() -> World:
    return sent(accepted("o.0"))


def replacing(quantity: int = 20) -> World:
    """Return a world in which the broker was asked to make leg o.1 and has not answered."""
    world = working()
    world.replace("o", quantity)
    world.broker.take()
    return world


def found(state: BrokerOrderState, filled: int = 0, price: str | None = None, commission: str = "0") -> OrderFound:
    average = None if price is None else D(price)
    return OrderFound("o.0", "b-o.0", state, D(filled), average, D(commission))


# --- Submit and cancel -------------------------------------------------------------------------------------------------


def test_an_order_cancelled_before_it_was_sent_never_leaves() -> None:
    """A cancel in the tick of the submission wins against the gate's yes: nothing goes out and nothing stays reserved."""
    world = World(scripted=True).bar()
    world.post("desk", SubmitOrders((ORDER,), fresh=True))
    world.post("desk", CancelOrders(("o",)))
    world.run()
    assert world.broker.take() == []
    assert (world.status("o").state, world.status("o").reason) == (CANCELLED, "REQUESTED")
    assert world.exposure.open == {}


def test_a_cancel_of_an_unanswered_order_waits_for_its_acceptance() -> None:
    """A broker cannot cancel what it has not taken: the cancel goes out once the order is known to work."""
    world = sent()
    assert world.cancel("o") == [True]
    assert world.broker.take() == []
    assert world.status("o").pending == ("new", "cancel")
    world.says(accepted("o.0"))
    assert world.broker.take() == [CancelRequest("o.0")]


def test_a_fill_wins_against_a_pending_cancel() -> None:
    """An order that fills while its cancel is on the way is FILLED, and the broker's refusal of the cancel says nothing new."""
    world = working()
    world.cancel("o")
    world.says(executed("o.0", "k", 10, 9, 10), CancelRefused("o.0", "TOO_LATE", "done"))
    status = world.status("o")
    assert (status.state, status.pending) == (FILLED, ())
    assert world.events(OrderCancelRefused) == []


def test_a_refused_cancel_leaves_the_order_working() -> None:
    """After the broker's no the question is closed, and the cancel can be asked again."""
    world = working()
    world.cancel("o")
    world.broker.take()
    world.says(CancelRefused("o.0", "BUSY", "later"))
    assert [type(command) for command in world.broker.take()] == [StatusRequest]
    assert (world.status("o").state, world.status("o").pending) == (SUBMITTED, ())
    assert world.cancel("o") == [True]
    assert world.broker.take() == [CancelRequest("o.0")]


@pytest.mark.parametrize("asked", [True, False])
def test_who_cancelled_is_told(asked: bool) -> None:
    """A cancellation is REQUESTED if we asked for it and the BROKER's own if not."""
    world = working()
    if asked:
        world.cancel("o")
    world.says(Cancelled("o.0", "text"))
    status = world.status("o")
    assert (status.state, status.reason, status.text) == (CANCELLED, "REQUESTED" if asked else "BROKER", "text")


@pytest.mark.parametrize(
    ("report", "state", "reason"),
    [
        (Rejected("o.0", "NO_MONEY", "not enough"), REJECTED, "NO_MONEY"),
        (Expired("o.0"), CANCELLED, "EXPIRED"),
        (NotSent("o.0", CommandKind.NEW, "too late"), CANCELLED, "NOT_SENT"),
    ],
)
def test_an_end_is_written_once_and_frees_what_was_reserved(report: Any, state: OrderState, reason: str) -> None:
    """The broker's last word closes the order, is recorded once however often it is said, and releases its exposure."""
    world = sent()
    assert world.exposure.account("main").reserved == 90
    world.says(report, report)
    before = len(world.records())
    world.says(report)
    assert (world.status("o").state, world.status("o").reason) == (state, reason)
    assert len(world.records()) == before
    assert world.exposure.open == {}
    assert world.exposure.account("main").reserved == 0


def test_a_late_not_sent_does_not_close_a_working_order() -> None:
    """What the broker has accepted was sent, whatever a port says later."""
    world = working()
    world.says(NotSent("o.0", CommandKind.NEW, "confused"))
    assert world.status("o").state is SUBMITTED


def test_a_fill_told_twice_is_recorded_once() -> None:
    """Duplicates of any report make no second record."""
    world = working()
    fill = executed("o.0", "k", 4, 9, 4)
    world.says(fill, fill, accepted("o.0"), fill)
    assert len(world.events(OrderFilled)) == 1
    assert len(world.events(OrderAccepted)) == 1
    assert world.held() == {"A": 4}


def test_a_lost_fill_is_inferred_from_the_next_one() -> None:
    """A cumulative quantity above the known fills accounts for the lost one at once, and its late report changes no quantity."""
    world = working()
    world.says(executed("o.0", "k2", 3, 9, 7))
    assert world.status("o").filled_quantity == 7
    assert world.held() == {"A": 7}
    world.says(executed("o.0", "k1", 4, "8.5", 4))
    status = world.status("o")
    assert (status.filled_quantity, status.notional) == (D(7), D(61))
    assert world.held() == {"A": 7}
    assert world.exposure.account("main").cash == 100_000 - 61


def test_a_bust_takes_the_position_back() -> None:
    """A revision to zero undoes the fill in the order, the position and the cash."""
    world = working()
    world.says(executed("o.0", "k", 4, 9, 4), executed("o.0", "k", 0, 0, 4, revision=1))
    assert world.status("o").filled_quantity == 0
    assert world.held() == {}
    assert world.exposure.account("main").cash == 100_000


def test_a_bust_of_an_order_that_was_filled_has_the_broker_asked_what_works() -> None:
    """What is taken back may be open again: it counts, the broker is asked, and its answer closes the order."""
    world = working()
    world.says(executed("o.0", "k", 10, 9, 10))
    assert world.exposure.open == {}
    world.broker.take()
    world.says(executed("o.0", "k", 4, 9, 4, revision=1))
    status = world.status("o")
    assert (status.state, status.filled_quantity) == (OrderState.PARTIALLY_FILLED, 4)
    assert world.exposure.open["o"].remaining == 6
    assert [type(command) for command in world.broker.take()] == [StatusRequest]
    world.says(OrderFound("o.0", "b", BrokerOrderState.CANCELLED, D(4), D(9)))
    assert world.status("o").state is OrderState.CANCELLED
    assert world.exposure.open == {}


def test_a_bust_while_a_replacement_is_asked_is_counted_once() -> None:
    """The gate still holds what the replacement may make, and adds what was taken back to that: nothing is left in the end."""
    world = working()
    world.replace("o", quantity=15)
    world.says(executed("o.0", "k", 10, 9, 10), executed("o.0", "k", 0, 0, 10, revision=1))
    assert world.exposure.account("main").symbols["A"].open_buy == 15
    world.says(ReplaceRefused("o.1", "NO", ""), OrderFound("o.0", "b", BrokerOrderState.CANCELLED, D(0), None))
    assert world.exposure.account("main").symbols["A"].open_buy == 0
    assert world.exposure.account("main").reserved == 0


def test_what_a_bust_left_is_over_when_the_broker_has_finished_with_the_order() -> None:
    """DONE is an end like any other: nothing of the order works, and nothing is missing from its fills."""
    world = working()
    world.says(executed("o.0", "k", 10, 9, 10), executed("o.0", "k", 4, 9, 4, revision=1))
    world.says(OrderFound("o.0", "b", BrokerOrderState.DONE, D(4), D(9)))
    assert (world.status("o").state, world.exposure.open) == (CANCELLED, {})


def test_a_replacement_that_may_still_be_made_stays_counted() -> None:
    """That the leg before it is done with says nothing of the one that was asked for."""
    world = working()
    world.replace("o", quantity=15)
    world.says(executed("o.0", "k", 10, 9, 10), OrderFound("o.0", "b", BrokerOrderState.DONE, D(10), D(9)))
    assert world.exposure.account("main").symbols["A"].open_buy == 5


def test_a_cancel_that_is_refused_has_the_broker_asked_once() -> None:
    """Why it was refused is the broker's affair: the order may be over, and what tells is a look at it."""
    world = working()
    world.cancel("o")
    world.broker.take()
    world.says(CancelRefused("o.0", "TOO_LATE", "it is CANCELLED"))
    assert [type(command) for command in world.broker.take()] == [StatusRequest]
    world.says(OrderFound("o.0", "b", BrokerOrderState.CANCELLED, D(0), None))
    assert world.status("o").state is OrderState.CANCELLED


def test_what_the_broker_works_of_an_order_that_is_filled_is_cancelled() -> None:
    """A replacement that raced with a fill may leave more at the broker than was wanted: it counts until it is gone."""
    world = working()
    world.says(executed("o.0", "k", 10, 9, 10))
    world.broker.take()
    world.says(OrderFound("o.0", "b", BrokerOrderState.WORKING, D(10), D(9), open_quantity=D(3)))
    assert world.broker.take() == [CancelRequest("o.0")]
    assert world.exposure.open["o"].remaining == 3
    world.says(Cancelled("o.0"))
    assert world.exposure.open == {}
    assert world.status("o").state is FILLED


def test_what_was_worked_of_an_order_that_has_ended_is_free_once_it_is_found_gone() -> None:
    """The word that it works may have been from before the end: the next look at the order tells."""
    world = working()
    world.says(executed("o.0", "k", 10, 9, 10))
    world.says(OrderFound("o.0", "b", BrokerOrderState.WORKING, D(4), D(9), open_quantity=D(6)))
    world.says(CancelRefused("o.0", "TOO_LATE", "filled"))
    assert "o" in world.exposure.open
    world.says(OrderFound("o.0", "b", BrokerOrderState.DONE, D(10), D(9)))
    assert world.exposure.open == {}


def test_more_than_was_ordered_is_booked_and_is_an_alarm() -> None:
    """Nothing is clipped: the position is what the broker says, and trading halts until a person has looked."""
    world = working()
    world.says(OrderFound("o.0", "b", BrokerOrderState.DONE, D(12), D(9)))
    assert world.held() == {"A": 12}
    assert [(event.ordered, event.filled) for event in world.events(OrderOverfilled)] == [(10, 12)]
    assert world.backtest.dispatcher.view("circuit_breaker").reason == "OVERFILL"


def test_an_order_that_is_restated_to_what_has_filled_leaves_memory_like_any_other() -> None:
    """It closes without a fill or a cancel of its own, and the desk counts it as closed all the same."""
    world = working()
    world.says(executed("o.0", "k", 4, 9, 4), Restated("o.0", Terms(D(4), D(9)), "split"))
    assert world.status("o").state is FILLED
    assert "o" in world.backtest.dispatcher.cells["desk"].actor.state.closed


# --- Replace -----------------------------------------------------------------------------------------------------------


def test_a_replacement_becomes_the_next_leg() -> None:
    """After the broker's yes the order has the new terms, and further commands name the new leg."""
    world = replacing()
    world.says(executed("o.0", "k", 4, 9, 4), Replaced("o.1", "b2", Terms(D(20), D(9))))
    status = world.status("o")
    assert (status.state, status.quantity, status.filled_quantity, status.pending) == (
        PARTIALLY_FILLED,
        D(20),
        D(4),
        (),
    )
    world.cancel("o")
    assert world.broker.take() == [CancelRequest("o.1")]


@pytest.mark.parametrize("report", [ReplaceRefused("o.1", "NO", ""), NotSent("o.1", CommandKind.REPLACE, "late")])
def test_a_refused_replacement_keeps_the_old_leg(report: Any) -> None:
    """The order goes on with its old terms, reserves what it did before, and can be replaced again, under an id that is new."""
    world = replacing()
    assert world.exposure.open["o"].held() == (D(20), D(180))
    world.says(report)
    assert (world.status("o").quantity, world.status("o").pending) == (D(10), ())
    assert world.exposure.open["o"].held() == (D(10), D(90))
    world.replace("o", 15)
    (command,) = world.broker.take()
    assert (command.wire_id, command.new_wire_id) == ("o.0", "o.2")


def test_answers_about_other_legs_are_ignored() -> None:
    """Only the leg that was asked for can be made or refused."""
    world = replacing()
    world.says(Replaced("o.7", "b", Terms(D(99))), ReplaceRefused("o.7", "NO", ""))
    assert world.status("o").pending == ("replace",)
    assert world.events(OrderReplaced, OrderReplaceRefused) == []
    world.says(Replaced("o.1", "b2", Terms(D(20), D(9))), Replaced("o.1", "b2", Terms(D(20), D(9))))
    assert len(world.events(OrderReplaced)) == 1


@pytest.mark.parametrize(
    "late",
    [Cancelled("o.0"), Expired("o.0"), OrderFound("o.0", "b1", BrokerOrderState.CANCELLED, D(0), None)],
)
def test_the_late_end_of_a_leg_that_was_replaced_is_not_the_orders(late: Any) -> None:
    """That the leg before is over ends nothing once the next one works, and frees nothing of what is reserved (C6)."""
    world = replacing()
    world.says(Replaced("o.1", "b2", Terms(D(20), D(9))))
    held = world.exposure.open["o"].held()
    world.says(late)
    assert (world.status("o").state, world.exposure.open["o"].held()) == (SUBMITTED, held)
    world.says(msgspec.structs.replace(late, wire_id="o.1"))
    assert world.status("o").state is CANCELLED


def test_two_replacements_at_once_are_one() -> None:
    """Of two replacements asked in one tick the second is refused, and the first goes on as if there had been no other."""
    world = working()
    answers: list[Any] = []
    for quantity in (20, 30):
        desk = world.dispatcher.refer("desk")
        world.dispatcher.ask(desk, lambda to, q=quantity: ReplaceOrder("o", Change(D(q)), to), answers.append)
    world.run()
    refused = [answer for answer in answers if isinstance(answer, CommandRefused)]
    assert len(refused) == 1
    assert "REPLACE_PENDING" in refused[0].text
    (command,) = [c for c in world.broker.take() if isinstance(c, ReplaceRequest)]
    assert command.terms.quantity == 20
    assert world.exposure.open["o"].held() == (D(20), D(180))
    assert world.status("o").pending == ("replace",)
    world.says(Replaced("o.1", "b2", Terms(D(20), D(9))))
    assert world.status("o").quantity == 20
    assert world.exposure.open["o"].held() == (D(20), D(180))


def test_a_denied_replacement_leaves_everything_as_it_was() -> None:
    """The gate's no is the answer; the order, its questions and its reservation do not change."""
    world = working()
    answer = world.replace("o", 10**9)
    assert isinstance(answer, CommandRefused)
    assert "MAX_ORDER_QUANTITY" in answer.text
    assert world.broker.take() == []
    assert (world.status("o").quantity, world.status("o").pending) == (D(10), ())
    assert world.exposure.open["o"].held() == (D(10), D(90))


def test_a_replacement_that_costs_more_by_its_price_needs_the_cash() -> None:
    """Raising the limit without raising the quantity is checked like any other new cost."""
    world = World(scripted=True, cash="100").bar()
    world.submit(ORDER)
    world.says(accepted("o.0"))
    answer = world.replace("o", limit_price="10.01")
    assert isinstance(answer, CommandRefused)
    assert "BUYING_POWER" in answer.text
    assert isinstance(world.replace("o", limit_price="10"), OrderStatus)


def test_an_order_cannot_be_replaced_while_a_question_is_open() -> None:
    """Unanswered orders, cancels and replacements come first, and the refusal says to wait for them."""
    advice = "has no answer yet; wait for its answer, then replace again if it is still open"
    for world in (sent(), replacing()):
        assert world.replace("o", 30).text == f"order o cannot be replaced now: another command about it {advice}"
    world = working()
    world.cancel("o")
    assert world.replace("o", 30).text == f"order o cannot be replaced now: its cancel {advice}"


def test_a_cancel_follows_the_order_to_its_next_leg() -> None:
    """A cancel that was sent for a leg which is replaced meanwhile is sent again for the new one."""
    world = replacing()
    world.cancel("o")
    assert world.broker.take() == [CancelRequest("o.0")]
    world.says(Replaced("o.1", "b2", Terms(D(20), D(9))), CancelRefused("o.0", "TOO_LATE", "replaced"))
    assert world.broker.take() == [CancelRequest("o.1")]
    assert world.status("o").pending == ("cancel",)
    world.says(Cancelled("o.1"))
    assert (world.status("o").state, world.status("o").reason) == (CANCELLED, "REQUESTED")


def test_the_old_leg_may_fill_before_the_replacement_is_confirmed() -> None:
    """Fills between the question and its answer count in the new total, and nothing is reserved twice."""
    world = replacing()
    world.says(executed("o.0", "k", 10, 9, 10))
    assert world.status("o").state is FILLED
    assert world.exposure.open["o"].held() == (D(10), D(90))
    world.says(Replaced("o.1", "b2", Terms(D(20), D(9))))
    assert (world.status("o").state, world.status("o").remaining_quantity) == (PARTIALLY_FILLED, D(10))
    world.says(executed("o.1", "k2", 10, 9, 20))
    assert world.status("o").state is FILLED
    assert world.exposure.open == {}


def test_a_fill_of_the_new_leg_says_that_the_replacement_was_made() -> None:
    """Where it comes before the answer, more than the old terms is no alarm, and the answer adds the broker's id."""
    world = replacing()
    world.says(executed("o.1", "k", 15, 9, 15))
    assert (world.status("o").state, world.status("o").quantity) == (PARTIALLY_FILLED, D(20))
    assert world.events(OrderOverfilled) == []
    assert world.exposure.open["o"].held()[0] == D(5)
    world.says(Replaced("o.1", "b2", Terms(D(20), D(9))), accepted("o.0"))
    assert (world.status("o").broker_order_id, world.status("o").pending) == ("b2", ())
    world.cancel("o")
    assert world.broker.take() == [CancelRequest("o.1")]


def test_a_replacement_down_to_what_is_filled_frees_everything() -> None:
    """An order that its replacement completes is FILLED and holds nothing any more."""
    world = replacing(8)
    world.says(executed("o.0", "k", 8, 9, 8), Replaced("o.1", "b2", Terms(D(8), D(9))))
    assert world.status("o").state is FILLED
    assert world.exposure.open == {}
    assert world.exposure.account("main").reserved == 0


# --- Restated ----------------------------------------------------------------------------------------------------------


def test_a_restated_order_has_the_brokers_terms() -> None:
    """After a split the order goes on with the new total and limit, what is reserved follows, and its fills count in it."""
    world = working()
    world.says(executed("o.0", "k", 4, 9, 4), Restated("o.0", Terms(D(16), D("4.5")), "split 2:1"))
    status = world.status("o")
    assert (status.state, status.quantity, status.order.limit_price) == (PARTIALLY_FILLED, D(16), D("4.5"))
    assert world.exposure.open["o"].held() == (D(12), D(54))
    world.says(executed("o.0", "k2", 12, "4.5", 16))
    assert (world.status("o").state, world.exposure.open) == (FILLED, {})


def test_a_restatement_is_booked_once_and_for_its_own_leg() -> None:
    """The same terms again, or those of another leg, say nothing."""
    world = working()
    restated = Restated("o.0", Terms(D(20), D("4.5")), "split 2:1")
    world.says(restated, restated, Restated("o.1", Terms(D(99), D(1)), "not made yet"))
    assert len(world.events(OrderRestated)) == 1
    assert world.status("o").quantity == 20


def test_a_restatement_proves_that_the_order_works() -> None:
    """An order in doubt that the broker changes is there."""
    world = sent(OutcomeUnknown("o.0", CommandKind.NEW, "504"), Restated("o.0", Terms(D(20), D("4.5")), "split"))
    assert (world.status("o").in_doubt, world.status("o").pending) == (False, ())
    world.cancel("o")
    assert CancelRequest("o.0") in world.broker.take()


def test_a_restatement_to_nothing_left_ends_the_order() -> None:
    """What is complete by the broker's terms is FILLED and holds nothing."""
    world = sent(
        accepted("o.0"), executed("o.0", "k", 4, 9, 4), Restated("o.0", Terms(D(4), D(9)), "no whole share left")
    )
    assert (world.status("o").state, world.exposure.open) == (FILLED, {})
    assert world.exposure.account("main").reserved == 0


def test_a_restatement_while_a_replacement_is_asked_keeps_the_worst_of_both() -> None:
    """Until the broker answers, as much is reserved as any of the terms could need; then what it says."""
    world = replacing()
    world.says(Restated("o.0", Terms(D(20), D("4.5")), "split 2:1"))
    assert world.status("o").pending == ("replace",)
    assert world.exposure.open["o"].held() == (D(40), D(180))
    world.says(Replaced("o.1", "b2", Terms(D(40), D("4.5"))))
    assert (world.status("o").quantity, world.status("o").pending) == (D(40), ())
    assert world.exposure.open["o"].held() == (D(40), D(180))


# --- Doubt -------------------------------------------------------------------------------------------------------------


def test_an_unknown_outcome_is_asked_about_and_not_sent_again() -> None:
    """Without an answer the order is in doubt, keeps its reservation, and one look-up goes out; never the order itself."""
    world = sent(OutcomeUnknown("o.0", CommandKind.NEW, "504"))
    status = world.status("o")
    assert (status.state, status.in_doubt, status.pending) == (SUBMITTED, True, ("new",))
    assert world.broker.take() == [StatusRequest("o.0", world.dispatcher.now_ns)]
    assert world.exposure.open["o"].remaining == 10
    world.says(OrderAbsent("o.0"), OrderAbsent("o.0"))
    assert (world.status("o").state, world.status("o").in_doubt) == (SUBMITTED, True)
    assert world.broker.take() == []


def test_an_order_in_doubt_that_is_found_goes_on() -> None:
    """Found working, it is simply accepted; its fills so far are accounted for at the price that the broker states."""
    world = sent(OutcomeUnknown("o.0", CommandKind.NEW, "504"))
    world.says(found(BrokerOrderState.WORKING, 4, "8.75", "1.5"))
    status = world.status("o")
    assert (status.state, status.in_doubt, status.broker_order_id) == (PARTIALLY_FILLED, False, "b-o.0")
    assert (status.filled_quantity, status.notional, status.commission) == (D(4), D(35), D("1.5"))
    world.says(executed("o.0", "k", 4, "8.75", 4, commission=D("1.5")))
    assert world.status("o").notional == 35
    assert world.held() == {"A": 4}


@pytest.mark.parametrize(
    ("state", "filled", "public", "reason"),
    [
        (BrokerOrderState.CANCELLED, 4, CANCELLED, "BROKER"),
        (BrokerOrderState.EXPIRED, 0, CANCELLED, "EXPIRED"),
        (BrokerOrderState.REJECTED, 0, REJECTED, "REJECTED"),
        (BrokerOrderState.DONE, 10, FILLED, ""),
    ],
)
def test_an_order_that_is_found_finished_is_closed(
    state: BrokerOrderState, filled: int, public: OrderState, reason: str
) -> None:
    """What the broker proves of an order in doubt ends it, with the fills it had."""
    world = sent(OutcomeUnknown("o.0", CommandKind.NEW, "504"))
    answer = found(state, filled, "9" if filled else None)
    world.says(answer, answer)
    status = world.status("o")
    assert (status.state, status.reason, status.filled_quantity) == (public, reason, D(filled))
    assert (status.in_doubt, status.pending) == (False, ())
    assert world.exposure.open == {}


def test_doubt_never_comes_after_the_answer() -> None:
    """A time-out that is reported after the answer changes nothing, whichever command it is about."""
    world = working()
    world.cancel("o")
    world.says(Cancelled("o.0"))
    late = [OutcomeUnknown("o.0", kind, "late") for kind in CommandKind]
    world.says(*late, OrderAbsent("o.0"))
    status = world.status("o")
    assert (status.in_doubt, status.pending) == (False, ())
    assert world.events(OrderInDoubt) == []


def test_a_cancel_in_doubt_is_sent_again_once_the_order_is_found_working() -> None:
    """A cancel may be repeated without harm, so it is, as soon as the broker is known to work the order."""
    world = working()
    world.cancel("o")
    world.says(OutcomeUnknown("o.0", CommandKind.CANCEL, "504"))
    assert world.status("o").in_doubt
    world.broker.take()
    world.says(found(BrokerOrderState.WORKING))
    assert world.broker.take() == [CancelRequest("o.0")]


def test_a_recheck_asks_the_broker_about_what_is_open() -> None:
    """After trouble an open order asks where it stands, a closed one does not, and one that never left is denied."""
    world = working()
    world.post("order/o", Recheck())
    world.run()
    assert world.broker.take() == [StatusRequest("o.0", world.dispatcher.now_ns)]
    world.says(Cancelled("o.0"))
    world.post("order/o", Recheck())
    world.run()
    assert world.broker.take() == []


# --- Any order of reports ----------------------------------------------------------------------------------------------

REPORTS = [
    accepted("o.0"),
    executed("o.0", "k1", 3, "9", 3),
    executed("o.0", "k2", 4, "8.5", 7, commission=D("0.5")),
    executed("o.0", "k2", 4, "8.4", 7, revision=1, commission=D("0.5")),
    executed("o.0", "k3", 2, "8.75", 9),
    found(BrokerOrderState.WORKING, 3, "9"),
    found(BrokerOrderState.CANCELLED, 9, "8.7"),
    Cancelled("o.0"),
    Expired("o.0"),
    Rejected("o.0", "LATE", "closed"),
    OutcomeUnknown("o.0", CommandKind.NEW, "504"),
    OutcomeUnknown("o.0", CommandKind.CANCEL, "504"),
]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_reports_may_come_in_any_order_and_more_than_once(data: st.DataObject, asked: bool) -> None:
    """The same reports end in the same order, position and cash, whatever their order and number, and nothing stays reserved."""
    fixed = [accepted("o.0"), Cancelled("o.0")]
    said = fixed + data.draw(st.lists(st.sampled_from(REPORTS), max_size=8, unique_by=id), "reports")
    shuffled = data.draw(st.permutations(said + data.draw(st.lists(st.sampled_from(said), max_size=4))), "other order")
    ends = []
    for reports in (said, shuffled):
        world = sent()
        if asked:
            world.cancel("o")
        for report in reports:
            world.says(report)
        status = world.status("o")
        assert world.exposure.open == {}
        assert world.exposure.account("main").reserved == 0
        assert len(world.events(OrderCancelled)) <= 2
        ends.append(
            (
                status.state,
                status.reason,
                status.filled_quantity,
                status.notional,
                status.commission,
                status.pending,
                status.in_doubt,
                status.broker_order_id,
                world.machine("o").fills,
                world.held(),
                world.exposure.account("main").cash,
            )
        )
    assert ends[0] == ends[1]


def test_the_parent_hears_of_the_end_once() -> None:
    """A child order tells its parent when it closes, and not again for what comes later."""
    world = World(scripted=True).bar()
    world.target(A=10)
    (order,) = [command for command in world.broker.take() if isinstance(command, NewOrder)]
    told: list[Any] = []
    rebalancer = world.dispatcher.cells["rebalancer"]
    for kind, handle in list(rebalancer.handlers.items()):
        if kind.__name__ == "ChildClosed":
            rebalancer.handlers[kind] = lambda *arguments, handle=handle: (
                told.append(arguments[-1]),
                handle(*arguments),
            )
    wire_id = order.wire_id
    world.says(accepted(wire_id), executed(wire_id, "k1", 4, 10, 4), Cancelled(wire_id), Cancelled(wire_id))
    world.says(executed(wire_id, "k2", 6, 10, 10), Expired(wire_id))
    assert [(message.symbol, message.reason) for message in told] == [("A", "BROKER")]


def test_a_replacement_whose_approval_was_lost_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval that crashes the order twice is dropped: the gate lets go of it, and the next replacement passes."""
    world = working()
    monkeypatch.setitem(OrderActor.handlers, ReplacePassed, broken)
    assert isinstance(world.replace("o", 20), Unknown)
    monkeypatch.undo()
    held = world.exposure.open["o"]
    assert (held.remaining, held.offered) == (10, None)
    assert world.replace("o", 15).pending == ("replace",)


def broken(actor: object, message: object) -> None:
    """Crash whatever the message is."""
    raise RuntimeError("broken")
