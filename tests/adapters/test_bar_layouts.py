"""Which files, columns and time stamps are understood, and what is said of the others."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from ordersmith.actors.errors import DataError
from ordersmith.adapters.market_data import load_bars

VALUES = "10,12,9,11,500"
ROW = (10.0, 12.0, 9.0, 11.0, 500.0)


def write(folder: Path, text: str, name: str = "AAPL.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def refusal(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        load_bars(path, **options)
    return str(caught.value)


HEADERS = [
    "date,open,high,low,close,volume",
    "Date,Open,High,Low,Close,Volume",
    "DATETIME,OPEN,HIGH,LOW,CLOSE,VOL",
    "timestamp,o,h,l,c,v",
    "ts,o,h,l,c,v",
    " Time , Open ,High,Low,Close,Volume",
    ",Open,High,Low,Close,Volume",
    "index,open,high,low,close,volume",
    "Unnamed: 0,open,high,low,close,volume",
    "\ufeffdate,open,high,low,close,volume",
]


@pytest.mark.parametrize("header", HEADERS)
def test_common_headers(tmp_path, header):
    """Common column names are recognised in any case, and an index without a name holds the time."""
    feed = load_bars(write(tmp_path, f"{header}\n2005-03-01,{VALUES}\n"))
    assert [bars.rows for bars in feed] == [{"AAPL": ROW}]
    assert feed.warnings == ()


def test_named_time_wins_over_index(tmp_path):
    """A numbered index beside a date column is not taken for the time."""
    feed = load_bars(write(tmp_path, f",date,open,high,low,close,volume\n0,2005-03-01,{VALUES}\n"))
    assert [bars.session for bars in feed] == [(date(2005, 3, 1) - date(1970, 1, 1)).days]


@pytest.mark.parametrize("name", ["Adj Close", "adj_close", "AdjClose", "adjusted_close"])
def test_adjusted_close_is_not_the_close(tmp_path, name):
    """An adjusted close is left alone beside a close, and does not stand in for one."""
    feed = load_bars(write(tmp_path, f"date,{name},open,high,low,close,volume\n2005-03-01,7,{VALUES}\n"))
    assert next(iter(feed)).close("AAPL") == 11.0
    message = refusal(write(tmp_path, f"date,open,high,low,{name},volume\n2005-03-01,{VALUES}\n"))
    assert "AAPL.csv: no column for close" in message
    assert repr(name) in message
    assert "close: close, c" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["AAPL.csv: the file is empty"]),
        (
            "2005-03-01,10,12,9,11,500\n",
            ["no column for time, open, high, low, close", "a header line with names must come first"],
        ),
        ("date,time,open,high,low,close\n", ["columns 'date' and 'time' both mean time"]),
        ("date,open,high,low\n", ["no column for close", "'date', 'open', 'high', 'low'"]),
        ("date,open,high,low,close\n", ["no rows"]),
    ],
)
def test_layout_is_refused(tmp_path, text, parts):
    """A layout that is not understood is refused with the columns found and the names accepted."""
    message = refusal(write(tmp_path, text))
    for part in parts:
        assert part in message


NOON_UTC = datetime(2005, 3, 1, 12, tzinfo=UTC)
INSTANTS = {
    "minutes in the zone": "2005-03-01 07:00",
    "seconds in the zone": "2005-03-01 07:00:00",
    "T": "2005-03-01T07:00:00",
    "slashes": "2005/03/01 07:00:00",
    "fraction": "2005-03-01 07:00:00.000000",
    "UTC as Z": "2005-03-01T12:00:00Z",
    "UTC by name": "2005-03-01 12:00:00 UTC",
    "offset": "2005-03-01T07:00:00-05:00",
    "offset without colon": "2005-03-01 07:00:00-0500",
    "offset east": "2005-03-01T17:30:00.000+05:30",
    "compact": "20050301 070000",
    "compact with colons and two spaces": "20050301  07:00:00",
    "s": "1109678400",
    "ms": "1109678400000",
    "us": "1109678400000000",
    "ns": "1109678400000000000",
}


@pytest.mark.parametrize("text", INSTANTS.values(), ids=INSTANTS)
def test_instants_in_text(tmp_path, text):
    """The common ways to write an instant all give the same one."""
    file = write(tmp_path, f"ts,open,high,low,close,volume\n{text},{VALUES}\n")
    (bars,) = load_bars(file, stamp="close", interval_s=60)
    assert bars.time == NOON_UTC
    assert bars.end_ns - bars.start_ns == 60_000_000_000


@pytest.mark.parametrize(
    "text",
    ["2005-03-01", "2005/03/01", "2005/3/1", "20050301", "01-Mar-2005", "2005-03-01 00:00:00", "2005-03-01T00:00:00Z",
     "2005-03-01 00:00:00-05:00", "2005-03-01T05:00:00Z", "1109635200", "1109653200000"],
)  # fmt: skip
def test_dates_in_text(tmp_path, text):
    """A date, or a midnight of the zone or of UTC, is the session: 09:30 to 16:00 in the zone."""
    (bars,) = load_bars(write(tmp_path, f"date,open,high,low,close,volume\n{text},{VALUES}\n"))
    assert bars["AAPL"].time == datetime(2005, 3, 1, 21, tzinfo=UTC)
    assert bars.end_ns - bars.start_ns == 6.5 * 3600 * 10**9


def test_midnight_is_an_instant_of_intraday_bars(tmp_path):
    """With an interval below a day, a bar at midnight is no daily bar."""
    file = write(tmp_path, f"ts,open,high,low,close,volume\n2005-03-01 00:00:00,{VALUES}\n")
    (bars,) = load_bars(file, timezone="UTC", interval_s=3600)
    assert bars.time == datetime(2005, 3, 1, 1, tzinfo=UTC)


def test_bars_a_day_apart_are_daily(tmp_path):
    """Stamps at the hour of the close, a day apart, are sessions, also over a change of clocks."""
    days = ["2005-03-31T21:00:00Z", "2005-04-01T21:00:00Z", "2005-04-04T20:00:00Z", "2005-04-05T20:00:00Z"]
    file = write(tmp_path, "ts,open,high,low,close,volume\n" + "".join(f"{day},{VALUES}\n" for day in days))
    feed = load_bars(file)
    assert [f"{bars.time:%Y-%m-%dT%H:%M:%SZ}" for bars in feed] == days
    assert feed.sessions == 4


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("03/01/2005", "'03/01/2005' may mean day or month first; accepted: 2005-03-01, 20050301, 01-Mar-2005"),
        ("1.3.05", "'1.3.05' may mean day or month first"),
        ("yesterday", "'yesterday' are not understood; accepted: 2005-03-01"),
    ],
)
def test_time_is_refused(tmp_path, text, part):
    """A time that is ambiguous or not understood is refused with the accepted forms."""
    assert part in refusal(write(tmp_path, f"date,open,high,low,close,volume\n{text},{VALUES}\n"))


COLUMNS = {"open": [10, 10], "high": [12, 12], "low": [9, 9], "close": [11, 11], "volume": [500, 500]}
STAMPS = [datetime(2005, 3, 1, 12), datetime(2005, 3, 1, 12, 1)]  # noqa: DTZ001
PARQUET_TIMES = {
    "naive us": pl.Series(STAMPS, dtype=pl.Datetime("us")),
    "naive ns": pl.Series(STAMPS, dtype=pl.Datetime("ns")),
    "naive ms": pl.Series(STAMPS, dtype=pl.Datetime("ms")),
    "UTC ns": pl.Series(STAMPS).dt.replace_time_zone("UTC").dt.cast_time_unit("ns"),
    "New York": pl.Series(STAMPS).dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York"),
    "epoch s": pl.Series([1109678400, 1109678460]),
    "epoch ms": pl.Series([1109678400000, 1109678460000]),
    "text": pl.Series(["2005-03-01T12:00:00Z", "2005-03-01T12:01:00Z"]),
}


@pytest.mark.parametrize("times", PARQUET_TIMES.values(), ids=PARQUET_TIMES)
@pytest.mark.parametrize("name", ["ts", "__index_level_0__", "Date"])
def test_parquet(tmp_path, name, times):
    """Parquet is read with every type of time, from a column or from a data frame's index, which is saved last."""
    pl.DataFrame({**COLUMNS, name: times}).write_parquet(tmp_path / "AAPL.parquet")
    first, second = load_bars(tmp_path / "AAPL.parquet", timezone="UTC", stamp="close")
    assert (first.time, second.start_ns) == (NOON_UTC, first.end_ns)
    assert first.rows == {"AAPL": ROW}


