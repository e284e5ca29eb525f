"""Bars of many symbols come out in time order, complete and unchanged, whatever the chunks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import DataError
from ordersmith.adapters import bar_feed
from ordersmith.adapters.bar_feed import BarFeed

MINUTE = 60 * 10**9
ROW = (10.0, 12.0, 9.0, 11.0, 500.0)
MARCH = [date(2005, 3, day) for day in (1, 2, 3, 4)]


def daily(*days: date, row=ROW) -> list[tuple]:
    return [(day, *row) for day in days]


def dates(feed: BarFeed) -> list[tuple[str, list[str]]]:
    return [(f"{bars.time:%m-%d}", list(bars)) for bars in feed]


prices = st.floats(0.01, 1e6)


@st.composite
def price_rows(draw):
    low, high = sorted((draw(prices), draw(prices)))
    inside = st.floats(low, high)
    return (draw(inside), high, low, draw(inside), draw(st.floats(0, 1e12)))


@st.composite
def minute_tables(draw):
    """Draw rows of up to four symbols at increasing minutes that differ from symbol to symbol."""
    minutes = st.lists(st.integers(0, 3000), min_size=1, max_size=25, unique=True).map(sorted)
    symbols = draw(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=4, unique=True))
    return {
        symbol: [(1_109_680_000 * 10**9 + minute * MINUTE, *draw(price_rows())) for minute in draw(minutes)]
        for symbol in symbols
    }


@settings(max_examples=100, deadline=None)
@given(tables=minute_tables(), stamp=st.sampled_from(["open", "close"]), chunk=st.integers(1, 40))
def test_merging_loses_and_changes_nothing(tables, stamp, chunk):
    """Every row comes out once and as it went in, in time order, with symbols in their order, for any chunk size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bar_feed, "CHUNK_ROWS", chunk)
        feed = BarFeed.from_rows(tables, stamp=stamp, interval_s=60)
        steps = list(feed)
    ends = [bars.end_ns for bars in steps]
    assert ends == sorted(set(ends))
    shift = MINUTE if stamp == "open" else 0
    came_out = {
        symbol: [(bars.end_ns - shift, *bars.rows[symbol]) for bars in steps if symbol in bars] for symbol in tables
    }
    assert came_out == tables
    order = {symbol: rank for rank, symbol in enumerate(tables)}
    assert all(list(bars) == sorted(bars, key=order.__getitem__) for bars in steps)
    assert (feed.step_count, feed.bar_count) == (len(steps), sum(map(len, tables.values())))
    assert (feed.start_ns, feed.end_ns) == (steps[0].start_ns, steps[-1].end_ns)
    assert all(bars.end_ns - bars.start_ns == MINUTE for bars in steps)


