"""The bars that the examples run on are what their README says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from ordersmith.adapters.market_data import load_bars

FOLDER = Path(__file__).parents[2] / "examples" / "data"
COVERED = {
    "AAPL": (date(2000, 3, 1), 3270),
    "GOOG": (date(2004, 8, 19), 2148),
    "IBM": (date(2000, 3, 1), 3270),
    "MSFT": (date(2000, 3, 1), 3270),
}


def test_no_bad_row_and_no_gap():
    """The example bars pass every check, none is missing, and each symbol covers what the README says."""
    feed = load_bars(FOLDER, corporate_actions=FOLDER / "corporate_actions.csv")
    assert feed.symbols == tuple(COVERED)
    assert feed.warnings == feed.bad_rows == ()
    assert feed.bar_count == sum(count for _, count in COVERED.values())
    assert feed.end_ns == datetime(2013, 3, 1, 21, tzinfo=UTC).timestamp() * 10**9
    for symbol, (first, count) in COVERED.items():
        own = load_bars(FOLDER, symbols=[symbol])
        with_calendar = load_bars(
            FOLDER, symbols=[symbol], calendar="XNYS", corporate_actions=FOLDER / "corporate_actions.csv"
        )
        assert with_calendar.warnings == ()
        assert next(iter(own)).time.date() == first
        assert own.bar_count == own.sessions == count


def test_prices_halve_at_the_known_splits_alone():
    """No price halves or doubles overnight but at the splits of the corporate actions."""
    halved = {}
    for symbol in COVERED:
        frame = pl.read_csv(FOLDER / f"{symbol}.csv")
        overnight = frame["open"] / frame["close"].shift(1)
        halved[symbol] = frame.filter(~overnight.fill_null(1.0).is_between(0.515, 1.9))["date"].to_list()
    assert halved == {"AAPL": ["2000-06-21", "2005-02-28"], "GOOG": [], "IBM": [], "MSFT": ["2003-02-18"]}


@pytest.mark.parametrize("symbol", COVERED)
def test_adjusted_close_is_kept(symbol):
    """The files carry the adjusted close as a further column, with LF line ends."""
    raw = (FOLDER / f"{symbol}.csv").read_bytes()
    assert raw.startswith(b"date,open,high,low,close,volume,adj_close\n")
    assert b"\r" not in raw