@pytest.mark.parametrize("days", [[date(2005, 3, 1), date(2005, 3, 2)], [20050301, 20050302]])
def test_parquet_dates(tmp_path, days):
    """Dates in Parquet, also as numbers such as 20050301, are sessions."""
    pl.DataFrame({**COLUMNS, "date": days}).write_parquet(tmp_path / "AAPL.parquet")
    assert [bars.time.day for bars in load_bars(tmp_path)] == [1, 2]


def test_unreadable_parquet(tmp_path):
    """What only looks like Parquet is refused with its name."""
    assert "AAPL.parquet: cannot be read" in refusal(write(tmp_path, "date,open", "AAPL.parquet"))


def test_time_of_a_wrong_type(tmp_path):
    """A time column of numbers with a point is refused with its type."""
    pl.DataFrame({**COLUMNS, "ts": [1.5, 2.5]}).write_parquet(tmp_path / "AAPL.parquet")
    assert "the time column is of type Float64" in refusal(tmp_path)


def test_folder_with_a_file_a_symbol(tmp_path):
    """A folder gives all its symbols in alphabetical order, or those asked for in the order asked, and ignores other files."""
    for name in ("MSFT.csv", "AAPL.csv", "IBM.csv", "README.md", "._IBM.csv"):
        write(tmp_path, f"date,open,high,low,close,volume\n2005-03-01,{VALUES}\n", name)
    assert load_bars(tmp_path).symbols == ("AAPL", "IBM", "MSFT")
    feed = load_bars(tmp_path, symbols=["MSFT", "AAPL"])
    assert feed.symbols == ("MSFT", "AAPL")
    assert [list(bars) for bars in feed] == [["MSFT", "AAPL"]]


