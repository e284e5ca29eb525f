"""What a margin account needs, pays and is made to close."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.model import TimeInForce
from ordersmith.actors.ports import (
    Accepted,
    AdjustmentCause,
    Cancelled,
    CashKind,
    CashMovement,
    Executed,
    MarginDeficit,
    PositionAdjustment,
    Rejected,
    Replaced,
    ReplaceRefused,
    Report,
)

D = Decimal
GTC = {"time_in_force": TimeInForce.GTC}
MARGIN = {"account_type": "margin", "cash": 1000}
UNEVEN = {**MARGIN, "short_initial_margin": "1"}


def of(kind: type, reports: list[Report]) -> list[Any]:
    return [report for report in reports if isinstance(report, kind)]


@pytest.mark.parametrize(
    ("side", "quantity", "taken"),
    [("buy", 200, Accepted), ("buy", 201, Rejected), ("sell", 100, Accepted), ("sell", 101, Rejected)],
)
def test_short_positions_may_need_more_margin(market: Any, side: str, quantity: int, taken: type) -> None:
    """With half for long and all for short, a thousand carries 200 shares at ten or 100 short ones."""
    m = market(**UNEVEN)
    m.bar(10.0)
    assert isinstance(getattr(m, side)(quantity)[0], taken)


def test_a_symbol_needs_the_greater_of_its_two_sides(market: Any) -> None:
    """Open orders on both sides of a symbol are not both counted; buying power is what a purchase may cost."""
    m = market(**UNEVEN)
    power = m.exchange.buying_power
    m.bar(10.0)
    m.buy(100, "9.00", **GTC)
    assert power() == 1000
    m.sell(60, "12.00", **GTC)
    assert power() == 800  # the short side needs 600, the long one 500
    m.buy(20, "9.00", **GTC)
    assert power() == 800  # 600 and 600
    assert isinstance(m.replace("o2.1", "o2.2", 110, "12.00")[0], ReplaceRefused)
    assert isinstance(m.replace("o2.1", "o2.2", 100, "12.00")[0], Replaced)
    assert power() == 0
    m.cancel("o2.2")
    assert power() == 800


def test_peers_5_9_open_shorts_reduce_buying_power_and_covers_release_it_when_executed(market: Any) -> None:
    """Reference semantics 9: a sale short claims at once, and a buy to cover frees nothing before it has filled."""
    m = market(**MARGIN)
    power = m.exchange.buying_power
    m.bar(10.0)
    m.sell(50)
    assert power() == 1500
    m.bar(10.0)
    assert power() == 1500
    m.buy(50)
    assert power() == 1500
    m.bar(10.0)
    assert power() == 2000


def test_peers_5_9_open_buys_reduce_buying_power_and_sales_release_it_when_executed(market: Any) -> None:
    """Reference semantics 9: a buy claims its limit times quantity at once, and a sale frees nothing before it has filled."""
    m = market(cash=1000)
    power = m.exchange.buying_power
    m.bar(10.0)
    m.buy(50, "8.00", **GTC)
    assert power() == 600
    m.bar(8.0)
    m.sell(50)
    assert power() == 600
    m.bar(8.0)
    assert power() == 1000


@pytest.mark.parametrize(("first", "second", "sign"), [("buy", "sell", 1), ("sell", "buy", -1)])
def test_peers_5_11_one_execution_flips_a_position(market: Any, first: str, second: str, sign: int) -> None:
    """Reference semantics 11: it closes at its price and opens at its price, and pays one commission."""
    m = market(account_type="margin", cash=1000, commission=1)
    m.bar(10.0)
    getattr(m, first)(10)
    m.bar(10.0)
    getattr(m, second)(30)
    (executed,) = of(Executed, m.bar(12.0))
    (position,) = m.exchange.snapshot(0).positions
    assert (executed.fill.quantity, executed.fill.commission) == (30, 1)
    assert (position.quantity, position.average_price) == (-20 * sign, 12)
    gained = 10 * (12 - 10) * sign  # of the part that closed
    assert m.exchange.cash + position.quantity * 12 == 1000 + gained - 2


def test_borrowing_costs_by_the_night(market: Any) -> None:
    """The fee is the short value at the last close times the rate, by calendar nights of a year of 360 days."""
    m = market(**MARGIN, borrow_rate="0.36")
    m.bar(10.0, session=1)
    m.sell(50)
    m.bar(10.0, 11.0, 10.0, 11.0, session=1)
    assert of(CashMovement, m.bar(11.0, session=1, closes=True)) == []
    (one,) = of(CashMovement, m.bar(12.0, session=2, closes=True))
    assert (one.activity_id, one.kind, one.amount, one.symbol) == ("main-a1", CashKind.BORROW_FEE, D("-0.55"), "A")
    (weekend,) = of(CashMovement, m.bar(12.0, session=5))
    assert weekend.amount == D("-1.80")
    assert "3 nights" in weekend.text
    assert m.exchange.cash == 1000 + 500 - D("2.35")
    m.buy(50)
    m.bar(12.0, session=5)
    assert of(CashMovement, m.bar(12.0, session=6)) == []


def test_long_positions_borrow_no_shares(market: Any) -> None:
    """Only short ones pay the fee, each symbol its own."""
    m = market(account_type="margin", borrow_rate="0.36")
    price = (10.0, 10.0, 10.0, 10.0, 1e6)
    rows = {"A": price, "B": price, "L": price}
    m.bars(rows)
    m.sell(100, symbol="L")
    m.sell(100, symbol="B")
    m.buy(100)
    m.bars(rows)
    assert [(each.symbol, each.amount) for each in of(CashMovement, m.bars(rows, session=1))] == [("B", -1), ("L", -1)]


CALLED = {**MARGIN, "maintenance_margin": "0.25"}


def indebted(market: Any, **rules: Any) -> Any:
    """Return an account of 1000 that holds 180 shares for 10.00."""
    m = market(**{**CALLED, **rules})
    m.bar(10.0)
    m.buy(180)
    m.bar(10.0)
    return m


@pytest.mark.parametrize(("close", "called"), [(6.0, False), (5.92, True)])
def test_a_margin_call_comes_with_the_last_bars(market: Any, close: float, called: bool) -> None:
    """Equity below a quarter of the positions is told at the close, not before."""
    m = indebted(market)
    assert m.bar(5.0) == []
    reports = of(MarginDeficit, m.bar(close, closes=True))
    assert bool(reports) is called
    if called:
        (deficit,) = reports
        assert (deficit.equity, deficit.required) == (1000 - 1800 + 180 * D("5.92"), 45 * D("5.92"))
        assert not deficit.liquidates
        assert "265.60" in deficit.text
        assert "266.40" in deficit.text


def test_a_declared_dividend_covers_positions(market: Any) -> None:
    """Equity contains what is accrued, for and against the account."""
    declared = CorporateAction(
        kind=CorporateActionKind.DIVIDEND, symbol="A", session=1, amount=D("0.01"), pay_session=9
    )
    m = indebted(market)
    assert of(MarginDeficit, m.bar(5.92, session=1, closes=True, actions=(declared,))) == []


def test_what_needs_no_more_margin_is_taken_in_any_need(market: Any) -> None:
    """With no free equity left an order that adds to no worst case still passes."""
    m = indebted(market, short_initial_margin="1")
    m.bar(5.0)
    assert m.exchange.buying_power() < 0
    assert isinstance(m.sell(10)[0], Accepted)
    assert isinstance(m.buy(1)[0], Rejected)


def test_a_flagged_call_closes_nothing_and_comes_again(market: Any) -> None:
    """While the deficit lasts every session tells it, with an id of its own."""
    m = indebted(market)
    told = [m.bar(5.0, session=session, closes=True) for session in (1, 2)]
    assert [report.activity_id for reports in told for report in reports] == ["main-a1", "main-a2"]
    assert m.exchange.positions == {"A": 180}


def test_a_session_without_last_bars_is_called_at_the_next(market: Any) -> None:
    """Where the data end before the close, the call comes before the next session's first bars."""
    m = indebted(market)
    m.bar(5.0)
    (deficit,) = m.bar(9.0, session=1)
    assert deficit.equity == 100


