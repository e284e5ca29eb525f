"""What is made of the broker's account: I6."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from oracle_story import ACCOUNT, CAPABILITIES, Story, buy

from ordersmith.actors.account_events import (
    BooksDisagree,
    BooksSuspected,
    CashDiffers,
    SessionConnected,
    SymbolJudged,
    SymbolReleased,
)
from ordersmith.actors.events import CashMoved, PositionAdjusted
from ordersmith.actors.model import Purpose
from ordersmith.actors.ports import AdjustmentCause, CashKind
from ordersmith.actors.snapshots import Difference

FROZEN = BooksDisagree(ACCOUNT, "A", Decimal(5), Decimal(8))
RELEASED = SymbolReleased(ACCOUNT, "A")


def suspicion(symbol: str = "A", ours: int = 5, brokers: int = 8) -> BooksSuspected:
    return BooksSuspected(ACCOUNT, (Difference(symbol, Decimal(ours), Decimal(brokers)),))


@pytest.fixture
def story() -> Story:
    return Story()


# --- Freezes -----------------------------------------------------------------------------------------------------------


def test_two_reads_that_agree_freeze(story: Story) -> None:
    """What the read before has shown is established; that more was traded in between is no matter."""
    story.record(suspicion(ours=2, brokers=5))
    story.record(FROZEN)
    story.record(suspicion("", 100, 99))
    story.record(CashDiffers(ACCOUNT, Decimal(100), Decimal(99)))
    assert story.found == []


@pytest.mark.parametrize(
    "before",
    [(), (suspicion("B"),), (suspicion(brokers=9),), (suspicion(), BooksSuspected(ACCOUNT))],
    ids=["nothing", "another symbol", "another difference", "a suspicion that is over"],
)
def test_a_freeze_that_no_read_before_has_shown_is_caught(story: Story, before: tuple[Any, ...]) -> None:
    """One read may be torn."""
    story.record(*before)
    story.record(FROZEN)
    assert story.found == ["I6"]


def test_a_suspicion_does_not_outlive_its_session(story: Story) -> None:
    """What was read in another session, or by another process, is no second read."""
    story.record(suspicion(), SessionConnected(ACCOUNT, CAPABILITIES), FROZEN)
    assert story.found == ["I6"]
    story.record(suspicion())
    story.crash()
    story.begin()
    story.record(FROZEN)
    assert story.found == ["I6", "I6"]


def test_a_verdict_freezes_again_by_one_read(story: Story) -> None:
    """Who releases a symbol that still differs has it frozen anew, once."""
    story.record(suspicion(), FROZEN, SymbolJudged(ACCOUNT, "A", "release", "looked"), FROZEN)
    assert story.found == []
    story.record(SessionConnected(ACCOUNT, CAPABILITIES), FROZEN)
    assert story.found == ["I6"]


@pytest.mark.parametrize("purpose", [Purpose.ENTRY, Purpose.CHILD])
def test_new_risk_in_a_frozen_symbol_is_caught(story: Story, purpose: Purpose) -> None:
    """Nobody knows what is held of it."""
    story.record(suspicion(), FROZEN)
    story.approve(buy("a", purpose=purpose))
    assert story.found == ["I6"]


def test_exits_and_symbols_that_are_released_may_be_traded(story: Story) -> None:
    """What lessens risk passes, and after a person's word all does."""
    story.record(suspicion(), FROZEN)
    story.approve(buy("a", purpose=Purpose.EXIT))
    story.record(RELEASED)
    story.approve(buy("b"))
    assert story.found == []


def test_a_freeze_follows_its_symbol_to_another_name(story: Story) -> None:
    """A rename settles nothing."""
    story.record(suspicion("B"), BooksDisagree(ACCOUNT, "B", Decimal(5), Decimal(8)))
    story.record(PositionAdjusted(ACCOUNT, "r", AdjustmentCause.SYMBOL_CHANGE, "B", Decimal(0), new_symbol="A"))
    story.approve(buy("a"))
    assert story.found == ["I6"]


def test_a_restored_journal_is_judged_by_what_is_left_of_it(story: Story) -> None:
    """A freeze that is lost binds nobody, one that is left does, and nothing is found twice."""
    story.record(FROZEN)
    frozen, before = story.number, story.number - 1
    assert story.found == ["I6"]
    story.crash()
    story.begin(restored_to=frozen)
    story.approve(buy("a"))
    assert story.found == ["I6", "I6"]
    story.crash()
    story.begin(restored_to=before)
    story.approve(buy("b"))
    assert story.found == ["I6", "I6"]


# --- Activities --------------------------------------------------------------------------------------------------------


def test_an_activity_that_is_booked_twice_is_caught(story: Story) -> None:
    """A stream and a query may both tell of it."""
    story.record(CashMoved(ACCOUNT, "fee-1", CashKind.FEE, Decimal(-1)))
    story.record(CashMoved(ACCOUNT, "fee-2", CashKind.FEE, Decimal(-1)))
    assert story.found == []
    story.record(CashMoved(ACCOUNT, "fee-1", CashKind.FEE, Decimal(-1)))
    assert story.found == ["I6"]


def test_an_activity_that_the_journal_has_lost_is_booked_again(story: Story) -> None:
    """It is told again, and nobody knows it."""
    before = story.number
    story.record(CashMoved(ACCOUNT, "fee-1", CashKind.FEE, Decimal(-1)))
    story.crash()
    story.begin(restored_to=before)
    story.record(CashMoved(ACCOUNT, "fee-1", CashKind.FEE, Decimal(-1)))
    assert story.found == []
