"""How everything must stand at the end: I2, I3, I6, I10, I11, I18."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from oracle_story import CASH, Story, buy, sell, status

from ordersmith.actors.doubt_events import OrderNeedsPerson, OrderOverfilled
from ordersmith.actors.events import ActorQuarantined, CashMoved, Escalated, TradingStateChanged
from ordersmith.actors.model import Side, TradingState
from ordersmith.actors.ports import CashKind
from ordersmith.simulation.oracle.rest import HighWater, OpenOrder

ORDER = buy("a")
TEN = Decimal(10)


@pytest.fixture
def story() -> Story:
    return Story()


def traded(story: Story) -> dict[str, Any]:
    """Have an order fill, and return a rest in which all agrees."""
    story.trade(ORDER)
    return {
        "statuses": (status(ORDER, "FILLED", 10),),
        "filled": {"a": TEN},
        "positions": {"A": TEN},
        "cash": CASH - 100,
    }


def open_order(wire_id: str = "a.0") -> OpenOrder:
    return OpenOrder(wire_id=wire_id, broker_order_id="b1", symbol="A", side=Side.BUY, open_quantity=TEN)


def test_a_world_that_agrees_is_at_rest(story: Story) -> None:
    """Orders over, books equal, trading possible: nothing is said."""
    story.rest(**traded(story))
    assert story.found == []


# --- Orders ------------------------------------------------------------------------------------------------------------


def test_an_order_that_the_core_does_not_know_is_caught(story: Story) -> None:
    """Every order of the journal, and every fill at the broker, has its status."""
    rest = traded(story) | {"statuses": ()}
    story.rest(**rest)
    assert story.found == ["I2", "I2"]


def test_a_fill_that_was_never_booked_is_caught(story: Story) -> None:
    """A dropped fill is found in the end."""
    story.work(ORDER)
    story.execute(ORDER, 10)
    story.end(ORDER, "filled")
    story.over(ORDER)
    story.rest(statuses=(status(ORDER, "CANCELLED"),), filled={"a": TEN})
    assert story.found == ["I3"]


@pytest.mark.parametrize("is_said", [False, True])
def test_more_than_was_ordered_must_have_been_an_alarm(story: Story, is_said: bool) -> None:
    """What a broker overfills is booked, and somebody is told."""
    story.trade(ORDER)
    story.book(ORDER, story.execute(ORDER, 2), 2, "FILLED")
    if is_said:
        story.record(OrderOverfilled("a", TEN, Decimal(12)))
    twelve = {"filled": {"a": Decimal(12)}, "positions": {"A": Decimal(12)}, "cash": CASH - 120}
    story.rest(statuses=(status(ORDER, "FILLED", 12),), **twelve)
    assert story.found == ([] if is_said else ["I4"])


def test_a_broker_whose_total_is_not_the_sum_of_its_executions_is_caught(story: Story) -> None:
    """The truth is looked at twice: what was executed, and what the broker says of it."""
    rest = traded(story)
    story.execute(ORDER, 1)
    story.rest(**rest)
    assert story.found == ["I3"]


def test_a_difference_that_is_with_a_person_is_legal(story: Story) -> None:
    """Who is called to a symbol will see to its orders."""
    story.work(ORDER)
    story.execute(ORDER, 10)
    story.rest(statuses=(status(ORDER, "SUBMITTED"),), filled={"a": TEN}, our_frozen=frozenset({"A"}))
    assert story.found == []


def test_an_order_that_is_still_open_is_caught(story: Story) -> None:
    """At rest an order is over, unless a person was called."""
    story.work(ORDER)
    story.rest(statuses=(status(ORDER, "SUBMITTED", in_doubt=True),), open_orders=(open_order(),))
    assert story.found == ["I18"]


@pytest.mark.parametrize("call", [OrderNeedsPerson("a", "in doubt"), ActorQuarantined("order/a", "crashed")])
def test_an_open_order_that_is_with_a_person_is_legal(story: Story, call: Any) -> None:
    """Escalated is an answer, too."""
    story.work(ORDER)
    story.record(call)
    story.rest(statuses=(status(ORDER, "SUBMITTED", in_doubt=True),), open_orders=(open_order(),))
    assert story.found == []


def test_an_order_that_is_over_for_us_and_works_at_the_broker_is_caught(story: Story) -> None:
    """A lost order is one that works and that nobody looks after."""
    story.work(ORDER)
    story.rest(statuses=(status(ORDER, "CANCELLED"),), open_orders=(open_order(),))
    assert story.found == ["I2"]


@pytest.mark.parametrize("wire_id", ["", "a.0"])
def test_an_order_that_is_not_ours_is_counted(story: Story, wire_id: str) -> None:
    """What a person placed, or an old journal has lost, is open and counted as external."""
    if wire_id:
        before = story.number
        story.work(ORDER)
        story.crash()
        story.begin(restored_to=before)
    story.rest(open_orders=(open_order(wire_id),), our_externals=frozenset({"b1"}))
    assert story.found == []
    story.rest(open_orders=(open_order(wire_id),))
    assert story.found == ["I2"]


def test_what_an_old_journal_has_lost_is_judged_by_the_books_alone(story: Story) -> None:
    """Fills of an order that the journal has lost show as a difference of the books, which freezes the symbol."""
    before = story.number
    traded(story)
    story.crash()
    story.begin(restored_to=before)
    story.rest(
        filled={"a": TEN},
        positions={"A": TEN},
        cash=CASH - 100,
        our_positions={},
        our_cash=CASH,
        our_frozen=frozenset({"A", ""}),
    )
    assert story.found == []


# --- Books -------------------------------------------------------------------------------------------------------------


def test_books_that_differ_from_the_broker_are_caught(story: Story) -> None:
    """A position is the broker's, or its symbol is frozen."""
    rest = traded(story) | {"positions": {"A": Decimal(11)}, "our_positions": {"A": TEN}}
    story.rest(**rest)
    assert story.found == ["I6"]
    story.rest(**rest, our_frozen=frozenset({"A"}))
    assert story.found == ["I6"]


