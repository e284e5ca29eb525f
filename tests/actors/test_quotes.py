"""Quotes: what they say a price is."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan

import pytest

from ordersmith.actors.quotes import Quote, as_price


@pytest.mark.parametrize(
    ("bid", "ask", "last", "price"),
    [
        (10.0, 10.1, 10.07, "10.07"),
        (10.0, 10.1, nan, "10.05"),
        (10.0, 10.1, 0.0, "10.05"),
        (0.1, 0.1, nan, "0.1"),
        (10.2, 10.1, nan, None),
        (0.0, 10.1, nan, None),
        (nan, nan, nan, None),
        (nan, nan, 9.5, "9.5"),
    ],
)
def test_the_price_is_the_last_trade_or_else_the_middle(bid: float, ask: float, last: float, price: str | None) -> None:
    """What is crossed, zero or no number says no price."""
    assert Quote("A", bid, ask, 1.0, 1.0, last).price == (None if price is None else Decimal(price))


@pytest.mark.parametrize("value", [0.0, -1.0, nan, inf, -inf])
def test_what_is_no_positive_number_is_no_price(value: float) -> None:
    """Nothing of the kind reaches a Decimal."""
    assert as_price(value) is None
