"""What may be written to the wire, and when: I1, I8, I9, I13, I14, I19."""

from __future__ import annotations

from decimal import Decimal

import pytest
from oracle_story import CAPABILITIES, Story, buy, sell

from ordersmith.actors.doubt_events import JournalFailed
from ordersmith.actors.events import (
    Escalated,
    OrderApproved,
    OrderIntended,
    OrderReplaceRequested,
    SessionClosed,
    SessionOpened,
    TradingStateChanged,
)
from ordersmith.actors.messages import SubmitOrders
from ordersmith.actors.model import Purpose, Terms, TradingState
from ordersmith.actors.ports import CancelRequest, NewOrder, ReplaceRequest


@pytest.fixture
def story() -> Story:
    return Story()


def halt(story: Story, state: TradingState = TradingState.HALTED) -> None:
    story.epoch += 1
    story.record(TradingStateChanged(state, "by hand", "", story.epoch))


def test_a_leg_written_twice_is_caught(story: Story) -> None:
    """A wire id that is written a second time breaks I1."""
    order = buy("a")
    story.work(order)
    assert story.found == []
    story.write(order)
    assert story.found == ["I1"]


def test_a_leg_written_again_after_a_power_cut_is_caught(story: Story) -> None:
    """What was written stays written whatever the process forgets."""
    order = buy("a")
    story.work(order)
    story.crash()
    story.begin()
    story.write(order)
    assert story.found == ["I1"]


def test_an_id_that_a_restored_journal_has_lost_is_not_written_again(story: Story) -> None:
    """After an old journal was put back, an id of before is not used again by ourselves."""
    order, before = buy("a"), story.number
    story.work(order)
    story.crash()
    story.begin(restored_to=before)
    story.approve(order)
    story.write(order)
    assert story.found == ["I1"]


def test_an_id_that_its_caller_gives_again_after_the_journal_has_lost_it_is_excused(story: Story) -> None:
    """Nobody can know an id that the journal has lost, when a caller gives it once more."""
    order, before = buy("a"), story.number
    story.work(order)
    story.crash()
    story.begin(restored_to=before)
    story.oracle.asked(1, SubmitOrders((order,)))
    story.approve(order)
    story.write(order)
    assert story.found == []


def test_two_legs_that_work_at_once_are_caught(story: Story) -> None:
    """An order of which two legs work at the broker for longer than an instant breaks I1."""
    order = buy("a")
    story.work(order)
    story.replace(order, 20)
    story.oracle.accepted("a.1", buy("a", 20))
    story.wait(1)
    story.record()
    assert story.found == ["I1"]


def test_a_replaced_leg_may_end_at_the_instant_at_which_the_next_begins(story: Story) -> None:
    """Of a replacement the broker may tell the new leg before the end of the old one."""
    order = buy("a")
    story.work(order)
    story.replace(order, 20)
    story.oracle.accepted("a.1", buy("a", 20))
    story.record()
    story.end(order, "replaced")
    story.wait(1)
    story.record()
    assert story.found == []


def test_an_order_without_an_intent_is_caught(story: Story) -> None:
    """An order that is written while its intent is stated and not durable breaks I8."""
    order = buy("a")
    story.approve(order, intended=False)
    story.state(OrderIntended("a", "a.0"))
    story.write(order)
    assert story.found == ["I8"]


def test_an_order_that_is_not_what_was_intended_is_caught(story: Story) -> None:
    """An order that leaves with other terms than were intended breaks I8."""
    story.approve(buy("a", 10))
    story.write(buy("a", 11))
    assert story.found == ["I8"]


def test_a_replacement_with_other_terms_than_were_intended_is_caught(story: Story) -> None:
    """A replacement is compared with its own intent."""
    story.work(buy("a"))
    story.record(
        OrderApproved("a", "main", "A", buy("a").side, Decimal(20), Decimal(10), True),
        OrderReplaceRequested("a", "a.1", Terms(Decimal(20), Decimal(10))),
    )
    story.oracle.written(ReplaceRequest("a.0", "a.1", Terms(Decimal(30), Decimal(10)), story.now_ns, 0))
    assert story.found == ["I8"]


def test_an_order_that_the_gate_has_not_approved_is_caught(story: Story) -> None:
    """An intent without an approval is not enough."""
    order = buy("a")
    approved = story.number + 2
    story.approve(order)
    story.crash()
    story.begin(restored_to=approved - 1)
    story.record(OrderIntended("a", "a.0"))
    story.write(order)
    assert story.found == ["I8"]


@pytest.mark.parametrize("gap", ["lost", "closed", "boot", "not read"])
def test_an_order_before_reconciliation_is_caught(story: Story, gap: str) -> None:
    """After any gap nothing that adds risk is written until the account was read and the session is ready again."""
    order = buy("a")
    story.approve(order)
    if gap == "lost":
        story.oracle.session(False)
        story.oracle.session(True, "main")
    elif gap == "closed":
        story.state(SessionClosed("main", "silent"))
    elif gap == "boot":
        story.crash()
        story.begin(ready=False)
        story.oracle.session(True, "main")
    else:
        story.oracle.session(True, "main")
    story.write(order)
    assert story.found == ["I9"]


def test_a_session_that_is_called_ready_unread_is_caught(story: Story) -> None:
    """Connected is not reconciled, whatever the core says."""
    story.oracle.session(False)
    story.oracle.session(True, "main")
    story.record(SessionOpened("main", Decimal(0), (), CAPABILITIES))
    story.work(buy("a"))
    assert story.found == ["I9"]


