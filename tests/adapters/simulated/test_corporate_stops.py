"""Splits and dividends on orders that wait for a trigger or for an auction."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from corporate_days import dividend, holding, next_day, of, split

from ordersmith.actors.model import Order, Terms, TimeInForce
from ordersmith.actors.ports import Cancelled, Executed, Restated

D = Decimal
GTC = {"time_in_force": TimeInForce.GTC}


def stop_order(side: str, quantity: int = 10, **prices: str) -> Order:
    make = Order.buy if side == "buy" else Order.sell
    return make("A", quantity, time_in_force=TimeInForce.GTC, **{name: D(price) for name, price in prices.items()})


@pytest.mark.parametrize(
    ("side", "prices", "terms", "low", "high", "price"),
    [
        ("sell", {"stop_price": "8.01"}, Terms(D(20), None, D("4.00")), 4.0, 5.0, "4.00"),
        ("buy", {"stop_price": "12.01"}, Terms(D(20), None, D("6.01")), 5.0, 6.01, "6.01"),
        ("sell", {"stop_price": "8.01", "limit_price": "7.99"}, Terms(D(20), D("4.00"), D("4.00")), 3.9, 5.0, "4.00"),
        ("sell", {"trail_amount": "1.01"}, Terms(D(20), None, None, D("0.51")), 4.49, 5.0, "4.49"),
    ],
)
def test_a_split_restates_stops(
    market: Any, side: str, prices: Any, terms: Terms, low: float, high: float, price: str
) -> None:
    """Trigger, limit and distance shrink, a trailing stop's best price too, and the order works on at them."""
    m = holding(market, 100, same_bar_exits=False)
    m.send(stop_order(side, **prices))
    (restated,) = of(Restated, next_day(m, split("2")))
    assert restated.terms == terms
    assert of(Executed, m.bar(5.0, session=1)) == []
    executed = of(Executed, m.bar(5.0, high, low, 5.0, session=1)) or of(Executed, m.bar(5.0, session=1))
    assert [(each.fill.quantity, each.fill.price) for each in executed] == [(20, D(price))]


@pytest.mark.parametrize(
    ("side", "prices", "lowered"),
    [
        ("sell", {"stop_price": "9.60"}, Terms(D(10), None, D("9.10"))),
        ("sell", {"stop_price": "9.60", "limit_price": "9.20"}, Terms(D(10), D("8.70"), D("9.10"))),
        ("sell", {"trail_amount": "0.40"}, Terms(D(10), None, None, D("0.40"))),
        ("sell", {"trail_percent": "4"}, Terms(D(10), trail_percent=D(4))),
        ("buy", {"stop_price": "10.40"}, None),
        ("buy", {"stop_price": "10.40", "limit_price": "10.50"}, None),
        ("buy", {"trail_amount": "0.40"}, None),
    ],
)
def test_a_dividend_lowers_lasting_sell_stops(market: Any, side: str, prices: Any, lowered: Terms | None) -> None:
    """A fall by no more than the dividend does not trigger them; buy stops stay where they are."""
    m = holding(market, 100)
    m.send(stop_order(side, **prices))
    restated = of(Restated, next_day(m, dividend("0.50")))
    assert [each.terms for each in restated] == ([] if lowered is None else [lowered])
    assert of(Executed, m.bar(9.5, session=1)) == []
    if lowered is not None:
        assert len(of(Executed, m.bar(9.5, 9.5, 8.9, 9.0, session=1))) == 1


def test_a_sell_stop_is_not_lowered_where_the_broker_does_not(market: Any) -> None:
    """With the setting off the fall by the dividend triggers it."""
    m = holding(market, 100, adjust_orders_for_dividends=False)
    m.send(stop_order("sell", stop_price="9.60"))
    assert of(Restated, next_day(m, dividend("0.50"))) == []
    assert len(of(Executed, m.bar(9.5, session=1))) == 1


def test_a_stop_that_a_dividend_takes_to_zero_is_cancelled(market: Any) -> None:
    """Neither a trigger nor a trailing stop's best price can be zero."""
    m = holding(market, 100)
    m.send(stop_order("sell", stop_price="0.50"))
    m.send(stop_order("sell", trail_amount="1.00"))
    assert [each.wire_id for each in of(Cancelled, next_day(m, dividend("10.00")))] == ["o2.1", "o3.1"]


def test_a_triggered_stop_limit_is_a_limit_order(market: Any) -> None:
    """A buy stop-limit that was triggered is lowered as the buy limit that it became."""
    m = holding(market, 100)
    m.send(stop_order("buy", stop_price="10.40", limit_price="10.45"))
    assert m.bar(10.6, 10.6, 10.5, 10.6) == []
    (restated,) = of(Restated, next_day(m, dividend("0.50")))
    assert restated.terms.limit_price == D("9.95")
    (executed,) = of(Executed, m.bar(10.1, 10.1, 9.9, 10.0, session=1))
    assert executed.fill.price == D("9.95")


def test_auction_orders_are_restated_by_a_split(market: Any) -> None:
    """An order for the next opening was priced in old shares."""
    m = holding(market, 100)
    m.bar(10.0, closes=True)
    m.buy(10, "9.00", time_in_force=TimeInForce.OPG)
    _, restated, executed = m.bar(4.4, session=1, actions=(split("2"),))
    assert restated.terms == Terms(D(20), D("4.50"))
    assert (executed.fill.quantity, executed.fill.price) == (20, D("4.4"))
