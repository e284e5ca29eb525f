"""What callers are told, and prices and restarts: I8, I12, I18, I19."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from oracle_story import Story, buy, status

from ordersmith.actors.doubt_events import JournalFailed, OrderReserved
from ordersmith.actors.events import ActorRestarted, Arrival, OrderApproved, OrderSubmitted, TradingStateChanged
from ordersmith.actors.messages import GetOrderStatus, SubmitOrders, Unknown
from ordersmith.actors.model import TradingState

ORDER = buy("a")
SUBMIT = SubmitOrders((ORDER,), fresh=True)
HALTED = TradingStateChanged(TradingState.HALTED, "JOURNAL", "full", 1)
STATUS = GetOrderStatus(("a",), None)  # type: ignore[arg-type]


@pytest.fixture
def story() -> Story:
    story = Story()
    story.work(ORDER)
    return story


# --- Answers -----------------------------------------------------------------------------------------------------------


def test_an_answer_that_rests_on_durable_records_is_legal(story: Story) -> None:
    """Who asks is told what is in the journal."""
    story.oracle.asked(1, SUBMIT)
    story.oracle.answered(1, [status(ORDER, "SUBMITTED", last_record=story.number)])
    assert story.found == []


def test_an_answer_that_rests_on_what_is_not_durable_is_caught(story: Story) -> None:
    """What a power cut could take back is told to nobody."""
    story.oracle.asked(1, SUBMIT)
    story.oracle.answered(1, [status(ORDER, "SUBMITTED", last_record=story.number + 1)])
    assert story.found == ["I8"]


def test_an_id_that_is_taken_for_an_order_with_other_terms_is_caught(story: Story) -> None:
    """Who gives an id again with other terms has another order in mind."""
    story.oracle.asked(1, SubmitOrders((buy("a"),)))
    story.oracle.answered(1, [status(ORDER, "SUBMITTED", last_record=story.number)])
    assert story.found == []
    story.oracle.asked(2, SubmitOrders((buy("a", 11),)))
    story.oracle.answered(2, [status(ORDER, "SUBMITTED", last_record=story.number)])
    assert story.found == ["I1"]


def test_a_status_is_told_without_a_journal_only_while_the_disk_fails(story: Story) -> None:
    """Questions are answered although nothing can be written, and only then."""
    early = [status(ORDER, "SUBMITTED", last_record=story.number + 1)]
    story.oracle.asked(1, STATUS)
    story.oracle.answered(1, early)
    story.state(JournalFailed("full"), HALTED)
    assert story.found == []
    story.oracle.asked(2, STATUS)
    story.oracle.answered(2, early)
    story.state()
    assert story.found == []
    for _ in range(2):
        story.oracle.durable(())
    story.oracle.asked(3, STATUS)
    story.oracle.answered(3, [status(ORDER, "SUBMITTED", last_record=story.number + 9)])
    story.state()
    assert story.found == ["I8"]


def test_an_order_is_not_submitted_while_the_disk_fails(story: Story) -> None:
    """A submission waits for the journal, however long."""
    story.state(JournalFailed("full"), HALTED)
    story.oracle.asked(1, SUBMIT)
    story.oracle.answered(1, [status(ORDER, "SUBMITTED", last_record=story.number)])
    assert story.found == ["I8"]


def test_a_status_with_another_filled_quantity_than_its_record_is_caught(story: Story) -> None:
    """What is told is what the records add up to, as of the record that is named."""
    story.book(ORDER, story.execute(ORDER, 3))
    first = story.number
    story.book(ORDER, story.execute(ORDER, 4))
    for ask, (filled, last) in enumerate([(3, first), (7, story.number), (7, first)]):
        story.oracle.asked(ask, STATUS)
        story.oracle.answered(ask, [status(ORDER, "PARTIALLY_FILLED", filled, last_record=last)])
    assert story.found == ["I8"]


def test_an_answer_about_another_order_is_caught(story: Story) -> None:
    """Who submits an order is told of that one."""
    story.work(buy("b"))
    story.oracle.asked(1, SUBMIT)
    story.oracle.answered(1, [status(buy("b"), "SUBMITTED", last_record=story.number)])
    assert story.found == ["I8"]


def test_a_status_of_an_order_that_is_in_no_record_is_caught(story: Story) -> None:
    """Nobody is told of an order that the journal does not hold."""
    story.oracle.asked(1, STATUS)
    story.oracle.answered(1, [status(buy("z"), "SUBMITTED", last_record=1)])
    assert story.found == ["I8"]


def test_a_question_answered_twice_is_caught(story: Story) -> None:
    """Every question has one answer."""
    story.oracle.asked(1, STATUS)
    for _ in range(2):
        story.oracle.answered(1, Unknown(("a",)))
    assert story.found == ["I8"]


def test_the_questions_of_two_processes_are_not_the_same(story: Story) -> None:
    """A process that begins counts its questions anew, and owes no answers to those of the one before."""
    story.oracle.asked(1, STATUS)
    story.crash()
    story.begin()
    story.oracle.asked(1, STATUS)
    story.oracle.answered(1, [None])
    story.wait(3600)
    story.rest(statuses=(status(ORDER, "CANCELLED"),))
    assert story.found == []


def test_a_question_that_is_never_answered_is_caught(story: Story) -> None:
    """At rest every question of the process has its answer."""
    story.oracle.asked(1, STATUS)
    story.wait(3600)
    story.rest(statuses=(status(ORDER, "CANCELLED"),))
    assert story.found == ["I18"]


# --- Prices ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [math.nan, 0.0, -1.0, math.inf])
def test_an_approval_at_a_bad_price_is_caught(story: Story, price: float) -> None:
    """While the last price is none, nothing is approved."""
    story.show(price)
    story.record()
    story.approve(buy("b"))
    assert story.found == ["I12"]


def test_an_approval_in_the_turn_that_takes_a_bad_price_may_come_before_it(story: Story) -> None:
    """A price and a question that arrive together are taken in either order."""
    story.show(math.nan)
    story.approve(buy("b"))
    assert story.found == []


def test_a_good_price_ends_a_bad_one(story: Story) -> None:
    """An absurd price that is a number is a price."""
    story.show(math.nan)
    story.record()
    story.oracle.priced("A", 1e6, True)
    story.approve(buy("b"))
    assert story.found == []


@pytest.mark.parametrize("price", [Decimal(0), Decimal("NaN"), Decimal(-3)])
def test_an_approval_that_reserves_nothing_is_caught(story: Story, price: Decimal) -> None:
    """An approval names the price that it reserves at."""
    order = buy("b")
    story.record(OrderSubmitted("b", order, Arrival(0, None)))
    story.record(OrderApproved("b", "main", "A", order.side, Decimal(1), price))
    assert story.found == ["I12"]


def test_an_approval_without_any_price_is_caught(story: Story) -> None:
    """A process that has seen no price of a symbol approves nothing in it."""
    order = buy("b")
    story.record(OrderApproved("b", "main", "Z", order.side, Decimal(1), Decimal(10)))
    assert story.found == ["I12"]


def test_what_works_at_the_broker_is_reserved_whatever_the_price(story: Story) -> None:
    """To reserve for an order that is there already is no approval."""
    story.show(math.nan)
    story.record()
    story.record(OrderReserved("a", "main", "A", ORDER.side, Decimal(10), Decimal(10)))
    assert story.found == []


# --- Restarts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap_s", "found"), [(0.5, ["I19"]), (2, [])])
def test_an_actor_that_is_restarted_for_ever_is_caught(story: Story, gap_s: float, found: list[str]) -> None:
    """An actor that crashes again and again is given up; one that crashes now and then is not."""
    for number in range(7):
        story.record(ActorRestarted("desk", number, "SubmitOrders", "ValueError"))
        story.wait(gap_s)
    assert story.found == found


def test_different_actors_have_their_own_restarts(story: Story) -> None:
    """Restarts are counted by actor, and anew in every process."""
    for number in range(12):
        story.record(ActorRestarted(("desk", "market")[number % 2], number, "X", "Y"))
    story.crash()
    story.begin()
    for number in range(6):
        story.record(ActorRestarted("desk", number, "X", "Y"))
    assert story.found == []
