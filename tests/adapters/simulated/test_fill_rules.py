"""Which price, how much and when: the rules by which a bar fills an order, each as a table."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordersmith.actors.model import Instrument, TimeInForce
from ordersmith.actors.ports import Accepted, Cancelled, Executed

MINUTE_NS = 60_000_000_000
GTC = {"time_in_force": TimeInForce.GTC}
LONG_AND_RICH = {"account_type": "margin", "cash": 1_000_000}


def fills(reports: list[Any]) -> list[tuple[str, int, str]]:
    """Return (order, quantity, price) of the executions."""
    executed = [report for report in reports if isinstance(report, Executed)]
    return [(each.wire_id, int(each.fill.quantity), str(each.fill.price)) for each in executed]


@pytest.mark.parametrize(
    ("side", "limit", "bar", "price", "at_open"),
    [
        ("buy", None, (10.0, 11.0, 9.0, 10.5), "10.0", True),
        ("sell", None, (10.0, 11.0, 9.0, 10.5), "10.0", True),
        ("buy", "10.50", (10.0, 11.0, 9.0, 10.5), "10.0", True),  # a better open
        ("buy", "10.00", (10.0, 11.0, 10.0, 10.5), "10.0", True),  # open at the limit, never below it
        ("buy", "9.50", (10.0, 11.0, 9.0, 10.5), "9.50", False),  # traded through
        ("buy", "9.00", (10.0, 11.0, 9.0, 10.5), None, False),  # touched only
        ("buy", "8.99", (10.0, 11.0, 9.0, 10.5), None, False),
        ("sell", "9.50", (10.0, 11.0, 9.0, 10.5), "10.0", True),
        ("sell", "10.00", (10.0, 10.0, 9.0, 9.5), "10.0", True),
        ("sell", "10.50", (10.0, 11.0, 9.0, 10.5), "10.50", False),
        ("sell", "11.00", (10.0, 11.0, 9.0, 10.5), None, False),
        ("sell", "11.01", (10.0, 11.0, 9.0, 10.5), None, False),
    ],
)
def test_gap_rules(market: Any, side: str, limit: str | None, bar: Any, price: str | None, at_open: bool) -> None:
    """A better open fills at the open and at its time, a limit traded through fills at the limit and the bar's end."""
    m = market(**LONG_AND_RICH)
    m.bar(10.0)
    getattr(m, side)(5, limit)
    reports = m.bar(*bar)
    assert fills(reports) == ([] if price is None else [("o1.1", 5, price)])
    if price is not None:
        assert reports[0].fill.at_ns == (MINUTE_NS if at_open else 2 * MINUTE_NS)
        assert reports[0].fill.slippage == 0


@pytest.mark.parametrize(("side", "limit"), [("buy", "9.00"), ("sell", "11.00")])
def test_touch_is_enough_where_the_rules_say_so(market: Any, side: str, limit: str) -> None:
    """With limit_fill touch, trading at the limit fills it."""
    m = market(limit_fill="touch", **LONG_AND_RICH)
    m.bar(10.0)
    getattr(m, side)(5, limit)
    assert fills(m.bar(10.0, 11.0, 9.0, 10.5)) == [("o1.1", 5, limit)]


@pytest.mark.parametrize(("side", "limit", "filled"), [("buy", "10.0000000000000000004", True), ("buy", "10", False)])
def test_limits_that_are_equal_as_floats_are_told_apart(market: Any, side: str, limit: str, filled: bool) -> None:
    """A limit above the low by less than a float can hold is traded through; one at the low is not."""
    m = market(price_increment="1e-19", **LONG_AND_RICH)
    m.exchange._book._instruments["A"] = Instrument(tick=Decimal("1e-19"))
    m.bar(10.5)
    getattr(m, side)(5, limit)
    assert bool(fills(m.bar(10.5, 11.0, 10.0, 10.5))) is filled


