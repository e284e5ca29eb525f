"""Commission schedules and regulatory fees, by hand-worked numbers and by what must hold of any."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.adapters.simulated.commissions import PRESETS, Schedule
from ordersmith.adapters.simulated.fees import SECTION_31, TRADING_ACTIVITY, RegulatoryFees, rates_on
from ordersmith.adapters.simulated.rules import ExchangeRules

D = Decimal


def schedule(**fields: Any) -> Schedule:
    return Schedule.of(ExchangeRules(**{name: None if value is None else D(value) for name, value in fields.items()}))


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [
        (100, "25", "1.00"),  # the price list's own examples
        (1000, "25", "5.00"),
        (1000, "0.25", "2.50"),
        (10, "0.20", "0.02"),  # the maximum wins over the minimum
    ],
)
def test_ib_fixed_charges_what_the_price_list_shows(quantity: int, price: str, expected: str) -> None:
    """Half a cent a share, at least a dollar, at most one per cent."""
    fixed = Schedule.of(ExchangeRules(**PRESETS["ib_fixed"]))
    assert fixed.total(D(quantity), quantity * D(price)) == D(expected)


def test_the_presets_differ_as_the_brokers_do() -> None:
    """Alpaca charges nothing, tiered less than fixed."""
    totals = {name: Schedule.of(ExchangeRules(**fields)).total(D(1000), D(50_000)) for name, fields in PRESETS.items()}
    assert totals == {"alpaca": 0, "ib_fixed": D("5.00"), "ib_tiered": D("3.50")}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"commission": "1.5"}, "1.5"),
        ({"commission_per_share": "0.01"}, "1"),
        ({"commission_fraction": "0.001"}, "2"),
        ({"commission": "1.5", "commission_per_share": "0.01", "commission_fraction": "0.001"}, "4.5"),
        ({"commission_fraction": "0.001", "commission_minimum": "3"}, "3"),
        ({"commission_fraction": "0.01", "commission_maximum": "0.005"}, "10"),
        ({"commission_fraction": "0.0000333"}, "0.0666"),
    ],
)
def test_the_parts_of_a_commission_add_up(fields: dict[str, str], expected: str) -> None:
    """Per order, per share and fraction are added, then bounded and rounded to a hundredth of a cent."""
    assert schedule(**fields).total(D(100), D(2000)) == D(expected)


AMOUNT = st.decimals(min_value=0, max_value=3, places=4)


@given(
    st.builds(Schedule, AMOUNT, AMOUNT, st.decimals(0, D("0.2"), places=4), AMOUNT, st.none() | st.just(D("0.01"))),
    st.lists(st.tuples(st.integers(1, 500), st.decimals(D("0.01"), 900, places=2)), min_size=1, max_size=8),
)
def test_partial_fills_cost_what_the_order_costs(plan: Schedule, fills: list[tuple[int, Decimal]]) -> None:
    """No fill is paid back, and together they pay what the whole order would have paid at once."""
    quantity, notional, charged = D(0), D(0), D(0)
    for size, price in fills:
        quantity, notional = quantity + size, notional + size * price
        part = plan.total(quantity, notional) - charged
        assert part >= 0
        charged += part
    assert charged == plan.total(quantity, notional)


@pytest.mark.parametrize(
    ("text", "per_million", "per_share", "most"),
    [
        ("2000-06-21", "33.33", "0", "0"),
        ("2005-03-31", "32.90", "0.000075", "3.75"),
        ("2005-04-01", "41.80", "0.000075", "3.75"),
        ("2024-05-21", "8.00", "0.000166", "8.30"),
        ("2024-05-22", "27.80", "0.000166", "8.30"),
        ("2025-12-31", "0", "0.000166", "8.30"),
        ("2026-04-03", "0", "0.000195", "9.79"),
        ("2026-04-04", "20.60", "0.000195", "9.79"),
    ],
)
def test_rates_hold_from_their_day_on(text: str, per_million: str, per_share: str, most: str) -> None:
    """A rate is that of the date of the sale."""
    rates = rates_on(day(text))
    assert (rates.per_notional * 1_000_000, rates.per_share, rates.most) == (D(per_million), D(per_share), D(most))


@pytest.mark.parametrize("table", [SECTION_31, TRADING_ACTIVITY])
def test_the_tables_are_in_order(table: tuple[tuple[str, ...], ...]) -> None:
    """Dates ascend, and a rate differs from the one before."""
    days = [date.fromisoformat(row[0]) for row in table]
    assert days == sorted(set(days))
    assert all(earlier[1:] != later[1:] for earlier, later in pairwise(table))


def test_fees_are_rounded_up_over_the_day() -> None:
    """The first sale of a day pays the cents of both fees, the next ones what the day's totals go beyond."""
    fees = RegulatoryFees(print)
    fees.begin(day("2024-06-03"))  # 27.80 a million, 0.000166 a share
    assert fees.charge(D(10), D(100)) == D("0.02")  # 0.00278 and 0.00166
    assert fees.charge(D(10), D(100)) == 0
    assert fees.charge(D(1000), D(50_000)) == D("1.55")  # 1.39556 and 0.16932 in all
    fees.begin(day("2024-06-04"))
    assert fees.charge(D(10), D(100)) == D("0.02")


def test_the_activity_fee_has_a_maximum_a_trade() -> None:
    """Of a trade of a million shares 50,000 are counted."""
    fees = RegulatoryFees(print)
    fees.begin(day("2025-06-02"))  # section 31 is zero
    assert fees.charge(D(1_000_000), D(10_000_000)) == D("8.30")
    assert fees.charge(D(1_000_000), D(10_000_000)) == D("8.30")


def test_sales_before_the_first_rate_are_warned_of_once() -> None:
    """The first rate is charged for what is earlier, and one warning says so."""
    told: list[str] = []
    fees = RegulatoryFees(told.append)
    for text in ("1990-01-02", "1990-01-03", "2020-01-02"):
        fees.begin(day(text))
    assert len(told) == 1
    assert "1997-01-01" in told[0]
    assert rates_on(day("1990-01-02")) == rates_on(day("1997-01-01"))
