"""Every kind of bad row is found, named by file and line, and stops the loading or is skipped."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ordersmith.actors.errors import DataError
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.adapters.market_data import load_bars

HEADER = "date,open,high,low,close,volume\n"
GOOD = ["2005-03-01,10,12,9,11,500", "2005-03-02,10,12,9,11,500", "2005-03-03,10,12,9,11,500"]

BAD_ROWS = [
    ("2005-03-04,,12,9,11,500", "open is missing"),
    ("2005-03-04,10,NaN,9,11,500", "high NaN is not finite"),
    ("2005-03-04,10,12,-inf,11,500", "low -inf is not finite"),
    ("2005-03-04,10,12,9,inf,500", "close inf is not finite"),
    ("2005-03-04,10,12,9,n/a,500", "close 'n/a' is not a number"),
    ("2005-03-04,0,12,9,11,500", "open 0.0 is not above zero"),
    ("2005-03-04,10,12,-9,11,500", "low -9.0 is not above zero"),
    ("2005-03-04,10,9,12,11,500", "high 9.0 is below low 12.0"),
    ("2005-03-04,8.99,12,9,11,500", "open 8.99 is outside low 9.0 to high 12.0"),
    ("2005-03-04,10,12,9,12.01,500", "close 12.01 is outside low 9.0 to high 12.0"),
    ("2005-03-04,10,12,9,11,-1", "volume -1.0 is negative"),
    ("2005-03-04,10,12,9,11,", "volume is missing"),
    ("2005-03-04,10,12,9,11,inf", "volume inf is not finite"),
    ('2005-03-04,10,12,9,11,"1,000"', "volume '1,000' is not a number"),
    ("2005-03-04,10,12,9,11,1,000", "7 fields where the header has 6"),
    (",10,12,9,11,500", "time stamp is missing"),
    ("4 March,10,12,9,11,500", "time stamp '4 March' is not a time like the others, between 1900 and 2199"),
    ("2005-02-30,10,12,9,11,500", "time stamp '2005-02-30' is not a time like the others, between 1900 and 2199"),
    ("9005-03-04,10,12,9,11,500", "time stamp '9005-03-04' is not a time like the others, between 1900 and 2199"),
    ("2005-03-02,10,12,9,11,500", "time stamp 2005-03-02 is out of order, a later one came before it"),
    ("2005-03-03,10,12,9,11,500", "duplicate time stamp 2005-03-03"),
]


def csv_file(folder: Path, rows: list[str], header: str = HEADER) -> Path:
    file = folder / "AAPL.csv"
    file.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_bad_row_stops(tmp_path, row, reason):
    """A bad row stops the loading, and the error names its file, its line and what is wrong with its values."""
    with pytest.raises(DataError) as caught:
        load_bars(csv_file(tmp_path, [*GOOD, row]))
    assert str(caught.value) == (
        f"1 bad row in market data; correct them, or set data.bad_rows to skip\n  AAPL.csv line 5: {reason}"
    )


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_bad_row_is_skipped(tmp_path, row, reason):
    """With `skip` the good rows around a bad one are kept, and the bad one is a warning and a record of its own."""
    feed = load_bars(csv_file(tmp_path, [*GOOD, row, "2005-03-07,10,12,9,11,500"]), bad_rows="skip")
    assert [bars.time.date().isoformat() for bars in feed] == ["2005-03-01", "2005-03-02", "2005-03-03", "2005-03-07"]
    assert [(bad.file, bad.unit, bad.row, bad.reason) for bad in feed.bad_rows] == [("AAPL.csv", "line", 5, reason)]
    (warning,) = feed.warnings
    assert warning.startswith("AAPL.csv: 1 bad row skipped")
    assert warning.endswith(f": line 5: {reason}")


def test_lines_are_counted_as_an_editor_does(tmp_path):
    """Blank lines are no rows, but they count as lines, also in a file with rows that are too long."""
    rows = [GOOD[0], "", "2005-03-02,10,12,9,99,500", "", "2005-03-03,10,12,9,11,500,7", "", GOOD[2]]
    feed = load_bars(csv_file(tmp_path, rows), bad_rows="skip")
    assert [(bad.row, bad.reason.split()[0]) for bad in feed.bad_rows] == [(4, "close"), (6, "7")]
    assert feed.bar_count == 2


def test_parquet_rows_are_counted_from_one(tmp_path):
    """A row of a Parquet file is called by its position, the first being 1."""
    frame = pl.DataFrame(
        {"date": [date(2005, 3, 1), date(2005, 3, 2)], "o": [1.0, None], "h": [1, 1], "l": [1, 1], "c": [1, 1]}
    )
    frame.write_parquet(tmp_path / "AAPL.parquet")
    feed = load_bars(tmp_path, bad_rows="skip")
    assert [str(bad) for bad in feed.bad_rows] == ["AAPL.parquet row 2: open is missing"]


def test_first_ten_and_the_count(tmp_path):
    """Of many bad rows the first ten are listed, by line, and all are counted."""
    rows = [f"2005-03-{day:02},10,12,9,{99 if day % 2 else 0},500" for day in range(1, 25)]
    with pytest.raises(DataError) as caught:
        load_bars(csv_file(tmp_path, rows))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("24 bad rows in market data")
    assert [line.split(":")[0] for line in lines[1:11]] == [f"  AAPL.csv line {number}" for number in range(2, 12)]
    assert lines[11:] == ["  and 14 more"]
    with pytest.raises(DataError, match=r"no bar is left: AAPL.csv: 24 bad rows skipped.*; and 14 more"):
        load_bars(tmp_path, bad_rows="skip")


def test_running_maximum_is_kept(tmp_path):
    """Of unsorted rows those that continue the increasing sequence are kept; a bad row does not count for it."""
    days = ["2005-03-01", "2005-03-04", "2005-03-02", "2005-03-04", "2005-03-07"]
    rows = [f"{day},10,12,9,11,500" for day in days]
    feed = load_bars(csv_file(tmp_path, [*rows[:1], "2005-03-30,10,12,9,99,500", *rows[1:]]), bad_rows="skip")
    assert [f"{bars.time:%d}" for bars in feed] == ["01", "04", "07"]
    assert [bad.row for bad in feed.bad_rows] == [3, 5, 6]
    assert "those that continue the increasing sequence were kept" in feed.warnings[0]


def test_newest_first_is_recognised(tmp_path):
    """A file that runs backwards is called that, instead of only ten rows of it."""
    with pytest.raises(DataError, match=r"AAPL.csv: most rows go back in time; sort it from oldest to newest"):
        load_bars(csv_file(tmp_path, GOOD[::-1]))


def test_order_is_judged_within_a_symbol(tmp_path):
    """In a file of many symbols only a symbol's own rows must go forward."""
    header = f"symbol,{HEADER}"
    rows = [f"A,{GOOD[0]}", f"B,{GOOD[0]}", f"A,{GOOD[2]}", f"B,{GOOD[1]}", f"A,{GOOD[1]}"]
    feed = load_bars(csv_file(tmp_path, rows, header), bad_rows="skip")
    assert [bad.row for bad in feed.bad_rows] == [6]
    assert feed.bar_count == 4


