"""The orders that every system is given: market, limit and stop orders on a price series, cancelled after some bars.

A fixed rule makes them of the bars alone, so that each system can be handed the same list. All are good until cancelled.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parents[2] / "examples" / "data" / "AAPL.csv"
FIRST = "2005-03-01"
CASH = 10_000_000
FIRST_BAR = 2  # backtesting.py calls its strategy from the second bar on
MULTIPLIER, INCREMENT, MODULUS = 6364136223846793005, 1442695040888963407, 2**64


class Instruction(NamedTuple):
    """Submit at the close of bar `bar`; cancel at the close of bar `cancel_bar` unless it has filled. `price` is in cents."""

    number: int
    bar: int
    cancel_bar: int
    kind: str
    side: int
    quantity: int
    cents: int

    @property
    def price(self) -> float:
        return self.cents / 100


class BarRow(NamedTuple):
    day: str
    open: float
    high: float
    low: float
    close: float
    volume: float


def read_bars() -> list[BarRow]:
    """Return the bars of the run, oldest first."""
    with DATA.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["date"] >= FIRST]
    return [
        BarRow(row["date"], *(float(row[name]) for name in ("open", "high", "low", "close", "volume"))) for row in rows
    ]


def instructions(bars: list[BarRow], seed: int) -> list[Instruction]:
    """Return the orders of one seed: about one every two bars, priced within 6 % of the close that they are made on."""
    state = seed
    made: list[Instruction] = []

    def draw(below: int) -> int:
        nonlocal state
        state = (state * MULTIPLIER + INCREMENT) % MODULUS
        return (state >> 33) % below

    for bar in range(FIRST_BAR, len(bars) - 1):
        if draw(2):
            continue
        kind = ("market", "limit", "stop")[draw(3)]
        side = 1 if draw(2) else -1
        # A limit waits on the better side of the market and a stop on the worse one; some are marketable at once.
        away = (draw(700) - 100) / 10_000
        sign = -side if kind == "limit" else side
        cents = round(bars[bar].close * 100 * (1 + sign * away))
        made.append(Instruction(len(made), bar, bar + 1 + draw(12), kind, side, 1 + draw(50), cents))
    return made


class Agenda:
    """What is to be submitted and cancelled at each bar."""

    def __init__(self, seed: int) -> None:
        self.bars = read_bars()
        self.all = instructions(self.bars, seed)
        self.submit: dict[int, list[Instruction]] = {}
        self.cancel: dict[int, list[Instruction]] = {}
        for each in self.all:
            self.submit.setdefault(each.bar, []).append(each)
            if each.kind != "market":
                self.cancel.setdefault(each.cancel_bar, []).append(each)
