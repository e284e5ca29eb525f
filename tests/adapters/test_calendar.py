"""Sessions of an exchange, and what they make of bars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.errors import DataError
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.adapters.bar_sessions import EPOCH_DAY, day_of
from ordersmith.adapters.calendar import load_schedule
from ordersmith.adapters.market_data import load_bars

NEW_YORK = ZoneInfo("America/New_York")
PRICES = (10.0, 12.0, 9.0, 11.0, 500.0)
THANKSGIVING_WEEK = (date(2005, 11, 21), date(2005, 11, 25))  # closed on Thursday, until 13:00 on Friday


def number(day):
    return day.toordinal() - EPOCH_DAY


def ns(year, month, day, hour, minute=0, zone=NEW_YORK):
    return round(datetime(year, month, day, hour, minute, tzinfo=zone).timestamp()) * 10**9


@pytest.fixture(scope="module")
def schedule():
    return load_schedule("XNYS", *THANKSGIVING_WEEK)


def intraday(day, first, last, minutes=30):
    """Return rows from `first` up to, not including, `last`, in New York's time."""
    at, end = (datetime.combine(day, datetime.min.time()) + timedelta(minutes=60 * h + m) for h, m in (first, last))
    rows = []
    while at < end:
        rows.append((at, *PRICES))
        at += timedelta(minutes=minutes)
    return rows


# --- The schedule ------------------------------------------------------------------------------------------------------


def test_half_day_closes_early(schedule):
    """The session after Thanksgiving ends at 13:00, and its Thursday is none."""
    assert schedule.span(number(date(2005, 11, 25))) == (ns(2005, 11, 25, 9, 30), ns(2005, 11, 25, 13))
    assert schedule.span(number(date(2005, 11, 23))) == (ns(2005, 11, 23, 9, 30), ns(2005, 11, 23, 16))
    assert schedule.span(number(date(2005, 11, 24))) is None


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (ns(2005, 11, 23, 9, 29), 23),
        (ns(2005, 11, 23, 9, 30), 23),
        (ns(2005, 11, 23, 16) - 1, 23),
        (ns(2005, 11, 23, 16), 25),
        (ns(2005, 11, 24, 12), 25),
        (ns(2005, 11, 25, 13), 28),
    ],
)
def test_session_of_an_instant_is_the_open_one_or_the_next(schedule, now, day):
    """A session lasts [open, close); outside of all, the one that opens next is meant, over holidays and weekends."""
    session = schedule.at(now)
    assert day_of(session.day) == date(2005, 11, day)
    assert (session.open_ns, session.close_ns) == schedule.span(session.day)


def test_schedule_goes_beyond_the_data_and_ends(schedule):
    """Some sessions before and after the data are known, and there is nothing after the last of them."""
    assert schedule.opens[0] < ns(2005, 10, 25, 0)
    assert schedule.closes[-1] > ns(2005, 12, 20, 0)
    assert schedule.at(schedule.closes[-1]) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("XNYZ", "'XNYZ' is no calendar of exchange_calendars; did you mean"),
        ("xnys", "did you mean XNYS"),
        ("nowhere", "give the exchange's code (ISO 10383), such as XNYS or XLON"),
    ],
)
def test_unknown_calendar_names_the_nearest(name, words):
    """A name that is no calendar's is answered with those that it may have meant."""
    with pytest.raises(DataError) as caught:
        load_schedule(name, *THANKSGIVING_WEEK)
    assert str(caught.value).startswith("data.calendar: ")
    assert words in str(caught.value)


def test_calendar_that_does_not_go_back_so_far_is_an_error():
    """A calendar that begins after the data says so, and what to change."""
    with pytest.raises(
        DataError, match=r"data\.calendar: XHKG does not cover the data, 1950-01-03 to 1951-01-03: .*1960"
    ) as caught:
        load_schedule("XHKG", date(1950, 1, 3), date(1951, 1, 3))
    assert "change data.start or data.end" in str(caught.value)


def test_calendar_without_room_after_the_data_ends_with_them():
    """Where a calendar ends right after the data, they are loaded all the same."""
    schedule = load_schedule("XKRX", date(2049, 12, 1), date(2050, 12, 30))
    assert day_of(schedule.sessions[-1]) <= date(2050, 12, 30)


# --- Daily bars --------------------------------------------------------------------------------------------------------


def test_daily_bars_span_their_real_sessions():
    """A daily bar lasts from the session's open to its close, on a half day too."""
    feed = BarFeed.from_rows({"A": [(date(2005, 11, day), *PRICES) for day in (23, 25)]}, calendar="XNYS")
    assert [(bars.start_ns, bars.end_ns) for bars in feed] == [
        (ns(2005, 11, 23, 9, 30), ns(2005, 11, 23, 16)),
        (ns(2005, 11, 25, 9, 30), ns(2005, 11, 25, 13)),
    ]
    assert feed.warnings == ()
    assert feed.schedule.name == "XNYS"


