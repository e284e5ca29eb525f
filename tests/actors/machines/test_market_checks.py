"""Prices that are old or absurd: they let no new risk pass, and hold no exit back."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.machines.exposure import AccountRisk, SymbolRisk
from ordersmith.actors.machines.risk import ORDER_PURPOSES, Case, Limits, checks_under, review
from ordersmith.actors.model import Instrument, Order, Purpose, TradingState
from ordersmith.actors.quotes import Quote
from ordersmith.supervisor.prices import Prices

SECOND = 1_000_000_000
NEW_RISK = (Purpose.ENTRY, Purpose.CHILD)
LIMITS = Limits(stale_after_ns=60 * SECOND)


def judged(
    quotes: tuple[Quote, ...], *, now_s: float = 100, limits: Limits = LIMITS, purpose: Purpose = Purpose.ENTRY
) -> str:
    """Return the code that an order for A is denied with, empty when it passes."""
    prices = Prices()
    prices.quote(quotes, int(now_s * SECOND))
    market = prices.known
    account = AccountRisk(Decimal(100_000), connected=True, known=True, symbols={"A": SymbolRisk(Decimal(50))})
    order = (Order.buy if purpose in NEW_RISK else Order.sell)("A", 10, purpose=purpose)
    last = market.last_price("A")
    now_ns = int(now_s * SECOND)
    case = Case(
        order,
        order.quantity,
        Instrument(),
        last,
        market.last_price,
        account,
        TradingState.ACTIVE,
        limits,
        now_ns,
        market=market,
    )
    denial = review(case, checks_under(limits))
    return "" if denial is None else denial.code


def quote(at_s: float = 100, bid: float = 10.0, ask: float = 10.1, last: float = 10.05) -> Quote:
    return Quote("A", bid, ask, 100.0, 100.0, last, int(at_s * SECOND))


def test_a_price_is_good_for_as_long_as_the_limits_say() -> None:
    """At the limit a price is fresh still, and a nanosecond later it lets nothing new pass."""
    assert judged((quote(40),)) == ""
    assert judged((quote(40),), now_s=100.000000001) == "STALE_MARKET"


@pytest.mark.parametrize("purpose", [Purpose.EXIT, Purpose.PROTECTIVE, Purpose.LIQUIDATION])
def test_exits_pass_on_an_old_price_and_on_an_absurd_quote(purpose: Purpose) -> None:
    """What takes risk off is not held back by a feed that is silent or mad."""
    assert judged((quote(1),), now_s=10_000, purpose=purpose) == ""
    assert judged((quote(bid=11.0),), purpose=purpose) == ""


@pytest.mark.parametrize("purpose", NEW_RISK)
@pytest.mark.parametrize(
    ("bid", "ask"),
    [(10.2, 10.1), (0.0, 10.1), (10.0, 0.0), (nan, 10.1), (10.0, nan), (nan, nan), (-1.0, 10.1), (10.0, inf)],
)
def test_new_risk_needs_a_quote_that_somebody_could_trade_on(bid: float, ask: float, purpose: Purpose) -> None:
    """A quote that is crossed, zero, infinite or no number fails closed, however good the last trade looks."""
    assert judged((quote(bid=bid, ask=ask),), purpose=purpose) == "NO_MARKET_DATA"


def test_a_locked_quote_is_a_quote() -> None:
    """Bid and ask may be the same price."""
    assert judged((quote(bid=10.1, ask=10.1),)) == ""


def test_prices_that_do_not_grow_old_are_not_judged_by_age() -> None:
    """A backtest's and a file's prices pass, whatever time it is, and the check is not even run."""
    limits = Limits()
    assert judged((quote(1),), now_s=1e9, limits=limits) == ""
    names = [check.__name__ for check in checks_under(limits)[Purpose.ENTRY]]
    assert "stale_market" not in names
    assert "stale_market" in [check.__name__ for check in checks_under(LIMITS)[Purpose.ENTRY]]


def test_what_is_lent_is_looked_at_where_prices_are_live() -> None:
    """Only a broker's list of symbols says what can be sold short, so a backtest on margin does not even ask."""
    names = [
        [check.__name__ for check in checks_under(Limits(account_type="margin", stale_after_ns=stale))[Purpose.ENTRY]]
        for stale in (None, 1)
    ]
    assert ["short_sale" in each for each in names] == [False, True]


any_price = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(bid=any_price, ask=any_price, last=any_price, at_s=st.integers(0, 100), purpose=st.sampled_from(ORDER_PURPOSES))
def test_whatever_a_feed_says_new_risk_passes_on_a_fresh_sane_quote_alone(
    bid: float, ask: float, last: float, at_s: int, purpose: Purpose
) -> None:
    """No numbers of a quote get an entry through that nobody could trade on, or raise anything."""
    told = judged((quote(at_s, bid, ask, last),), purpose=purpose)
    if not told and purpose in NEW_RISK:
        assert 0 < bid <= ask < inf
        assert at_s >= 40
