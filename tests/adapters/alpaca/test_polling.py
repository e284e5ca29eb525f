"""What polls know and the stream did not say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ordersmith.adapters.alpaca.polling import GRACE_NS, SECOND_NS, Missed, Polling


def test_a_fact_that_the_stream_brings_is_not_missed() -> None:
    """What is told within the grace time, or was told before the poll, is nothing to tell."""
    polling = Polling()
    polling.told("early")
    polling.saw(["early", "late"], 0)
    polling.told("late")
    assert polling.due_ns() is None
    assert polling.missed(GRACE_NS) == Missed()


def test_a_fact_that_the_stream_does_not_bring_is_missed_once() -> None:
    """After the grace time a fact is missed, once, and that alone is no mute stream."""
    polling = Polling()
    polling.saw(["fill"], 0)
    assert polling.missed(GRACE_NS - 1) == Missed()
    assert polling.missed(GRACE_NS) == Missed(("fill",))
    polling.saw(["fill"], 5 * SECOND_NS)
    assert polling.missed(9 * SECOND_NS) == Missed()


def test_a_stream_that_misses_twice_without_a_word_is_mute() -> None:
    """A second poll in a row that knew more makes the stream mute; a word in between does not."""
    for speaks in (False, True):
        polling = Polling()
        polling.saw(["a", "b"], 0)
        assert not polling.missed(GRACE_NS).is_mute
        if speaks:
            polling.spoke()
        polling.saw(["c"], 5 * SECOND_NS)
        assert polling.missed(5 * SECOND_NS + GRACE_NS) == Missed(("c",), not speaks)


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
