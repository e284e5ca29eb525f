"""Bars that a host hands in: frames, rows and streams, judged as files are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import DataError
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.adapters.bar_sessions import EPOCH_DAY, day_of
from ordersmith.adapters.bar_streams import fault_of
from ordersmith.adapters.market_data import feed_from, load_bars
from ordersmith.config.settings import DataSettings

DAYS = [
    date(2005, 11, day) for day in (21, 22, 23, 25)
]  # Thanksgiving is between the last two, and the 25th is a half day
PRICES = (10.0, 12.0, 9.0, 11.0, 500.0)
COLUMNS = ("open", "high", "low", "close", "volume")
DAILY = {"A": [(day, *PRICES) for day in DAYS], "B": [(day, 5.0, 6.0, 4.0, 5.0, 50.0) for day in DAYS[1:]]}


def contents(feed):
    return [(b.start_ns, b.end_ns, b.session, b.closes_session, b.regular, b.actions, dict(b.rows)) for b in feed]


EXPECTED = contents(BarFeed.from_rows(DAILY))


def settings(**values):
    return DataSettings(**values)


def refusal(data, **values):
    with pytest.raises(DataError) as caught:
        contents(feed_from(data, settings(**values)))
    return str(caught.value)


def pandas_frame(symbol, index=True):
    rows = DAILY[symbol]
    frame = pd.DataFrame([row[1:] for row in rows], columns=[name.title() for name in COLUMNS])
    days = pd.DatetimeIndex([str(row[0]) for row in rows], name="Date")
    return frame.set_index(days) if index else frame.assign(date=days)


def polars_frame(symbol):
    return pl.DataFrame(DAILY[symbol], schema=["date", *COLUMNS], orient="row")


# --- Frames ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        DAILY,
        {symbol: pandas_frame(symbol) for symbol in DAILY},
        {symbol: pandas_frame(symbol, index=False) for symbol in DAILY},
        {symbol: pandas_frame(symbol).tz_localize("America/New_York") for symbol in DAILY},
        {symbol: pandas_frame(symbol).tz_localize("UTC") for symbol in DAILY},
        {symbol: pandas_frame(symbol).reset_index().astype({"Date": "str", "Volume": "Int64"}) for symbol in DAILY},
        {
            symbol: pandas_frame(symbol).assign(Close=[Decimal(str(row[4])) for row in DAILY[symbol]])
            for symbol in DAILY
        },
        {symbol: polars_frame(symbol) for symbol in DAILY},
        {"A": pandas_frame("A"), "B": polars_frame("B")},
        pd.concat([pandas_frame(symbol).assign(Symbol=symbol) for symbol in DAILY]),
        pd.concat({symbol: pandas_frame(symbol) for symbol in DAILY}, names=["ticker"]),
        pl.concat([polars_frame(symbol).with_columns(pl.lit(symbol).alias("symbol")) for symbol in DAILY]),
    ],
    ids=range(12),
)
def test_frames_are_what_a_file_would_be(data):
    """Pandas or polars, indexed by time or not, with a zone or without, of one symbol or of many: the bars are the same."""
    feed = feed_from(data, settings())
    assert contents(feed) == EXPECTED
    assert feed.symbols == ("A", "B")
    assert feed.warnings == ()


def test_pandas_is_not_imported():
    """A frame is known by its looks: the adapters import no pandas."""
    from ordersmith.adapters import bar_streams, host_frames, market_data

    assert not any(
        hasattr(module, name) for module in (bar_streams, host_frames, market_data) for name in ("pd", "pandas")
    )


@pytest.mark.parametrize(
    ("first", "zone"),
    [("2005-11-23 09:30", None), ("2005-11-23 09:30", "America/New_York"), ("2005-11-23 15:30", "Europe/Berlin")],
)
def test_minutes_of_a_frame(first, zone):
    """Times of a frame are in their own zone, and without one in the configured zone."""
    times = pd.date_range(first, periods=3, freq="1min", tz=zone)
    frame = pd.DataFrame([PRICES] * 3, columns=list(COLUMNS), index=times)
    feed = feed_from({"A": frame}, settings())
    assert [bars.time for bars in feed] == [datetime(2005, 11, 23, 14, minute, tzinfo=UTC) for minute in (31, 32, 33)]


def test_settings_count_for_frames(tmp_path):
    """Range, symbols, calendar and corporate actions are those of the settings."""
    (tmp_path / "actions.csv").write_text("symbol,kind,date,amount\nB,dividend,2005-11-23,0.1\n")
    frames = {symbol: pandas_frame(symbol) for symbol in DAILY}
    feed = feed_from(
        frames,
        settings(symbols=("B",), start=date(2005, 11, 23), calendar="XNYS", corporate_actions="actions.csv"),
        base=tmp_path,
    )
    steps = list(feed)
    assert (feed.symbols, len(steps), feed.schedule.name) == (("B",), 2, "XNYS")
    assert steps[0].actions[0].amount == Decimal("0.1")
    assert steps[1].time == datetime(2005, 11, 25, 18, tzinfo=UTC)


def test_bad_rows_of_a_frame_are_counted_from_one():
    """A row that cannot be right is told by the frame's name and its number, and may be skipped."""
    frame = pandas_frame("A")
    frame.iloc[2, 3] = 99.0
    message = refusal({"A": frame})
    assert message.splitlines()[1] == "  frame of A row 3: close 99.0 is outside low 9.0 to high 12.0"
    feed = feed_from({"A": frame}, settings(bad_rows="skip"))
    assert (feed.bar_count, len(feed.bad_rows)) == (3, 1)


