"""Ordersmith against backtrader and backtesting.py on the same orders, where they are installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

COMPARE = Path(__file__).parents[2] / "benchmarks" / "agreement" / "compare.py"


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agreement_compare", COMPARE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compare = _module()


@pytest.fixture(scope="module")
def ours():
    return compare.outcome("ordersmith", sys.executable, 1)


@pytest.mark.parametrize("peer", compare.PEERS)
def test_fills_and_equity_equal_those_of_a_peer_to_the_cent(peer, ours):
    """Market, limit and stop orders fill on the same bars at the same prices as in another backtester."""
    python = compare.python_of(peer)
    if python is None:
        pytest.skip(f"{peer} is not installed under PEERS_HOME")
    theirs = compare.outcome(peer, python, 1)
    assert len(theirs.fills) > 500
    assert compare.differences(ours, theirs) == []


def test_the_script_fills_every_kind_of_order_on_both_sides(ours):
    """The comparison is worth something: hundreds of fills, buys and sells, and a cent's difference would be seen."""
    quantities = [quantity for quantity, _ in ours.fills.values()]
    assert len(quantities) > 500
    assert min(quantities) < 0 < max(quantities)
    moved = ours._replace(equity=[ours.equity[0] + 0.01, *ours.equity[1:]])
    assert compare.differences(ours, moved) == [
        f"bar 0: equity {ours.equity[0]:.4f} here and {ours.equity[0] + 0.01:.4f} there"
    ]
    first = next(iter(ours.fills))
    assert compare.differences(ours, ours._replace(fills={k: v for k, v in ours.fills.items() if k != first})) != []
