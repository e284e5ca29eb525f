"""What executions cost under the rules that ask for more than a fraction and a flat commission."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.model import Fill, TimeInForce
from ordersmith.actors.ports import Accepted, Executed, Rejected, Replaced, ReplaceRefused, Report
from ordersmith.adapters.simulated.commissions import PRESETS
from ordersmith.adapters.simulated.costs import DetailedCosts, costs_of
from ordersmith.adapters.simulated.rules import ExchangeRules

D = Decimal
GTC = {"time_in_force": TimeInForce.GTC}
A_DAY = (date(2024, 6, 3) - date(1970, 1, 1)).days


def fills(reports: list[Report]) -> list[Fill]:
    return [report.fill for report in reports if isinstance(report, Executed)]


def only(reports: list[Report]) -> Fill:
    (fill,) = fills(reports)
    return fill


@pytest.mark.parametrize(
    ("rules", "bought", "sold"),
    [
        ({"slippage_fixed": "0.02"}, "10.02", "9.98"),
        ({"slippage": "0.001", "slippage_fixed": "0.02"}, "10.03", "9.97"),
        ({"slippage_fixed": "0.02", "price_increment": "0.05"}, "10.05", "9.95"),
    ],
)
def test_slippage_a_share_adds_to_the_fraction(market: Any, rules: Any, bought: str, sold: str) -> None:
    """Both move the price against the order, before it is rounded; their cost is told in the fill."""
    m = market(**rules)
    m.bar(10.0)
    m.buy(10)
    fill = only(m.bar(10.0))
    assert (fill.price, fill.slippage) == (D(bought), 10 * (D(bought) - 10))
    m.sell(10)
    fill = only(m.bar(10.0))
    assert (fill.price, fill.slippage) == (D(sold), 10 * (10 - D(sold)))


def test_slippage_a_share_stops_at_the_limit_and_at_zero(market: Any) -> None:
    """A limit is never passed, and nobody pays to sell."""
    m = market(slippage_fixed="0.02")
    m.bar(10.0)
    m.buy(10, "10.01")
    fill = only(m.bar(10.0))
    assert (fill.price, fill.slippage) == (D("10.01"), D("0.10"))
    m.bar(0.01)
    m.sell(10)
    assert only(m.bar(0.01)).price == 0


def test_a_resting_limit_pays_no_slippage(market: Any) -> None:
    """What is reached inside a bar fills at its limit."""
    m = market(slippage_fixed="0.02", impact="1")
    m.buy(10, "9.00")
    fill = only(m.bar(10.0, 10.0, 8.0, 9.5))
    assert (fill.price, fill.slippage, fill.impact) == (9, 0, 0)


def test_a_minimum_is_paid_by_the_first_of_several_fills(market: Any) -> None:
    """Partial fills pay together what the whole order costs, the first one the minimum."""
    m = market(commission_per_share="0.01", commission_minimum="2", cash=10_000)
    m.bar(10.0)
    m.buy(300)
    assert m.exchange.buying_power() == 10_000 - 3000 - 3
    paid = []
    for volume, left in ((1000.0, 2000 + 1), (1500.0, 500 + D("0.5")), (9000.0, 0)):
        paid.append(only(m.bar(10.0, volume=volume)).commission)
        assert m.exchange.cash - m.exchange.buying_power() == left
    assert paid == [2, D("0.50"), D("0.50")]
    assert m.exchange.cash == 10_000 - 3000 - 3
    assert m.status("o1.1").commission == 3


@pytest.mark.parametrize(("quantity", "taken"), [(99, Accepted), (100, Rejected)])
def test_buying_power_reserves_the_commission_of_the_size(market: Any, quantity: int, taken: type) -> None:
    """A thousand buys 99 shares at ten with one per cent on top, not a hundred."""
    m = market(commission_fraction="0.01", cash=1000)
    m.bar(10.0)
    assert isinstance(m.buy(quantity)[0], taken)


def test_a_replacement_is_charged_on_with_the_order(market: Any) -> None:
    """The minimum is not paid again after a replacement, whose commission is reserved by its new size."""
    m = market(commission_per_share="0.01", commission_minimum="2", cash=10_000)
    m.bar(10.0)
    m.buy(300, "10.00", **GTC)
    assert only(m.bar(10.0, 10.0, 9.0, 10.0, volume=1000.0)).commission == 2
    assert isinstance(m.replace("o1.1", "o1.2", 500, "10.00")[0], Replaced)
    assert m.exchange.cash - m.exchange.buying_power() == 4000 + 3
    assert isinstance(m.replace("o1.2", "o1.3", 1000, "10.00")[0], ReplaceRefused)
    assert only(m.bar(9.0)).commission == 3


def test_a_maximum_grows_with_the_fills(market: Any) -> None:
    """An order of pennies pays a part of its notional instead of the minimum."""
    m = market(**PRESETS["ib_fixed"])
    m.bar(0.2)
    m.buy(20)
    assert [only(m.bar(0.2, volume=100.0)).commission for _ in range(2)] == [D("0.02"), D("0.02")]


def test_fees_are_charged_on_sales_at_the_rates_of_the_day(market: Any) -> None:
    """They are a part of the commission, none on purchases, and follow the session's date."""
    m = market(regulatory_fees=True, commission=1)
    m.bar(50.0, session=A_DAY)
    m.buy(1000)
    bought = only(m.bar(50.0, session=A_DAY))
    assert (bought.commission, bought.fees) == (1, 0)
    m.sell(500)
    sold = only(m.bar(50.0, session=A_DAY, closes=True))
    assert (sold.commission, sold.fees) == (1 + D("0.70") + D("0.09"), D("0.79"))
    m.sell(500)
    later = only(m.bar(50.0, session=A_DAY + 365))
    assert later.fees == D("0.09")  # section 31 is zero in June 2025
    assert m.exchange.cash == 100_000 - 3 - D("0.88")


