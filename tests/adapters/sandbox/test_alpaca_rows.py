"""The rows as they go over the wire: Alpaca's own SDK reads them, numbers are texts, times are exact, lists are paged."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from alpaca_books_kit import BRACKET, CLOSE, MONDAY_OPEN, NOON, SECOND_NS, Books, at, code

from ordersmith.adapters.sandbox.alpaca_json import moment, number, read_moment

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK imports websockets.legacy
    models = pytest.importorskip("alpaca.trading.models")


def strings_only(row: dict[str, Any]) -> None:
    """Check that no number is sent as one, but for the percentage that Alpaca sends so."""
    for name, value in row.items():
        assert value is None or isinstance(value, str | bool | list) or name == "maintenance_margin_requirement", name


def test_the_sdk_reads_every_row() -> None:
    """Orders, updates, positions, account, assets, clock, calendar and activities become the SDK's models."""
    books = Books()
    order = books.send(**BRACKET)
    books.replace(books.leg(order, "limit")["id"], limit_price="111")
    books.send(symbol="MSFT", side="sell", type="trailing_stop", trail_percent="1")
    for row in books.broker.orders(status="all", nested=True):
        assert str(models.Order(**row).id) == row["id"]
        strings_only(row)
    for update in books.updates():
        models.TradeUpdate(**update)
    for row in books.broker.positions():
        assert models.Position(**row).side.value == "long"
        strings_only(row)
    account = books.broker.account()
    assert models.TradeAccount(**account).status.value == "ACTIVE"
    strings_only(account)
    for row in books.broker.assets():
        assert models.Asset(**row).symbol == row["symbol"]
    models.Clock(**books.broker.clock(NOON))
    for row in books.broker.calendar("2026-11-16", "2026-11-30"):
        models.Calendar(**row)
    identity = {"account_id": account["id"]}
    for row in books.broker.activities("FILL"):
        models.TradeActivity(**row, **identity)
    for kind in ("FEE", "DIV", "SPLIT", "NC", "JNLC"):
        terms = {"symbol": "AAPL", "net_amount": "1", "ratio": "2", "new_symbol": "PEAR"}
        for row in books.broker.book_activity(NOON, kind, **terms):
            models.NonTradeActivity(**row, **identity)
            strings_only(row)


def test_every_row_is_json() -> None:
    """What is told can be sent as it is."""
    books = Books()
    books.send(**BRACKET)
    for row in (books.broker.account(), books.broker.positions(), books.broker.orders(nested=True), books.updates()):
        assert msgspec.json.decode(msgspec.json.encode(row)) == row


@pytest.mark.parametrize(
    ("value", "text"),
    [("100", "100"), ("1E+3", "1000"), ("0.10", "0.1"), ("0E-9", "0"), ("-0", "0"), ("0.000000001", "0.000000001")],
)
def test_numbers_are_plain(value: str, text: str) -> None:
    """No exponent, and no zeros that say nothing."""
    assert number(Decimal(value)) == text


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2026-11-20T17:00:00Z", NOON),
        ("2026-11-20T17:00:00.123456789Z", NOON + 123_456_789),
        ("2026-11-20T12:00:00.5-05:00", NOON + 500_000_000),
        ("2026-11-20T17:00:00 00:00", NOON),  # a plus sign that an address has lost
        ("2026-11-20", at("2026-11-20T05:00")),
    ],
)
def test_times_are_read(text: str, at_ns: int) -> None:
    """RFC 3339 to the nanosecond, and a date as its midnight in New York."""
    assert read_moment(text, "after") == at_ns


@pytest.mark.parametrize("at_ns", [NOON, NOON + 1, NOON + 120_000_000])
def test_times_are_exact(at_ns: int) -> None:
    """What is written is read as the same nanosecond."""
    text = moment(at_ns)
    assert text is not None
    assert read_moment(text, "after") == at_ns


def test_a_position_tells_its_worth() -> None:
    """Value, cost and gain follow from the quantity, the entry and the last price; of a short one they are negative."""
    books = Books()
    books.send()
    books.send(symbol="MSFT", side="sell")
    books.quote(49.99, 50.01, symbol="MSFT")
    books.quote(109, 111)
    books.quote(59, 61, symbol="MSFT")
    fields = ("qty", "side", "avg_entry_price", "market_value", "cost_basis", "unrealized_pl", "current_price")
    long, short = (books.broker.position(symbol) for symbol in ("AAPL", "MSFT"))
    assert [long[name] for name in fields] == ["10", "long", "100.01", "1100", "1000.1", "99.9", "110"]
    assert [short[name] for name in fields] == ["-10", "short", "49.99", "-600", "-499.9", "-100.1", "60"]
    assert books.broker.account()["equity"] == str(Decimal("99999.8"))
    assert code(books.broker.position, "TSLA") == (404, 40410000)


def test_the_average_of_a_position_is_kept_when_it_is_reduced() -> None:
    """Buying at two prices averages them, selling a part changes nothing of that."""
    books = Books()
    books.send()
    books.quote(109.99, 110.01)
    books.send(qty="30")
    books.send(side="sell", qty="25")
    position = books.broker.position("AAPL")
    assert (position["qty"], position["avg_entry_price"], position["cost_basis"]) == ("15", "107.51", "1612.65")