def test_an_order_after_reconciliation_is_legal(story: Story) -> None:
    """Once the account was read again, orders flow."""
    order = buy("a")
    story.oracle.session(False)
    story.oracle.session(True, "main")
    story.reconcile()
    story.work(order)
    assert story.found == []


def test_a_cancel_needs_no_reconciliation_and_passes_a_halt(story: Story) -> None:
    """Cancels leave in a session that is not read yet, and while trading is halted."""
    story.work(buy("a"))
    halt(story)
    story.oracle.session(False)
    story.oracle.session(True, "main")
    story.oracle.written(CancelRequest("a.0"))
    assert story.found == []


@pytest.mark.parametrize("account", ["other", ""])
def test_anything_written_to_another_account_is_caught(story: Story, account: str) -> None:
    """Even a cancel in a session of another account, or in none, breaks I13."""
    story.oracle.session(bool(account), account)
    story.oracle.written(CancelRequest("a.0"))
    assert story.found == ["I13"]


@pytest.mark.parametrize("purpose", [Purpose.ENTRY, Purpose.CHILD, Purpose.EXIT])
def test_an_order_written_after_a_halt_is_caught(story: Story, purpose: Purpose) -> None:
    """What was approved before a halt is not written after it, not even before the halt is durable."""
    order = buy("a", purpose=purpose)
    story.approve(order)
    story.state(TradingStateChanged(TradingState.HALTED, "by hand", "", 1))
    story.write(order)
    assert "I14" in story.found


def test_new_risk_approved_under_a_halt_is_caught(story: Story) -> None:
    """An entry of the present trading epoch is no excuse while that epoch is halted."""
    halt(story)
    story.work(buy("a"))
    assert story.found == ["I14"]


def test_protection_passes_a_halt(story: Story) -> None:
    """Under a halt what protects a position may be written."""
    story.trade(buy("a"))
    halt(story)
    story.work(sell("b", purpose=Purpose.PROTECTIVE))
    assert story.found == []


def test_a_halt_that_was_lost_to_a_power_cut_binds_nobody(story: Story) -> None:
    """A halt that never became durable is gone after a power cut."""
    story.state(TradingStateChanged(TradingState.HALTED, "by hand", "", 1))
    story.number -= 1
    story.crash()
    story.begin()
    story.work(buy("a"))
    assert story.found == []


def test_an_order_of_an_older_trading_epoch_is_caught(story: Story) -> None:
    """An approval does not outlive a halt that has ended meanwhile."""
    order = buy("a")
    story.approve(order)
    halt(story)
    halt(story, TradingState.ACTIVE)
    story.write(order, epoch=0)
    assert story.found == ["I14"]


def test_an_entry_under_reducing_that_increases_is_caught(story: Story) -> None:
    """While trading is REDUCING, an entry from flat breaks I14."""
    halt(story, TradingState.REDUCING)
    story.work(buy("a"))
    assert story.found == ["I14"]


def test_a_halt_that_waits_for_a_person_is_ended_by_no_cooldown(story: Story) -> None:
    """Time alone mends too many rejections, and nothing else."""
    mends = TradingStateChanged(TradingState.HALTED, "REPEATED_REJECTIONS", "10", 1)
    step = TradingStateChanged(TradingState.REDUCING, "COOLDOWN", "over", 2)
    story.record(mends, step, TradingStateChanged(TradingState.ACTIVE, "COOLDOWN", "over", 3))
    assert story.found == []
    story.record(TradingStateChanged(TradingState.HALTED, "JOURNAL", "full", 4))
    story.crash()
    story.begin()
    story.record(TradingStateChanged(TradingState.REDUCING, "COOLDOWN", "over", 5))
    assert story.found == ["I14"]


def test_a_journal_that_fails_halts_trading_at_once(story: Story) -> None:
    """In the turn of the pump in which it is stated, whatever else is decided there; who gave up needs no halt."""
    failed, halted = JournalFailed("full"), TradingStateChanged(TradingState.HALTED, "JOURNAL", "full", 1)
    story.state(failed, halted, TradingStateChanged(TradingState.ACTIVE, "MANUAL", "a person", 2))
    story.state(halted)
    story.state(failed)
    assert story.found == []
    story.state(TradingStateChanged(TradingState.ACTIVE, "MANUAL", "a person", 3))
    story.state(failed)
    assert story.found == ["I14"]
    story.state(failed, Escalated("root", "error"))
    assert story.found == ["I14"]


def test_an_order_after_its_deadline_is_caught(story: Story) -> None:
    """Who looked for it since may have given it up."""
    order = buy("a")
    story.approve(order)
    command = NewOrder("a.0", order, story.now_ns, story.epoch)
    story.oracle.written(command)
    assert story.found == []
    story.wait(1)
    story.approve(buy("b"))
    story.oracle.written(NewOrder("b.0", buy("b"), command.not_after_ns, story.epoch))
    assert story.found == ["I2"]


def test_an_order_after_the_tree_gave_up_is_caught(story: Story) -> None:
    """After an escalation nothing that adds risk is written until the next boot."""
    order = buy("a")
    story.approve(order)
    story.state(Escalated("brokers", "too many restarts"))
    story.write(order)
    assert story.found == ["I19"]
    story.number -= 1
    story.crash()
    story.begin()
    story.work(buy("b"))
    assert story.found == ["I19"]


def test_a_new_order_is_named_in_what_is_said(story: Story) -> None:
    """A violation says which leg it is about and what was expected."""
    story.oracle.written(NewOrder("a.0", buy("a"), story.now_ns, 0))
    (violation,) = story.oracle.violations
    assert (violation.invariant, violation.at_ns) == ("I8", story.now_ns)
    assert violation.text == "NewOrder a.0 was written and no durable record intends it"