def test_liquidation_closes_at_the_next_open(market: Any) -> None:
    """Orders of the symbol are cancelled, then the position is closed, slipped and charged, whatever the volume."""
    m = indebted(market, margin_call="liquidate", slippage="0.01", commission="2")
    assert m.exchange.cash == 1000 - 1818 - 2
    m.sell(20, "30.00", **GTC)
    m.buy(1, "1.00", symbol="B", **GTC)
    (deficit,) = m.bar(5.0, closes=True)
    assert deficit.liquidates
    cancelled, closed = m.bar(5.1, 6.0, 4.0, 5.5, session=1, volume=1.0)
    assert isinstance(cancelled, Cancelled)
    assert cancelled.wire_id == "o2.1"
    assert "margin call" in cancelled.text
    assert isinstance(closed, PositionAdjustment)
    assert (closed.cause, closed.symbol, closed.quantity) == (AdjustmentCause.LIQUIDATION, "A", -180)
    assert closed.cash == 180 * D("5.049") - 2
    assert m.exchange.positions == {}
    assert m.exchange.cash == -820 + closed.cash
    assert m.exchange.buying_power() == m.exchange.cash * 2 - 1  # the order in B is counted at its limit
    assert m.bar(9.0, session=1, closes=True) == []


def test_liquidation_is_charged_as_an_order(market: Any) -> None:
    """Commission by size and the regulators' fees of a sale are taken off, and slippage a share."""
    rules = {"commission_per_share": "0.01", "regulatory_fees": True, "slippage_fixed": "0.10"}
    m = indebted(market, margin_call="liquidate", **rules)
    m.bar(5.0, session=12_000, closes=True)
    (closed,) = m.bar(5.0, session=12_001)
    assert closed.cash == 180 * D("4.90") - D("1.80") - D("0.05")  # November 2002: 30.10 a million, 0.0001 a share


