"""The demo's equity moves as its prices do: a split is no loss and a dividend no gain."""

from __future__ import annotations

import csv
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from ordersmith import BacktestExecutor
from ordersmith.adapters.bar_sessions import day_of
from ordersmith.config import load
from ordersmith.supervisor.strategies import load_strategy

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DATA = EXAMPLES / "data"
COSTS = 0.002
"""What trading may cost in one session, as a fraction of the equity."""


def run(*overrides):
    settings = load(EXAMPLES / "rebalance.yaml", overrides)
    hosted = settings.strategy
    strategy = load_strategy(hosted.path, hosted.parameters, settings.base)
    executor = BacktestExecutor(settings, strategy=strategy)
    executor.run()
    return executor, strategy


def returns_of(executor):
    """Return the change of equity by session, from session to session."""
    backtest = executor._backtest
    steps = zip(backtest.sessions, backtest.equity, strict=True)
    return {day_of(day): after / before - 1 for (_, before), (day, after) in pairwise(steps)}


def changes_of_prices():
    """Return, by session, the largest change of any symbol for who held it overnight or bought at the open, actions counted."""
    with (DATA / "corporate_actions.csv").open(encoding="utf-8") as text:
        actions = list(csv.DictReader(text))
    split = {(row["symbol"], row["date"]): 2.0 for row in actions if row["kind"] == "split"}
    paid = {}
    for row in actions:
        key = (row["symbol"], row["date"])
        paid[key] = paid.get(key, 0.0) + float(row["amount"] or 0)
    largest = {}
    for file in ("AAPL", "GOOG", "IBM", "MSFT"):
        with (DATA / f"{file}.csv").open(encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        for before, row in pairwise(rows):
            key, close = (file, row["date"]), float(row["close"])
            overnight = (close * split.get(key, 1) + paid.get(key, 0)) / float(before["close"]) - 1
            within = close / float(row["open"]) - 1
            day = date.fromisoformat(row["date"])
            largest[day] = max(largest.get(day, 0.0), abs(overnight), abs(within))
    return largest


def unexplained(executor):
    """Return the sessions in which the equity moved more than any of the prices."""
    largest = changes_of_prices()
    return [str(day) for day, change in returns_of(executor).items() if abs(change) > largest[day] + COSTS]


def test_no_jump_of_the_equity_that_prices_do_not_explain():
    """Over thirteen years, three splits and ninety-two ex-dates no session's return is beyond what the held prices did."""
    executor, _ = run()
    assert unexplained(executor) == []
    assert len(returns_of(executor)) == 3269


def test_without_the_file_the_splits_are_jumps():
    """Left alone with unadjusted prices, the same check finds the splits, and the data warn of them."""
    executor, _ = run("data.corporate_actions=null")
    assert {"2003-02-18", "2005-02-28"} <= set(unexplained(executor))
    assert any("data.corporate_actions" in warning for warning in executor.feed.warnings)


def test_the_history_of_the_strategy_has_no_jump():
    """What the strategy keeps of past prices shows no split and no special dividend."""
    _, strategy = run("data.end=2005-01-14")
    closes = strategy.closes
    for symbol in ("AAPL", "MSFT", "IBM", "GOOG"):
        assert len(closes[symbol]) == closes[symbol].maxlen
        assert max(abs(after / before - 1) for before, after in pairwise(closes[symbol])) < 0.2


@pytest.mark.parametrize("day", ["2000-06-21", "2003-02-18", "2005-02-28"])
def test_a_split_leaves_the_equity_where_it_was(day):
    """The session of a split moves the equity by a few per cent, as others do."""
    executor, _ = run(f"data.end={day}", "data.symbols=[AAPL, MSFT, IBM]")
    assert abs(returns_of(executor)[date.fromisoformat(day)]) < 0.08