@settings(max_examples=60, deadline=None)
@given(tables=minute_tables(), zone=st.sampled_from(["America/New_York", "UTC", "Asia/Tokyo"]))
def test_sessions_are_local_dates(tables, zone):
    """A session is the local date of the bar's start, and only its last bars close it."""
    feed = BarFeed.from_rows(tables, timezone=zone, interval_s=60)
    steps = list(feed)
    for bars in steps:
        start = datetime.fromtimestamp(bars.start_ns // 10**9, ZoneInfo(zone))
        assert date(1970, 1, 1) + timedelta(bars.session) == start.date()
    assert [bars.closes_session for bars in steps] == [a.session != b.session for a, b in pairwise(steps)] + [True]
    assert feed.sessions == len(list(groupby(bars.session for bars in steps)))


def test_daily_bars_follow_the_clocks():
    """A daily bar covers 09:30 to 16:00 of its date in the zone, before and after a change of clocks."""
    feed = BarFeed.from_rows({"A": daily(date(2005, 4, 1), date(2005, 4, 4))})
    spans = [(bars.start_ns, bars.time) for bars in feed]
    assert [datetime.fromtimestamp(start // 10**9, UTC).hour * 100 + 30 for start, _ in spans] == [1430, 1330]
    assert [time for _, time in spans] == [datetime(2005, 4, 1, 21, tzinfo=UTC), datetime(2005, 4, 4, 20, tzinfo=UTC)]
    assert all(bars.closes_session for bars in feed)


def test_symbols_with_different_dates():
    """Symbols that start and end on different dates come together where they can, and only holes are warned of."""
    feed = BarFeed.from_rows({"B": daily(*MARCH[:3]), "A": daily(MARCH[1], MARCH[3])})
    assert dates(feed) == [("03-01", ["B"]), ("03-02", ["B", "A"]), ("03-03", ["B"]), ("03-04", ["A"])]
    assert feed.warnings == ("A: 1 session without a bar (first 2005-03-03)",)
    assert feed.sessions == feed.step_count == 4


def test_holes_are_counted():
    """Sessions that a symbol lacks are counted, whatever the number of bars in a session."""
    hours = [datetime(2005, 3, day, hour, tzinfo=UTC) for day in (1, 2, 3, 4) for hour in (15, 16, 17)]
    full = [(at, *ROW) for at in hours]
    feed = BarFeed.from_rows({"A": full, "B": full[:2] + full[9:]})
    assert feed.warnings == ("B: 2 sessions without a bar (first 2005-03-02)",)


def test_iterations_are_independent():
    """A feed can be iterated again, and by several at once."""
    feed = BarFeed.from_rows({"A": daily(*MARCH), "B": daily(*MARCH)})
    first, second = iter(feed), iter(feed)
    assert next(first).session == next(second).session
    next(first)
    assert next(second).rows == {"A": ROW, "B": ROW}
    assert len(list(first)) == len(list(second)) == 2
    assert len(list(feed)) == 4


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 1000])
def test_chunks_end_between_instants(monkeypatch, chunk):
    """A chunk never cuts the bars of an instant in two, with all symbols there or not."""
    monkeypatch.setattr(bar_feed, "CHUNK_ROWS", chunk)
    feed = BarFeed.from_rows({"A": daily(*MARCH), "B": daily(*MARCH[1:]), "C": daily(*MARCH[:3])})
    assert dates(feed) == [
        ("03-01", ["A", "C"]),
        ("03-02", ["A", "B", "C"]),
        ("03-03", ["A", "B", "C"]),
        ("03-04", ["A", "B"]),
    ]
    assert max(rows.height for _, rows in feed._chunks()) <= max(chunk, 3)


@pytest.mark.parametrize(("stamp", "first"), [("open", (30, 35)), ("close", (25, 30))])
def test_stamp_is_open_or_close(stamp, first):
    """The interval is the most frequent distance between rows, and the stamp is one end of it."""
    minutes = (30, 35, 40, 50, 55)
    table = [(datetime(2005, 3, 1, 9, minute), *ROW) for minute in minutes]  # noqa: DTZ001
    bars = next(iter(BarFeed.from_rows({"A": table}, stamp=stamp)))
    start = datetime(2005, 3, 1, 14, first[0], tzinfo=UTC)
    assert (bars.start_ns, bars.time) == (int(start.timestamp()) * 10**9, start + timedelta(minutes=5))


def test_interval_of_other_symbols_serves():
    """A symbol with a single row takes the interval of the others."""
    feed = BarFeed.from_rows({"A": [(MINUTE, *ROW)], "B": [(MINUTE, *ROW), (2 * MINUTE, *ROW)]})
    assert [list(bars) for bars in feed] == [["A", "B"], ["B"]]


@pytest.mark.parametrize(
    ("tables", "part"),
    [
        ({"A": [(MINUTE, *ROW)]}, "data.interval: cannot be inferred from rows of A"),
        (
            {"A": [(MINUTE, *ROW), (2 * MINUTE, *ROW)], "B": [(MINUTE, *ROW), (6 * MINUTE, *ROW)]},
            "data.interval: rows are most often 60 s in rows of A, 300 s in rows of B apart",
        ),
        (
            {"A": daily(*MARCH), "B": [(MINUTE, *ROW), (2 * MINUTE, *ROW)]},
            "rows of A has daily bars and rows of B has not",
        ),
        ({"A": daily(*MARCH), "B": []}, "data.symbols: B has no usable row"),
        ({}, "the data have no rows"),
    ],
)
def test_feeds_that_cannot_be(tables, part):
    """What cannot be merged without guessing is refused."""
    with pytest.raises(DataError) as caught:
        BarFeed.from_rows(tables)
    assert part in str(caught.value)


def test_interval_is_doubted():
    """An interval that differs from the distance of the rows, or that dates make useless, is a warning."""
    table = [(minute * MINUTE, *ROW) for minute in (5, 10, 15)]
    (warning,) = BarFeed.from_rows({"A": table}, interval_s=Decimal(60)).warnings
    assert warning == "rows of A: rows are most often 300 s apart, but data.interval is 60 s"
    (warning,) = BarFeed.from_rows({"A": daily(*MARCH)}, interval_s=60).warnings
    assert warning.startswith("data.interval: 60 is not used")


def test_times_in_memory():
    """Dates, naive and aware datetimes and integers of ns are all taken, and prices in any number type."""
    local = datetime(2005, 3, 1, 16)  # noqa: DTZ001
    aware = local.replace(tzinfo=ZoneInfo("America/New_York"))
    row = (Decimal("10.5"), 12, 9.0, 11, 500)
    for at in (date(2005, 3, 1), local, aware, aware.astimezone(UTC), int(aware.timestamp()) * 10**9):
        interval = None if type(at) is date else 60
        (bars,) = BarFeed.from_rows({"A": [(at, *row)]}, stamp="close", interval_s=interval)
        assert bars.time == aware
        assert bars.rows == {"A": (10.5, 12.0, 9.0, 11.0, 500.0)}


def test_bars_are_the_models():
    """A feed gives `Bars`, whose rows are tuples of floats and whose keys are the feed's own symbols."""
    feed = BarFeed.from_rows({"A": daily(*MARCH), "B": daily(*MARCH[2:])})
    for bars in feed:
        assert type(bars) is Bars
        assert all(type(row) is tuple and set(map(type, row)) == {float} for row in bars.rows.values())
        assert all(any(symbol is own for own in feed.symbols) for symbol in bars)
    assert repr(feed) == "<BarFeed 2 symbols, 6 bars in 4 sessions, 2005-03-01 to 2005-03-04>"