def test_liquidation_buys_short_positions_back(market: Any) -> None:
    """A short position is bought at the open, slipped upwards."""
    m = market(**CALLED, margin_call="liquidate", slippage="0.01")
    m.bar(10.0)
    m.sell(180)
    m.bar(10.0)
    cash = 1000 + 180 * D("9.9")
    assert m.exchange.cash == cash
    m.bar(15.0, closes=True)
    (closed,) = m.bar(14.0, session=1)
    assert (closed.quantity, closed.cash) == (180, -180 * D("14.14"))


def test_liquidation_begins_with_what_needs_most_and_ends_when_enough_is_closed(market: Any) -> None:
    """The largest position is closed; the rest is covered again and stays."""
    m = market(account_type="margin", cash=2000, maintenance_margin="0.25", margin_call="liquidate")

    def bars(a: float, b: float, **session: Any) -> list[Report]:
        return m.bars({"A": (a, a, a, a, 1e6), "B": (b, b, b, b, 1e6)}, **session)

    bars(10.0, 10.0)
    m.buy(100)
    m.buy(250, symbol="B")
    bars(10.0, 10.0)
    (deficit,) = bars(5.0, 5.6, closes=True)
    assert deficit.equity == 2000 - 3500 + 1900
    (closed,) = bars(5.0, 5.6, session=1)
    assert (closed.symbol, closed.quantity) == ("B", -250)
    assert m.exchange.positions == {"A": 100}


def test_what_liquidation_costs_may_need_more_of_it(market: Any) -> None:
    """Equity is judged anew after each position, its slippage paid."""
    m = market(account_type="margin", cash=2000, margin_call="liquidate", slippage="0.1")
    prices = {"A": (10.0,) * 4, "B": (10.0,) * 4}
    m.bars({symbol: (*row, 1e6) for symbol, row in prices.items()})
    m.buy(100)
    m.buy(250, symbol="B")
    m.bars({symbol: (*row, 1e6) for symbol, row in prices.items()})
    lower = {"A": (5.0, 5.0, 5.0, 5.0, 1e6), "B": (6.2, 6.2, 6.2, 6.2, 1e6)}
    m.bars(lower, closes=True)
    assert [each.symbol for each in m.bars(lower, session=1)] == ["B", "A"]


def test_a_recovered_account_is_not_liquidated(market: Any) -> None:
    """What counts is the next open: an account that is covered there keeps its positions."""
    m = indebted(market, margin_call="liquidate")
    m.bar(5.0, closes=True)
    assert m.bar(9.0, session=1) == []
    assert m.exchange.positions == {"A": 180}
    assert m.bar(5.0, session=1) == []  # a fall inside the session is for its close


def test_a_symbol_without_a_bar_waits_for_its_next(market: Any) -> None:
    """Liquidation goes on with later bars of the session, once."""
    m = indebted(market, margin_call="liquidate")
    m.bar(5.0, closes=True)
    assert m.bar(7.0, symbol="B", session=1) == []
    (closed,) = m.bar(5.0, session=1)
    assert closed.quantity == -180
    assert m.bar(5.0, session=1) == []


def test_liquidation_waits_for_the_regular_hours(market: Any) -> None:
    """Bars before the open close nothing; the first regular ones do."""
    m = indebted(market, margin_call="liquidate")
    m.bar(5.0, closes=True)
    row = (4.0, 4.0, 4.0, 4.0, 1e6)
    early = Bars(m.now_ns, m.now_ns + 1, 1, False, {"A": row}, regular=False)
    assert m.exchange.on_bars(early) == []
    (closed,) = m.bar(5.0, session=1)
    assert closed.cash == 180 * 5


def test_a_cash_account_is_never_called(market: Any) -> None:
    """It owes nothing that positions would have to cover."""
    m = market(cash=100, margin_call="liquidate")
    m.bar(10.0)
    m.buy(10)
    m.bar(30.0)
    assert m.exchange.cash < 0
    assert m.bar(1.0, closes=True) == []
