"""The rules by which others fill stops, limits and exits on bars: those that we took over, each a test named after it.

Sources: QuantConnect LEAN (EquityFillModel; pull request 9666; issues 4445 and 9773), backtrader, NautilusTrader, Zipline.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.model import Purpose
from ordersmith.actors.ports import Executed

RICH = {"account_type": "margin", "cash": 1_000_000}
GTC = {"time_in_force": "GTC"}
MINUTE_NS = 60_000_000_000
EXIT = {"purpose": Purpose.PROTECTIVE, **GTC}


def fills(reports: list[Any]) -> list[tuple[str, int, str]]:
    """Return (order, quantity, price) of the executions."""
    executed = [report for report in reports if isinstance(report, Executed)]
    return [(each.wire_id, int(each.fill.quantity), str(each.fill.price)) for each in executed]


@pytest.mark.parametrize(
    ("side", "stop", "bar", "price", "at_open"),
    [
        ("sell", "95", (94.0, 97.0, 93.0, 96.0), "94.0", True),  # a gap beyond the trigger
        ("sell", "95", (95.0, 97.0, 95.0, 96.0), "95.0", True),
        ("sell", "95", (98.0, 99.0, 93.0, 96.0), "95", False),
        ("sell", "95", (98.0, 99.0, 95.0, 96.0), "95", False),  # a touch is enough
        ("sell", "95", (98.0, 99.0, 95.01, 96.0), None, False),
        ("buy", "105", (106.0, 107.0, 103.0, 104.0), "106.0", True),
        ("buy", "105", (105.0, 105.0, 103.0, 104.0), "105.0", True),
        ("buy", "105", (102.0, 107.0, 101.0, 104.0), "105", False),
        ("buy", "105", (102.0, 105.0, 101.0, 104.0), "105", False),
        ("buy", "105", (102.0, 104.99, 101.0, 104.0), None, False),
    ],
)
def test_rule_4_a_gap_beyond_a_stop_fills_at_the_open_else_at_the_trigger(
    market: Any, side: str, stop: str, bar: Any, price: str | None, at_open: bool
) -> None:
    """A stop order fills at the open that has passed it, else at its stop, when the bar has ended."""
    m = market(**RICH)
    m.bar(100.0)
    getattr(m, side)(5, stop_price=stop)
    reports = m.bar(*bar)
    assert fills(reports) == ([] if price is None else [("o1.1", 5, price)])
    if price is not None:
        assert reports[0].fill.at_ns == (MINUTE_NS if at_open else 2 * MINUTE_NS)


@pytest.mark.parametrize(
    ("side", "stop", "price"), [("sell", "95", "94.0500"), ("buy", "105", "106.0500"), ("buy", "99", "101.0000")]
)
def test_rule_4_a_stop_is_slipped(market: Any, side: str, stop: str, price: str) -> None:
    """A triggered stop pays slippage as a market order does, whether the open or its stop triggers it."""
    m = market(slippage="0.01", **RICH)
    m.bar(100.0)
    getattr(m, side)(5, stop_price=stop)
    (report,) = m.bar(100.0, 110.0, 90.0, 100.0)
    assert report.fill.price == Decimal(price)
    assert report.fill.slippage == 5 * abs(report.fill.price - (100 if stop == "99" else Decimal(stop)))


def test_rule_4_limits_must_be_traded_through_by_default(market: Any) -> None:
    """A touch of its limit does not fill an order, unless the rules say so."""
    for rule, expected in (("through", []), ("touch", [("o1.1", 5, "95.00")])):
        m = market(limit_fill=rule, **RICH)
        m.bar(100.0)
        m.buy(5, "95.00")
        assert fills(m.bar(100.0, 101.0, 95.0, 100.0)) == expected


@pytest.mark.parametrize(
    ("stop", "limit", "bar", "price"),
    [
        ("95", "94", (98.0, 99.0, 90.0, 92.0), "95"),  # marketable at its trigger
        ("95", "94", (93.0, 93.5, 90.0, 92.0), None),  # gapped through both
        ("95", "94", (93.0, 94.5, 90.0, 92.0), "94"),  # and came back to its limit
        ("95", "96", (98.0, 99.0, 90.0, 92.0), None),  # the high of 99 was before the trigger
        ("95", "96", (98.0, 99.0, 90.0, 97.0), "96"),  # after it the close is above the limit
        ("95", "96", (98.0, 99.0, 95.5, 97.0), None),  # not triggered
    ],
)
def test_rule_5_a_stop_limit_is_judged_from_its_trigger_on(
    market: Any, stop: str, limit: str, bar: Any, price: str | None
) -> None:
    """On the bar of its trigger a stop-limit order meets only the prices that come after the trigger."""
    m = market(path="optimistic", **RICH)  # with the long position the high comes before the low
    m.bar(100.0)
    m.buy(50)
    m.bar(100.0)
    m.sell(5, limit, stop_price=stop, **GTC)
    assert fills(m.bar(*bar)) == ([] if price is None else [("o2.1", 5, price)])


def test_rule_5_later_bars_use_the_ordinary_limit_rule(market: Any) -> None:
    """Once triggered, a stop-limit order is a limit order: a later bar need not come by its stop again."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5, "96", stop_price="95", **GTC)
    assert fills(m.bar(94.0, 95.0, 93.0, 94.0)) == []
    assert fills(m.bar(95.5, 96.0, 95.0, 95.5)) == []
    assert fills(m.bar(97.0, 98.0, 96.5, 97.0)) == [("o1.1", 5, "97.0")]