def test_daily_bar_on_no_session_is_a_bad_row(tmp_path):
    """A bar on a holiday stops the loading with its file, line and date, or is skipped and told."""
    file = tmp_path / "AAPL.csv"
    file.write_text(
        "date,open,high,low,close,volume\n" + "".join(f"2005-11-{day},10,12,9,11,500\n" for day in (22, 23, 24, 25, 26))
    )
    with pytest.raises(DataError) as caught:
        load_bars(file, calendar="XNYS")
    assert str(caught.value).splitlines() == [
        "2 bad rows in market data; correct them, or set data.bad_rows to skip",
        "  AAPL.csv line 4: 2005-11-24 is no session of XNYS",
        "  AAPL.csv line 6: 2005-11-26 is no session of XNYS",
    ]
    feed = load_bars(file, calendar="XNYS", bad_rows="skip")
    assert [day_of(bars.session).day for bars in feed] == [22, 23, 25]
    assert [row.row for row in feed.bad_rows] == [4, 6]


def test_holiday_outside_of_the_range_is_no_problem(tmp_path):
    """Rows that are not asked for are not judged by the calendar either."""
    file = tmp_path / "AAPL.csv"
    file.write_text("date,open,high,low,close\n2005-11-23,10,12,9,11\n2005-11-24,10,12,9,11\n2005-11-25,10,12,9,11\n")
    assert load_bars(file, calendar="XNYS", start="2005-11-25").bar_count == 1


def test_calendar_of_another_exchange_is_asked_for(tmp_path):
    """Data most of whose days are no sessions are of another exchange: the message asks."""
    rows = [(date(2005, 3, day), *PRICES) for day in (5, 6, 12, 13, 14)]
    with pytest.raises(
        DataError, match=r"rows of A: most days are no sessions of XNYS; is data.calendar the right one\?"
    ):
        BarFeed.from_rows({"A": rows}, calendar="XNYS")


def test_sessions_without_any_bar_are_counted():
    """What the calendar has and the data have not, between their first and last day, is one warning."""
    feed = BarFeed.from_rows({"A": [(date(2005, 11, day), *PRICES) for day in (21, 25)]}, calendar="XNYS")
    assert feed.warnings == ("2 sessions of XNYS without any bar (first 2005-11-22)",)


# --- Intraday bars -----------------------------------------------------------------------------------------------------


def spans(feed):
    return [
        (f"{datetime.fromtimestamp(b.start_ns / 1e9, NEW_YORK):%d %H:%M}", f"{datetime.fromtimestamp(b.end_ns / 1e9, NEW_YORK):%H:%M}",
         b.regular, b.closes_session, day_of(b.session).day)
        for b in feed
    ]  # fmt: skip


def test_bars_outside_of_sessions_are_left_out_and_told():
    """Before the open, after the close of a half day and on a holiday nothing is traded, and one line says how many bars that were."""
    rows = intraday(date(2005, 11, 24), (9, 30), (16, 0)) + intraday(date(2005, 11, 25), (9, 0), (14, 0))
    feed = BarFeed.from_rows({"A": rows}, calendar="XNYS")
    found = spans(feed)
    assert (found[0], found[-1], len(found)) == (
        ("25 09:30", "10:00", True, False, 25),
        ("25 12:30", "13:00", True, True, 25),
        7,
    )
    assert feed.warnings == (
        (
            "16 of 23 bars lie outside of the sessions of XNYS and are left out"
            " (first 2005-11-24 09:30 America/New_York); data.extended_hours: true keeps them"
        ),
    )


def test_extended_hours_are_kept_and_marked():
    """With extended hours every bar stays; those outside are not regular, and the last regular one closes the session."""
    rows = intraday(date(2005, 11, 25), (9, 0), (14, 0))
    feed = BarFeed.from_rows({"A": rows}, calendar="XNYS", extended_hours=True)
    found = spans(feed)
    assert [start for start, _, regular, _, _ in found if not regular] == ["25 09:00", "25 13:00", "25 13:30"]
    assert [start for start, _, _, closes, _ in found if closes] == ["25 12:30"]
    assert {session for *_, session in found} == {25}
    assert (feed.sessions, feed.warnings) == (1, ())
    assert spans(feed) == found


def test_bars_of_a_day_without_session_belong_to_the_next():
    """Extended trading on a holiday counts to the session that opens next, as its opening auction would."""
    rows = intraday(date(2005, 11, 24), (10, 0), (11, 0)) + intraday(date(2005, 11, 25), (9, 30), (10, 30))
    feed = BarFeed.from_rows({"A": rows}, calendar="XNYS", extended_hours=True)
    assert [session for *_, session in spans(feed)] == [25] * 4


