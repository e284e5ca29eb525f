"""What orders claim of the account, what it can carry, and what fills do to it."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest

from ordersmith.actors.model import TimeInForce
from ordersmith.actors.ports import Accepted, Rejected, Replaced, ReplaceRefused

GTC = {"time_in_force": TimeInForce.GTC}


def test_open_buys_reserve_price_and_commission(market: Any) -> None:
    """A market order claims the last price, a limit order its limit, both their commission, until they end."""
    m = market(cash=1000, commission=1)
    power = m.exchange.buying_power
    m.bar(10.0)
    m.buy(10)
    assert power() == 1000 - 101
    m.buy(10, "8.00")
    assert power() == 1000 - 101 - 81
    m.cancel("o1.1")
    assert power() == 1000 - 81
    m.replace("o2.1", "o2.2", 20, "9.00")
    assert power() == 1000 - 181
    m.bar(9.0, volume=50.0)
    assert power() == 1000 - 45 - 1 - 15 * 9
    m.bar(9.5, closes=True)
    assert power() == m.exchange.cash == 1000 - 45 - 1


def test_the_last_price_is_the_last_close_of_the_symbol(market: Any) -> None:
    """The claim of a market order follows the symbol's own closes."""
    m = market(cash=100)
    m.bar(10.0, 12.0, 9.0, 11.0)
    m.bar(50.0, symbol="B")
    m.buy(2)
    assert m.exchange.buying_power() == 100 - 22


@pytest.mark.parametrize("close", [nan, 0.0, -1.0, inf])
def test_a_close_that_is_no_price_takes_no_market_order(market: Any, close: float) -> None:
    """Where the last close is no price a market order is refused, and what is held keeps its value."""
    m = market(account_type="margin")
    m.bar(10.0)
    m.buy(2)
    m.bar(10.0)
    power = m.exchange.buying_power()
    m.bar(10.0, 12.0, 9.0, close)
    assert m.exchange.buying_power() == power
    assert m.buy(2)[0].code == "NO_MARKET_DATA"
    assert isinstance(m.buy(2, "9.00")[0], Accepted)


@pytest.mark.parametrize(("quantity", "taken"), [(9, Accepted), (10, Rejected)])
def test_buying_power_counts_the_commission(market: Any, quantity: int, taken: type) -> None:
    """A hundred buys nine shares at ten and their commission, not ten."""
    m = market(cash=100, commission=1)
    m.bar(10.0)
    assert isinstance(m.buy(quantity)[0], taken)


def test_a_gap_beyond_the_cash_fills_and_is_flagged(market: Any) -> None:
    """Cash below zero is warned of with its date and amount, once until it has recovered."""
    m = market(cash=100)
    m.bar(10.0)
    m.buy(4)
    m.buy(6)
    m.bar(30.0)
    assert m.exchange.cash == -200
    (warning,) = m.exchange.warnings
    assert "1970-01-01" in warning
    assert "-20.0" in warning  # at the fill that crossed zero
    m.sell(10)
    m.bar(30.0)
    m.buy(3)
    m.bar(50.0)
    assert len(m.exchange.warnings) == 2


def test_sells_of_a_cash_account_are_covered(market: Any) -> None:
    """Position less open sells may be sold; an order's end gives its part back; a replacement counts the difference."""
    m = market()
    m.bar(10.0)
    m.buy(10)
    m.bar(10.0)
    assert isinstance(m.sell(6, "20.00", **GTC)[0], Accepted)
    assert isinstance(m.sell(5)[0], Rejected)
    assert isinstance(m.sell(4, "20.00", **GTC)[0], Accepted)
    assert isinstance(m.replace("o2.1", "o2.2", 7, "20.00")[0], ReplaceRefused)
    assert isinstance(m.replace("o2.1", "o2.2", 5, "20.00")[0], Replaced)
    assert isinstance(m.sell(1)[0], Accepted)
    assert m.exchange.buying_power() == m.exchange.cash == 99_900