@pytest.mark.parametrize(
    ("path", "bar", "first"),
    [
        ("pessimistic", (100.0, 106.0, 94.0, 100.0), "o2.1"),
        ("optimistic", (100.0, 106.0, 94.0, 100.0), "o3.1"),
        ("adaptive", (100.0, 106.0, 94.0, 100.0), "o2.1"),  # as far: the low first
        ("adaptive", (101.0, 106.0, 94.0, 100.0), "o3.1"),
        ("adaptive", (99.0, 106.0, 94.0, 100.0), "o2.1"),
    ],
)
def test_rule_6_of_stop_and_target_in_one_bar_the_stop_comes_first(
    market: Any, path: str, bar: Any, first: str
) -> None:
    """A long position's stop is reached before its target where the path is pessimistic, whoever arrived first."""
    for stop_first in (True, False):
        m = market(path=path, **RICH)
        m.bar(100.0)
        m.buy(5)
        m.bar(100.0)
        orders = [({"stop_price": "95"}, "o2.1"), ({"limit": "105"}, "o3.1")]
        for terms, wire_id in orders if stop_first else reversed(orders):
            m.exchange.handle(_order(wire_id, **terms), m.now_ns)
        assert fills(m.bar(*bar))[0][0] == first


def _order(wire_id: str, limit: str | None = None, **terms: Any) -> Any:
    from ordersmith.actors.model import Order
    from ordersmith.actors.ports import NewOrder

    return NewOrder(wire_id, Order.sell("A", 5, limit, **terms, **GTC), 1 << 62, 0)


