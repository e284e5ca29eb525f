"""What is booked as filled, and how orders end: I2, I3, I4, I5."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from oracle_story import Story, buy

from ordersmith.actors.doubt_events import OrderNotFound, OrderResolved, Verdict
from ordersmith.actors.events import CancelReason, OrderFilled, OrderRejected, OrderRestated
from ordersmith.actors.model import Fill, OrderState, Terms

ORDER = buy("a")


@pytest.fixture
def story() -> Story:
    story = Story()
    story.work(ORDER)
    return story


def inferred(quantity: int) -> Fill:
    return Fill(fill_key=f"inferred:{quantity}", quantity=Decimal(quantity), price=Decimal(10), at_ns=0, inferred=True)


# --- Fills -------------------------------------------------------------------------------------------------------------


def test_fills_that_happened_are_legal(story: Story) -> None:
    """Each execution booked once breaks nothing."""
    for quantity in (3, 7):
        story.book(ORDER, story.execute(ORDER, quantity))
    assert story.found == []


def test_a_fill_booked_twice_is_caught(story: Story) -> None:
    """An execution that counts twice breaks I3 although the order has room for it."""
    fill = story.execute(ORDER, 3)
    story.book(ORDER, fill)
    story.book(ORDER, fill)
    assert story.found == ["I3"]


def test_a_fill_told_twice_that_changes_nothing_is_legal(story: Story) -> None:
    """A second record of a fill may bring news of the total alone."""
    fill = story.execute(ORDER, 3)
    story.book(ORDER, fill)
    story.book(ORDER, fill, quantity=0)
    assert story.found == []


def test_a_fill_that_never_happened_is_caught(story: Story) -> None:
    """A fill that the broker has not made breaks I3."""
    fill = story.execute(ORDER, 3)
    story.book(ORDER, msgspec.structs.replace(fill, fill_key="other"))
    assert story.found == ["I3"]


@pytest.mark.parametrize("wrong", [{"price": Decimal(11)}, {"quantity": Decimal(2)}, {"revision": 1}])
def test_a_fill_booked_as_something_else_is_caught(story: Story, wrong: dict[str, Decimal]) -> None:
    """A fill is booked with the price, the quantity and the revision that it has."""
    fill = story.execute(ORDER, 3)
    story.book(ORDER, msgspec.structs.replace(fill, **wrong), quantity=2)
    assert story.found == ["I3"]


def test_an_inferred_fill_that_the_real_one_replaces_is_legal(story: Story) -> None:
    """A total may be booked before its executions, which then change nothing."""
    fill = story.execute(ORDER, 3)
    story.book(ORDER, inferred(3))
    story.book(ORDER, fill, quantity=0)
    assert story.found == []


def test_an_inferred_fill_above_what_happened_is_caught(story: Story) -> None:
    """A total that the broker never had breaks I3."""
    story.execute(ORDER, 3)
    story.book(ORDER, inferred(4))
    assert story.found == ["I3"]


def test_more_than_was_ordered_is_caught(story: Story) -> None:
    """A total above what was ordered, and above what the broker filled, breaks I4."""
    fill = story.execute(ORDER, 10)
    story.book(ORDER, fill)
    story.book(ORDER, fill)
    assert story.found == ["I4"]


def test_what_the_broker_overfilled_is_booked_and_not_clipped(story: Story) -> None:
    """If the broker fills more than was ordered, the books say so."""
    story.book(ORDER, story.execute(ORDER, 12))
    assert story.found == []


def test_fills_of_a_restatement_that_was_never_told_are_legal(story: Story) -> None:
    """After a split the broker may fill more than we know to be ordered."""
    story.oracle.adjusted("A", Decimal(0), Decimal(0), Decimal(2))
    story.oracle.accepted("a.0", buy("a", 20))
    story.book(ORDER, story.execute(ORDER, 20))
    assert story.found == []


def test_a_bust_lowers_the_total(story: Story) -> None:
    """A bust is booked as a change downwards."""
    fill = story.execute(ORDER, 3, key="x")
    story.book(ORDER, fill)
    story.book(ORDER, story.execute(ORDER, 0, key="x", revision=1), quantity=-3)
    assert story.found == []


def test_a_total_below_nothing_is_caught(story: Story) -> None:
    """No bust takes back more than was filled."""
    story.execute(ORDER, 3, key="x")
    story.book(ORDER, story.execute(ORDER, 0, key="x", revision=1), quantity=-3)
    assert story.found == ["I3"]


def test_a_total_that_falls_without_a_bust_is_caught(story: Story) -> None:
    """Filled quantity never falls by itself."""
    fill = story.execute(ORDER, 3)
    story.book(ORDER, fill)
    story.book(ORDER, fill, quantity=-1)
    assert story.found == ["I5"]


def test_a_total_may_fall_by_a_late_first_revision_of_what_was_busted(story: Story) -> None:
    """Whichever revision of a fill comes first, a total that counted it as missing shrinks with the second."""
    first = story.execute(ORDER, 5, key="x")
    bust = story.execute(ORDER, 3, key="x", revision=1)
    story.execute(ORDER, 5)
    story.book(ORDER, bust, quantity=10)
    story.book(ORDER, first, quantity=-2)
    assert story.found == []


def test_a_late_fill_is_booked_on_an_order_that_is_over(story: Story) -> None:
    """An order that is over may fill, and is over still."""
    story.end(ORDER)
    story.over(ORDER)
    story.book(ORDER, story.execute(ORDER, 3), state="CANCELLED")
    assert story.found == []


def test_a_late_fill_that_opens_an_order_again_is_caught(story: Story) -> None:
    """A fill of an order that is over does not make it open."""
    story.end(ORDER)
    story.over(ORDER)
    story.book(ORDER, story.execute(ORDER, 3))
    assert story.found == ["I5"]


def test_a_fill_of_an_order_that_nobody_submitted_is_caught(story: Story) -> None:
    """A fill belongs to an order in the journal."""
    fill = story.execute(buy("z"), 3)
    story.record(
        OrderFilled("z", "main", "", "A", ORDER.side, fill, fill.quantity, Decimal(30), Decimal(0), OrderState.FILLED)
    )
    assert story.found == ["I2"]


# --- Ends --------------------------------------------------------------------------------------------------------------


def not_found(times: int, *, complete: bool) -> list[OrderNotFound]:
    late_ns = 10**15
    return [OrderNotFound("a", "a.0", complete and n == times - 1, late_ns + n) for n in range(times)]


def test_a_rejection_of_what_the_broker_took_is_caught(story: Story) -> None:
    """A warning read as a rejection loses an order."""
    story.record(OrderRejected("a", "10349", "time in force was set to DAY"))
    assert story.found == ["I2"]


def test_a_rejection_by_the_broker_is_legal() -> None:
    """What the broker never took is rejected."""
    story = Story()
    story.approve(ORDER)
    story.write(ORDER)
    story.end(ORDER, "rejected")
    story.record(OrderRejected("a", "NO", "no"))
    assert story.found == []


@pytest.mark.parametrize(("times", "complete"), [(0, False), (1, True), (3, False)])
def test_giving_up_without_proof_is_caught(times: int, complete: bool) -> None:
    """Not found is not rejected: it takes several look-ups and a read of the whole account."""
    story = Story()
    story.approve(ORDER)
    story.write(ORDER)
    story.record(*not_found(times, complete=complete), OrderRejected("a", "NOT_FOUND", "", True))
    assert story.found == ["I2"]


def test_look_ups_before_the_deadline_of_the_send_prove_nothing() -> None:
    """Until its deadline an order may be on its way."""
    story = Story()
    story.approve(ORDER)
    story.write(ORDER)
    early = [OrderNotFound("a", "a.0", True, story.now_ns + n) for n in range(4)]
    story.record(*early, OrderRejected("a", "NOT_FOUND", "", True))
    assert story.found == ["I2"]


def test_giving_up_with_proof_is_legal() -> None:
    """What was looked for often enough is not there."""
    story = Story()
    story.approve(ORDER)
    story.write(ORDER)
    story.record(*not_found(3, complete=True), OrderRejected("a", "NOT_FOUND", "", True))
    assert story.found == []


def test_giving_up_what_works_for_long_is_caught(story: Story) -> None:
    """No proof is one while the order has worked for longer than any broker hides it."""
    story.wait(3600)
    story.record(*not_found(3, complete=True), OrderRejected("a", "NOT_FOUND", "", True))
    assert story.found == ["I2"]


def test_a_person_may_give_an_order_up(story: Story) -> None:
    """A person's word needs no look-ups."""
    story.end(ORDER)
    story.record(OrderResolved("a", Verdict.ABSENT, "seen"), OrderRejected("a", "NOT_FOUND", "", True))
    assert story.found == []


def test_never_sent_is_caught_of_what_was_written(story: Story) -> None:
    """An order whose bytes have left was sent."""
    story.end(ORDER)
    story.over(ORDER, CancelReason.NOT_SENT)
    assert story.found == ["I2"]


def test_never_sent_is_legal_of_what_was_not_written() -> None:
    """An order that the port held back was not sent."""
    story = Story()
    story.approve(ORDER)
    story.over(ORDER, CancelReason.NOT_SENT)
    assert story.found == []


def test_an_end_that_the_broker_does_not_know_of_is_caught(story: Story) -> None:
    """An order that is booked as cancelled does not work at the broker."""
    story.over(ORDER)
    assert story.found == ["I5"]


def test_a_restated_order_may_fill_to_its_new_total(story: Story) -> None:
    """What is ordered follows a corporate action."""
    story.oracle.accepted("a.0", buy("a", 20))
    story.record(OrderRestated("a", Terms(Decimal(20)), "split"))
    story.book(ORDER, story.execute(ORDER, 20))
    assert story.found == []
