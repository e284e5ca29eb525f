"""Nothing that a strategy sends may rest on prices that it could not have known when it would have been sent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from ordersmith import BacktestExecutor, Bars, Order, OrderStatus, Strategy

DAYS = [
    (date(2024, 1, 2), 100.0, 101.0, 99.0, 100.0, 1e6),
    (date(2024, 1, 3), 100.0, 101.0, 99.0, 100.0, 1e6),
    (date(2024, 1, 4), 100.0, 130.0, 80.0, 90.0, 1e6),
    (date(2024, 1, 5), 91.0, 92.0, 90.0, 91.0, 1e6),
]
"""The entry fills at the open of the third day, which reaches everything."""


def run(strategy: Strategy, **backtest: object) -> list[tuple[str, str]]:
    """Run the strategy and return side and price of each fill."""
    executor = BacktestExecutor({"execution": {"backtest": backtest}}, strategy=strategy, data={"A": DAYS})
    return [(event.side.value, str(event.fill.price)) for _, event in executor.run().fills()]


class Buyer(Strategy):
    """Buys on the second day."""

    def __init__(self) -> None:
        self.day = 0

    def on_bars(self, bars: Bars) -> None:
        self.day += 1
        if self.day == 2:
            self.submit(Order.buy("A", 10))


@pytest.mark.parametrize("terms", [{"limit_price": "129"}, {"stop_price": "85"}, {"trail_amount": "5"}])
def test_who_has_seen_the_bar_cannot_trade_in_it(terms):
    """An exit that is sent after the bar of its entry was shown does not meet that bar, though it would have filled there."""

    class Exits(Buyer):
        def on_bars(self, bars: Bars) -> None:
            super().on_bars(bars)
            if self.day == 3:
                self.submit(Order.sell("A", 10, time_in_force="GTC", purpose="exit", **terms))

    fills = run(Exits())
    assert fills[0] == ("BUY", "100.0")
    assert all(90 <= float(price) <= 92 for _, price in fills[1:])  # of the fourth day, if at all


def test_an_answer_to_the_fill_trades_in_the_rest_of_the_bar():
    """A stop that is sent when the strategy is told of the entry protects in the bar of the entry."""

    class Protects(Buyer):
        def on_order(self, status: OrderStatus) -> None:
            if status.side == "BUY" and status.state == "FILLED":
                self.submit(Order.sell("A", 10, stop_price="95", purpose="protective"))

    assert run(Protects()) == [("BUY", "100.0"), ("SELL", "95")]
    assert run(Protects(), same_bar_exits=False) == [("BUY", "100.0"), ("SELL", "91.0")]


def test_who_is_told_of_a_fill_knows_no_price_after_it():
    """While fills of a bar are told, positions and account are valued at the closes before it."""
    seen = {}

    class Looks(Buyer):
        def on_order(self, status: OrderStatus) -> None:
            if status.state == "FILLED":
                info = self.account
                seen["fill"] = (self.positions["A"].market_price, info.equity, info.gross_exposure)

        def on_bars(self, bars: Bars) -> None:
            super().on_bars(bars)
            if self.day == 3:
                seen["bar"] = (self.positions["A"].market_price, self.account.equity, self.account.gross_exposure)

    run(Looks(), account={"type": "margin"})
    assert tuple(map(float, seen["fill"])) == (100.0, 100_000.0, 1_000.0)
    assert tuple(map(float, seen["bar"])) == (90.0, 99_900.0, 900.0)


def test_fills_that_came_later_tell_nothing_that_can_be_traded_on():
    """An exit that answers the entry waits for the next bar where other orders worked in this one: their fills tell how far prices went."""

    class Peeks(Buyer):
        def on_start(self) -> None:
            self.ladder: list[str] = []

        def on_bars(self, bars: Bars) -> None:
            super().on_bars(bars)
            if self.day == 2:
                prices = range(101, 129)
                self.ladder = self.submit(
                    Order.sell("A", 1, limit_price=price, time_in_force="GTC") for price in prices
                )

        def on_order(self, status: OrderStatus) -> None:
            if status.side == "BUY" and status.state == "FILLED":
                reached = [
                    known for order_id in self.ladder if (known := self.status(order_id)) and known.filled_quantity
                ]
                highest = max(known.order.limit_price for known in reached)
                self.submit(
                    Order.sell("A", 5, limit_price=highest - Decimal("5.50"), purpose="exit", time_in_force="GTC")
                )

    fills = run(Peeks(), account={"type": "margin"}, path="adaptive", participation=None)
    assert ("SELL", "128") in fills
    assert ("SELL", "122.50") not in fills  # the market passed it on its way to what only later fills have told