@pytest.mark.parametrize(
    ("side", "limit", "open_", "price", "slippage"),
    [
        ("buy", None, 10.0, "10.1000", "0.50"),  # one percent
        ("sell", None, 10.0, "9.9000", "0.50"),
        ("buy", None, 10.123, "10.2243", "0.5065"),  # 10.22423, rounded up
        ("sell", None, 10.123, "10.0217", "0.5065"),  # 10.02177, rounded down
        ("buy", "10.05", 10.0, "10.05", "0.25"),  # slipped, never beyond the limit
        ("sell", "9.95", 10.0, "9.95", "0.25"),
        ("buy", "12.00", 10.0, "10.1000", "0.50"),
        ("buy", "9.50", 10.0, "9.50", "0"),  # a limit reached inside the bar is not slipped
    ],
)
def test_slippage_is_against_the_order(
    market: Any, side: str, limit: str | None, open_: float, price: str, slippage: str
) -> None:
    """A fill at the open is slipped and rounded against the order, and says what that cost."""
    m = market(slippage="0.01", **LONG_AND_RICH)
    m.bar(10.0)
    getattr(m, side)(5, limit)
    (report,) = m.bar(open_, 13.0, 9.0, 10.0)
    assert report.fill.price == Decimal(price)
    assert report.fill.slippage == Decimal(slippage)


@pytest.mark.parametrize(
    ("side", "increment", "price"),
    [("buy", "0.05", "10.15"), ("sell", "0.05", "10.10"), ("buy", "0.0001", "10.1235"), ("sell", "0.0001", "10.1234")],
)
def test_prices_are_multiples_of_the_increment(market: Any, side: str, increment: str, price: str) -> None:
    """A bar's price between two increments is rounded up for a buy and down for a sell, for any increment."""
    m = market(price_increment=increment, **LONG_AND_RICH)
    m.bar(10.0)
    getattr(m, side)(5)
    (report,) = m.bar(10.12345, 11.0, 9.0, 10.0)
    assert report.fill.price == Decimal(price)


def test_commission_is_charged_once_an_order(market: Any) -> None:
    """The first fill carries the order's commission, later fills and legs none."""
    m = market(commission="1.5")
    m.bar(10.0)
    m.buy(25, **GTC)
    (first,) = m.bar(10.0, volume=100.0)
    m.replace("o1.1", "o1.2", 40)
    (second,) = m.bar(10.0, volume=100.0)
    assert (first.fill.commission, second.fill.commission) == (Decimal("1.5"), 0)
    assert m.exchange.cash == 100_000 - 200 - Decimal("1.5")
    assert m.status("o1").commission == Decimal("1.5")


def test_orders_are_live_from_the_next_bar(market: Any) -> None:
    """An order received after a bar does not use it, nor does one received at the instant at which the bar ends."""
    m = market()
    m.bar(10.0)
    m.now_ns += MINUTE_NS
    m.buy(5)
    m.now_ns -= MINUTE_NS
    assert fills(m.bar(11.0)) == []
    assert fills(m.bar(12.0)) == [("o1.1", 5, "12.0")]


@pytest.mark.parametrize(("side", "limit"), [("buy", None), ("sell", None), ("buy", "20.00"), ("buy", "9.50")])
@pytest.mark.parametrize(("late_ns", "price"), [(0, True), (1, False), (MINUTE_NS - 1, False)])
def test_an_order_inside_a_bar_waits_for_the_next(
    market: Any, side: str, limit: str | None, late_ns: int, price: bool
) -> None:
    """Whoever arrives after a bar began meets neither its open nor its range, but the symbol's next bar whole."""
    m = market(**LONG_AND_RICH)
    m.bar(10.0)
    m.now_ns += late_ns
    getattr(m, side)(5, limit)
    m.now_ns -= late_ns
    first, second = fills(m.bar(11.0, 12.0, 9.0, 10.0)), fills(m.bar(11.0, 12.0, 9.0, 10.0))
    expected = [("o1.1", 5, "9.50" if limit == "9.50" else "11.0")]
    assert (first, second) == ((expected, []) if price else ([], expected))


def test_a_replacement_inside_a_bar_waits_for_the_next(market: Any) -> None:
    """A leg is live from its own arrival: what the order before it could have met in the running bar is lost."""
    m = market()
    m.bar(10.0)
    m.buy(5)
    m.now_ns += 1
    m.replace("o1.1", "o1.2", 6)
    m.now_ns -= 1
    assert fills(m.bar(11.0)) == []
    assert fills(m.bar(12.0)) == [("o1.2", 6, "12.0")]


def test_an_order_waits_for_a_bar_of_its_symbol(market: Any) -> None:
    """Bars of other symbols leave an order alone."""
    m = market()
    m.bar(10.0)
    m.buy(5)
    assert m.bar(11.0, symbol="B") == []
    assert fills(m.bar(12.0)) == [("o1.1", 5, "12.0")]