def test_the_worth_of_yesterday_is_that_of_the_close() -> None:
    """Equity and prices at the close are what the next day is compared with."""
    books = Books()
    books.send()
    books.quote(104, 106)
    books.wait_until(CLOSE + SECOND_NS)
    books.wait_until(MONDAY_OPEN)
    books.quote(109, 111)
    position = books.broker.position("AAPL")
    assert (position["lastday_price"], position["unrealized_intraday_pl"]) == ("105", "50")
    assert books.broker.account()["last_equity"] == "100049.9"


def test_an_account_is_its_kind() -> None:
    """A paper account's number begins with PA, a live one's does not, and a given one is taken."""
    numbers = [
        Books(**terms).broker.account()["account_number"]
        for terms in ({"kind": "paper"}, {"kind": "live"}, {"account_number": "PA1"})
    ]
    assert [each.startswith("PA") for each in numbers] == [True, False, True]
    assert numbers[2] == "PA1"
    gone = {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"}
    assert not gone & set(Books().broker.account())


# --- Lists --------------------------------------------------------------------------------------------------------------


def test_orders_are_paged_by_their_time() -> None:
    """Bounds are exclusive, the newest come first unless it is asked otherwise, and the limit holds."""
    books = Books()
    orders = []
    for _ in range(5):
        orders.append(books.rest("1")["id"])
        books.wait(1)
    third = books.broker.order(orders[2])["submitted_at"]
    listed = books.broker.orders
    assert [row["id"] for row in listed()] == orders[::-1]
    assert [row["id"] for row in listed(after=third, direction="asc")] == orders[3:]
    assert [row["id"] for row in listed(until=third)] == [orders[1], orders[0]]
    assert [row["id"] for row in listed(limit=2, direction="asc")] == orders[:2]


def test_orders_are_listed_by_what_they_are() -> None:
    """By status, side and symbol; an unknown status or direction is refused."""
    books = Books()
    filled, open_ = books.send()["id"], books.rest()["id"]
    short = books.rest("150", symbol="MSFT", side="sell")["id"]
    listed = books.broker.orders
    assert {row["id"] for row in listed()} == {open_, short}
    assert [row["id"] for row in listed(status="closed")] == [filled]
    assert [row["id"] for row in listed(status="all", side="sell")] == [short]
    assert [row["id"] for row in listed(symbols=("MSFT", "TSLA"))] == [short]
    for wrong in ({"status": "new"}, {"direction": "up"}, {"after": "noon"}):
        assert code(listed, **wrong) == (422, 40010001)


def test_assets_are_found() -> None:
    """By symbol and by id, listed by status; a class that is not sold here has none."""
    books = Books()
    asset = books.broker.asset("AAPL")
    assert books.broker.asset(asset["id"]) == asset
    assert asset in books.broker.assets(status="active", asset_class="us_equity")
    assert books.broker.assets(status="inactive") == books.broker.assets(asset_class="crypto") == []
    assert code(books.broker.asset, "NOSUCH") == (404, 40410000)
    assert Books(lists_anything=True).broker.asset("NOSUCH")["tradable"] is True


@pytest.mark.parametrize(
    ("time", "is_open", "next_open", "next_close"),
    [
        ("2026-11-20T14:29:59", False, "2026-11-20T09:30:00-05:00", "2026-11-20T16:00:00-05:00"),
        ("2026-11-20T14:30:00", True, "2026-11-23T09:30:00-05:00", "2026-11-20T16:00:00-05:00"),
        ("2026-11-20T21:00:00", False, "2026-11-23T09:30:00-05:00", "2026-11-23T16:00:00-05:00"),
        (
            "2026-10-30T20:30:00",
            False,
            "2026-11-02T09:30:00-05:00",
            "2026-11-02T16:00:00-05:00",
        ),  # summer time ends between
    ],
)
def test_the_clock_is_that_of_new_york(time: str, is_open: bool, next_open: str, next_close: str) -> None:
    """It says whether the session is under way, and when the next ones open and close, with the offset of that day."""
    row = Books().broker.clock(at(time))
    assert (row["is_open"], row["next_open"], row["next_close"]) == (is_open, next_open, next_close)


def test_the_calendar_has_sessions() -> None:
    """Weekdays by themselves, or those that are given with their early closes; times are local."""
    week = Books().broker.calendar("2026-11-20", "2026-11-23")
    assert [row["date"] for row in week] == ["2026-11-20", "2026-11-23"]
    half = ("2026-11-27", at("2026-11-27T14:30"), at("2026-11-27T18:00"))
    (row,) = Books(sessions=(half,)).broker.calendar("2026-11-23", "2026-11-30")
    assert (row["open"], row["close"], row["session_open"], row["session_close"]) == ("09:30", "13:00", "0400", "2000")
    assert code(Books().broker.calendar, "some day") == (422, 40010001)
