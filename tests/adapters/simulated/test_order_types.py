"""Trailing stops, orders with one moment to trade, auctions, sessions and extended hours."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.model import OrderType, TimeInForce
from ordersmith.actors.ports import Accepted, Cancelled, Executed, Expired, Rejected, Replaced, ReplaceRefused
from ordersmith.adapters.simulated.hours import Session
from ordersmith.adapters.simulated.terms import CAPABILITIES

RICH = {"account_type": "margin", "cash": 1_000_000}
GTC = {"time_in_force": "GTC"}
MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000


def fills(reports: list[Any]) -> list[tuple[str, int, str]]:
    """Return (order, quantity, price) of the executions."""
    executed = [report for report in reports if isinstance(report, Executed)]
    return [(each.wire_id, int(each.fill.quantity), str(each.fill.price)) for each in executed]


def kinds(reports: list[Any]) -> list[tuple[type, str]]:
    return [(type(report), report.wire_id) for report in reports]


# --- Trailing stops


@pytest.mark.parametrize(
    ("side", "trail", "bars", "price"),
    [
        ("sell", {"trail_amount": "5"}, [(100.0, 104.0, 99.5, 104.0), (104.0, 104.0, 98.0, 99.0)], "99"),
        ("sell", {"trail_amount": "5"}, [(100.0, 104.0, 99.5, 104.0), (97.0, 104.0, 96.0, 99.0)], "97.0"),  # a gap
        ("sell", {"trail_amount": "5"}, [(100.0, 104.0, 99.5, 104.0), (104.0, 104.0, 99.01, 100.0)], None),
        ("sell", {"trail_percent": "5"}, [(100.0, 104.0, 99.5, 104.0), (104.0, 104.0, 98.0, 99.0)], "98.80"),
        ("buy", {"trail_amount": "5"}, [(100.0, 100.5, 96.0, 96.0), (96.0, 102.0, 96.0, 99.0)], "101"),
        ("buy", {"trail_percent": "5"}, [(100.0, 100.5, 96.0, 96.0), (96.0, 102.0, 96.0, 99.0)], "100.80"),
        ("sell", {"trail_amount": "5"}, [(102.0, 104.0, 99.5, 104.0), (104.0, 104.0, 98.5, 99.0)], "99"),
        ("sell", {"trail_amount": "5"}, [(99.0, 99.0, 96.0, 96.0), (97.0, 97.0, 95.0, 96.0)], "95"),  # never back
    ],
)
def test_a_trailing_stop_follows_the_best_price(
    market: Any, side: str, trail: Any, bars: Any, price: str | None
) -> None:
    """The stop keeps its distance to the best price since the order's arrival, and never goes back."""
    m = market(path="adaptive", **RICH)
    m.bar(100.0)
    getattr(m, side)(5, **trail, **GTC)
    reports = [report for bar in bars for report in m.bar(*bar)]
    assert [Decimal(each[2]) for each in fills(reports)] == ([] if price is None else [Decimal(price)])


@pytest.mark.parametrize(
    ("path", "price"), [("pessimistic", "105.00"), ("optimistic", "105.00"), ("adaptive", "105.00")]
)
def test_a_trailing_stop_moves_along_the_path(market: Any, path: str, price: str) -> None:
    """With either extreme first, a fall from the bar's high to its close by more than the trail triggers on the way."""
    m = market(path=path, **RICH)
    m.bar(100.0)
    m.buy(5)
    m.bar(100.0)
    m.sell(5, trail_amount="5.00", **GTC)
    assert fills(m.bar(100.0, 110.0, 99.0, 101.0)) == [("o2.1", 5, price)]


@pytest.mark.parametrize(("side", "stop"), [("sell", "98.99"), ("buy", "101.01")])
def test_a_trailing_stop_is_rounded_away_from_the_market(market: Any, side: str, stop: str) -> None:
    """A percentage that is no whole tick never makes the distance less than was asked for."""
    m = market(path="adaptive", **RICH)
    m.bar(100.0)
    getattr(m, side)(5, trail_percent="1.001", **GTC)
    order = m.exchange._book.orders.open["o1"]
    assert order.stop == Decimal(stop)


