"""Mistakes that people make by hand: each is told in one line that says what is wrong and what would be right."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import pytest

from ordersmith import BacktestExecutor, ConfigError, DataError, Order

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def daily(tmp_path):
    """Write daily bars of AAPL whose price halves overnight to 2005-02-28, and return the folder."""
    closes = {"2005-02-24": 88.93, "2005-02-25": 88.99, "2005-02-28": 44.86, "2005-03-01": 44.50}
    lines = ["date,open,high,low,close,volume", *(f"{day},{x},{x},{x},{x},1000000" for day, x in closes.items())]
    (tmp_path / "AAPL.csv").write_text("\n".join([*lines, ""]))
    return tmp_path


@pytest.fixture
def minutes_in_utc(tmp_path):
    """Write a session's minutes of AAPL, stamped in UTC without saying so."""
    opened = datetime(2005, 3, 1, 9, 30, tzinfo=NEW_YORK)
    stamps = [(opened + timedelta(minutes=n)).astimezone(ZoneInfo("UTC")) for n in range(390)]
    lines = ["time,open,high,low,close,volume", *(f"{at:%Y-%m-%d %H:%M},10,10,10,10,100" for at in stamps)]
    (tmp_path / "AAPL.csv").write_text("\n".join([*lines, ""]))
    return tmp_path


def one_line(kind, config):
    with pytest.raises(kind) as caught:
        BacktestExecutor(config)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_bar_file_in_another_time_zone(minutes_in_utc):
    """Stamps in UTC read as New York's: an error with a calendar, a warning without, and either names the zone to set."""
    data = {"path": minutes_in_utc}
    said = one_line(DataError, {"data": {**data, "calendar": "XNYS"}})
    (warned,) = BacktestExecutor({"data": data}).feed.warnings
    assert said.endswith("time stamps without a zone seem to be UTC: set data.timezone to UTC")
    assert warned.endswith("time stamps without a zone seem to be UTC: set data.timezone to UTC")
    assert BacktestExecutor({"data": {**data, "calendar": "XNYS", "timezone": "UTC"}}).feed.warnings == ()


def test_split_without_its_file(daily):
    """Prices that halve overnight name the symbol, the date, the ratio and the file that is missing."""
    (warned,) = BacktestExecutor({"data": {"path": daily}}).feed.warnings
    assert warned == (
        "prices jump overnight as by a split: AAPL on 2005-02-28 (2:1: 88.99 to 44.86); if these are splits, list them in the file of"
        " data.corporate_actions, else every position jumps in value"
    )
    (daily / "actions.csv").write_text("symbol,kind,date,ratio\nAAPL,split,2005-02-28,2:1\n")
    data = {"path": daily, "corporate_actions": daily / "actions.csv"}
    assert BacktestExecutor({"data": data}).feed.warnings == ()


def test_order_for_a_symbol_without_data(daily):
    """An order for what the run has no bars of is denied, and the text says which symbols are traded."""

    async def submit():
        executor = BacktestExecutor({"data": {"path": daily}})
        await executor.advance()
        (status,) = await executor.submit_orders([Order.buy("APPL", 10)])
        return status

    status = anyio.run(submit)
    assert (status.state, status.reason) == ("REJECTED", "UNKNOWN_SYMBOL")
    assert status.text == "'APPL' is not tradable here; only symbols that have bars are (data.symbols)"


def test_start_after_the_end(daily):
    """The two dates are named."""
    said = one_line(ConfigError, {"data": {"path": daily, "start": "2005-03-01", "end": "2005-02-01"}})
    assert said == "data.start: found 2005-03-01, but data.end is 2005-02-01; accepted: a date not after data.end"


def test_start_after_the_data(daily):
    """A range without any bar says which sessions there are."""
    said = one_line(DataError, {"data": {"path": daily, "start": "2006-01-01"}})
    assert said == "data.start: 2006-01-01 is after the last session of the data, 2005-03-01"


@pytest.mark.parametrize("cash", [0, -5])
def test_no_cash(daily, cash):
    """An account without money cannot trade: the setting says so."""
    said = one_line(ConfigError, {"data": {"path": daily}, "execution": {"backtest": {"account": {"cash": cash}}}})
    assert said == f"execution.backtest.account.cash: found {cash}; accepted: a number above 0"


def test_calendar_that_does_not_exist(daily):
    """A calendar's name that is wrong is answered with the nearest ones."""
    assert "'XNYC' is no calendar of exchange_calendars; did you mean" in one_line(
        DataError, {"data": {"path": daily, "calendar": "XNYC"}}
    )


def test_corporate_actions_that_are_not_there(daily):
    """A missing file is told under the setting's name."""
    said = one_line(DataError, {"data": {"path": daily, "corporate_actions": "nowhere.csv"}})
    assert said.startswith("data.corporate_actions: ")
    assert said.endswith("nowhere.csv cannot be read: No such file or directory; give a CSV file")
