"""What the storm has found stays found."""

from __future__ import annotations

import pytest

from ordersmith.simulation.faults import PROFILES
from ordersmith.simulation.known_seeds import KNOWN
from ordersmith.simulation.runs import Run, simulate


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.profile}-{known.seed}")
def test_a_seed_that_once_found_something_finds_nothing(known):
    """Each known seed runs without a violation."""
    outcome = simulate(Run(known.seed, known.profile, known.hours))
    assert not outcome.violations, known.what


def test_the_table_says_what_each_seed_found():
    """Every row names a profile that is there, an hour at least, and a line on what it was; no seed is there twice."""
    assert len({known[:3] for known in KNOWN}) == len(KNOWN)
    for known in KNOWN:
        assert known.profile in PROFILES
        assert known.hours >= 1
        assert known.what.strip().endswith("."), known
        assert "\n" not in known.what