@pytest.mark.parametrize(
    ("data", "values", "words"),
    [
        (5, {}, "data: int is not understood; give a mapping of symbols to data frames or rows"),
        ("prices.csv", {}, "data: str is not understood"),
        ({}, {}, "data.path: the data have no rows"),
        ({1: DAILY["A"]}, {}, "data: the key 1 is not a symbol"),
        ({"A": 5}, {}, "data: A has int; give a data frame or a list of rows"),
        ({"A": pandas_frame("A").drop(columns="Close")}, {}, "frame of A: no column for close; its columns are 'Date', 'Open'"),
        (pandas_frame("A"), {}, "frame: no column for symbol; add one, or hand in a mapping of symbols to frames"),
        (DAILY, {"symbols": ("A", "X")}, "data.symbols: no data were handed in for X; there are A, B"),
        ({"A": pd.DataFrame([[1, 2]], columns=["open", "open"])}, {}, "frame of A: two columns have the same name"),
        ([], {}, "data: the iterable is empty; give at least one bar"),
        (iter(()), {}, "data: the iterable is empty; give at least one bar"),
        ([1, 2], {}, "data: row 1 is 1; give Bars, or rows (symbol, time, open, high, low, close, volume)"),
        ([("A", "2005-11-21", *PRICES)], {}, "with a date, a datetime or ns UTC for the time"),
        (DAILY, {"start": date(2006, 1, 1), "end": date(2005, 1, 1)}, "data.start: 2006-01-01 is after data.end, 2005-01-01"),
        ([("A", DAYS[0], *PRICES)], {"start": date(2006, 1, 1)}, "none of the bars is between 2006-01-01 and None"),
        ([("A", datetime(2005, 11, 21, 15, tzinfo=UTC), *PRICES)], {}, "data.interval: cannot be inferred from a stream, row 1"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_told_in_one_line(data, values, words):
    """Whatever a host may hand in by mistake is answered with what would be accepted."""
    assert words in refusal(data, **values)


def test_feed_is_left_as_it_is():
    """A feed that a host made or loaded before is used as it is."""
    feed = BarFeed.from_rows(DAILY)
    assert feed_from(feed, settings(symbols=("X",))) is feed


# --- Streams of rows ---------------------------------------------------------------------------------------------------


def rows_by_time():
    return sorted(((symbol, *row) for symbol, rows in DAILY.items() for row in rows), key=lambda row: row[1])


@pytest.mark.parametrize("calendar", [None, "XNYS"])
def test_stream_of_daily_rows_is_what_a_file_would_be(calendar):
    """Rows one after the other give the bars of the same rows at once, sessions and half days included."""
    expected = contents(BarFeed.from_rows(DAILY, calendar=calendar))
    feed = feed_from(rows_by_time(), settings(calendar=calendar))
    assert contents(feed) == expected
    assert contents(feed) == expected
    assert (feed.symbols, feed.step_count, feed.start_ns) == (("A", "B"), None, expected[0][0])


@pytest.mark.parametrize(("calendar", "extended"), [(None, False), ("XNYS", False), ("XNYS", True)])
def test_stream_of_intraday_rows_is_what_a_file_would_be(calendar, extended):
    """Half-hours around a half day, with and without a calendar, come out as from a file."""
    starts = [
        datetime(2005, 11, day, 13, tzinfo=UTC) + timedelta(minutes=30 * n) for day in (23, 25) for n in range(20)
    ]
    table = {"A": [(at, *PRICES) for at in starts]}
    options = {"calendar": calendar, "extended_hours": extended}
    expected = contents(BarFeed.from_rows(table, interval_s=1800, **options))
    stream = (("A", *row) for row in table["A"])
    feed = feed_from(stream, settings(interval=Decimal(1800), **options))
    assert contents(feed) == expected
    if calendar and not extended:
        assert feed.warnings == ("20 instants outside of the sessions of XNYS are left out",)


def test_stream_is_read_as_it_comes():
    """No more than the next instant is taken in advance, so that a stream may be as long as it likes."""
    taken = 0

    def endless() -> Iterator[tuple]:
        nonlocal taken
        day = date(2005, 1, 1)
        while True:
            taken += 1
            yield ("A", day, *PRICES)
            day += timedelta(days=1)

    bars = iter(feed_from(endless(), settings()))
    for _ in range(100):
        next(bars)
    assert taken <= 103


def test_iterator_is_read_once():
    """A second pass over an iterator is refused: it would be empty."""
    feed = feed_from(iter(rows_by_time()), settings(symbols=("A", "B")))
    assert contents(feed) == EXPECTED
    with pytest.raises(DataError, match="the iterator was read already; hand in a new one, or a list"):
        iter(feed)


def test_range_and_actions_count_for_a_stream(tmp_path):
    """Only the sessions asked for come, and a corporate action with the first bars under it."""
    (tmp_path / "actions.csv").write_text(
        "symbol,kind,date,ratio,amount\nA,split,2005-11-21,2,\nA,dividend,2005-11-24,,0.1\n"
    )
    chosen = settings(start=date(2005, 11, 22), end=date(2005, 11, 25), corporate_actions="actions.csv")
    feed = feed_from(rows_by_time(), chosen, base=tmp_path)
    found = [(day_of(bars.session).day, [action.kind for action in bars.actions]) for bars in feed]
    assert found == [(22, []), (23, []), (25, ["DIVIDEND"])]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("A", DAYS[1], *PRICES), ("A", DAYS[0], *PRICES)], "row 2: 2005-11-21 is not after the time of the rows before it; sort them"),
        ([("A", DAYS[0], *PRICES), ("A", DAYS[0], *PRICES)], "row 2: A at 2005-11-21 a second time; correct it, or set data.bad_rows"),
        ([("A", DAYS[0], 10, 9, 11, 10, 1)], "row 1 (2005-11-21): A: high 9.0 is below low 11.0"),
        ([("A", DAYS[0], 10, 12, 9, "x", 1)], "row 1 (2005-11-21): A: close nan is not a number above zero"),
        ([("A", DAYS[0], 10, 12, 9, None, 1)], "close nan is not a number above zero"),
        ([("A", DAYS[0], 10, 12, 9, 11, -1)], "volume -1.0 is negative or not finite"),
        ([("A", DAYS[0], *PRICES), ("B", *DAILY["B"][0])], "row 2 (2005-11-22) has B, which the first bars have not; name all symbols"),
        ([("A", DAYS[0], *PRICES), 7], "row 2 is 7; give Bars, or rows"),
    ],
)  # fmt: skip
def test_bad_row_of_a_stream_is_told_when_it_comes(rows, words):
    """A row out of order, twice, of an unknown symbol or with impossible numbers stops the run with its number."""
    assert words in refusal(iter(rows))


