"""Splits and changes of symbol on positions and open orders of the exchange, and several actions at once."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Any

import pytest
from corporate_days import dividend, holding, next_day, of, renamed, split

from ordersmith.actors.bars import CorporateAction
from ordersmith.actors.model import Terms, TimeInForce
from ordersmith.actors.ports import (
    AdjustmentCause,
    Cancelled,
    Executed,
    Expired,
    PositionAdjustment,
    Restated,
)

D = Decimal
GTC = {"time_in_force": TimeInForce.GTC}
SPLIT, LIEU = AdjustmentCause.SPLIT, AdjustmentCause.CASH_IN_LIEU


def average(m: Any) -> dict[str, Decimal]:
    return {position.symbol: position.average_price for position in m.exchange.snapshot(0).positions}


def equity(m: Any) -> Decimal:
    """A margin account's equity by its buying power, without open orders: power = 2 * equity - gross."""
    gross = sum(abs(q) * m.exchange._account.last_price(m.exchange._account.holdings[s]) for s, q in held(m).items())
    return (m.exchange.buying_power() + gross) / 2


def held(m: Any) -> dict[str, Decimal]:
    return m.exchange.positions


# -- splits


@pytest.mark.parametrize(
    ("quantity", "ratio", "after", "lieu", "cash"),
    [
        (100, "2", 200, 0, 0),
        (-100, "2", -200, 0, 0),
        (101, "1.5", 151, "-0.5", "3.33"),
        (105, "0.1", 10, "-0.5", "50"),
        (-105, "0.1", -10, "0.5", "-50"),
        (5, "0.1", 0, "-0.5", "50"),
        (300, D(1) / D(3), 100, 0, 0),
    ],
)
def test_a_split_changes_the_position_and_pays_out_fractions(
    market: Any, quantity: int, ratio: Any, after: int, lieu: Any, cash: Any
) -> None:
    """The position is multiplied, and what is no whole share is paid at the last close in new shares."""
    m = holding(market, quantity)
    before = m.exchange.cash
    adjusted = of(PositionAdjustment, next_day(m, split(ratio)))
    assert [each.activity_id for each in adjusted] == [f"main-a{n}" for n in range(1, len(adjusted) + 1)]
    assert (adjusted[0].cause, adjusted[0].cash) == (SPLIT, 0)
    assert quantity + sum(each.quantity for each in adjusted) == after
    assert held(m) == ({"A": after} if after else {})
    assert m.exchange.cash - before == D(cash)
    if lieu:
        assert (adjusted[1].cause, adjusted[1].quantity, adjusted[1].cash) == (LIEU, D(lieu), D(cash))
    else:
        assert len(adjusted) == 1


def test_a_split_changes_neither_cost_nor_equity(market: Any) -> None:
    """The average price shrinks with the ratio, and the last close counts in new shares until the next bar."""
    m = holding(market, 100)
    m.buy(100)
    m.bar(16.0, 16.0, 14.0, 14.0)
    m.sell(50)
    m.bar(14.0)
    assert (average(m), equity(m)) == ({"A": 13}, 10_000 + 100 * 4 - 100 * 2)
    before = m.exchange.buying_power()
    next_day(m, split("2"))
    assert average(m) == {"A": D("6.5")}
    assert m.exchange.buying_power() == before
    m.bar(7.0, session=1)
    assert m.exchange.buying_power() == before
    assert m.buy(1)  # the last price is that of the new bar
    assert m.exchange.buying_power() == before - 7


def test_a_split_counts_the_last_close_even_where_nobody_had_asked_for_it(market: Any) -> None:
    """The fraction is paid at the close before the split, not at one that somebody saw earlier."""
    m = market()
    m.bar(10.0)
    m.buy(5)
    m.bar(10.0)
    m.bar(20.0)
    _, lieu = next_day(m, split("0.1"))
    assert lieu.cash == 100


