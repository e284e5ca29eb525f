"""Local paper for a long time: memory stays flat, the first order is still known, and a start does not fold the whole past.

Short by default; ORDERSMITH_TEST_ROUNDS above 1 makes it 200,000 orders and a journal of 1,000,001 records.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from big_journal import RECORDS_AN_ORDER, write_journal
from journal_kit import quick

CRASH = Path(__file__).resolve().parents[1] / "crash"
FULL = int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "1")) > 1
ORDERS = 200_000 if FULL else 48_000
WARM = 1 if FULL else 2
"""Quarters of the orders after which everything that has a bound is full."""

SLOPE_BYTES = 40
"""How much resident memory may grow with each order: 4 MB per 100,000."""

PAST = 200_000 if FULL else 12_000
READY_S = 10


def lines_of(program: str, *arguments: object) -> list[Any]:
    """Run a program of the crash folder and return its lines."""
    command = [sys.executable, str(CRASH / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_memory_is_flat_and_the_first_order_is_known() -> None:
    """However many orders there were, memory grows no more, and whatever comes about the first of them is answered as ever."""
    with quick() as folder:
        *samples, answers = lines_of("long_run.py", folder, "--orders", ORDERS)
    assert [each["orders"] for each in samples] == [ORDERS * quarter // 4 for quarter in range(1, 5)]
    warm, last = samples[WARM - 1], samples[-1]
    grown, orders = last["rss"] - warm["rss"], last["orders"] - warm["orders"]
    print(samples)
    assert grown < SLOPE_BYTES * orders + (1 << 20)
    assert answers == {
        "state": "FILLED",
        "filled": "5",
        "again": True,
        "other terms": True,
        "late fill changes nothing": True,
        "recorded since": [],
        "records of it": RECORDS_AN_ORDER,
    }


@pytest.fixture(scope="module")
def journal() -> Iterator[Path]:
    """A journal of whole lives, long enough that no snapshot is younger than half of it."""
    with quick() as folder:
        write_journal(folder / "journal.db", PAST)
        yield folder / "journal.db"


def test_a_start_is_ready_soon(journal: Path) -> None:
    """The first start may have to fold everything, because it knows no snapshot; the next one is ready in seconds."""
    cash = f"{1_000_000 - PAST * 35 // 100}"
    (first,) = lines_of("big_start.py", journal, "--cash", cash)
    (second,) = lines_of("big_start.py", journal, "--cash", cash)
    print(first, second)
    assert first["records"] == 1 + PAST * RECORDS_AN_ORDER + 4
    assert second["records"] > first["records"]
    assert first["state"] == second["state"] == "ACTIVE"
    assert second["ready_s"] < READY_S
    assert second["resident"] < first["resident"]