def test_a_row_without_symbol_is_bad(tmp_path):
    """A row without a symbol is reported, also when only some symbols are asked for."""
    file = csv_file(tmp_path, [f"A,{GOOD[0]}", f",{GOOD[1]}", f" ,{GOOD[1]}"], f"symbol,{HEADER}")
    for symbols in ([], ["A"]):
        feed = load_bars(file, symbols=symbols, bad_rows="skip")
        assert [(bad.row, bad.reason) for bad in feed.bad_rows] == [(3, "symbol is missing"), (4, "symbol is missing")]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("date,open,high,low,close\n", [row.rpartition(",")[0] for row in GOOD]),
        (HEADER, [row.rpartition(",")[0] + "," for row in GOOD]),
        (HEADER, [row.rpartition(",")[0] + ",nan" for row in GOOD]),
    ],
)
def test_no_volume_at_all(tmp_path, header, rows):
    """A symbol without any volume gets NaN and one warning."""
    feed = load_bars(csv_file(tmp_path, rows, header))
    assert feed.warnings == ("AAPL.csv: no volume of AAPL; such bars carry NaN",)
    assert all(math.isnan(bars["AAPL"].volume) for bars in feed)
    assert feed.bar_count == 3


def test_rounding_noise_is_no_fault(tmp_path):
    """A close above the high by the noise of an adjustment passes, as it is."""
    feed = load_bars(csv_file(tmp_path, ["2005-03-01,10,12,9,12.000000000000002,500"]))
    assert next(iter(feed)).close("AAPL") == 12.000000000000002


def test_bad_rows_outside_the_range_are_left_alone(tmp_path):
    """Only rows in the sessions asked for are judged, and those whose session nobody can tell."""
    rows = [*GOOD, "2005-03-04,10,12,9,99,500"]
    assert load_bars(csv_file(tmp_path, rows), end="2005-03-03").bar_count == 3
    with pytest.raises(DataError, match="line 6: time stamp is missing"):
        load_bars(csv_file(tmp_path, [*rows, ",10,12,9,99,500"]), end="2005-03-03")


def test_change_of_clocks(tmp_path):
    """A local time that does not exist, or exists twice, is a bad row."""
    text = "{},10,12,9,11,500"
    rows = [text.format(f"2005-04-03 {time}") for time in ("01:30", "02:30", "03:30", "04:30")]
    rows += [text.format(f"2005-10-30 {time}") for time in ("00:30", "01:30", "02:30")]
    feed = load_bars(csv_file(tmp_path, rows), bad_rows="skip")
    assert [bad.row for bad in feed.bad_rows] == [3, 7]
    assert "'2005-04-03 02:30' is not one instant in America/New_York" in feed.bad_rows[0].reason


def test_rows_in_memory_are_judged_alike():
    """Rows in memory pass the same checks, counted from 1."""
    table = [
        (date(2005, 3, 1), 10, 12, 9, 11, 500),
        (date(2005, 3, 2), 10, 9, 12, 11, 500),
        (date(2005, 3, 1), 10, 12, 9, 11, None),
    ]
    with pytest.raises(DataError) as caught:
        BarFeed.from_rows({"A": table})
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "rows of A row 2: high 9.0 is below low 12.0",
        "rows of A row 3: volume is missing",
    ]
    with pytest.raises(DataError, match="rows of A: times must all be dates"):
        BarFeed.from_rows({"A": [(date(2005, 3, 1), 1, 1, 1, 1, 1), (5, 1, 1, 1, 1, 1)]})
