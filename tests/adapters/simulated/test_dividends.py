"""Cash dividends on positions and open orders of the exchange."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from corporate_days import dividend, holding, next_day, of

from ordersmith.actors.model import Terms, TimeInForce
from ordersmith.actors.ports import (
    Cancelled,
    CashKind,
    CashMovement,
    DividendDeclared,
    Executed,
    Restated,
)

D = Decimal
GTC = {"time_in_force": TimeInForce.GTC}


@pytest.mark.parametrize("quantity", [100, -100])
def test_a_dividend_is_owed_from_the_ex_date_and_paid_later(market: Any, quantity: int) -> None:
    """Who held at the close before gets it, who was short owes it; equity has it at once, cash on the pay date."""
    m = holding(market, quantity)
    cash, power = m.exchange.cash, m.exchange.buying_power()
    amount = quantity * D("0.25")
    (declared,) = m.bar(10.0, session=1, actions=(dividend("0.25", pay=4),))
    assert (type(declared), declared.symbol, declared.amount) == (DividendDeclared, "A", amount)
    assert (m.exchange.accrued, m.exchange.cash) == (amount, cash)
    assert m.exchange.buying_power() == power + 2 * amount
    assert m.bar(10.0, session=2) == []
    (paid,) = m.bar(10.0, session=5)
    assert (type(paid), paid.kind, paid.amount, paid.symbol) == (CashMovement, CashKind.DIVIDEND, amount, "A")
    assert (m.exchange.accrued, m.exchange.cash) == (0, cash + amount)
    assert m.exchange.buying_power() == power + 2 * amount
    assert m.bar(10.0, session=6) == []


def test_a_dividend_belongs_to_who_held_before(market: Any) -> None:
    """Buying on the ex-date earns nothing, selling on it loses nothing."""
    m = holding(market, 100)
    m.sell(100)
    m.buy(5, symbol="A")
    declared, *_ = m.bar(10.0, session=1, actions=(dividend("0.25", pay=3),))
    assert declared.amount == 25
    assert m.exchange.positions == {"A": 5}
    (paid,) = m.bar(10.0, session=3)
    assert paid.amount == 25


def test_a_dividend_that_is_paid_at_once_is_declared_first(market: Any) -> None:
    """Where the pay date is the ex-date, or unknown, both are told at the same begin."""
    m = holding(market, 100)
    declared, paid = next_day(m, dividend("0.333", pay=0))
    assert (declared.activity_id, paid.activity_id) == ("main-a1", "main-a2")
    assert declared.amount == paid.amount == D("33.30")
    assert m.exchange.accrued == 0


def test_a_dividend_not_paid_when_the_data_end_stays_accrued(market: Any) -> None:
    """It is neither lost nor cash."""
    m = holding(market, 100)
    next_day(m, dividend("1", pay=99))
    m.bar(10.0, session=2, closes=True)
    assert (m.exchange.accrued, m.exchange.cash) == (100, 9000)


def test_dividends_of_symbols_not_held_declare_nothing(market: Any) -> None:
    """No position, no report."""
    m = holding(market, 100)
    assert next_day(m, dividend("1", symbol="L"), dividend("1", symbol="NONE")) == []


def test_a_dividend_lowers_lasting_buy_limits(market: Any) -> None:
    """GTC buy limits fall by the amount to the next tick; sell limits, market and DAY orders stay."""
    m = holding(market, 100)
    m.buy(5, "8.00", **GTC)
    m.sell(5, "12.00", **GTC)
    m.buy(5, **GTC)
    m.buy(5, "8.00")
    (restated,) = of(Restated, next_day(m, dividend("0.255")))
    assert (restated.wire_id, restated.terms) == ("o2.1", Terms(D(5), D("7.74")))
    assert "dividend of 0.255" in restated.text
    executed = of(Executed, m.bar(9.0, 9.0, 7.8, 9.0, session=1))
    assert [each.wire_id for each in executed] == ["o4.1", "o5.1"]


def test_a_dividend_lowers_nothing_where_the_broker_does_not(market: Any) -> None:
    """With the setting off orders keep their prices."""
    m = holding(market, 100, adjust_orders_for_dividends=False)
    m.buy(5, "8.00", **GTC)
    assert of(Restated, next_day(m, dividend("0.25"))) == []


def test_a_dividend_may_leave_nothing_of_an_orders_price(market: Any) -> None:
    """A buy limit that would reach zero is cancelled."""
    m = holding(market, 100)
    m.buy(5, "0.20", **GTC)
    (cancelled,) = of(Cancelled, next_day(m, dividend("0.25")))
    assert "nothing is left" in cancelled.text


def test_a_dividend_while_an_order_is_partly_filled(market: Any) -> None:
    """What has filled by then earns it, and the rest of the order is lowered."""
    m = market(cash=10_000)
    m.bar(10.0)
    m.buy(50, "10.00", **GTC)
    m.bar(9.0, volume=200.0)
    declared, restated = of(object, next_day(m, dividend("0.50", pay=9)))
    assert (declared.amount, restated.terms) == (10, Terms(D(50), D("9.50")))
    assert m.exchange.buying_power() == 10_000 - 20 * 9 - 30 * D("9.50")
    (executed,) = of(Executed, m.bar(9.0, session=1))
    assert (executed.fill.quantity, executed.cumulative_quantity) == (30, 50)