def test_fees_of_an_early_sale_are_warned_of(market: Any) -> None:
    """A session before the first known rate is told once."""
    m = market(regulatory_fees=True)
    for session in (1, 2, 3):
        m.bar(10.0, session=session)
    (warning,) = m.exchange.warnings
    assert "regulatory fees" in warning


def moved(market: Any, **rules: Any) -> Any:
    """Return a market after sessions with volatility: closes 100, 101, 99, 100 with a million shares each."""
    m = market(impact="1", participation=None, **rules)
    for session, close in enumerate((100.0, 101.0, 99.0, 100.0)):
        m.bar(close, session=session, closes=True)
    return m


def test_impact_is_in_the_price_apart_from_slippage(market: Any) -> None:
    """An order of one per cent of a session's volume moves the price by a tenth of the volatility."""
    m = moved(market, slippage="0.001", cash=2_000_000)
    m.buy(10_000, "110.00")
    fill = only(m.bar(100.0, session=4))
    sigma = D("0.01724")  # of 1 %, -1.98 % and 1.01 %
    assert fill.price == pytest.approx(100 * (D("1.001") + sigma / 10), abs=D("0.001"))
    assert fill.impact == pytest.approx(100 * sigma / 10 * 10_000, rel=D("0.001"))
    assert fill.impact + fill.slippage == 10_000 * (fill.price - 100)
    assert fill.slippage == pytest.approx(1000, abs=1)


def test_a_limit_holds_against_impact(market: Any) -> None:
    """At the limit the costs are what the price moved, slippage first to go."""
    m = moved(market, slippage="0.001")
    m.buy(100, "100.01")
    fill = only(m.bar(100.0, session=4))
    assert fill.price == D("100.01")
    assert fill.impact + fill.slippage == 1
    assert (fill.impact, fill.slippage) == (1, 0)


def test_impact_before_anything_is_known_is_zero_and_told(market: Any) -> None:
    """The first sessions have none, and a warning names the symbol."""
    m = market(impact="1")
    m.bar(10.0)
    m.buy(10)
    fill = only(m.bar(10.0))
    assert (fill.price, fill.impact) == (10, 0)
    (warning,) = m.exchange.warnings
    assert "impact" in warning
    assert " A " in warning


@pytest.mark.parametrize(
    ("rules", "detailed"),
    [
        ({}, False),
        ({"slippage": D("0.001"), "commission": D(1), "account_type": "margin"}, False),
        (PRESETS["alpaca"], False),
        (PRESETS["ib_tiered"], True),
        ({"commission_fraction": D("0.001")}, True),
        ({"commission_minimum": D(1)}, True),
        ({"commission_maximum": D("0.01")}, True),
        ({"regulatory_fees": True}, True),
        ({"slippage_fixed": D("0.01")}, True),
        ({"impact": D(1)}, True),
    ],
)
def test_what_is_not_asked_for_is_not_computed(rules: dict[str, Any], detailed: bool) -> None:
    """Only rules that need more than a fraction and a flat commission take the detailed way."""
    assert isinstance(costs_of(ExchangeRules(**rules)), DetailedCosts) is detailed


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("slippage_fixed", D(-1), "0 or more currency a share"),
        ("commission_per_share", D(-1), "0 or more currency a share"),
        ("commission_fraction", D(1), "not including, 1"),
        ("commission_minimum", D(-1), "0 or more"),
        ("commission_maximum", D(0), "above 0"),
        ("impact", D(0), "above 0"),
        ("impact_sessions", 2, "3 sessions"),
        ("settlement_days", -1, "0 or more"),
        ("borrow_rate", D(-1), "0 or more"),
        ("maintenance_margin", D("0.6"), "up to the initial margin 0.5"),
        ("short_initial_margin", D(0), "above 0"),
        ("margin_call", "ask", "flag or liquidate"),
    ],
)
def test_impossible_rules_are_named(field: str, value: Any, wanted: str) -> None:
    """The message names the field, the value and what would be possible."""
    with pytest.raises(ValueError, match=f"^{field}: {value} is not possible; give .*{wanted}"):
        ExchangeRules(**{field: value})
