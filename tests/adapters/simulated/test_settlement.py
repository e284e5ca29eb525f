"""Sales that settle sessions later in a cash account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ordersmith.actors.ports import Accepted, Rejected, Report, SaleSettled

D = Decimal


def settled(reports: list[Report]) -> list[tuple[str, Decimal]]:
    return [(report.activity_id, report.amount) for report in reports if isinstance(report, SaleSettled)]


def test_a_sale_may_be_spent_when_it_has_settled(market: Any) -> None:
    """With T+2 what a sale brought, its commission off, is spendable from the begin of the second session after it."""
    m = market(cash=1000, commission=1, settlement_days=2)
    power = m.exchange.buying_power
    m.bar(10.0, session=1)
    m.buy(90)
    m.bar(10.0, session=1)
    m.sell(90)
    assert settled(m.bar(12.0, session=1, closes=True)) == []
    assert m.exchange.cash == 1000 - 901 + 1079
    assert power() == 99
    assert isinstance(m.buy(10)[0], Rejected)
    assert settled(m.bar(12.0, session=2)) == []
    assert settled(m.bar(12.0, session=2, closes=True)) == []
    assert power() == 99
    assert settled(m.bar(12.0, session=5)) == [("main-a1", 1079)]  # the next session, whatever its date
    assert power() == m.exchange.cash == 1178
    assert isinstance(m.buy(90)[0], Accepted)


def test_each_session_settles_what_that_day_sold(market: Any) -> None:
    """Sales of one day settle together, those of different days apart, and a day without sales tells nothing."""
    m = market(settlement_days=1)
    m.bar(10.0, session=1)
    m.buy(100)
    m.bar(10.0, session=1)
    told = []
    for session, sales in ((1, (10, 20)), (2, ()), (3, (5,)), (4, ())):
        for quantity in sales:
            m.sell(quantity)
        told += settled(m.bar(10.0, session=session))
        told += settled(m.bar(10.0, session=session, closes=True))
    assert told == [("main-a1", 300), ("main-a2", 50)]


def test_selling_needs_no_settled_cash(market: Any) -> None:
    """Unsettled proceeds do not keep anybody from selling what is held."""
    m = market(cash=1000, settlement_days=1)
    m.bar(10.0, session=1)
    m.buy(100)
    m.bar(10.0, session=1)
    m.sell(50)
    m.bar(10.0, session=1)
    assert m.exchange.buying_power() == 0
    assert isinstance(m.sell(50)[0], Accepted)


def test_a_margin_account_lends_until_settlement(market: Any) -> None:
    """Settlement days are none of its business."""
    m = market(account_type="margin", cash=1000, settlement_days=2)
    m.bar(10.0, session=1)
    m.buy(100)
    m.bar(10.0, session=1)
    m.sell(100)
    m.bar(10.0, session=1)
    assert m.exchange.buying_power() == 2000
    assert settled(m.bar(10.0, session=4)) == []
