"""What is at stake at the worst, and exits that flip: I7, I16."""

from __future__ import annotations

from decimal import Decimal

import pytest
from oracle_story import Story, buy, sell

from ordersmith.actors.doubt_events import OrderNotFound
from ordersmith.actors.events import OrderRejected, OrderReplaced, OrderRestated, PositionAdjusted
from ordersmith.actors.model import Purpose, Terms
from ordersmith.actors.ports import AdjustmentCause
from ordersmith.simulation.oracle.watch import OracleLimits

QUANTITY = OracleLimits(max_position_quantity=Decimal(100))
GROSS = OracleLimits(max_gross_exposure=Decimal(1_000))


@pytest.fixture
def story() -> Story:
    return Story(QUANTITY)


def test_orders_up_to_the_limit_are_legal(story: Story) -> None:
    """What is held and what is open may reach the limit, on either side."""
    story.trade(buy("a", 40))
    story.work(buy("b", 60))
    story.work(sell("c", 140))
    assert story.found == []


@pytest.mark.parametrize("first", ["filled", "open", "unanswered", "in the truth alone"])
def test_one_share_above_the_limit_is_caught(story: Story, first: str) -> None:
    """Whatever became of an order before, all of it counts."""
    order = buy("a", 40)
    if first == "filled":
        story.trade(order)
    elif first == "open":
        story.work(order)
    else:
        story.approve(order)
        story.write(order)
    if first == "in the truth alone":
        story.oracle.accepted("a.0", order)
        story.execute(order, 40)
        story.end(order, "filled")
    story.work(buy("b", 61))
    assert story.found == ["I7"]


def test_a_short_position_has_the_same_limit(story: Story) -> None:
    """Selling beyond the limit is caught as buying is."""
    story.work(sell("a", 101))
    assert story.found == ["I7"]


def test_what_has_ended_and_is_booked_counts_no_more(story: Story) -> None:
    """A cancelled order gives its room back once that is told."""
    order = buy("a", 40)
    story.work(order)
    story.book(order, story.execute(order, 10))
    story.end(order)
    story.over(order)
    story.work(buy("b", 90))
    assert story.found == []


def test_an_order_that_is_booked_as_over_and_works_still_counts(story: Story) -> None:
    """What the core forgets is counted here."""
    story.work(buy("a", 40))
    story.over(buy("a", 40))
    story.work(buy("b", 61))
    assert story.found == ["I5", "I7"]


def test_an_order_that_was_given_up_with_proof_counts_no_more(story: Story) -> None:
    """Who has the proof that an order is not there may use its room."""
    order = buy("a", 60)
    story.approve(order)
    story.write(order)
    looked = [OrderNotFound("a", "a.0", True, 10**15 + n) for n in range(3)]
    story.record(*looked, OrderRejected("a", "NOT_FOUND", "", True))
    story.work(buy("b", 60))
    assert story.found == []


def test_an_order_that_was_given_up_while_the_broker_hid_it_is_excused(story: Story) -> None:
    """Who has the proof is not blamed for a broker that hid the order for a while."""
    order = buy("a", 60)
    story.approve(order)
    story.write(order)
    story.oracle.accepted("a.0", order)
    looked = [OrderNotFound("a", "a.0", True, 10**15 + n) for n in range(3)]
    story.record(*looked, OrderRejected("a", "NOT_FOUND", "", True))
    story.work(buy("b", 60))
    assert story.found == []


def test_a_replacement_counts_with_the_worst_of_old_and_new(story: Story) -> None:
    """Until it is answered, a smaller replacement frees nothing, and a larger one counts at once."""
    order = buy("a", 40)
    story.work(order)
    story.replace(order, 20)
    story.work(buy("b", 61))
    assert story.found == ["I7"]


def test_a_replacement_beyond_the_limit_is_caught(story: Story) -> None:
    """A replacement is judged as an order is."""
    order = buy("a", 40)
    story.work(order)
    story.replace(order, 101)
    assert story.found == ["I7"]


def test_a_replacement_that_was_made_counts_alone(story: Story) -> None:
    """Once both sides know the new terms, only they count."""
    order = buy("a", 40)
    story.work(order)
    story.replace(order, 20)
    story.end(order, "replaced")
    story.oracle.accepted("a.1", buy("a", 20))
    story.record(OrderReplaced("a", "a.1", "b2", Terms(Decimal(20), Decimal(10))))
    story.work(buy("b", 80))
    assert story.found == []


def test_a_replacement_that_the_journal_calls_refused_and_the_broker_made_counts(story: Story) -> None:
    """The broker's terms count, whatever the core believes."""
    order = buy("a", 40)
    story.work(order)
    story.replace(order, 60)
    story.end(order, "replaced")
    story.oracle.accepted("a.1", buy("a", 60))
    story.record(OrderReplaced("a", "a.1", "b2", Terms(Decimal(20), Decimal(10))))
    story.work(buy("b", 41))
    assert story.found == ["I7"]