@pytest.mark.parametrize(
    ("stamp", "first", "last", "expected"),
    [
        ("open", (9, 30), (16, 0), [("23 09:30", "10:30"), ("23 15:30", "16:00")]),
        ("close", (10, 0), (16, 30), [("23 09:30", "10:00"), ("23 15:00", "16:00")]),
    ],
)
def test_hourly_bars_end_at_the_close(stamp, first, last, expected):
    """A bar that would stick out of the session is cut off: 09:30 to 16:00 are not whole hours."""
    rows = intraday(date(2005, 11, 23), first, last, minutes=60)
    feed = BarFeed.from_rows({"A": rows}, calendar="XNYS", stamp=stamp)
    found = [span[:2] for span in spans(feed)]
    assert [found[0], found[-1]] == expected
    assert feed.warnings == ()


def test_session_without_regular_bars_is_closed_by_its_last():
    """A session that has bars outside of its hours only ends with them."""
    rows = intraday(date(2005, 11, 23), (8, 0), (9, 0)) + intraday(date(2005, 11, 25), (9, 30), (10, 30))
    feed = BarFeed.from_rows({"A": rows}, calendar="XNYS", extended_hours=True)
    assert [start for start, _, _, closes, _ in spans(feed) if closes] == ["23 08:30", "25 10:00"]


def test_session_over_midnight_is_one():
    """A future's session opens on the evening before: its bars share the date of the calendar."""
    rows = [(ns(2005, 11, 21, hour, zone=UTC), *PRICES) for hour in (22, 23)] + [
        (ns(2005, 11, 22, 3, zone=UTC), *PRICES)
    ]
    feed = BarFeed.from_rows({"ES": rows}, calendar="CMES", interval_s=3600)
    assert [day_of(bars.session).day for bars in feed] == [21, 22, 22]


def test_nothing_in_any_session_is_an_error():
    """Data of another exchange leave no bar, and the message asks for its calendar or zone."""
    rows = [(datetime(2005, 11, 22, hour, tzinfo=UTC), *PRICES) for hour in (1, 2, 3)]
    with pytest.raises(
        DataError, match=r"none of the 3 bars lies in a session of XNYS; give the calendar of their exchange"
    ):
        BarFeed.from_rows({"A": rows}, calendar="XNYS")


def test_extended_hours_need_a_calendar():
    """Without a calendar nothing tells a session's hours."""
    with pytest.raises(DataError, match=r"data\.extended_hours: True needs data\.calendar"):
        BarFeed.from_rows({"A": [(date(2005, 11, 23), *PRICES)]}, extended_hours=True)


def test_symbols_of_different_grids_share_what_is_cut():
    """Bars that the close cuts off end together, and the instant begins with the earliest of them."""
    feed = BarFeed.from_rows(
        {
            "A": intraday(date(2005, 11, 23), (9, 30), (16, 0), minutes=60),
            "B": intraday(date(2005, 11, 23), (9, 45), (16, 0), minutes=60),
        },
        calendar="XNYS",
    )
    *_, last = feed
    assert (set(last), last.start_ns) == ({"A", "B"}, ns(2005, 11, 23, 15, 30))


starts = st.sets(st.integers(0, 6 * 24 * 4 - 1), min_size=1).map(
    sorted
)  # quarters of an hour of the week and its Saturday


@settings(max_examples=30, deadline=None)
@given(starts, st.sampled_from(["open", "close"]), st.sampled_from([900, 1800, 3600]), st.booleans())
def test_every_bar_lies_in_its_session_or_is_marked(schedule, quarters, stamp, interval, extended):
    """Regular bars lie in their session's hours, its last one closes it, and with extended hours no bar is lost."""
    rows = [(ns(2005, 11, 21, 0) + quarter * 900 * 10**9, *PRICES) for quarter in quarters]
    try:
        feed = BarFeed.from_rows(
            {"A": rows}, calendar="XNYS", stamp=stamp, interval_s=interval, extended_hours=extended, bad_rows="skip"
        )
    except DataError as error:
        assert "none of the" in str(error)  # noqa: PT017
        return
    closing = {}
    for bars in feed:
        opens, closes = schedule.span(bars.session)
        if bars.regular:
            assert opens <= bars.start_ns < bars.end_ns <= closes
        else:
            assert extended
            told = bars.start_ns if stamp == "open" else bars.end_ns - 1
            assert not opens <= told < closes
        closing.setdefault(bars.session, []).append(bars)
    for session, bars in closing.items():
        last = [one for one in bars if one.regular] or bars
        assert [one for one in bars if one.closes_session] == [last[-1]], day_of(session)
    if extended and not feed.bad_rows:
        assert feed.bar_count == len(rows)