def test_a_replaced_trail_keeps_its_mark(market: Any) -> None:
    """A new distance counts from the best price so far; the other unit is as good."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5, trail_amount="5", **GTC)
    m.bar(100.0, 110.0, 99.0, 108.0)
    assert isinstance(m.replace("o1.1", "o1.2", 5, trail_percent="10")[0], Replaced)
    assert m.exchange._book.orders.open["o1"].stop == 99


# --- Replacements


def test_a_stop_is_moved_by_a_replacement(market: Any) -> None:
    """The new leg waits at its new stop, and the old one is forgotten."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5, stop_price="95", **GTC)
    m.replace("o1.1", "o1.2", 5, stop_price="90")
    assert fills(m.bar(100.0, 101.0, 94.0, 100.0)) == []
    assert fills(m.bar(100.0, 101.0, 89.0, 100.0)) == [("o1.2", 5, "90")]


def test_a_triggered_stop_keeps_its_stop(market: Any) -> None:
    """After the trigger a replacement may change limit and quantity, not what has happened."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5, "96", stop_price="95", **GTC)
    m.bar(94.0)
    (refused,) = m.replace("o1.1", "o1.2", 5, "96", stop_price="90")
    assert (type(refused), refused.code) == (ReplaceRefused, "TOO_LATE")
    assert isinstance(m.replace("o1.1", "o1.2", 4, "94", stop_price="95")[0], Replaced)
    assert fills(m.bar(94.0)) == [("o1.2", 4, "94.0")]


@pytest.mark.parametrize("prices", [{}, {"limit": "9"}, {"trail_amount": "1"}])
def test_a_replacement_has_the_prices_of_its_order(market: Any, prices: Any) -> None:
    """A stop order is replaced by a stop order: other prices are refused."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5, stop_price="95", **GTC)
    (refused,) = m.replace("o1.1", "o1.2", 5, **prices)
    assert (type(refused), refused.code) == (ReplaceRefused, "BAD_PRICE")


def test_the_capabilities_name_what_is_taken(market: Any) -> None:
    """Every type and time in force is named, and every pair that is excluded is refused and no other."""
    m = market(**RICH)
    m.bar(100.0)
    prices: dict[OrderType, dict[str, str]] = {
        OrderType.MARKET: {},
        OrderType.LIMIT: {"limit": "90"},
        OrderType.STOP: {"stop_price": "110"},
        OrderType.STOP_LIMIT: {"limit": "110", "stop_price": "110"},
        OrderType.TRAILING_STOP: {"trail_amount": "5"},
    }
    assert set(CAPABILITIES.order_types) == set(OrderType)
    assert set(CAPABILITIES.times_in_force) == set(TimeInForce)
    for kind in OrderType:
        for in_force in TimeInForce:
            (report,) = m.buy(1, **prices[kind], time_in_force=in_force)
            assert isinstance(report, Rejected) is ((kind, in_force) in CAPABILITIES.excluded)


# --- One moment to trade


@pytest.mark.parametrize(
    ("in_force", "terms", "volume", "expected", "says"),
    [
        ("IOC", {}, 1000.0, [("o1.1", 25, "100.0")], None),
        ("IOC", {}, 100.0, [("o1.1", 10, "100.0")], "15"),
        ("IOC", {"limit": "99"}, 1000.0, [], "100.0"),
        ("FOK", {}, 1000.0, [("o1.1", 25, "100.0")], None),
        ("FOK", {}, 249.0, [], "volume"),
        ("FOK", {"limit": "99"}, 1000.0, [], "100.0"),
        ("FOK", {"limit": "101"}, 250.0, [("o1.1", 25, "100.0")], None),
    ],
)
def test_ioc_and_fok_are_tried_once_at_the_open(
    market: Any, in_force: str, terms: Any, volume: float, expected: Any, says: str | None
) -> None:
    """What the first open does not give is cancelled (IOC), or all is (FOK), and the report says why."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(25, time_in_force=in_force, **terms)
    reports = m.bar(100.0, 101.0, 98.0, 100.0, volume=volume)
    assert fills(reports) == expected
    if says is None:
        assert len(reports) == 1
    else:
        assert (type(reports[-1]), says in reports[-1].text) == (Cancelled, True)
    assert m.bar(100.0) == []


def test_ioc_meets_the_close_that_it_arrives_at(market: Any) -> None:
    """With fill close an IOC order is tried at the close just seen, and what that does not give is cancelled at once."""
    m = market(fill="close", **RICH)
    m.bar(100.0, volume=100.0)
    assert kinds(m.buy(25, time_in_force="IOC")) == [(Accepted, "o1.1"), (Executed, "o1.1"), (Cancelled, "o1.1")]


def test_a_stop_meets_the_close_that_it_arrives_at(market: Any) -> None:
    """With fill close a stop that the close has passed is executed there; one that it has not passed waits."""
    m = market(fill="close", **RICH)
    m.bar(100.0)
    assert fills(m.sell(5, stop_price="101")) == [("o1.1", 5, "100.0")]
    assert fills(m.sell(5, "102", stop_price="101", **GTC)) == []  # triggered, its limit is not there
    assert fills(m.sell(5, stop_price="99", **GTC)) == []
    assert fills(m.bar(100.0, 103.0, 100.0, 100.0)) == [("o2.1", 5, "102")]


# --- Auctions


def test_opg_fills_at_the_sessions_first_open(market: Any) -> None:
    """An OPG order trades in the next session's first bar of its symbol, at its open, and expires there else."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(5, time_in_force="OPG")
    m.buy(5, "99", time_in_force="OPG")
    m.buy(5, symbol="B", limit="50", time_in_force="OPG")
    assert m.bar(101.0) == []
    assert m.bar(102.0, closes=True) == []
    reports = m.bar(103.0, 104.0, 98.0, 103.0, session=1)
    assert fills(reports) == [("o1.1", 5, "103.0")]
    assert kinds(reports)[1:] == [(Expired, "o2.1")]
    assert fills(m.bar(49.0, symbol="B", session=1)) == [("o3.1", 5, "49.0")]