def test_rule_6_a_short_position_meets_the_high_first(market: Any) -> None:
    """A short position's stop, above the market, is reached before its target below."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5)
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    m.buy(5, stop_price="105", **GTC)
    assert fills(m.bar(100.0, 106.0, 94.0, 100.0)) == [("o3.1", 5, "105"), ("o2.1", 5, "95")]


@pytest.mark.parametrize(
    ("bar", "terms", "exits"),
    [
        ((100.0, 106.0, 94.0, 96.0), {"stop_price": "93"}, []),  # not met
        ((100.0, 106.0, 94.0, 96.0), {"limit": "98"}, []),  # the high was before the entry at 95
        ((100.0, 106.0, 92.0, 96.0), {"stop_price": "93"}, [("o2.1", 5, "93")]),
        ((100.0, 101.0, 94.0, 99.0), {"limit": "98"}, [("o2.1", 5, "98")]),  # from 94 up to the close
    ],
)
def test_rule_6_exits_use_only_prices_after_the_entry(market: Any, bar: Any, terms: Any, exits: list[Any]) -> None:
    """Exits that answer a fill inside a bar meet the rest of that bar from the entry's price on, and nothing before."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    assert fills(m.bar(*bar)) == [("o1.1", 5, "95")]
    at_once = m.sell(5, **terms, **EXIT)
    assert fills(at_once) == exits
    assert all(report.fill.at_ns == 2 * MINUTE_NS for report in at_once if isinstance(report, Executed))


@pytest.mark.parametrize(
    "without",
    [
        {"rules": {"same_bar_exits": False}},
        {"terms": {"purpose": Purpose.ENTRY}},
        {"late_ns": 1},
    ],
)
def test_rule_6_only_an_exit_at_the_very_instant_meets_the_rest_of_the_bar(market: Any, without: Any) -> None:
    """An entry, an order that comes later, or one under other rules waits for the next bar."""
    m = market(**RICH, **without.get("rules", {}))
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 96.0)
    m.now_ns += without.get("late_ns", 0)
    assert fills(m.sell(5, stop_price="93", **{**EXIT, **without.get("terms", {})})) == []


def test_rule_6_a_market_exit_waits_for_the_next_open(market: Any) -> None:
    """Whoever exits at the market does so at the next open, as with every market order."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 96.0)
    assert fills(m.sell(5, **EXIT)) == []
    assert fills(m.bar(97.0)) == [("o2.1", 5, "97.0")]


def test_rule_6_a_bar_without_an_entry_has_no_rest_for_exits(market: Any) -> None:
    """In a bar that executed nothing, or only reduced the position, exits that arrive at its end meet nothing."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(10)
    m.bar(100.0)
    m.bar(100.0, 106.0, 92.0, 96.0)
    assert fills(m.sell(5, stop_price="93", **EXIT)) == []
    m.sell(2)
    m.bar(96.0, 106.0, 94.0, 96.0)
    assert fills(m.sell(3, "98", **EXIT)) == []


def test_rule_6_exits_share_the_volume_of_the_bar(market: Any) -> None:
    """What the entry took of its bar is gone for the exits in the same bar."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(8, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 96.0, volume=100.0)
    assert fills(m.sell(8, stop_price="93", **EXIT)) == [("o2.1", 2, "93")]
    assert fills(m.bar(90.0)) == [("o2.1", 6, "90.0")]


def test_rule_7_an_order_sent_at_a_bars_end_fills_at_the_next_open(market: Any) -> None:
    """A signal on a bar may fill at the next bar's open, not at the close that it has seen."""
    m = market()
    assert fills(m.bar(100.0)) == []
    assert fills(m.buy(5)) == []
    assert fills(m.bar(101.0, 103.0, 100.0, 102.0)) == [("o1.1", 5, "101.0")]


@pytest.mark.parametrize(("side", "stop"), [("sell", "105"), ("buy", "95")])
def test_rule_7_a_stop_that_the_market_has_passed_triggers_at_the_next_open(market: Any, side: str, stop: str) -> None:
    """A stop on the wrong side of the market is a market order at the next open."""
    m = market(**RICH)
    m.bar(100.0)
    assert fills(getattr(m, side)(5, stop_price=stop)) == []
    assert fills(m.bar(101.0, 103.0, 99.0, 102.0)) == [("o1.1", 5, "101.0")]