def test_symbols_not_asked_for_are_not_read(tmp_path):
    """A broken file harms only who asks for its symbol."""
    write(tmp_path, f"date,open,high,low,close,volume\n2005-03-01,{VALUES}\n")
    write(tmp_path, "nonsense", "ZZZ.csv")
    assert load_bars(tmp_path, symbols=["AAPL"]).bar_count == 1
    assert "ZZZ.csv: no column for" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["symbol", "Ticker", "SYM"])
def test_symbol_column(tmp_path, name):
    """One file holds many symbols by a symbol column, in whatever order its symbols come."""
    text = f"date,{name},open,high,low,close,volume\n"
    for day, symbol, volume in [("01", "MSFT", 1), ("02", "MSFT", 2), ("01", "AAPL", 3), ("02", "AAPL", 4)]:
        text += f"2005-03-{day},{symbol},10,12,9,11,{volume}\n"
    file = write(tmp_path, text, "prices.csv")
    volumes = [[(symbol, row[4]) for symbol, row in bars.rows.items()] for bars in load_bars(file)]
    assert volumes == [[("AAPL", 3), ("MSFT", 1)], [("AAPL", 4), ("MSFT", 2)]]
    assert [list(bars) for bars in load_bars(tmp_path, symbols=["MSFT"])] == [["MSFT"]] * 2


def test_symbols_interleaved(tmp_path):
    """In a file sorted by time the interval is found between rows of one symbol, not between neighbours."""
    text = "ts,symbol,open,high,low,close,volume\n"
    for minute in range(0, 50, 5):
        text += f"2005-03-01 10:{minute:02},A,{VALUES}\n2005-03-01 10:{minute + 2:02},B,{VALUES}\n"
    steps = list(load_bars(write(tmp_path, text)))
    assert {bars.end_ns - bars.start_ns for bars in steps} == {300 * 10**9}
    assert [list(bars) for bars in steps] == [["A"], ["B"]] * 10


def test_one_symbol_in_two_files(tmp_path):
    """A symbol in two files is refused: nobody can say which is right."""
    write(tmp_path, f"date,open,high,low,close,volume\n2005-03-01,{VALUES}\n")
    write(tmp_path, f"date,sym,open,high,low,close,volume\n2005-03-02,AAPL,{VALUES}\n", "more.csv")
    assert "AAPL is in AAPL.csv and in more.csv" in refusal(tmp_path)