def test_books_that_are_not_the_sum_of_the_records_are_caught(story: Story) -> None:
    """A record that was folded twice shows, even where the symbol is frozen."""
    rest = traded(story) | {"our_positions": {"A": Decimal(20)}, "our_frozen": frozenset({"A"})}
    story.rest(**rest)
    assert story.found == ["I6"]


def test_cash_that_differs_from_the_broker_is_caught(story: Story) -> None:
    """Cash is the broker's to the cent, or it is frozen."""
    rest = traded(story)
    story.rest(**rest | {"cash": CASH - 100 + Decimal("0.02"), "our_cash": CASH - 100})
    assert story.found == ["I6"]
    story.rest(**rest | {"cash": CASH - 100 + Decimal("0.01"), "our_cash": CASH - 100})
    story.rest(**rest | {"cash": Decimal(0), "our_cash": CASH - 100, "our_frozen": frozenset({""})})
    assert story.found == ["I6"]


def test_cash_that_is_not_the_sum_of_the_records_is_caught(story: Story) -> None:
    """Cash follows fills on both sides and what moves without a trade."""
    rest = traded(story)
    story.trade(sell("b"))
    story.record(CashMoved("main", "c", CashKind.DIVIDEND, Decimal(5)))
    both = {
        "statuses": (*rest["statuses"], status(sell("b"), "FILLED", 10)),
        "filled": {"a": TEN, "b": TEN},
        "cash": CASH + 5,
        "our_positions": {"A": Decimal(0)},
    }
    story.rest(**both)
    assert story.found == []
    story.rest(**both | {"our_cash": CASH + 6, "our_frozen": frozenset({""})})
    assert story.found == ["I6"]


# --- The system ----------------------------------------------------------------------------------------------------------


def test_trading_that_is_halted_for_a_stated_reason_is_at_rest(story: Story) -> None:
    """Trading is possible, or a record says why not."""
    story.rest(our_trading_state=TradingState.HALTED)
    assert story.found == ["I18"]
    story.record(TradingStateChanged(TradingState.HALTED, "by hand", "", 1))
    story.rest(our_trading_state=TradingState.HALTED)
    assert story.found == ["I18"]


def test_a_session_that_is_not_ready_is_caught(story: Story) -> None:
    """With a broker that works, the session is reconciled in the end."""
    story.rest(our_session="SYNCING")
    assert story.found == ["I18"]


def test_a_process_that_is_gone_has_said_why(story: Story) -> None:
    """A service may give up, but not in silence."""
    story.rest(our_is_up=False)
    assert story.found == ["I18"]
    story.record(Escalated("ordersmith", "too many restarts"))
    story.rest(our_is_up=False)
    assert story.found == ["I18"]


def test_an_order_that_is_not_ours_does_not_count_when_it_is_gone(story: Story) -> None:
    """What is not at the broker any more binds nothing; before a session is ready nobody can know."""
    rest = traded(story)
    story.rest(**rest, externals=frozenset({"b1"}), open_orders=(open_order(""),))
    assert story.found == []
    story.rest(**rest, externals=frozenset({"b1"}))
    assert story.found == ["I18"]


def test_a_queue_beyond_its_bound_is_caught(story: Story) -> None:
    """A queue may be full and not fuller."""
    story.rest(our_queues={"inputs": HighWater(5, 5)})
    assert story.found == []
    story.rest(our_queues={"inputs": HighWater(6, 5)})
    assert story.found == ["I10"]


def test_a_state_that_is_not_the_fold_of_the_journal_is_caught(story: Story) -> None:
    """What an actor holds is what a fresh one reads from the journal."""
    story.rest(our_digests={"desk": "1"}, our_folded={"desk": "1"})
    assert story.found == []
    story.rest(our_digests={"desk": "1"}, our_folded={"desk": "2"})
    story.rest(our_digests={"desk": "1"}, our_folded={})
    assert story.found == ["I11", "I11"]


def test_violations_are_counted_beyond_those_that_are_kept(story: Story) -> None:
    """After the first few only their number grows."""
    for _ in range(30):
        story.rest(our_session="SYNCING")
    assert len(story.found) == 20
    assert story.oracle.count == 30