def test_reducing_needs_no_buying_power(market: Any) -> None:
    """With cash below zero a sell and a smaller replacement are still taken, a larger one is not."""
    m = market(cash=100)
    m.bar(10.0)
    m.buy(7)
    m.buy(3, "2.00", **GTC)
    m.bar(30.0)
    assert m.exchange.cash < 0
    assert isinstance(m.sell(1)[0], Accepted)
    assert isinstance(m.replace("o2.1", "o2.2", 2, "2.00")[0], Replaced)
    assert isinstance(m.replace("o2.2", "o2.3", 3, "2.00")[0], ReplaceRefused)


MARGIN = {"account_type": "margin", "cash": 1000, "initial_margin": "0.5"}


def test_margin_buying_power(market: Any) -> None:
    """Equity over the margin, less the worst case of positions and open orders at last prices."""
    m = market(**MARGIN)
    power = m.exchange.buying_power
    m.bar(10.0)
    assert power() == 2000
    m.buy(50, "9.00", **GTC)
    assert power() == 1500
    m.sell(80, "12.00", **GTC)
    assert power() == 1200  # the larger side counts
    m.bar(10.0, 10.0, 8.0, 8.0)
    assert m.exchange.positions == {"A": 50}
    equity = 1000 - 450 + 50 * 8
    assert power() == equity * 2 - 50 * 8  # selling 80 of 50 leaves 30 short at most
    m.cancel("o2.1")
    assert power() == equity * 2 - 50 * 8


def test_a_margin_account_goes_short_and_flips(market: Any) -> None:
    """A sell beyond the position opens a short one at its own average price."""
    m = market(**MARGIN)
    m.bar(10.0)
    m.buy(10)
    m.bar(10.0)
    m.sell(30)
    m.bar(12.0)
    assert m.exchange.positions == {"A": -20}
    assert m.exchange.cash == 1000 - 100 + 360
    assert m.exchange.snapshot(0).positions[0].average_price == 12
    assert m.exchange.warnings == []


@pytest.mark.parametrize(
    ("side", "quantity", "limit", "taken"),
    [
        ("buy", 100, None, Accepted),  # 100 held: 1000 of buying power left
        ("buy", 101, None, Rejected),
        ("buy", 101, "1.00", Rejected),  # valued at the last price, whatever the limit
        ("sell", 200, None, Accepted),  # to 100 short, no more than now
        ("sell", 300, None, Accepted),
        ("sell", 301, None, Rejected),
    ],
)
def test_margin_checks_the_worst_case(market: Any, side: str, quantity: int, limit: str | None, taken: type) -> None:
    """Only what adds to the worst case needs buying power."""
    m = market(**MARGIN)
    m.bar(10.0)
    m.buy(100)
    m.bar(10.0)
    assert m.exchange.buying_power() == 1000
    assert isinstance(getattr(m, side)(quantity, limit)[0], taken)


def test_margin_values_an_unpriced_symbol_at_its_limit(market: Any) -> None:
    """Before a symbol's first price its orders count at the first limit, and a market order is still refused."""
    m = market(**MARGIN)
    assert isinstance(m.buy(201, "10.00")[0], Rejected)
    assert isinstance(m.buy(150, "10.00")[0], Accepted)
    assert m.exchange.buying_power() == 500
    assert m.buy(1)[0].code == "NO_MARKET_DATA"


def test_average_price(market: Any) -> None:
    """Buying more averages, selling leaves the average, and a new position starts anew."""
    m = market()

    def average() -> Decimal:
        return m.exchange.snapshot(0).positions[0].average_price

    m.bar(10.0)
    for trade, quantity, price, expected in (
        (m.buy, 10, 10.0, 10),
        (m.buy, 30, 20.0, Decimal("17.5")),
        (m.sell, 20, 30.0, Decimal("17.5")),
        (m.buy, 20, 10.5, 14),
        (m.sell, 39, 30.0, 14),
        (m.sell, 1, 30.0, None),
        (m.buy, 1, 5.0, 5),
    ):
        trade(quantity)
        m.bar(price)
        if expected is not None:
            assert average() == expected