def test_paths_are_explained(tmp_path):
    """A missing path, an empty folder and an unknown kind of file each say what is wanted."""
    assert re.search(r"nowhere does not exist .*\.csv or \.parquet", refusal(tmp_path / "nowhere"))
    assert "has no data files; put .csv or .parquet files there" in refusal(tmp_path)
    assert "AAPL.xlsx is not a .csv or .parquet file" in refusal(write(tmp_path, "", "AAPL.xlsx"))


def test_missing_symbol_names_the_nearest(tmp_path):
    """A symbol without data is an error that names the nearest and the available ones."""
    for name in ("AAPL.csv", "MSFT.csv"):
        write(tmp_path, f"date,open,high,low,close,volume\n2005-03-01,{VALUES}\n", name)
    message = refusal(tmp_path, symbols=["AAPL", "msft", "QQQQQ"])
    assert "no data for 'msft' (did you mean 'MSFT'?), 'QQQQQ'; available: AAPL, MSFT" in message
    assert "'AAPL' is one text; give a list" in refusal(tmp_path, symbols="AAPL")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"timezone": "America/Gotham"}, "data.timezone: 'America/Gotham' is unknown; give an IANA name"),
        ({"stamp": "middle"}, "data.stamp: 'middle' is not accepted; give open or close"),
        ({"bad_rows": "ignore"}, "data.bad_rows: 'ignore' is not accepted; give stop or skip"),
        ({"interval_s": 0}, "data.interval: 0 is not above zero"),
        ({"start": "1 March"}, "data.start: '1 March' is not a date; write it as 2005-03-01"),
        ({"start": "2005-03-02", "end": "2005-03-01"}, "data.start: 2005-03-02 is after data.end, 2005-03-01"),
    ],
)
def test_settings_are_explained(tmp_path, options, part):
    """A setting that is not accepted is named with its value and what is accepted."""
    assert part in refusal(tmp_path, **options)


RANGES = [
    ({"start": date(2005, 3, 2)}, [2, 3, 4]),
    ({"end": "2005-03-02"}, [1, 2]),
    ({"start": "2005-03-02", "end": datetime(2005, 3, 3, 12, tzinfo=UTC)}, [2, 3]),
]


@pytest.mark.parametrize(("options", "days"), RANGES)
def test_range_includes_both_sessions(tmp_path, options, days):
    """A range is of sessions, the first and the last included."""
    file = write(tmp_path, "date,o,h,l,c,v\n" + "".join(f"2005-03-0{day},{VALUES}\n" for day in (1, 2, 3, 4)))
    assert [bars.time.day for bars in load_bars(file, **options)] == days


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"start": "2006-01-01"}, "data.start: 2006-01-01 is after the last session of the data, 2005-03-08"),
        ({"end": "2004-01-01"}, "data.end: 2004-01-01 is before the first session of the data, 2005-03-01"),
        (
            {"start": "2005-03-05", "end": "2005-03-06"},
            "no session between 2005-03-05 and 2005-03-06; the data are from",
        ),
        (
            {"symbols": ["AAPL", "MSFT"], "start": "2005-03-07"},
            "data.symbols: AAPL has no bar in the range, its data are from 2005-03-01 to 2005-03-04",
        ),
    ],
)
def test_empty_ranges_are_explained(tmp_path, options, part):
    """A range without bars is an error that says what range there is."""
    write(tmp_path, f"date,o,h,l,c,v\n2005-03-01,{VALUES}\n2005-03-04,{VALUES}\n")
    write(tmp_path, f"date,o,h,l,c,v\n2005-03-01,{VALUES}\n2005-03-08,{VALUES}\n", "MSFT.csv")
    assert part in refusal(tmp_path, **options)


def test_symbol_outside_the_range_is_left_out(tmp_path):
    """A symbol that nobody asked for may lack bars in the range; it is left out with a warning."""
    write(tmp_path, f"date,o,h,l,c,v\n2005-03-01,{VALUES}\n")
    write(tmp_path, f"date,o,h,l,c,v\n2005-03-08,{VALUES}\n", "MSFT.csv")
    feed = load_bars(tmp_path, start="2005-03-07")
    assert feed.symbols == ("MSFT",)
    assert feed.warnings == ("AAPL has no bar in the range, its data are from 2005-03-01 to 2005-03-01",)


def test_reader_is_imported_late():
    """Importing the loader does not import the reader, which is slow to start and an extra."""
    code = "import sys, ordersmith.adapters.market_data; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