def test_bad_rows_of_a_stream_may_be_skipped():
    """Skipped rows are left out, listed up to a number, and counted."""
    rows = [("A", DAYS[0] + timedelta(days=n), 10, 12, 9, 11 if n % 2 else -1, 1) for n in range(30)]
    feed = feed_from(iter(rows), settings(bad_rows="skip", symbols=("A",)))
    assert len(contents(feed)) == 15
    assert feed.warnings[0] == "row 1 (2005-11-21): A: close -1.0 is not a number above zero; skipped"
    assert feed.warnings[-1] == "5 more bad bars skipped"
    assert len(feed.warnings) == 11


def test_day_that_is_no_session_is_a_bad_row_of_a_stream():
    """A holiday among the rows is an error, or skipped."""
    rows = [("A", day, *PRICES) for day in (date(2005, 11, 23), date(2005, 11, 24), date(2005, 11, 25))]
    assert "2005-11-24 is no session of XNYS" in refusal(rows, calendar="XNYS")
    assert len(contents(feed_from(rows, settings(calendar="XNYS", bad_rows="skip")))) == 2


def test_stream_of_days_to_come_has_its_sessions():
    """Made-up prices of the future run through years of the calendar."""
    days = [date(2040, 7, 3), date(2040, 7, 5), date(2045, 7, 5)]
    rows = [("A", day, *PRICES) for day in days]
    assert [day_of(bars.session) for bars in feed_from(rows, settings(calendar="XNYS"))] == days