@pytest.mark.parametrize(
    ("participation", "volume", "quantities"),
    [
        ("0.1", 100.0, [10, 10, 5]),
        ("0.1", 109.9, [10, 10, 5]),  # whole lots
        ("0.25", 1000.0, [25]),
        ("0.1", 5.0, []),
        ("0.1", 0.0, []),
        ("0.1", -5.0, []),
        ("0.1", -inf, []),
        ("0.1", 249.0, [24, 1]),  # just below the order
        ("0.1", 250.0, [25]),
        ("0.1", 261.0, [25]),
        ("0.1", nan, [25]),
        ("0.1", inf, [25]),
        (None, 0.0, [25]),
    ],
)
def test_volume_budget(market: Any, participation: str | None, volume: float, quantities: list[int]) -> None:
    """An order takes its part of each bar's volume in whole lots until it is filled; unknown volume does not limit."""
    m = market(participation=participation)
    m.bar(10.0)
    m.buy(25, **GTC)
    reports = [report for _ in range(3) for report in m.bar(10.0, volume=volume)]
    assert [int(report.fill.quantity) for report in reports] == quantities
    assert [int(report.cumulative_quantity) for report in reports] == [
        sum(quantities[: n + 1]) for n in range(len(reports))
    ]


VOLUMES = st.sampled_from((0.0, 1.0, 9.0, 10.0, 11.0, 100.0, 995.0, 1e6, 1e17, nan, inf, -5.0)) | st.floats(0, 3000)


BARS = st.lists(
    st.tuples(VOLUMES, st.lists(st.sampled_from((1, 2, 10, 11, 99, 100, 101, 250)), max_size=3)), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it only makes markets
@given(bars=BARS)
def test_what_was_ample_in_one_bar_is_not_spent_in_a_smaller_one(
    market: Any, bars: list[tuple[float, list[int]]]
) -> None:
    """Whatever the volumes of the bars before, a bar gives its orders its own budget, in whole lots, and no more."""
    m = market(participation="0.1", cash="1e9")
    m.bar(100.0)
    for volume, quantities in bars:
        for quantity in quantities:
            m.buy(quantity, time_in_force=TimeInForce.IOC)
        left = inf if not volume < inf else int(max(Fraction(volume), Fraction(0)) / 10)
        expected = []
        for quantity in quantities:
            filled = min(quantity, left)
            left -= filled
            expected += [filled] if filled else []
        reports = m.bar(100.0, volume=volume)
        assert [report.fill.quantity for report in reports if isinstance(report, Executed)] == expected


def test_a_symbol_without_orders_is_no_longer_looked_at(market: Any) -> None:
    """A symbol leaves the book with the first bar that shows that its orders are gone, and comes back with the next order."""
    m = market()
    m.bars({"A": (100.0, 100.0, 100.0, 100.0, 1e6), "B": (50.0, 50.0, 50.0, 50.0, 1e6)})
    m.buy(1)
    m.buy(1, "40", symbol="B", **GTC)
    resting = m.exchange._book.resting
    m.bar(100.0)
    m.bar(100.0)
    assert list(resting) == ["B"]
    m.cancel("o2.1")
    m.bar(50.0, symbol="B")
    assert not resting
    m.buy(1)
    assert len(m.bar(100.0)) == 1


def test_budget_is_whole_lots_of_the_symbol(market: Any) -> None:
    """A budget of 25 fills two lots of ten."""
    m = market()
    m.bar(10.0, symbol="L")
    m.buy(50, symbol="L")
    assert fills(m.bar(10.0, symbol="L", volume=250.0)) == [("o1.1", 20, "10.0")]


def test_a_bar_is_shared_in_the_order_of_its_path(market: Any) -> None:
    """Orders of both sides take from one budget of their symbol: at the open in order of arrival, then as the path comes by."""
    m = market(**LONG_AND_RICH)
    m.bars({"A": (10.0, 10.0, 10.0, 10.0, PLENTY), "B": (10.0, 10.0, 10.0, 10.0, PLENTY)})
    m.buy(4, "9.50")
    m.sell(3)
    m.buy(7, symbol="B")
    m.buy(9, "9.90")
    m.buy(6)
    reports = m.bars({"B": (5.0, 5.0, 5.0, 5.0, 50.0), "A": (10.0, 10.0, 9.0, 10.0, 100.0)})
    assert fills(reports) == [("o2.1", 3, "10.0"), ("o3.1", 5, "5.0"), ("o5.1", 6, "10.0"), ("o4.1", 1, "9.90")]


PLENTY = 1_000_000.0


@pytest.mark.parametrize(
    "bar",
    [
        (nan, 11.0, 9.0, 10.0),
        (0.0, 11.0, 0.0, 10.0),
        (inf, inf, 9.0, 10.0),
        (10.0, 11.0, -1.0, 10.0),
        (10.0, inf, 9.0, 10.0),
    ],
)
def test_a_bar_without_prices_fills_nothing(market: Any, bar: Any) -> None:
    """NaN, zero, negative and infinite prices are no prices to trade at."""
    m = market(**LONG_AND_RICH)
    m.bar(10.0)
    m.buy(5)
    m.buy(5, "9.50")
    m.sell(5, "10.50")
    assert m.bar(*bar) == []


@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        ("buy", None, [("o1.1", 5, "10.5")]),
        ("sell", None, [("o1.1", 5, "10.5")]),
        ("buy", "10.50", [("o1.1", 5, "10.5")]),
        ("buy", "10.49", []),
        ("sell", "10.50", [("o1.1", 5, "10.5")]),
        ("sell", "10.51", []),
    ],
)
def test_close_mode_fills_at_once(market: Any, side: str, limit: str | None, expected: list[Any]) -> None:
    """With fill close, an order that is marketable at the close just seen fills at it, at the bar's end."""
    m = market(fill="close", **LONG_AND_RICH)
    m.bar(10.0, 11.0, 9.0, 10.5)
    reports = getattr(m, side)(5, limit)
    assert isinstance(reports[0], Accepted)
    assert fills(reports) == expected
    assert all(report.fill.at_ns == MINUTE_NS for report in reports[1:])


