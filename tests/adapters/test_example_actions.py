"""The corporate actions of the examples are those that the prices themselves tell.

The source adjusts each close before an ex-date by close / (close + dividend), both of the ex-date. So the dividend is the close
of the ex-date times the change of adj_close / close overnight, once a split of that day is taken out.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from ordersmith.actors.bars import CorporateActionKind
from ordersmith.adapters.bar_sessions import day_of
from ordersmith.adapters.corporate_actions import load_actions
from ordersmith.adapters.market_data import load_bars

FOLDER = Path(__file__).parents[2] / "examples" / "data"
ACTIONS = FOLDER / "corporate_actions.csv"
SPLITS = {("AAPL", "2000-06-21"): 2, ("AAPL", "2005-02-28"): 2, ("MSFT", "2003-02-18"): 2}
NOISE = 1e-9
"""Currency a share: what the digits of the files leave open, with a hundredfold to spare. The smallest dividend is 0.08."""


def factors(symbol):
    """Yield (date, close, adj_close / close) of every session."""
    with (FOLDER / f"{symbol}.csv").open(encoding="utf-8") as text:
        for row in csv.DictReader(text):
            close = float(row["close"])
            yield row["date"], close, float(row["adj_close"]) / close


def implied_dividends(symbol):
    """Return what the adjusted closes say was paid a share, by ex-date, rounded to a hundredth of a cent."""
    dividends = {}
    for (_, _, before), (day, close, after) in pairwise(factors(symbol)):
        amount = close * (after / (before * SPLITS.get((symbol, day), 1)) - 1)
        if abs(amount) > NOISE:
            dividends[day] = Decimal(f"{amount:.4f}")
            assert abs(amount - float(dividends[day])) < NOISE, (symbol, day, amount)
    return dividends


def listed():
    """Return the file's splits, and its dividends summed up by symbol and ex-date."""
    splits, dividends = {}, defaultdict(Decimal)
    for action in load_actions(ACTIONS).actions:
        key = (action.symbol, str(day_of(action.session)))
        if action.kind is CorporateActionKind.SPLIT:
            splits[key] = action.ratio
        else:
            assert action.pay_session == action.session
            dividends[key] += action.amount
    return splits, dividends


def test_listed_dividends_are_those_of_the_adjusted_closes():
    """Every dividend that the prices imply is in the file, to the cent, and no other."""
    implied = {
        (symbol, day): amount
        for symbol in ("AAPL", "GOOG", "IBM", "MSFT")
        for day, amount in implied_dividends(symbol).items()
    }
    assert listed()[1] == implied
    assert len(implied) == 92


def test_splits_are_those_of_the_prices():
    """With the three splits no overnight change is left that a split would explain, and without them three are."""
    splits, _ = listed()
    assert splits == SPLITS
    (warning,) = load_bars(FOLDER).warnings
    for symbol, day in SPLITS:
        assert f"{symbol} on {day} (2:1" in warning
    assert load_bars(FOLDER, corporate_actions=ACTIONS).warnings == ()


@pytest.mark.parametrize(
    ("symbol", "day", "amount"),
    [
        ("MSFT", "2004-11-15", "3.08"),  # the special dividend of $3.00 and the quarter's $0.08
        ("MSFT", "2003-02-19", "0.08"),
        ("IBM", "2009-02-06", "0.50"),
        ("IBM", "2009-05-06", "0.55"),
        ("AAPL", "2012-08-09", "2.65"),
        ("AAPL", "2013-02-07", "2.65"),
    ],
)
def test_known_dividends_come_out(symbol, day, amount):
    """What the companies announced is what the prices imply."""
    assert implied_dividends(symbol)[day] == listed()[1][symbol, day] == Decimal(amount)


def test_special_dividend_has_a_row_of_its_own():
    """Microsoft's $3.00 of 2004-11-15 stands beside the quarterly $0.08 that went ex with it."""
    own = [
        a.amount for a in load_actions(ACTIONS).actions if (a.symbol, day_of(a.session)) == ("MSFT", date(2004, 11, 15))
    ]
    assert own == [Decimal("3.00"), Decimal("0.08")]