def test_volume_that_is_not_known_is_none_of_the_faults():
    """A row without a volume carries NaN."""
    (bars,) = feed_from([("A", DAYS[0], 10, 12, 9, 11, None)], settings())
    assert bars.rows["A"][4] != bars.rows["A"][4]


# --- Streams of Bars ---------------------------------------------------------------------------------------------------


def made(number, rows=None, session=None, closes=True):
    """Return the host's own Bars of one day."""
    start = (number * 86_400 + 52_200) * 10**9
    return Bars(
        start, start + 10**9, number if session is None else session, closes, {"A": PRICES} if rows is None else rows
    )


def test_bars_of_the_host_are_taken_as_they_are():
    """Bars that are right are handed on, the same objects, with the length of the list."""
    bars = [made(13_000), made(13_001, {"A": PRICES, "B": PRICES})]
    feed = feed_from(bars, settings())
    assert [one is other for one, other in zip(feed, bars, strict=True)] == [True, True]
    assert (feed.symbols, feed.step_count, feed.start_ns) == (("A", "B"), 2, bars[0].start_ns)
    assert feed_from(iter(bars), settings(symbols=("A", "B"))).step_count is None


def test_actions_do_not_stick_to_the_bars_of_the_host(tmp_path):
    """A list that is read twice gets its corporate actions once each time, on copies."""
    day = day_of(13_001)
    (tmp_path / "actions.csv").write_text(f"symbol,kind,date,amount\nA,dividend,{day},0.1\n")
    bars = [made(13_000), made(13_001)]
    feed = feed_from(bars, settings(corporate_actions="actions.csv"), base=tmp_path)
    assert [len(one.actions) for one in feed] == [len(one.actions) for one in feed] == [0, 1]
    assert bars[1].actions == ()


@pytest.mark.parametrize(
    ("bars", "words"),
    [
        ([made(13_001), made(13_000)], "bars 2 ends at 2005-08-05 14:30:01+00:00, not after the bars before it"),
        ([made(13_000), made(13_000)], "sort them by end"),
        ([made(13_000), made(13_001, session=12_999)], "bars 2 is of session 2005-08-04, which is before 2005-08-05"),
        ([Bars(5, 5, 0, True, {"A": PRICES})], "not after its start; give start_ns < end_ns"),
        ([made(13_000, {"A": (10.0, 9.0, 11.0, 10.0, 1.0)})], "bars 1 (2005-08-05 14:30:01+00:00): A: high 9.0 is below low 11.0"),
        ([made(13_000), ("A", DAYS[0], *PRICES)], "bars 2 is tuple; the others are Bars"),
    ],
)  # fmt: skip
def test_wrong_bars_of_the_host_are_told(bars, words):
    """Order, sessions, spans and prices are checked, and the number of the bars is named."""
    assert words in refusal(iter(bars))


def test_symbol_of_the_host_that_is_not_asked_for_is_left_out():
    """With symbols in the settings, others in the bars are not part of the run."""
    (bars,) = feed_from([made(13_000, {"A": PRICES, "B": PRICES})], settings(symbols=("B",)))
    assert list(bars) == ["B"]


def test_bars_on_a_holiday_are_told_with_a_calendar():
    """The sessions of the host's bars must be those of the calendar."""
    assert "bars 1 is of 2005-08-06, which is no session of XNYS" in refusal([made(13_001)], calendar="XNYS")


number = st.floats(min_value=0.5, max_value=2, allow_nan=False) | st.sampled_from(
    [0.0, -1.0, float("nan"), float("inf"), 1.0]
)


@given(st.tuples(number, number, number, number, number))
def test_streams_and_files_judge_alike(row):
    """What a stream says of one bar's numbers is what a file says: both take it or neither does."""
    feed = BarFeed.from_rows({"A": [(DAYS[0], 1, 1, 1, 1, 1), (DAYS[1], *row)]}, bad_rows="skip")
    assert (feed.bar_count == 1) == bool(fault_of(row)) or row[4] != row[4]


def test_load_bars_still_reads_files(tmp_path):
    """Files go the same way as before: a feed of them passes through `feed_from`."""
    (tmp_path / "A.csv").write_text("date,open,high,low,close,volume\n2005-11-21,10,12,9,11,500\n")
    feed = load_bars(tmp_path)
    assert feed_from(feed, settings()) is feed
    assert [bars.session for bars in feed] == [DAYS[0].toordinal() - EPOCH_DAY]