def test_close_mode_shares_the_bars_budget(market: Any) -> None:
    """What resting orders took from the bar is gone for those that come at its close; the rest waits for later bars."""
    m = market(fill="close")
    m.bar(10.0)
    m.buy(4, "9.50", **GTC)
    assert fills(m.bar(10.0, 10.0, 9.0, 10.0, volume=100.0)) == [("o1.1", 4, "9.50")]
    assert fills(m.buy(4, **GTC)) == [("o2.1", 4, "10.0")]
    assert fills(m.buy(4, **GTC)) == [("o3.1", 2, "10.0")]
    assert fills(m.buy(4, **GTC)) == []
    assert fills(m.bar(11.0, volume=1000.0)) == [("o3.1", 2, "11.0"), ("o4.1", 4, "11.0")]


def test_close_mode_waits_for_the_next_open_where_there_is_no_bar_now(market: Any) -> None:
    """Without a bar of its symbol at this instant an order fills at the open of the next."""
    m = market(fill="close")
    m.bar(10.0)
    m.bar(20.0, symbol="B")
    assert fills(m.buy(5)) == []
    assert fills(m.bar(11.0, 12.0, 10.0, 12.0)) == [("o1.1", 5, "11.0")]


def test_close_mode_needs_the_very_instant_and_a_price(market: Any) -> None:
    """A bar that ended earlier, or whose close is no price, fills nothing at once."""
    m = market(fill="close")
    m.bar(10.0)
    m.now_ns += 1
    assert fills(m.buy(5)) == []
    m.now_ns -= 1
    m.bar(10.0, 10.0, 10.0, nan)
    assert fills(m.buy(5)) == []


def test_close_mode_never_uses_a_bar_twice(market: Any) -> None:
    """An order that met a bar does not meet it again as a replacement."""
    m = market(fill="close")
    m.bar(10.0)
    m.buy(5, "9.00")
    m.bar(10.0)
    assert fills(m.replace("o1.1", "o1.2", 5, "12.00")) == []
    assert fills(m.bar(11.0)) == [("o1.2", 5, "11.0")]


def test_a_cancel_after_a_partial_fill_ends_the_rest(market: Any) -> None:
    """What is cancelled does not fill any more, what was filled stays."""
    m = market()
    m.bar(10.0)
    m.buy(25)
    m.bar(10.0, volume=100.0)
    assert m.cancel("o1.1") == [Cancelled("o1.1")]
    assert m.bar(10.0) == []
    assert m.exchange.positions == {"A": 10}
