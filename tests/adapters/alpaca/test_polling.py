"""What polls know and the stream did not say."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ordersmith.adapters.alpaca.polling import BETWEEN_NS, GRACE_NS, SECOND_NS, SILENCE_NS, Missed, Polling


def test_a_fact_that_the_stream_brings_is_not_missed() -> None:
    """What is told within the grace time, or was told before the poll, is nothing to tell."""
    polling = Polling()
    polling.told("early")
    polling.saw(["early", "late"], 0)
    polling.told("late")
    assert polling.due_ns() is None
    assert polling.missed(GRACE_NS) == Missed()


def test_a_fact_that_the_stream_does_not_bring_is_missed_once() -> None:
    """After the grace time a fact is missed, once, and a stream that speaks then is not mute."""
    polling = Polling()
    polling.saw(["fill"], 0)
    assert polling.missed(GRACE_NS - 1) == Missed()
    assert polling.missed(GRACE_NS) == Missed(("fill",))
    polling.spoke()
    polling.saw(["fill"], 5 * SECOND_NS)
    assert polling.missed(9 * SECOND_NS) == Missed()
    assert polling.due_ns() is None


def test_a_stream_that_says_nothing_after_a_single_miss_is_mute_in_time() -> None:
    """One missed fact and silence after it close the stream once, although no poll ever sees another thing."""
    polling = Polling()
    polling.saw(["fill"], 0)
    assert polling.missed(GRACE_NS) == Missed(("fill",))
    due_ns = GRACE_NS + SILENCE_NS
    assert polling.due_ns() == due_ns
    assert polling.missed(due_ns - 1) == Missed()
    assert polling.missed(due_ns) == Missed((), is_mute=True)
    assert polling.due_ns() is None
    assert polling.missed(60 * SECOND_NS) == Missed()


@given(st.lists(st.integers(1, 9), min_size=20, max_size=60))
def test_a_stream_that_loses_everything_is_closed_in_time_but_not_all_the_time(steps: list[int]) -> None:
    """Whatever comes when: of a stream that says nothing each missed fact closes it within half a minute, and never twice in that time."""
    polling, now_ns, closed, waiting = Polling(), 0, [], []
    for number, seconds in enumerate(steps):
        seen_ns = now_ns
        polling.saw([str(number)], seen_ns)
        waiting.append(seen_ns)
        end_ns = now_ns + seconds * SECOND_NS
        while (due_ns := polling.due_ns()) is not None and due_ns <= end_ns:
            if polling.missed(due_ns).is_mute:
                closed.append(due_ns)
                assert due_ns - waiting[0] <= 30 * SECOND_NS
                waiting = []
        now_ns = end_ns
    assert all(after - before >= BETWEEN_NS for before, after in pairwise(closed))
    assert len(closed) >= now_ns // (30 * SECOND_NS) - 1


def test_a_stream_that_misses_twice_without_a_word_is_mute() -> None:
    """A second poll in a row that knew more makes the stream mute; a word in between does not."""
    for speaks in (False, True):
        polling = Polling()
        polling.saw(["a", "b"], 0)
        assert not polling.missed(GRACE_NS).is_mute
        if speaks:
            polling.spoke()
        polling.saw(["c"], 4 * SECOND_NS)
        assert polling.missed(4 * SECOND_NS + GRACE_NS) == Missed(("c",), not speaks)


def test_a_new_stream_begins_with_a_clean_record() -> None:
    """What one connection has missed does not count against the next."""
    polling = Polling()
    polling.saw(["a"], 0)
    polling.missed(GRACE_NS)
    polling.restart()
    polling.saw(["b"], 5 * SECOND_NS)
    assert not polling.missed(9 * SECOND_NS).is_mute


@given(st.lists(st.tuples(st.sampled_from(["saw", "told", "ask"]), st.sampled_from("abcd"), st.integers(0, GRACE_NS))))
def test_every_fact_is_told_exactly_once(steps: list[tuple[str, str, int]]) -> None:
    """Whatever the order, a fact that a poll saw is told by the stream or missed, and never missed twice."""
    polling, now_ns, seen, missed, told = Polling(), 0, set(), [], set()
    for what, fact, step_ns in steps:
        now_ns += step_ns
        if what == "saw":
            polling.saw([fact], now_ns)
            seen.add(fact)
        elif what == "told":
            polling.told(fact)
            told.add(fact)
        else:
            missed += polling.missed(now_ns).facts
    missed += polling.missed(now_ns + GRACE_NS).facts
    assert len(missed) == len(set(missed))
    assert seen <= set(missed) | told
