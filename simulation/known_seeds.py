"""Seeds that once found something, with a line on what it was. `tests/simulation/test_known_seeds.py` runs each of them.

A change of the workload or of a rate makes another run of the same seed, so a row tells what the storm has found and proves
little by itself: whoever repairs a bug also writes a test that shows it without a storm.
"""

from __future__ import annotations

from typing import NamedTuple


class KnownSeed(NamedTuple):
    """A seed, what it ran with, and what it found."""

    seed: int
    profile: str
    hours: int
    what: str


KNOWN: tuple[KnownSeed, ...] = ()
