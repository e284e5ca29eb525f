"""The sum over many seeds."""

from __future__ import annotations

import itertools

import msgspec
from fake_world import FakeWorld

from ordersmith.simulation.outcome import Outcome, Total, rate

OUTCOMES = [FakeWorld(seed, "storm", 2).run() for seed in (1, 2, 3)]


def test_the_order_of_outcomes_does_not_matter():
    """However the processes shared the seeds, the sum and its one hash are the same; another trace makes another hash."""
    sums = []
    for order in itertools.permutations(OUTCOMES):
        total = Total()
        for outcome in order:
            total.add(outcome)
        sums.append(total.as_fields(10.0))
    assert all(fields == sums[0] for fields in sums)
    other = Total()
    for outcome in (*OUTCOMES[:2], msgspec.structs.replace(OUTCOMES[2], trace_hash="0")):
        other.add(outcome)
    assert other.trace_hash != sums[0]["trace_hash"]
    assert sums[0]["broker_hours_an_hour"] == 2160


def test_an_outcome_passes_through_json():
    """An outcome that was written as JSON and read again is the same."""
    for outcome in OUTCOMES:
        assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome


def test_no_time_is_no_rate():
    """A sum over no time has a rate of zero."""
    assert rate(10, 0.0) == 0.0
    assert rate(10, 36.0) == 1000