def test_a_split_keeps_the_value_of_what_has_no_close(market: Any) -> None:
    """Where the last close was no price, the one before it counts in new shares."""
    m = holding(market, 100)
    m.bar(10.0, 10.0, 10.0, nan)
    before = m.exchange.buying_power()
    next_day(m, split("2"))
    assert m.exchange.buying_power() == before


def test_a_forward_split_restates_open_orders(market: Any) -> None:
    """Quantities grow, prices shrink, and the orders keep their place and go on as if nothing had happened."""
    m = holding(market, 100)
    m.buy(50, "8.01", **GTC)
    m.sell(30, "12.01", **GTC)
    m.buy(7)
    power = m.exchange.buying_power()
    restated = of(Restated, next_day(m, split("2")))
    assert [(each.wire_id, each.terms) for each in restated] == [
        ("o2.1", Terms(D(100), D("4.00"))),
        ("o3.1", Terms(D(60), D("6.01"))),
        ("o4.1", Terms(D(14))),
    ]
    assert "2 new for 1 old" in restated[0].text
    assert m.exchange.buying_power() == power
    filled = of(Executed, m.bar(5.0, 6.1, 3.9, 5.0, session=1))
    assert sorted((each.wire_id, each.fill.quantity, each.fill.price) for each in filled) == [
        ("o2.1", 100, 4),
        ("o3.1", 60, D("6.01")),
        ("o4.1", 14, 5),
    ]
    assert held(m) == {"A": 200 + 100 - 60 + 14}


def test_a_cash_account_reserves_a_restated_order_in_new_shares(market: Any) -> None:
    """The claim of a buy stays what it was, as far as rounding allows, and a sale stays covered."""
    m = market(cash=10_000)
    m.bar(10.0)
    m.buy(100)
    m.bar(10.0)
    m.buy(50, "8.00", **GTC)
    m.sell(100, "20.00", **GTC)
    assert m.exchange.buying_power() == 10_000 - 1000 - 400
    next_day(m, split("2"))
    assert m.exchange.buying_power() == 10_000 - 1000 - 400
    assert m.sell(1)[0].code == "SHORT_SALE_NOT_ALLOWED"
    m.cancel("o3.1")
    m.cancel("o2.1")
    assert m.exchange.buying_power() == 9000


def test_a_restated_order_reserves_the_commission_of_its_new_size(market: Any) -> None:
    """Charged by the share, twice as many shares cost twice as much."""
    m = market(cash=10_000, commission_per_share="0.50")
    m.bar(10.0)
    m.buy(50, "8.00", **GTC)
    assert m.exchange.buying_power() == 10_000 - 400 - 25
    next_day(m, split("2"))
    assert m.exchange.buying_power() == 10_000 - 400 - 50


def test_a_partly_filled_order_keeps_its_fills_over_a_split(market: Any) -> None:
    """What has filled was old shares; only what remains is multiplied."""
    m = market(cash=10_000)
    m.bar(10.0)
    m.buy(50, "10.00", **GTC)
    m.bar(9.0, volume=200.0)
    assert held(m) == {"A": 20}
    (restated,) = of(Restated, next_day(m, split("3")))
    assert restated.terms == Terms(D(20 + 90), D("3.33"))
    assert held(m) == {"A": 60}
    (executed,) = of(Executed, m.bar(3.0, session=1))
    assert (executed.fill.quantity, executed.cumulative_quantity) == (90, 110)
    assert held(m) == {"A": 150}
    assert m.exchange.buying_power() == m.exchange.cash


def test_a_reverse_split_cancels_open_orders(market: Any) -> None:
    """They end with a text that says why, before the position is changed."""
    m = holding(market, 100)
    m.buy(50, "8.00", **GTC)
    m.sell(30, "12.00", **GTC)
    first, second, adjusted = next_day(m, split("0.1"))
    assert [each.wire_id for each in (first, second)] == ["o2.1", "o3.1"]
    assert isinstance(first, Cancelled)
    assert "reverse split" in first.text
    assert "1/10 new for 1 old" in first.text
    assert adjusted.quantity == -90
    assert m.exchange.buying_power() == 2 * 10_000 - 1000