def test_opg_without_a_bar_of_its_symbol_expires_with_the_session(market: Any) -> None:
    """An opening that its symbol does not have is over when the session is."""
    m = market(**RICH)
    m.bar(100.0, closes=True)
    m.buy(5, symbol="B", limit="50", time_in_force="OPG")
    assert m.bar(100.0, session=1) == []
    assert kinds(m.bar(100.0, session=1, closes=True)) == [(Expired, "o1.1")]


def test_cls_fills_at_the_sessions_last_close(market: Any) -> None:
    """A CLS order meets no bar before the closing one, trades at its close, and expires there else."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5, time_in_force="CLS")
    m.sell(5, "103", time_in_force="CLS")
    m.sell(5, symbol="B", limit="50", time_in_force="CLS")
    assert m.bar(101.0) == []
    reports = m.bar(100.0, 104.0, 98.0, 102.0, closes=True)
    assert kinds(reports) == [(Executed, "o1.1"), (Expired, "o2.1"), (Expired, "o3.1")]
    assert fills(reports) == [("o1.1", 5, "102.0")]
    assert reports[0].fill.at_ns == m.now_ns


def test_cls_shares_the_volume_of_the_closing_bar(market: Any) -> None:
    """What other orders took of the last bar is gone for the closing auction."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(8)
    m.buy(8, time_in_force="CLS")
    reports = m.bar(100.0, volume=100.0, closes=True)
    assert fills(reports) == [("o1.1", 8, "100.0"), ("o2.1", 2, "100.0")]
    assert kinds(reports)[2:] == [(Expired, "o2.1")]


class Calendar:
    """Sessions of ten minutes from minutes 10, 30 and 50 on."""

    def at(self, now_ns: int) -> Session | None:
        sessions = [
            Session(day, minute * MINUTE_NS, (minute + 10) * MINUTE_NS) for day, minute in enumerate((10, 30, 50))
        ]
        return next((each for each in sessions if each.close_ns > now_ns), None)


@pytest.mark.parametrize(
    ("in_force", "at", "refused"),
    [
        ("OPG", 8 * 60, False),
        ("OPG", 8 * 60 + 1, True),
        ("OPG", 10 * 60, True),
        ("OPG", 10 * 60 + 1, False),  # belongs to the next session
        ("OPG", 29 * 60, True),
        ("CLS", 9 * 60, False),
        ("CLS", 10 * 60, False),
        ("CLS", 10 * 60 + 1, True),
        ("CLS", 20 * 60, False),  # closed: belongs to the next session
        ("DAY", 19 * 60, False),
    ],
)
def test_cutoffs(market: Any, in_force: str, at: int, refused: bool) -> None:
    """Two minutes before the open and ten before the close are the last moments for their auctions, where these are known."""
    m = market(sessions=Calendar(), **RICH)
    m.bar(100.0)
    m.now_ns = at * SECOND_NS
    (report,) = m.buy(1, time_in_force=in_force)
    assert (type(report) is Rejected and report.code == "PAST_CUTOFF") is refused
    assert isinstance(report, Accepted) is not refused


