"""Bars whose time stamps are read in the wrong zone are noticed, and the right zone is named."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from ordersmith.actors.errors import DataError
from ordersmith.adapters.market_data import load_bars

FIRST, LAST = date(2005, 3, 1), date(2005, 4, 15)  # the clocks of New York change on 2005-04-03
REGULAR, EXTENDED = (time(9, 30), time(16)), (time(4), time(20))
PLAIN, WITH_OFFSET = "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%z"


@pytest.fixture
def written(tmp_path):
    """Write the bars that an exchange in `zone` has from `hours[0]` to `hours[1]`, stamped as the clocks of `stamps` show."""

    def write(hours, zone, stamps, form=PLAIN, minutes=15, last=LAST, every_day=False, skip=lambda number: False):
        lines, number, there = ["time,open,high,low,close,volume"], 0, ZoneInfo(zone)
        for days in range((last - FIRST).days + 1):
            day = FIRST + timedelta(days=days)
            if day.weekday() >= 5 and not every_day:
                continue
            at, end = (datetime.combine(day, hour, there).timestamp() for hour in hours)
            while at < end:
                number += 1
                if not skip(number):
                    lines.append(datetime.fromtimestamp(at, ZoneInfo(stamps)).strftime(form) + ",10,11,9,10,100")
                at += minutes * 60
        file = tmp_path / "AAPL.csv"
        file.write_text("\n".join([*lines, ""]))
        return file

    return write


def zone_warnings(feed):
    return [warning for warning in feed.warnings if "data.timezone" in warning]


def test_utc_read_as_new_york_is_told(written):
    """Minutes in UTC miss most of New York's hours, and the warning names the setting and the zone that fits."""
    feed = load_bars(written(REGULAR, "America/New_York", "UTC"))
    assert feed.warnings == (
        (
            "AAPL.csv: read in data.timezone, America/New_York, the bars cover 28% of 09:30 to 16:00, and read in UTC 100%;"
            " time stamps without a zone seem to be UTC: set data.timezone to UTC"
        ),
    )


def test_utc_read_as_new_york_is_an_error_with_a_calendar(written):
    """With a calendar most bars would be left out: that is no run but a mistake, and one line says how to mend it."""
    file = written(REGULAR, "America/New_York", "UTC")
    with pytest.raises(DataError) as caught:
        load_bars(file, calendar="XNYS")
    assert str(caught.value) == (
        "AAPL.csv: read in data.timezone, America/New_York, the bars cover 28% of the sessions of XNYS, and read in UTC 100%;"
        " time stamps without a zone seem to be UTC: set data.timezone to UTC"
    )
    mended = load_bars(file, calendar="XNYS", timezone="UTC")
    assert zone_warnings(mended) == []
    assert mended.bar_count == 26 * 33  # 2005-03-25, Good Friday, is left out


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "America/Chicago"])
def test_calendar_names_the_zone_of_the_stamps(written, zone):
    """Whatever clock the stamps were written by, the zone that fills the sessions is named."""
    file = written(REGULAR, "America/New_York", zone)
    if zone == "America/Chicago":  # an hour away, most of the session is still covered: nobody can tell
        assert zone_warnings(load_bars(file, calendar="XNYS")) == []
        return
    with pytest.raises(DataError, match=f"set data.timezone to {zone}"):
        load_bars(file, calendar="XNYS")


@pytest.mark.parametrize("calendar", [None, "XNYS"])
def test_extended_hours_in_utc_go_on_over_midnight(written, calendar):
    """Bars from 04:00 to 20:00 cover the session in either reading, but in the wrong one they go on into the night."""
    file = written(EXTENDED, "America/New_York", "UTC")
    (warning,) = zone_warnings(load_bars(file, calendar=calendar))
    assert "bars go on over midnight, from 08:00 to 00:45 in America/New_York" in warning
    assert warning.endswith("each session would be cut in two; set data.timezone to UTC")


def test_stamps_with_a_zone_of_another_exchange_are_told(written):
    """Tokyo's bars are right whatever the setting, but sessions by New York's date would be cut at its midnight."""
    file = written((time(9), time(15)), "Asia/Tokyo", "UTC", WITH_OFFSET)
    (warning,) = zone_warnings(load_bars(file))
    assert "from 19:00 to 01:45 in America/New_York" in warning
    assert warning.endswith("set data.timezone to the zone of the exchange, such as Asia/Tokyo")
    assert zone_warnings(load_bars(file, timezone="Asia/Tokyo")) == []
    assert zone_warnings(load_bars(file, calendar="XTKS")) == []


RIGHT = [
    (REGULAR, "America/New_York", {}),
    (EXTENDED, "America/New_York", {}),
    ((time(14), time(16)), "America/New_York", {}),  # afternoons only
    (REGULAR, "America/New_York", {"minutes": 60}),
    (REGULAR, "America/New_York", {"skip": lambda number: number % 9}),  # a symbol that is rarely traded
    ((time(9), time(17, 30)), "Europe/Berlin", {}),
    ((time(9), time(15)), "Asia/Tokyo", {}),
    ((time(8), time(16, 30)), "Europe/London", {}),
    ((time(0), time(23, 59)), "UTC", {"every_day": True}),
]


@pytest.mark.parametrize(("hours", "zone", "options"), RIGHT)
def test_right_zone_is_no_warning(written, hours, zone, options):
    """Regular, extended, sparse and round-the-clock bars in their own zone are left in peace."""
    assert zone_warnings(load_bars(written(hours, zone, zone, **options), timezone=zone)) == []


def test_one_day_is_enough(written):
    """A single session of minutes in UTC is recognised."""
    feed = load_bars(written(REGULAR, "America/New_York", "UTC", minutes=1, last=FIRST))
    assert len(zone_warnings(feed)) == 1


def test_stamps_of_the_close_are_recognised_too(written):
    """What counts is when bars begin, whichever end is stamped."""
    file = written((time(9, 45), time(16, 1)), "America/New_York", "UTC")
    assert len(zone_warnings(load_bars(file, stamp="close"))) == 1
    assert zone_warnings(load_bars(file, stamp="close", timezone="UTC")) == []


def test_hours_that_clocks_skip_ask_for_the_zone(written):
    """Bars around the clock in UTC have times that New York's clocks never show: the message asks for the zone."""
    file = written((time(0), time(23, 59)), "UTC", "UTC", every_day=True)
    with pytest.raises(DataError) as caught:
        load_bars(file)
    assert str(caught.value).splitlines()[-1] == (
        "AAPL.csv: is data.timezone, America/New_York, that of the time stamps? In UTC clocks never change"
    )
