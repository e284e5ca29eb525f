"""One execution, one trace: configuration, data and seed decide every record, and nothing else does."""

from __future__ import annotations

import decimal
import gc
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from random_trading import ListFeed, RandomTrader

from ordersmith.actors.bars import CorporateAction, CorporateActionKind
from ordersmith.actors.model import TimeInForce
from ordersmith.config import load
from ordersmith.supervisor.backtest import Backtest
from ordersmith.supervisor.result import BacktestResult

KIT = Path(__file__).resolve().parent.parent / "kit"
DAY, GTC, IOC, OPG, CLS = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.OPG, TimeInForce.CLS
SPLIT, DIVIDEND = CorporateActionKind.SPLIT, CorporateActionKind.DIVIDEND
ACTIONS = [
    CorporateAction(kind=SPLIT, symbol="L", session=5, ratio=Decimal("1.5")),
    CorporateAction(kind=DIVIDEND, symbol="A", session=9, amount=Decimal("0.07"), pay_session=12),
]


def market() -> ListFeed:
    """Return 60 bars of two symbols whose prices wander without a pattern."""
    steps = []
    for index in range(60):
        prices = {"A": 1000 + (index * 37) % 113, "L": 1000 + (index * 53) % 97}
        steps.append({s: (p / 100, p / 100 + 0.31, p / 100 - 0.29, p / 100 + 0.07, 1000.0) for s, p in prices.items()})
    return ListFeed(steps, ACTIONS)


def plan() -> list[list[tuple[Any, ...]]]:
    """Return orders, cancels, replacements and targets for all bars, partial fills and denials among them."""
    days: list[list[tuple[Any, ...]]] = []
    for index in range(60):
        ticks = (index * 29) % 120 - 60
        day: list[tuple[Any, ...]] = [
            (
                "order",
                "A" if index % 2 else "L",
                "BUY" if index % 3 else "SELL",
                "35",
                {"limit_price": ticks},
                GTC,
                "entry",
            ),
            ("order", "A", "BUY", "200", {}, (DAY, IOC, OPG, CLS)[index % 4], "entry"),
            ("order", "L", "BUY", "10", {"stop_price": ticks}, GTC, "entry"),
            ("order", "L", "SELL", "10", {"trail_percent": "0.7"}, DAY, "entry"),
            ("replace", index % 7, "45", -ticks),
            ("cancel", index % 5),
        ]
        if index % 9 == 0:
            day.append(("targets", {"A": index, "L": 50}, index % 2 == 0))
        days.append(day)
    return days


def trace(seed: int = 7, keep: str = "all") -> str:
    """Run the plan and return the trace hash."""
    return played(seed, keep).trace_hash


def played(seed: int = 7, keep: str = "all") -> BacktestResult:
    """Run the plan."""
    options = {
        "execution": {
            "mode": "backtest",
            "backtest": {"slippage": "0.001", "commission": "0.35", "account": {"type": "margin", "cash": 20_000}},
        },
        "instruments": {"symbols": {"L": {"lot": 5}}},
        "journal": {"keep": keep},
        "seed": seed,
    }
    feed = market()
    backtest = Backtest(load(options), feed, (("main", RandomTrader(plan())),))
    backtest.start()
    backtest.run(iter(feed))
    assert backtest.store.count > 400
    return BacktestResult(backtest, 1.0)


def in_a_process(hash_seed: str) -> str:
    folders = [str(KIT), str(Path(__file__).parent)]
    program = f"import sys; sys.path[:0] = {folders!r}; import test_determinism; print(test_determinism.trace())"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


@pytest.fixture(scope="module")
def reference() -> str:
    """Return the hash of the plain run."""
    return trace()


def test_a_run_repeats_itself(reference: str) -> None:
    """The same configuration, data and seed give the same hash again in the same process."""
    assert trace() == reference


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_hash_randomisation_decides_nothing(reference: str, hash_seed: str) -> None:
    """Another process with another seed for Python's string hashes writes the same journal."""
    assert in_a_process(hash_seed) == reference


def test_the_hosts_decimal_context_decides_nothing(reference: str) -> None:
    """A host that calculates with three digits, rounds up and traps everything gets the same journal, and its context back."""
    before = played()
    figures, orders = before.summary, before.orders()
    mine = decimal.Context(
        prec=3, rounding=decimal.ROUND_UP, Emax=20, Emin=-20, traps=[decimal.Inexact, decimal.Rounded]
    )
    with decimal.localcontext(mine) as context:
        after = played()
        assert after.trace_hash == reference
        assert after.summary == figures
        assert after.orders() == orders
        assert decimal.getcontext() is context
        assert (context.prec, context.rounding) == (3, decimal.ROUND_UP)
        assert not any(context.flags.values())


def test_what_the_journal_keeps_decides_nothing(reference: str) -> None:
    """The hash covers what is recorded, not what is remembered."""
    assert trace(keep="open") == reference


def test_the_collector_decides_nothing(reference: str) -> None:
    """With the cycle collector running at every other allocation the journal is the same."""
    threshold = gc.get_threshold()
    gc.set_threshold(2, 2, 2)
    try:
        assert trace() == reference
    finally:
        gc.set_threshold(*threshold)


def test_another_seed_is_another_trace(reference: str) -> None:
    """The seed is in the ids, and so in the hash."""
    assert trace(seed=8) != reference