def test_a_split_of_what_is_not_held_changes_orders_alone(market: Any) -> None:
    """Without a position nothing is adjusted, and a symbol nobody asked for is no error."""
    m = market()
    m.bar(10.0)
    m.buy(10, "5.00", **GTC)
    (restated,) = next_day(m, split("2"), split("2", "L"), split("2", "NONE"))
    assert restated.terms == Terms(D(20), D("2.50"))
    assert m.bar(2.0, session=1) != []


def test_orders_that_are_too_small_for_a_split_are_cancelled(market: Any) -> None:
    """Where less than a tick is left of a price, or less than a lot of a quantity, the order ends."""
    m = market()
    m.buy(10, "0.01", **GTC)
    (cancelled,) = next_day(m, split("2"))
    assert isinstance(cancelled, Cancelled)
    assert "less than" in cancelled.text


def test_one_for_one_is_no_split(market: Any) -> None:
    """It changes nothing and tells nothing."""
    m = holding(market, 100)
    m.buy(5, "8.00", **GTC)
    assert next_day(m, split("1")) == []


def test_day_orders_sent_overnight_are_restated_too(market: Any) -> None:
    """An order that waits for the session was priced in old shares, whatever its time in force; it expires as it would."""
    m = market()
    m.bar(10.0, closes=True)
    m.buy(10, "5.00")
    m.buy(10, "5.00", symbol="B")
    m.buy(10, "4.00")
    restated = of(Restated, next_day(m, split("2")))
    assert [each.wire_id for each in restated] == ["o1.1", "o3.1"]
    expired = of(Expired, m.bar(5.0, session=1, closes=True))
    assert [each.wire_id for each in expired] == ["o1.1", "o2.1", "o3.1"]


def test_restated_orders_keep_their_place_in_the_queue(market: Any) -> None:
    """Of two orders at a price the older one still fills first."""
    m = market()
    m.bar(10.0)
    for _ in range(2):
        m.buy(10, "5.00", **GTC)
    next_day(m, split("2"))
    m.buy(10, "2.50", **GTC)
    executed = of(Executed, m.bar(3.0, 3.0, 2.0, 3.0, session=1, volume=450.0))
    assert [(each.wire_id, each.fill.quantity) for each in executed] == [("o1.1", 20), ("o2.1", 20), ("o3.1", 5)]


# -- changes of symbol


@pytest.mark.parametrize("quantity", [100, -100])
def test_a_change_of_symbol_moves_the_position(market: Any, quantity: int) -> None:
    """It keeps its cost and its value, and is traded under the new name."""
    m = holding(market, quantity)
    power = m.exchange.buying_power()
    (moved,) = m.bar(10.0, symbol="L", session=1, actions=(renamed("B"),))
    assert (moved.cause, moved.symbol, moved.quantity) == (AdjustmentCause.SYMBOL_CHANGE, "A", -quantity)
    assert moved.new_symbol == "B"
    assert held(m) == {"B": quantity}
    assert average(m) == {"B": 10}
    assert m.exchange.buying_power() == power
    (m.sell if quantity > 0 else m.buy)(100, "1.00" if quantity > 0 else "99.00", symbol="B")
    m.bar(12.0, symbol="B", session=1)
    assert m.exchange.cash == 10_000 + 2 * quantity
    assert m.exchange.buying_power() == 2 * m.exchange.cash


