"""The storm on fixed seeds: nothing that must hold is violated, and a seed is one run wherever and however often it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ordersmith.simulation.faults import PROFILES
from ordersmith.simulation.outcome import Outcome
from ordersmith.simulation.presenting import failure
from ordersmith.simulation.runs import Run, simulate

HOURS = 4
STORMS = [Run(seed, "storm", HOURS) for seed in range(1, 9)]
OTHERS = [Run(1, profile, HOURS) for profile in PROFILES if profile != "storm"]


@pytest.fixture(scope="module")
def outcomes() -> dict[Run, Outcome]:
    """What came of the seeds, each run once."""
    return {run: simulate(run) for run in (*STORMS, *OTHERS)}


@pytest.mark.parametrize("run", [*STORMS, *OTHERS], ids=lambda run: f"{run.profile}-{run.seed}")
def test_every_invariant_holds(outcomes, run):
    """A seed of each profile, and several of the storm, violate nothing."""
    assert not outcomes[run].violations, failure(run, outcomes[run])


def test_a_broker_hour_is_one(outcomes):
    """Over the storm's seeds an hour has 60 orders, 600 events of the broker and 20 faults at least, and actors crash in it."""
    storms = [outcomes[run] for run in STORMS]
    hours = sum(outcome.hours for outcome in storms)
    assert hours == HOURS * len(STORMS)
    assert sum(outcome.orders for outcome in storms) >= 60 * hours
    assert sum(outcome.broker_events for outcome in storms) >= 600 * hours
    assert sum(sum(outcome.faults.values()) for outcome in storms) >= 20 * hours
    assert sum(sum(outcome.crashes.values()) for outcome in storms) > 0
    assert sum(outcome.boots for outcome in storms) > len(storms)


def test_the_same_seed_is_the_same_run(outcomes):
    """A seed that runs again, here with its events kept, gives the same trace and counts; another seed gives another trace."""
    again = simulate(STORMS[0], keep_events=True)
    first = outcomes[STORMS[0]]
    assert len(first.trace_hash) == 64
    assert (again.trace_hash, again.orders, again.faults) == (first.trace_hash, first.orders, first.faults)
    assert len({outcome.trace_hash for outcome in outcomes.values()}) == len(outcomes)


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_a_process_of_its_own_changes_nothing(outcomes, hash_seed):
    """In another process, where sets and hashes have another order, the command reports the same trace."""
    words = [*STORMS[0].command.split()[1:], "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ran = subprocess.run(
        [sys.executable, "-m", "ordersmith", *words], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout)["trace_hash"] == outcomes[STORMS[0]].trace_hash