def test_opg_after_the_open_belongs_to_the_next_session(market: Any) -> None:
    """Where the calendar says that a session has opened, its first bar comes too late for an OPG order sent since."""
    m = market(sessions=Calendar(), **RICH)
    m.bar(100.0, session=-1, closes=True)
    m.now_ns = 11 * MINUTE_NS
    m.buy(5, time_in_force="OPG")
    m.now_ns = 12 * MINUTE_NS
    assert m.bar(101.0, session=0) == []
    assert m.bar(102.0, session=0, closes=True) == []
    assert fills(m.bar(103.0, session=1)) == [("o1.1", 5, "103.0")]


def test_cutoffs_are_settings(market: Any) -> None:
    """Other cut-offs refuse at other moments."""
    m = market(sessions=Calendar(), opg_cutoff_ns=0, cls_cutoff_ns=1, **RICH)
    m.bar(100.0)
    m.now_ns = 10 * MINUTE_NS
    assert isinstance(m.buy(1, time_in_force="OPG")[0], Accepted)
    m.now_ns = 20 * MINUTE_NS - 1
    assert isinstance(m.buy(1, time_in_force="CLS")[0], Accepted)


@pytest.mark.parametrize("sessions", [None, Calendar()])
@pytest.mark.parametrize(
    ("in_force", "refused"), [("DAY", True), ("OPG", True), ("CLS", True), ("GTC", False), ("IOC", False)]
)
def test_outside_of_a_session_orders_may_be_refused(market: Any, sessions: Any, in_force: str, refused: bool) -> None:
    """With outside_session refuse, an order that lasts for a session needs one that is open."""
    m = market(sessions=sessions, outside_session="refuse", opg_cutoff_ns=0, cls_cutoff_ns=0, **RICH)
    m.now_ns = 18 * MINUTE_NS
    m.bar(100.0)
    (inside,) = m.buy(1, time_in_force=in_force)
    m.bar(100.0, closes=True)
    (outside,) = m.buy(1, time_in_force=in_force)
    assert isinstance(inside, Accepted)
    assert isinstance(outside, Rejected) is refused
    if refused:
        assert (outside.code, in_force in outside.text) == ("OUTSIDE_SESSION", True)


def test_an_extended_order_needs_no_open_session(market: Any) -> None:
    """Outside of a session an order for extended hours is where it wants to be."""
    m = market(outside_session="refuse", **RICH)
    m.bar(100.0, closes=True)
    assert isinstance(m.buy(1, "90", extended_hours=True)[0], Accepted)


# --- Extended hours


def test_bars_outside_of_regular_hours_are_for_extended_orders(market: Any) -> None:
    """Before and after the session only orders with extended_hours trade; the others wait for it."""
    m = market(**RICH)
    row = {"A": (100.0, 100.0, 100.0, 100.0, 1e6)}
    m.bars(row)
    m.buy(1, **GTC)
    m.buy(2, "100.50", **GTC)
    m.buy(3, "100.50", extended_hours=True, **GTC)
    m.buy(4, time_in_force="OPG")
    m.sell(5, stop_price="100.50", **GTC)
    assert fills(m.bars(row, session=1, regular=False)) == [("o3.1", 3, "100.0")]
    assert [report[0] for report in fills(m.bars(row, session=1))] == ["o1.1", "o2.1", "o4.1", "o5.1"]


def test_an_extended_day_order_lasts_beyond_the_close(market: Any) -> None:
    """It expires with its date, not with the session's regular hours; a plain one that came after the close lasts."""
    m = market(**RICH)
    row = {"A": (100.0, 100.0, 100.0, 100.0, 1e6)}
    m.bars(row)
    m.buy(1, "90")
    m.buy(2, "95", extended_hours=True)
    assert kinds(m.bars(row, closes=True)) == [(Expired, "o1.1")]
    m.buy(3, "90")
    assert m.bars(row, regular=False) == []
    low = {"A": (94.0, 94.0, 94.0, 94.0, 1e6)}
    m.buy(4, "95", extended_hours=True)
    assert kinds(m.bars(low, session=0, regular=False)) == [(Executed, "o2.1"), (Executed, "o4.1")]
    m.buy(5, "80", extended_hours=True)
    m.buy(6, "80", extended_hours=True)
    m.cancel("o6.1")
    m.bars(row, regular=False)
    assert kinds(m.bars(row, session=1, regular=False)) == [(Expired, "o5.1")]
    assert kinds(m.bars(row, session=1, closes=True)) == [(Expired, "o3.1")]
