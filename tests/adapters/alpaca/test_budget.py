"""Who may ask when the rate limit runs short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ordersmith.adapters.alpaca.budget import LIMIT, MINUTE_NS, SECOND_NS, Budget, Priority

NOW = 1_000 * SECOND_NS


def spent(count: int) -> Budget:
    budget = Budget()
    for _ in range(count):
        budget.sent(NOW)
        budget.ended(NOW)
    return budget


def test_the_lowest_priority_stops_first_and_a_cancel_last() -> None:
    """As the limit is used up, entries wait first, then reads, questions and exits, and a cancel has the very last request."""
    stopped = {}
    budget = Budget()
    for sent in range(LIMIT + 1):
        for priority in Priority:
            if priority not in stopped and budget.wait_ns(priority, NOW):
                stopped[priority] = sent
        budget.sent(NOW)
        budget.ended(NOW)
    assert list(stopped) == [Priority.ENTRY, Priority.READ, Priority.STATUS, Priority.EXIT, Priority.CANCEL]
    assert stopped[Priority.CANCEL] == LIMIT


def test_a_minute_later_there_is_a_whole_limit_again() -> None:
    """Without headers the limit is by the minute."""
    budget = spent(LIMIT)
    assert budget.wait_ns(Priority.CANCEL, NOW) == MINUTE_NS
    assert budget.wait_ns(Priority.ENTRY, NOW + MINUTE_NS) == 0


def test_headers_count() -> None:
    """What the headers say of limit, rest and reset counts, less what is under way."""
    budget = Budget()
    budget.sent(NOW)
    budget.sent(NOW)
    budget.ended(NOW, 1000, 500, NOW / SECOND_NS + 7)
    assert (budget.limit, budget.remaining) == (1000, 499)
    budget.ended(NOW, 1000, 0, NOW / SECOND_NS + 7)
    assert budget.wait_ns(Priority.CANCEL, NOW) == 7 * SECOND_NS


def test_a_429_stops_everybody_until_the_reset() -> None:
    """After a 429 nobody asks before the reset, or for some seconds when it is not told."""
    for reset_s, wait_ns in ((NOW / SECOND_NS + 3, 3 * SECOND_NS), (None, 5 * SECOND_NS)):
        budget = spent(1)
        budget.sent(NOW)
        budget.ended(NOW, reset_s=reset_s, refused=True)
        assert budget.wait_ns(Priority.CANCEL, NOW) == wait_ns
        assert budget.wait_ns(Priority.CANCEL, NOW + wait_ns) == 0


def test_polls_slow_down_as_the_limit_is_used() -> None:
    """With little left polls come four times slower."""
    assert [spent(used).slower(NOW) for used in (0, 100, 150)] == [1, 2, 4]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10 * SECOND_NS),
            st.one_of(st.none(), st.integers(-5, 2000)),
            st.one_of(st.none(), st.integers(0, 2**40)),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_no_headers_stop_trading_for_longer_than_a_minute(
    answers: list[tuple[int, int | None, int | None, bool]],
) -> None:
    """Whatever the headers say, a clock that is wrong included, every wait ends within a minute."""
    budget, now_ns = Budget(), NOW
    for step_ns, remaining, reset_s, refused in answers:
        now_ns += step_ns
        budget.sent(now_ns)
        budget.ended(now_ns, None, remaining, reset_s, refused=refused)
        assert 0 <= budget.remaining <= budget.limit
        wait_ns = budget.wait_ns(Priority.CANCEL, now_ns)
        assert 0 <= wait_ns <= MINUTE_NS
        assert budget.wait_ns(Priority.CANCEL, now_ns + MINUTE_NS) == 0