def test_rule_8_the_orders_of_a_bar_share_its_volume_and_the_rest_stays_open(market: Any) -> None:
    """A stop that the volume does not suffice for is a market order afterwards, and no bar fills an order twice."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(6, stop_price="95", **GTC)
    m.sell(6, stop_price="94", **GTC)
    assert fills(m.bar(100.0, 101.0, 93.0, 99.0, volume=100.0)) == [("o1.1", 6, "95"), ("o2.1", 4, "94")]
    assert fills(m.bar(99.0, 101.0, 93.0, 99.0, volume=100.0)) == [("o2.1", 2, "99.0")]


@pytest.mark.parametrize(
    "other",
    [("94", GTC), ("94", {}), ("80", GTC), ("80", {}), ("80", {"time_in_force": "IOC"})],
    ids=["filled", "filled for the day", "open", "expired", "tried at the open"],
)
def test_rule_6_exits_wait_where_another_order_tells_of_the_bar(market: Any, other: Any) -> None:
    """Whether another order of the symbol has filled tells how far prices went, so exits do not meet that bar."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    limit, terms = other
    m.buy(5, limit, **{"time_in_force": "DAY", **terms})
    assert fills(m.bar(100.0, 106.0, 92.0, 94.0, closes=True))
    assert fills(m.sell(5, stop_price="93", **EXIT)) == []


def test_rule_6_the_first_exit_alone_meets_the_rest(market: Any) -> None:
    """What became of one exit tells where the bar went, so another one waits for the next bar, also in its place."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(10, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 96.0)
    assert fills(m.sell(5, "99", **EXIT)) == []
    assert fills(m.sell(5, stop_price="93", **EXIT)) == []


def test_rule_6_a_trailing_exit_follows_from_the_entry_on(market: Any) -> None:
    """A trailing stop that protects an entry of the same bar starts at the entry's price, not at the bar's close."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    m.bar(100.0, 106.0, 93.0, 99.0)
    assert fills(m.sell(5, trail_amount="3", **EXIT)) == []  # from 95 down to 93, then up to 99
    assert fills(m.bar(99.0, 99.0, 96.5, 97.0)) == []
    assert fills(m.bar(97.0, 97.0, 95.5, 96.0)) == [("o2.1", 5, "96.0")]


def test_rule_6_an_exit_fills_once_in_the_bar(market: Any) -> None:
    """An exit that the entry's price triggers trades there, and not again in what comes after."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(8, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 97.0, volume=100.0)
    assert fills(m.sell(8, "90", stop_price="96", **EXIT)) == [("o2.1", 2, "95")]
    m = market(**RICH)
    m.bar(100.0)
    m.buy(8, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 97.0)
    assert fills(m.sell(8, "90", stop_price="96", **EXIT)) == [("o2.1", 8, "95")]
    assert m.exchange.positions == {}


def test_rule_6_only_exits_and_protection_meet_the_rest(market: Any) -> None:
    """The slice of a parent order is no exit."""
    m = market(**RICH)
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 96.0)
    assert fills(m.sell(5, stop_price="93", purpose=Purpose.CHILD, **GTC)) == []


def test_rule_6_what_an_exit_turns_round_has_no_rest(market: Any) -> None:
    """An exit greater than its position opens another, which no exit protects in that bar."""
    m = market(**RICH)
    m.bar(100.0)
    m.sell(5, **GTC)
    m.bar(100.0, 106.0, 92.0, 104.0)
    assert fills(m.buy(15, stop_price="103", **EXIT)) == [("o2.1", 15, "103")]
    assert m.exchange.positions == {"A": 10}
    assert fills(m.sell(10, stop_price="95", **EXIT)) == []


def test_rule_6_nothing_comes_after_the_close(market: Any) -> None:
    """Once its symbol has traded at the close, with fill close, an exit meets that close alone."""
    m = market(fill="close", **RICH)
    m.bar(100.0)
    m.buy(5, "95", **GTC)
    m.bar(100.0, 106.0, 92.0, 96.0)
    assert fills(m.sell(2)) == [("o2.1", 2, "96.0")]
    assert fills(m.sell(3, stop_price="93", **EXIT)) == []
