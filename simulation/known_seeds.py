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


KNOWN: tuple[KnownSeed, ...] = (
    KnownSeed(
        4, "process", 2, "The gate remembered an account that no record knows, because an order had named it (I11)."
    ),
    KnownSeed(
        17, "storm", 4, "A filled order whose fill was busted was open here, and nobody asked the broker for it (I18)."
    ),
    KnownSeed(
        15,
        "hurricane",
        4,
        "A cancel was refused because the order was over; it was not looked up, and cancelled again (I18).",
    ),
    KnownSeed(
        47,
        "storm",
        4,
        "A replacement raced with a fill, and what the broker worked beyond the order stayed there (I2).",
    ),
    KnownSeed(
        3, "hurricane", 4, "A bust came before its fill, which had been inferred from a total: the gap stayed (I3)."
    ),
    KnownSeed(1036, "storm", 8, "A split came upon a last price that was not a number, and the core broke off (run)."),
    KnownSeed(1066, "storm", 4, "An order closed by a replacement to what had filled, and never left memory (I11)."),
    KnownSeed(
        5000, "storm", 8, "The desk emptied its list of those who leave memory in a handler, not in a fold (I11)."
    ),
    KnownSeed(
        77000152, "storm", 4, "A closed order that a person released from quarantine left memory before its time (I11)."
    ),
    KnownSeed(
        1795418960058,
        "storm",
        4,
        "A fee that came before the first account was read stopped this boot and every later one.",
    ),
)
