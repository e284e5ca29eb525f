"""Seeds side by side in processes of their own: each once, as if they had been run here, and none lost without a word."""

from __future__ import annotations

import fake_world
import pytest

from ordersmith.simulation import runs
from ordersmith.simulation.runs import Run, WorkerLost, Workers


@pytest.fixture
def fake(monkeypatch):
    """Have processes run the world in which nothing happens."""
    monkeypatch.setattr(runs, "simulate", fake_world.simulate)
    monkeypatch.setattr(runs, "_begin", fake_world.begin)


def some(seeds) -> list[Run]:
    return [Run(seed, "storm", 1) for seed in seeds]


@pytest.mark.usefixtures("fake")
def test_where_a_seed_runs_makes_no_difference():
    """Two processes give for each seed, once, what this one gives."""
    wanted = some(seed for seed in range(10, 17))
    here = dict(Workers(1).outcomes(wanted))
    there = list(Workers(2).outcomes(wanted))
    assert len(there) == len(wanted)
    assert dict(there) == here


@pytest.mark.usefixtures("fake")
def test_few_seeds_are_taken_ahead():
    """No more seeds are taken than there are processes and one, so that a storm ends soon after its time is up."""
    taken = []
    workers = Workers(2)
    outcomes = workers.outcomes(run for run in some(range(10, 100)) if not taken.append(run))
    first, _ = next(outcomes)
    assert len(taken) == 3
    assert workers.under_way == [run for run in taken if run != first]
    outcomes.close()


@pytest.mark.usefixtures("fake")
def test_a_process_that_is_killed_is_told():
    """When a process dies the storm ends, and the seeds that were under way are known."""
    workers = Workers(2)
    with pytest.raises(WorkerLost):
        list(workers.outcomes(some(range(7))))
    assert 5 in [run.seed for run in workers.under_way]