def test_a_late_fill_that_nobody_could_know_excuses(story: Story) -> None:
    """A fill after the end of an order was told, booked after an approval, blames nobody."""
    order, other = buy("a", 40), buy("b", 90)
    story.work(order)
    story.end(order)
    story.over(order)
    late = story.execute(order, 30)
    story.approve(other)
    story.book(order, late, state="CANCELLED")
    story.write(other)
    assert story.found == []


def test_a_late_fill_that_was_booked_before_the_approval_counts(story: Story) -> None:
    """What the gate could see it must count."""
    order = buy("a", 40)
    story.work(order)
    story.end(order)
    story.over(order)
    story.book(order, story.execute(order, 30), state="CANCELLED")
    story.work(buy("b", 90))
    assert story.found == ["I7"]


def test_a_position_that_a_person_brought_excuses_what_was_approved_before(story: Story) -> None:
    """An adoption between approval and writing blames nobody, one before the approval counts."""
    adopted = PositionAdjusted("main", "x", AdjustmentCause.ADOPTED, "A", Decimal(50))
    story.approve(buy("a", 60))
    story.record(adopted)
    story.write(buy("a", 60))
    assert story.found == []
    story.work(buy("b", 1))
    assert story.found == ["I7"]


def test_a_split_on_its_way_excuses(story: Story) -> None:
    """Between a split and its booking the broker counts other shares than we do."""
    order = buy("a", 60)
    story.work(order)
    story.oracle.adjusted("A", Decimal(0), Decimal(0), Decimal(2))
    story.oracle.accepted("a.0", buy("a", 120))
    story.work(buy("b", 10))
    assert story.found == []
    story.record(
        PositionAdjusted("main", "s", AdjustmentCause.SPLIT, "A", Decimal(0), ratio=Decimal(2)),
        OrderRestated("a", Terms(Decimal(120)), "split"),
    )
    story.work(buy("c", 1))
    assert story.found == ["I7"]


def test_a_split_of_an_open_order_that_is_never_told_excuses(story: Story) -> None:
    """A broker that keeps a restatement to itself leaves us with the quantity that we know."""
    story.work(buy("a", 60))
    story.oracle.adjusted("A", Decimal(0), Decimal(0), Decimal(2))
    story.oracle.accepted("a.0", buy("a", 120))
    story.record(PositionAdjusted("main", "s", AdjustmentCause.SPLIT, "A", Decimal(0), ratio=Decimal(2)))
    story.work(buy("b", 40))
    assert story.found == []


def test_an_order_that_an_old_journal_has_lost_is_not_ours(story: Story) -> None:
    """After a restore nobody can reckon with what the journal has lost."""
    before = story.number
    story.work(buy("a", 60))
    story.crash()
    story.begin(restored_to=before)
    story.work(buy("b", 90))
    assert story.found == []


def test_an_order_of_before_a_crash_counts_after_it(story: Story) -> None:
    """A crash forgets nothing that is durable."""
    story.work(buy("a", 60))
    story.crash()
    story.begin()
    story.work(buy("b", 41))
    assert story.found == ["I7"]


def test_the_gross_exposure_is_judged_in_currency() -> None:
    """What all symbols could be worth stays within the limit."""
    story = Story(GROSS)
    story.work(buy("a", 100))
    assert story.found == []
    story.work(buy("b", 1))
    assert story.found == ["I7"]


def test_a_price_that_has_just_risen_excuses() -> None:
    """An order may be written at another price than it was approved at."""
    story = Story(GROSS)
    story.approve(buy("a", 100))
    story.oracle.priced("A", 11.0, False)
    story.write(buy("a", 100))
    assert story.found == []


def test_an_exit_beyond_flat_is_caught(story: Story) -> None:
    """Exits never sell more than is held, what is open on that side included."""
    story.trade(buy("a", 10))
    story.work(sell("b", 6, purpose=Purpose.EXIT))
    assert story.found == []
    story.work(sell("c", 5, purpose=Purpose.PROTECTIVE))
    assert story.found == ["I16"]


def test_an_exit_from_flat_is_caught(story: Story) -> None:
    """Where nothing is held there is nothing to exit from."""
    story.work(sell("a", 1, purpose=Purpose.LIQUIDATION))
    assert story.found == ["I16"]


def test_an_exit_is_not_blamed_for_an_entry_approved_after_it(story: Story) -> None:
    """An entry on the same side may flip, and does not make an exit before it one that does."""
    story.trade(buy("a", 10))
    exit_order = sell("b", 10, purpose=Purpose.EXIT)
    story.approve(exit_order)
    story.work(sell("c", 5))
    story.write(exit_order)
    assert story.found == []


def test_exits_have_no_limit(story: Story) -> None:
    """An exit from a position beyond the limit is legal."""
    story.record(PositionAdjusted("main", "x", AdjustmentCause.ADOPTED, "A", Decimal(500)))
    story.work(sell("a", 500, purpose=Purpose.EXIT))
    assert story.found == []