def test_the_new_symbol_has_the_last_close_of_the_old_one(market: Any) -> None:
    """A market order of the new symbol claims it until there is a bar, even where nobody had asked for it before."""
    m = market(cash=1000)
    m.bar(10.0)
    m.buy(5)
    m.bar(10.0)
    m.bar(20.0)
    next_day(m, renamed("B"), symbol="L")
    m.buy(1, symbol="B")
    assert m.exchange.buying_power() == 1000 - 50 - 20


def test_the_limit_of_an_order_is_no_price_of_the_new_symbol(market: Any) -> None:
    """What was held stays worth its last close, though somebody had offered more for the new symbol, which nobody had traded."""
    m = holding(market, 100)
    m.buy(1, "15.00", symbol="B", **GTC)
    assert of(Cancelled, m.cancel("o2.1"))
    power = m.exchange.buying_power()
    next_day(m, renamed("B"), symbol="L")
    assert m.exchange.buying_power() == power


def test_a_change_of_symbol_cancels_open_orders(market: Any) -> None:
    """Their symbol is gone; the text names the new one."""
    m = holding(market, 100)
    m.buy(5, "8.00", **GTC)
    cancelled, moved = next_day(m, renamed("C"), symbol="L")
    assert isinstance(cancelled, Cancelled)
    assert "A is called C" in cancelled.text
    assert moved.new_symbol == "C"
    assert held(m) == {"C": 100}


def test_a_change_of_symbol_joins_what_was_held_of_the_new_one(market: Any) -> None:
    """Quantities are added and the average price is that of both."""
    m = holding(market, 100)
    m.buy(50, symbol="B") if m.bar(16.0, symbol="B") == [] else None
    m.bar(16.0, symbol="B")
    next_day(m, renamed("B"), symbol="L")
    assert held(m) == {"B": 150}
    assert average(m) == {"B": 12}


# -- several at once


def test_actions_of_one_day_are_applied_in_their_order(market: Any) -> None:
    """A dividend after a split is for each new share; other symbols have their own."""
    m = holding(market, 100)
    m.bar(10.0, symbol="B")
    m.buy(40, symbol="B")
    m.bar(10.0, symbol="B")
    reports = next_day(m, split("2"), dividend("0.10"), dividend("0.50", pay=7, symbol="B"), symbol="L")
    assert [type(each).__name__ for each in reports] == [
        *("PositionAdjustment", "DividendDeclared", "DividendDeclared", "CashMovement"),
    ]
    assert [each.amount for each in reports[1:]] == [20, 20, 20]
    assert [each.activity_id for each in reports] == ["main-a1", "main-a2", "main-a3", "main-a4"]
    assert m.exchange.accrued == 20


def test_actions_come_before_the_first_bars_are_matched(market: Any) -> None:
    """An order fills in the first bar of the session at its new terms, and not at the old ones."""
    m = market()
    m.bar(10.0)
    m.buy(10, "8.00", **GTC)
    restated, executed = m.bar(5.0, 5.0, 3.0, 4.5, session=1, actions=(split("2"),))
    assert isinstance(restated, Restated)
    assert (executed.fill.quantity, executed.fill.price) == (20, 4)


def test_impact_is_measured_in_new_shares_after_a_split(market: Any) -> None:
    """The past closes and volumes of a symbol are counted anew: the same trade has the same impact as without a split."""

    def impact(*actions: CorporateAction, price: float = 100.0, quantity: int = 100, symbol: str = "A") -> Decimal:
        m = market(impact="1", participation=None)
        for session, close in enumerate((100.0, 101.0, 99.0, 100.0)):
            m.bar(close, session=session - 10)
        if symbol == "A":
            m.buy(100, **GTC)
        else:
            m.buy(100, "200.00", symbol=symbol, **GTC)
        *_, executed = m.bar(price, symbol=symbol, session=1, actions=actions)
        assert executed.fill.quantity == quantity
        return executed.fill.impact

    assert impact() > 0
    assert impact(renamed("B"), price=100.0, symbol="B") == impact()
    assert impact(split("2"), price=50.0, quantity=200) == impact()
