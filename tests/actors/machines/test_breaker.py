"""The breaker's memory: when it trips, how it comes back, what waits for a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.machines.breaker import BreakerRules, BreakerState, HaltReason
from ordersmith.actors.model import TradingState

ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
RULES = BreakerRules(rejections=3, window_ns=100, cooldown_ns=1000)


def rejected(*times: int, rules: BreakerRules = RULES) -> BreakerState:
    state = BreakerState()
    for at_ns in times:
        state.rejected(at_ns, rules)
    return state


@pytest.mark.parametrize(
    ("times", "trips"),
    [
        ((), False),
        ((1, 2), False),
        ((1, 2, 3), True),
        ((1, 50, 100), True),
        ((1, 50, 101), False),  # the first is as old as the window
        ((1, 50, 101, 102), True),
        ((1, 150, 300, 450, 600), False),
        ((7, 7, 7, 7, 7), True),
    ],
)
def test_it_trips_at_the_number_within_the_window(times: tuple[int, ...], trips: bool) -> None:
    """So many rejections within the window trip it, the same number further apart do not."""
    assert rejected(*times).tripped(RULES) is trips


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(1, 4), st.integers(1, 50))
def test_it_remembers_what_counts_and_no_more(gaps: list[int], number: int, window: int) -> None:
    """After any rejections it is tripped exactly if the window before the last one holds enough, and its memory is bounded."""
    rules = BreakerRules(rejections=number, window_ns=window)
    times = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    state = rejected(*times, rules=rules)
    recent = [at_ns for at_ns in times if at_ns > times[-1] - window]
    assert state.tripped(rules) is (len(recent) >= number)
    assert len(state.rejections) <= number + 1


def test_it_does_not_trip_twice() -> None:
    """While it is halted nothing trips it again, and after the change it starts with a clean window."""
    state = rejected(1, 2, 3)
    state.changed(state.change(HALTED, HaltReason.REPEATED_REJECTIONS, "3 of 3"), 3)
    assert state.rejections == []
    for at_ns in (4, 5, 6):
        state.rejected(at_ns, RULES)
    assert not state.tripped(RULES)
    state.changed(state.change(ACTIVE, HaltReason.MANUAL, "found it"), 7)
    assert state.rejections == []
    assert not state.tripped(RULES)


def test_it_goes_back_one_step_at_a_time() -> None:
    """After a cooldown HALTED becomes REDUCING, after another one ACTIVE, and then nothing is due."""
    state = rejected(1, 2, 3)
    state.changed(state.change(HALTED, HaltReason.REPEATED_REJECTIONS, ""), 3)
    assert (state.recovers_at_ns(RULES), state.one_step_back()) == (1003, REDUCING)
    state.changed(state.change(REDUCING, HaltReason.COOLDOWN, ""), 1003)
    assert (state.recovers_at_ns(RULES), state.one_step_back()) == (2003, ACTIVE)
    state.changed(state.change(ACTIVE, HaltReason.COOLDOWN, ""), 2003)
    assert state.recovers_at_ns(RULES) is None


@pytest.mark.parametrize(
    ("state", "reason", "cooldown_ns"),
    [
        (HALTED, HaltReason.MANUAL, 1000),
        (HALTED, HaltReason.ESCALATION, 1000),
        (REDUCING, HaltReason.MANUAL, 1000),
        (HALTED, HaltReason.REPEATED_REJECTIONS, None),
        (ACTIVE, HaltReason.START, 1000),
        (ACTIVE, HaltReason.COOLDOWN, 1000),
    ],
)
def test_nothing_else_comes_back_by_itself(state: TradingState, reason: HaltReason, cooldown_ns: int | None) -> None:
    """A halt by hand or by escalation, or without a cooldown, waits for a person."""
    breaker = BreakerState()
    breaker.changed(breaker.change(state, reason, ""), 5)
    assert breaker.recovers_at_ns(BreakerRules(cooldown_ns=cooldown_ns)) is None


def test_the_epoch_counts_the_changes() -> None:
    """Every change has the next number, by which approvals of before are known."""
    state = BreakerState()
    for number, (to, reason) in enumerate(
        [(HALTED, HaltReason.MANUAL), (ACTIVE, HaltReason.MANUAL), (HALTED, HaltReason.ESCALATION)], 1
    ):
        event = state.change(to, reason, "why")
        assert (event.state, event.reason, event.text, event.epoch) == (to, reason, "why", number)
        assert state.epoch == number - 1, "a change is a record first"
        state.changed(event, 10 * number)
        assert (state.trading_state, state.reason, state.epoch, state.changed_ns) == (to, reason, number, 10 * number)


def test_unknown_outcomes_add_up_within_the_window() -> None:
    """So many new orders in doubt within the window are too many, further apart they are not, and the memory is bounded."""
    rules = BreakerRules(unknowns=3, window_ns=100)
    state = BreakerState()
    for at_ns in (1, 50, 101):
        state.unknown(at_ns, rules)
    assert not state.lost_sight(rules)
    state.unknown(102, rules)
    assert state.lost_sight(rules)
    for at_ns in range(102, 150):
        state.unknown(at_ns, rules)
    assert len(state.unknowns) <= 4
    state.changed(state.change(HALTED, HaltReason.OUTCOME_UNKNOWN, ""), 150)
    assert not state.lost_sight(rules)


@pytest.mark.parametrize("reason", list(HaltReason))
def test_which_halts_wait_for_a_person(reason: HaltReason) -> None:
    """All but those for repeated rejections, and the steps back from them."""
    state = BreakerState()
    state.changed(state.change(HALTED, reason, ""), 5)
    mends = reason in (HaltReason.REPEATED_REJECTIONS, HaltReason.COOLDOWN)
    assert state.waits_for_person is not mends
    assert (state.recovers_at_ns(RULES) is not None) is mends
    state.changed(state.change(ACTIVE, HaltReason.MANUAL, ""), 6)
    assert not state.waits_for_person
