"""What splits and dividends do to the terms of orders (FINRA rule 5330)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.model import Instrument, OrderType, Terms
from ordersmith.adapters.simulated.adjustments import dividend_terms, is_lowered, split_terms, through, times

D = Decimal
SHARE = Instrument()
THIRD = D(1) / D(3)


def terms(quantity: int, limit: str | None = None, stop: str | None = None, trail: str | None = None) -> Terms:
    return Terms(D(quantity), *(None if price is None else D(price) for price in (limit, stop, trail)))


@pytest.mark.parametrize(
    ("before", "is_buy", "filled", "ratio", "after"),
    [
        (terms(100, "50.01"), True, 0, "2", terms(200, "25.00")),  # 25.005: a buy limit down
        (terms(100, "50.01"), False, 0, "2", terms(200, "25.01")),  # a sell limit up
        (terms(100, None, "50.01"), False, 0, "2", terms(200, None, "25.00")),  # a sell stop down
        (terms(100, None, "50.01"), True, 0, "2", terms(200, None, "25.01")),  # a buy stop up
        (terms(100, "49.99", "50.01"), False, 0, "2", terms(200, "25.00", "25.00")),
        (terms(100, None, None, "1.01"), False, 0, "2", terms(200, None, None, "0.51")),
        (terms(100, "50.00"), True, 30, "2", terms(170, "25.00")),  # 30 old shares filled, 140 new ones to come
        (terms(5, "30.00"), True, 0, "1.5", terms(7, "20.00")),  # 7.5 shares: down to the lot
        (terms(100), True, 0, "2", terms(200)),
    ],
)
def test_a_split_changes_quantity_and_prices(
    before: Terms, is_buy: bool, filled: int, ratio: str, after: Terms
) -> None:
    """What remains grows by the ratio, prices shrink by it, and rounding leads away from execution."""
    assert split_terms(before, is_buy, D(filled), D(ratio), SHARE) == after


def test_nothing_is_left_of_an_order_below_a_tick_or_a_lot() -> None:
    """A buy limit that rounds to zero, and a quantity below a lot, have no terms after the split."""
    assert split_terms(terms(100, "0.01"), True, D(0), D(3), SHARE) is None
    assert split_terms(terms(10, "9.00"), True, D(0), D(2), Instrument(lot=D(100))) is None


@pytest.mark.parametrize(
    ("order_type", "is_buy", "lasts", "amount", "lowered"),
    [
        (OrderType.LIMIT, True, True, "0.50", True),
        (OrderType.LIMIT, True, False, "0.50", False),
        (OrderType.LIMIT, False, True, "0.50", False),
        (OrderType.STOP, False, True, "0.50", True),
        (OrderType.STOP_LIMIT, False, True, "0.50", True),
        (OrderType.TRAILING_STOP, False, True, "0.50", True),
        (OrderType.STOP, True, True, "0.50", False),
        (OrderType.STOP_LIMIT, True, True, "0.50", False),
        (OrderType.MARKET, True, True, "0.50", False),
        (OrderType.LIMIT, True, True, "0.01", True),
        (OrderType.LIMIT, True, True, "0.009", False),
    ],
)
def test_which_orders_a_dividend_lowers(
    order_type: OrderType, is_buy: bool, lasts: bool, amount: str, lowered: bool
) -> None:
    """Lasting buy limits and sell stops, by a cent or more."""
    assert is_lowered(order_type, is_buy, lasts, D(amount)) is lowered


def test_a_dividend_lowers_to_the_next_tick() -> None:
    """Both prices fall by the amount, rounded down; a price that would reach zero leaves no terms."""
    assert dividend_terms(terms(5, "10.00"), D("0.125"), D("0.01")) == terms(5, "9.87")
    assert dividend_terms(terms(5, "9.00", "10.00"), D("0.125"), D("0.01")) == terms(5, "8.87", "9.87")
    assert dividend_terms(terms(5, "0.10"), D("0.10"), D("0.01")) is None


def test_a_ratio_that_is_no_decimal_number_does_no_harm() -> None:
    """A third of 300 shares is 100, and three times a price is a whole number of ticks."""
    assert times(D(300), THIRD) == 100
    assert through(D("10.00"), THIRD) == D("30.00")


@given(
    st.booleans(),
    st.integers(1, 10_000),
    st.integers(0, 99),
    st.integers(1, 100_000),
    st.sampled_from([D(2), D(3), D("1.5"), D(4) / D(3), D(10)]),
)
def test_a_split_never_brings_an_order_closer_to_its_execution(
    is_buy: bool, remaining: int, filled: int, ticks: int, ratio: Decimal
) -> None:
    """In new shares a limit is no better for the market and no more than a tick away, and value is not made of nothing."""
    limit = D(ticks) / 100
    after = split_terms(Terms(D(remaining + filled), limit), is_buy, D(filled), ratio, SHARE)
    if after is None:
        return
    assert after.limit_price is not None
    worse = limit / ratio - after.limit_price if is_buy else after.limit_price - limit / ratio
    assert D("-1E-9") <= worse < D("0.010000001")
    assert D("-1E-9") <= remaining * ratio - (after.quantity - filled) < D("1.000000001")
